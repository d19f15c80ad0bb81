"""The fixtures make on this machine what the golden numbers were computed from."""

import numpy as np
import pytest
import torch

from tests.golden import dual, eft


def test_the_inputs_of_eft_are_the_recorded_ones() -> None:
    """Sums of magnitudes to 1e-9: room for the last bit of another libm, and no more."""
    lines = (eft.FOLDER / "fixture_checksums.txt").read_text().splitlines()
    recorded = {line.split()[0]: float(line.split()[-1]) for line in lines}
    made = {name: values[-1] for name, values in eft.fixture.checksums().items()}
    assert made == pytest.approx(recorded, rel=1e-9)


@pytest.mark.parametrize("network", ["hmr", "cliff"])
@pytest.mark.parametrize("part", ["main", "aux"])
def test_the_weights_of_the_dual_networks_are_the_recorded_ones(network: str, part: str) -> None:
    recorded = dual.reference()
    names = recorded.array(f"check/{network}_{part}_names").tolist()
    state = dual.resnet_state(network, part)
    sums = [state[name].double().abs().sum() for name in names]
    expected = recorded[f"check/{network}_{part}_abs_sums"]
    assert torch.allclose(torch.stack(sums), expected, rtol=1e-7)  # float32 draws
    assert len(names) == len(state)


def test_the_people_of_the_dual_networks_are_the_recorded_ones() -> None:
    recorded, made = dual.reference(), dual.batch()
    for name in ("keypoints", "pose", "betas", "bbox_info", "center", "scale", "focal_length"):
        assert torch.allclose(made[name], recorded[f"input/{name}"], rtol=1e-6, atol=1e-5), name
    assert np.array_equal(made["img"][:, :, ::16, ::16], recorded["input/img_every16"])


def test_a_body_in_double_is_rounded_once() -> None:
    exact, cast = eft.body(torch.float64), eft.body()
    model = eft.fixture.smpl_model()
    joints = torch.from_numpy(model["J_regressor"] @ model["v_template"])
    assert (exact.joints_template - joints).abs().max() < 1e-14
    assert (cast.joints_template - joints).abs().max() > 1e-10  # what casting afterwards keeps
