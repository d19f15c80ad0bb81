"""Simulated people and lifted readings that the default regressors' heads are trained on."""

import torch

from exemplar.bodies import BodyParams, load_open_body
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.metrics import pa_mpjpe
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, SMPL_49, flip_permutation, indices
from scripts.lifter.noise import HIPS, NoiseModel, fitted, guessed
from scripts.lifter.people import mirror_image, simulated
from scripts.lifter.poses import FLIP_JOINTS, PosePool, families, mirrored

BODY = load_open_body()
ARMS = [name for name in LIMBS_12 if name.endswith(("shoulder", "elbow", "wrist"))]


def quiet() -> NoiseModel:
    """No error at all."""
    model = guessed(torch.ones(4, 33), torch.zeros(4, 33))
    align = torch.tensor([0.0, 1.0, 0.0, 0.0, 0.0])
    return NoiseModel(
        **{
            **vars(model),
            "cholesky": torch.zeros(165, 165),
            "align_mean": align,
            "align_cholesky": torch.zeros(5, 5),
            "flips": torch.zeros(8),
        }
    )


def drawn(noise: NoiseModel, count: int = 16):
    """Simulated people of seed 0."""
    pool = PosePool([families(20, 0, BODY)], [1.0])
    return simulated(count, pool, noise, BODY, torch.Generator().manual_seed(0))


def test_mirrored_rotations_give_the_mirrored_body():
    pose = axis_angle_to_rotmat(0.5 * torch.randn(2, 23, 3, generator=torch.manual_seed(0)))
    root = axis_angle_to_rotmat(torch.randn(2, 3, generator=torch.manual_seed(1)))
    plain = BODY.keypoints(BodyParams(root, pose, torch.zeros(2, 10)))
    other = BodyParams(mirrored(root), mirrored(pose)[:, FLIP_JOINTS], torch.zeros(2, 10))
    expected = plain[:, flip_permutation(SMPL_49)] * torch.tensor([-1.0, 1.0, 1.0])
    # the open body's two sides differ by about a millimetre
    assert (BODY.keypoints(other) - expected).norm(dim=-1).max() < 0.005


def test_without_errors_the_landmarks_are_the_bodys_own():
    people = drawn(quiet())
    marks = BODY.keypoints(people.params(), "blazepose33")
    hips = marks[:, HIPS].mean(1, keepdim=True)
    assert torch.allclose(people.landmarks.world, marks - hips, atol=1e-5)


def test_mirrored_people_have_mirrored_landmarks_and_bodies():
    people = drawn(quiet())
    other = mirror_image(people)
    marks = BODY.keypoints(other.params(), "blazepose33")
    errors = pa_mpjpe(other.landmarks.world, marks)
    assert float(errors.max()) < 5.0  # mm, the open body's asymmetry
    assert torch.equal(other.points[..., 0], -people.points[:, flip_permutation(SMPL_49), 0])


def test_a_batch_depends_on_its_generator_alone():
    first, second = (drawn(guessed(torch.ones(4, 33), torch.zeros(4, 33))) for _ in range(2))
    assert torch.equal(first.landmarks.world, second.landmarks.world)


def test_fitting_recovers_the_size_of_the_errors():
    truth = guessed(torch.full((50, 33), 0.9), torch.zeros(50, 33))
    truth = NoiseModel(**{**vars(truth), "flips": torch.zeros(8), "scales": torch.ones(50)})
    clean = drawn(quiet(), 2000)
    world = clean.landmarks.world
    points = clean.landmarks.points
    read = truth.read(points, world, torch.Generator().manual_seed(3))
    found = fitted(read, points, world, truth.hidden)
    ours, theirs = (m.cholesky.square().sum(1).sqrt() for m in (found, truth))
    limbs = 2 * torch.tensor(indices(ARMS, BLAZEPOSE_33))  # x of the points
    ratio = (ours[limbs] * found.scales.square().mean().sqrt()) / theirs[limbs]
    # points are taken about the hips, whose own errors add to the others'
    assert bool(((ratio > 0.7) & (ratio < 1.6)).all()), ratio
    assert abs(float(found.align_mean[1]) - 0.85) < 0.1
