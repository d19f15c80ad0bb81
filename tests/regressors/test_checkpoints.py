"""Checkpoint files: published layouts, this project's format, and what is refused.

States are made of constants that are told by the tensor's name and take no room on disk.
"""

import argparse
import datetime
import shutil
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exemplar.regressors.checkpoints import (
    DEFAULT_REGRESSOR,
    RegressorInfo,
    load_regressor,
    save_regressor,
)
from exemplar.regressors.cliff import Cliff, CliffHrnet
from exemplar.regressors.hmr import Hmr
from tests.golden import eft

State = dict[str, Tensor]


def state_of(network: nn.Module, salt: str = "") -> State:
    """A state dict of `network`, every tensor one number that is told by its name."""
    out = {}
    for name, value in network.state_dict().items():
        number = torch.tensor(zlib.crc32((salt + name).encode()) % 1000)
        out[name] = (number.long() if name.endswith("tracked") else number / 1000).expand(
            value.shape
        )
    return out


def prefixed(state: State, prefix: str, only: Callable[[str], bool] = lambda name: True) -> State:
    return {prefix + name if only(name) else name: value for name, value in state.items()}


def is_backbone(name: str) -> bool:
    return name.startswith(("conv", "bn", "layer"))


def holds(network: nn.Module, state: State) -> bool:
    found = network.state_dict()
    return set(found) == set(state) and all(torch.equal(found[n], state[n]) for n in state)


@pytest.fixture(scope="module")
def hmr() -> State:
    return state_of(Hmr())


@pytest.fixture(scope="module")
def cliff() -> State:
    return state_of(Cliff())


TRAINING = {"optimizer": {"state": {}, "param_groups": [{"lr": 5e-5}]}, "epoch": 3, "batch_idx": 0}
TRAINING |= {"batch_size": 64, "dataset_perm": [2, 0, 1], "total_step_count": 17}


@pytest.mark.parametrize("zipped", [True, False])
def test_spin_s_layout(tmp_path: Path, hmr: State, zipped: bool) -> None:
    """Both file formats of torch: SPIN's checkpoint is older than the present one."""
    path = tmp_path / "model_checkpoint.pt"
    content = {"model": hmr, **TRAINING}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    network, info = load_regressor(path)
    assert holds(network, hmr)
    assert not network.training
    assert isinstance(network, Hmr)
    assert (network.width, network.resolution, network.n_iter) == (224, 224, 3)
    assert network.camera_model == "crop_perspective"
    assert (info.architecture, info.body, info.learning_rate) == ("hmr", "smpl", 5e-6)
    weak, info = load_regressor(path, camera_model="weak", n_iter=4)
    assert isinstance(weak, Hmr)
    assert (weak.camera_model, weak.n_iter) == ("weak", 4)
    assert (info.camera_model, info.n_iter) == ("weak", 4)


def test_cliff_s_layout(tmp_path: Path, cliff: State) -> None:
    wrapped = prefixed(prefixed(cliff, "encoder.", is_backbone), "module.")
    torch.save({"model": wrapped}, tmp_path / "res50.pt")
    network, info = load_regressor(tmp_path / "res50.pt")
    assert holds(network, cliff)
    assert isinstance(network, Cliff)
    assert (network.width, network.resolution, network.n_iter) == (192, 256, 3)
    assert network.camera_model == "full_perspective"
    assert info.architecture == "cliff"


def test_the_dual_networks_layout(tmp_path: Path, hmr: State) -> None:
    teacher = state_of(Hmr(), "aux")
    path = tmp_path / "hmr_res50_3dpw.pt"
    torch.save({"model": hmr, "model_aux": teacher, **TRAINING}, path)
    network, info = load_regressor(path)
    assert holds(network, hmr)
    assert isinstance(network, Hmr)
    assert (network.width, network.resolution, network.n_iter) == (192, 256, 10)
    assert (info.architecture, info.learning_rate) == ("hmr_rect", 1e-5)
    network, info = load_regressor(path, part="aux")
    assert holds(network, teacher)
    assert isinstance(network, Hmr)
    assert network.n_iter == 3
    torch.save({"model": hmr}, path)
    with pytest.raises(ValueError, match="no auxiliary network: expected a key model_aux"):
        load_regressor(path, part="aux")
    network, _ = load_regressor(path, architecture="hmr_rect", n_iter=10)
    assert getattr(network, "width", 0) == 192
    known = "lifter, lifter_heavy, hmr"
    with pytest.raises(ValueError, match=rf"no architecture 'hrm', expected one of {known}"):
        load_regressor(path, architecture="hrm")


def is_head(name: str) -> bool:
    return not is_backbone(name)


CONTAINERS: dict[str, Callable[[State], object]] = {
    "bare": lambda state: state,
    "state_dict": lambda state: {"state_dict": state},
    "model_state_dict": lambda state: {"model_state_dict": state, "epoch": 3},
    "net": lambda state: {"net": state},
    "any key": lambda state: {"acc": 0.5, "gen_state_dict": state, "disc": {"w": torch.zeros(2)}},
    "two levels": lambda state: {"state": {"ema": {"a": torch.zeros(2)}, "model": state}},
    "with text": lambda state: {"model": {**state, "version": 1}},
    "parameters": lambda state: {"model": {n: nn.Parameter(t, False) for n, t in state.items()}},
}
PREFIXES: dict[str, Callable[[State], State]] = {
    "none": lambda state: state,
    "backbone": lambda state: prefixed(state, "backbone.", is_backbone),
    "module twice": lambda state: prefixed(state, "module.module."),
    "lightning": lambda state: prefixed(state, "model."),
    "regressor": lambda state: prefixed(state, "regressor.", is_head),
    "head": lambda state: prefixed(
        prefixed(prefixed(state, "head.", is_head), "encoder.", lambda n: n[:5] != "head."), "net."
    ),
}


@pytest.mark.parametrize(
    ("container", "prefix"),
    [*((name, "none") for name in CONTAINERS), *(("bare", name) for name in PREFIXES)],
)
def test_weights_are_found_wherever_programs_put_them(
    tmp_path: Path, hmr: State, container: str, prefix: str
) -> None:
    torch.save(CONTAINERS[container](PREFIXES[prefix](hmr)), tmp_path / "x.pth")
    network, info = load_regressor(tmp_path / "x.pth")
    assert holds(network, hmr)
    assert info.architecture == "hmr"


class Settings(dict):
    """Stands for what programs keep beside weights: a dict with attributes of its own."""

    def __init__(self) -> None:
        super().__init__(lr=1e-4)
        self.frozen = True


@pytest.mark.parametrize("zipped", [True, False])
def test_objects_beside_weights_are_passed_over(tmp_path: Path, hmr: State, zipped: bool) -> None:
    beside = {
        "best": np.float64(0.5),
        "epoch": np.int64(3),
        "order": np.arange(4),
        "args": argparse.Namespace(lr=1),
        "cfg": Settings(),
        "folder": Path("logs"),
        "when": datetime.timedelta(1),
        "counts": defaultdict(list, {"a": [1]}),
    }
    path = tmp_path / "x.pt"
    torch.save({**beside, "model": hmr}, path, _use_new_zipfile_serialization=zipped)
    assert holds(load_regressor(path)[0], hmr)


def test_weights_may_be_numpy_arrays(tmp_path: Path, cliff: State) -> None:
    arrays = {name: np.array(tensor.numpy(), order="F") for name, tensor in cliff.items()}
    torch.save({"model": arrays}, tmp_path / "x.pt")
    assert holds(load_regressor(tmp_path / "x.pt")[0], cliff)


class Evil:
    """Unpickling this would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return shutil.copytree, (str(self.path.parent), str(self.path))


def test_what_is_passed_over_does_not_run(tmp_path: Path, hmr: State) -> None:
    torch.save({"model": hmr, "x": Evil(tmp_path / "trap")}, tmp_path / "x.pt")
    assert holds(load_regressor(tmp_path / "x.pt")[0], hmr)
    assert not (tmp_path / "trap").exists()


def test_tensors_of_other_modules_are_left_out_and_told(tmp_path: Path, hmr: State) -> None:
    torch.save({"model": {**hmr, "smpl.v_template": torch.zeros(5, 3)}}, tmp_path / "x.pt")
    network, info = load_regressor(tmp_path / "x.pt")
    assert holds(network, hmr)
    assert info.notes == "main network of x.pt; left out: smpl.v_template"


@pytest.mark.parametrize("name", ["layer3.6.conv1.weight", "ema.fc1.weight"])
def test_more_of_the_network_s_own_modules_is_not_left_out(
    tmp_path: Path, hmr: State, name: str
) -> None:
    """A deeper trunk has all that a shallower one needs, and two heads are no one's."""
    torch.save({"model": {**hmr, name: torch.zeros(2)}}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=f"unexpected: {name}"):
        load_regressor(tmp_path / "x.pt")


def test_suffixes_may_be_capitals(tmp_path: Path, hmr: State) -> None:
    torch.save(hmr, tmp_path / "X.PT")
    assert holds(load_regressor(tmp_path / "X.PT")[0], hmr)


@pytest.mark.slow
def test_cliff_on_hrnet(tmp_path: Path) -> None:
    main, aux = state_of(CliffHrnet("main")), state_of(CliffHrnet("aux"))
    path = tmp_path / "cliff_hrnet_3dpw.pt"
    torch.save({"model": main, "model_aux": aux}, path)
    for part, state, n_iter in (("main", main, 10), ("aux", aux, 3)):
        network, _ = load_regressor(path, part=part)
        assert holds(network, state)
        assert getattr(network, "n_iter", 0) == n_iter
    torch.save({"model": prefixed(aux, "module.")}, tmp_path / "hr48.pt")
    network, info = load_regressor(tmp_path / "hr48.pt")
    assert holds(network, aux)
    assert info.architecture == "cliff_hrnet_aux"


def test_counters_of_batches_may_be_lacking(tmp_path: Path, hmr: State) -> None:
    older = {name: value for name, value in hmr.items() if not name.endswith("tracked")}
    torch.save({"model": older}, tmp_path / "x.pt")
    found = load_regressor(tmp_path / "x.pt")[0].state_dict()
    assert all(torch.equal(found[name], value) for name, value in older.items())


def test_a_file_without_the_head_s_start_asks_for_it(tmp_path: Path, hmr: State) -> None:
    without = {name: value for name, value in hmr.items() if not name.startswith("init_")}
    torch.save({"model": without}, tmp_path / "hmr.pt")
    with pytest.raises(
        ValueError, match=r"lacks init_pose, init_shape, init_cam: pass mean_params"
    ):
        load_regressor(tmp_path / "hmr.pt")
    means = eft.fixture.mean_params()
    np.savez(tmp_path / "smpl_mean_params.npz", **(means | {"shape": means["shape"].astype(float)}))
    network, _ = load_regressor(tmp_path / "hmr.pt", mean_params=tmp_path / "smpl_mean_params.npz")
    assert np.array_equal(network.get_buffer("init_pose")[0].numpy(), means["pose"])
    assert np.array_equal(network.get_buffer("init_cam")[0].numpy(), means["cam"])
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(ValueError, match=r"other\.npz is no \.npz file with pose, shape, cam"):
        load_regressor(tmp_path / "hmr.pt", mean_params=tmp_path / "other.npz")
    with pytest.raises(FileNotFoundError, match="no mean parameters at"):
        load_regressor(tmp_path / "hmr.pt", mean_params=tmp_path / "none.npz")


def test_tensors_that_do_not_fit_are_named(tmp_path: Path, hmr: State) -> None:
    wrong = dict(hmr)
    del wrong["layer3.2.conv1.weight"]
    wrong["layer4.9.weight"] = torch.zeros(2)
    wrong["decpose.bias"] = torch.zeros(143)
    torch.save({"model": wrong}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="does not fit") as caught:
        load_regressor(tmp_path / "x.pt")
    message = str(caught.value)
    assert "missing: layer3.2.conv1.weight;" in message
    assert "unexpected: layer4.9.weight;" in message
    assert "mis-shaped: decpose.bias (143,) for (144,)" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            {"model": {"fc1.weight": torch.zeros(1024, 9)}},
            r"\(model\) .* missing: conv1.weight, .* mis-shaped: fc1.weight \(1024, 9\) for",
        ),
        ({"a": torch.zeros(2)}, "does not fit the network hmr, .* missing: conv1.weight"),
        ({"weights": 3}, "holds no state dict: .* got the keys weights"),
        ({"a\nb": 3}, "holds no state dict: .* got the keys a b"),
        ({"model": {}}, "holds no state dict"),
        ([1, 2], "holds no state dict: .* got something else"),
        (nn.Linear(2, 2), "holds no state dict: .* got something else"),
        (datetime.timedelta(1), "holds no state dict: .* got something else"),
    ],
)
def test_other_content_is_refused_in_one_line(
    tmp_path: Path, content: object, message: str
) -> None:
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=rf"x\.pt.*{message}") as caught:
        load_regressor(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 100, -1000])
def test_a_damaged_file_is_one_clear_error(tmp_path: Path, cut: int) -> None:
    torch.save({"model": {"a": torch.rand(1000)}}, tmp_path / "x.pt")
    (tmp_path / "x.pt").write_bytes((tmp_path / "x.pt").read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"x\.pt cannot be read") as caught:
        load_regressor(tmp_path / "x.pt")
    assert "\n" not in str(caught.value)


def test_options_are_for_torch_checkpoints(tmp_path: Path, cliff: State) -> None:
    with pytest.raises(ValueError, match=f"{DEFAULT_REGRESSOR}: the options are for torch"):
        load_regressor(n_iter=5)
    torch.save({"model": cliff}, tmp_path / "x.pt")
    with pytest.raises(ValueError, match="cliff has the camera model full_perspective, not weak"):
        load_regressor(tmp_path / "x.pt", camera_model="weak")
    with pytest.raises(ValueError, match="n_iter=0"):
        load_regressor(tmp_path / "x.pt", n_iter=0)
    with pytest.raises(FileNotFoundError, match=r"no regressor .*none\.pt"):
        load_regressor(tmp_path / "none.pt", n_iter=5)


def test_this_project_s_format_holds_a_published_network(tmp_path: Path) -> None:
    network = Hmr(n_iter=4, camera_model="weak")
    info = RegressorInfo("hmr", "smpl", 1e-6, n_iter=4, camera_model="weak")
    save_regressor(network, info, tmp_path / "mine.safetensors")
    loaded, found = load_regressor(tmp_path / "mine.safetensors")
    assert found == info
    assert isinstance(loaded, Hmr)
    assert (loaded.n_iter, loaded.camera_model, loaded.width) == (4, "weak", 224)
    assert torch.equal(loaded.fc1.weight, network.fc1.weight.half().float())


def test_exemplars_that_share_weights_move_the_whole_part_of_a_layer() -> None:
    layer = RegressorInfo("lifter", "open", 2e-5, "head.enter")
    assert layer.shared() == ("head", 1e-5)
    assert replace(layer, adapt="head").shared() == ("head", 2e-5)
