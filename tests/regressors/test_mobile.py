"""The default regressor and its checkpoint."""

from pathlib import Path

import pytest
import torch

from exemplar.geometry.crops import Box
from exemplar.regressors.checkpoints import RegressorInfo, load_regressor, save_regressor
from exemplar.regressors.mobile import Mobile

BOX = Box(torch.zeros(2, 2), torch.ones(2), torch.zeros(2))


def test_the_shipped_regressor_predicts_proper_bodies() -> None:
    regressor, info = load_regressor()
    prediction = regressor(torch.rand(2, 3, 256, 256), BOX)
    rotmats = prediction.body_pose
    assert rotmats.shape == (2, 23, 3, 3)
    assert torch.allclose(rotmats @ rotmats.mT, torch.eye(3).expand_as(rotmats), atol=1e-5)
    assert prediction.is_finite()
    assert info.body == "open"
    assert info.learning_rate > 0
    assert not regressor.training


def test_it_has_few_parameters() -> None:
    count = sum(p.numel() for p in Mobile().parameters())
    assert 5.5e6 < count < 6.8e6


def test_a_saved_checkpoint_loads_again(tmp_path: Path) -> None:
    model = Mobile().eval()
    save_regressor(model, RegressorInfo("mobile", "open", 1e-5), tmp_path / "m.safetensors")
    loaded, info = load_regressor(tmp_path / "m.safetensors")
    assert info == RegressorInfo("mobile", "open", 1e-5)
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float()), name


def test_checkpoints_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no regressor 'nonesuch'"):
        load_regressor("nonesuch")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="not a safetensors checkpoint"):
        load_regressor(tmp_path / "text.safetensors")
    model = Mobile()
    del model.head.fc2
    save_regressor(model, RegressorInfo("mobile", "open", 1e-5), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"missing: head\.fc2\.weight, head\.fc2\.bias"):
        load_regressor(tmp_path / "m.safetensors")
    save_regressor(Mobile(), RegressorInfo("other", "open", 1e-5), tmp_path / "o.safetensors")
    with pytest.raises(ValueError, match="known architecture"):
        load_regressor(tmp_path / "o.safetensors")
