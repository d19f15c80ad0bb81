"""Supervised training's losses against EFT's program, in float64 (tests/golden/README.md)."""

from functools import cache

import pytest
import torch

from exemplar.bodies import BodyParams
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.hmr import Hmr
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.recipes import RECIPES
from exemplar.training.trainee import Trainee
from tests.golden import eft
from tests.golden.eft import fixture


@cache
def people() -> TrainingBatch:
    """Samples 0 to 3. Two have a true body; the fits of the others were refused by the program's
    test (a 2D loss over 100 px^2), so that nothing supervises their bodies."""
    batch = eft.batch(torch.float64)
    targets = [fixture.target(i) for i in range(4)]
    rotmats = axis_angle_to_rotmat(torch.stack([torch.from_numpy(t[3]) for t in targets]))
    betas = torch.stack([torch.from_numpy(t[1]) for t in targets])
    return TrainingBatch(
        batch.image[:4],
        batch.box[:4],
        batch.keypoints_2d[:4],
        eft.pose_3d()[:4],
        torch.tensor([True, False, True, False]),
        BodyParams(rotmats[:, 0], rotmats[:, 1:], betas),
        torch.tensor([True, True, False, False]),
    )


@pytest.mark.parametrize(
    ("camera", "name"), [("weak", "train_weak"), ("crop_perspective", "train_persp")]
)
def test_the_losses_are_the_programs(camera: str, name: str) -> None:
    network = Hmr(camera_model=camera)  # pyright: ignore[reportArgumentType]
    network.load_state_dict(eft.hmr_state(), strict=False)
    network.drop1.p = network.drop2.p = 0.0
    loss = RECIPES["supervised"]["eft"].loss
    step = TrainingStep(Trainee(network), eft.body(torch.float64), loss).double().train()
    out = step(people())
    total, flat, solid, pose, betas, _ = eft.reference()[f"{name}_losses"].tolist()
    found = [
        float(out[key].detach()) / 60 for key in ("keypoints_2d", "joints_3d", "pose", "betas")
    ]
    # The program's rotations go by quaternions of v + 1e-8: 1e-10 relative.
    assert found == pytest.approx([5 * flat, 5 * solid, pose, 1e-3 * betas], rel=1e-9)
    assert float(out["loss"].detach()) == pytest.approx(total, rel=1e-9)
    running = dict(network.named_buffers())["bn1.running_mean"]
    wanted = eft.reference()[f"{name}_bn1_running_mean"]
    torch.testing.assert_close(running, wanted, rtol=1e-9, atol=1e-12)
