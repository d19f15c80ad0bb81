"""The guard keeps the better of a fit's iterates."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_body
from exemplar.fitting.guard import GuardConfig, choose, guard_scores, held_out
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import crop_units_to_pixels
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.priors import load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_24
from tests.fitting.toy import UPRIGHT

NO_PRIOR = GuardConfig(prior_weight=0.0)
LEFT_OUT = ("left_hip", "right_hip", "pelvis", "left_ankle", "right_ankle")
"""Annotated keypoints that EFT does not fit."""


@pytest.fixture(scope="module")
def body() -> Body:
    return load_body("open")


def bodies(pose: Tensor) -> Prediction:
    """Upright bodies of mean shape from (b, k, 23, 3) axis-angle."""
    lead = pose.shape[:2]
    return Prediction(
        UPRIGHT.expand(*lead, 3, 3),
        axis_angle_to_rotmat(pose),
        torch.zeros(*lead, 10),
        torch.tensor([0.8, 0.0, 0.0]).expand(*lead, 3),
    )


def bent(**joints: tuple[float, float, float]) -> Tensor:
    """(23, 3) axis-angle, radians, zero but for the named joints."""
    pose = torch.zeros(len(SMPL_24), 3)
    for name, turn in joints.items():
        pose[SMPL_24.index(name)] = torch.tensor(turn)
    return pose[1:]


def keypoints_of(body: Body, truth: Prediction) -> Tensor:
    """(b, 49, 3): the first iterate's own keypoints, all of them seen."""
    points = project_weak(body.keypoints(truth.body_params()), truth.camera)[:, 0]
    return torch.cat((points, torch.ones_like(points[..., :1])), -1)


def weights_of(body: Body, keypoints: Tensor) -> Tensor:
    weights = keypoints[..., 2] * body.available()
    weights[:, : len(OPENPOSE_25)] = 0.0
    weights[:, [row(name) for name in LEFT_OUT]] = 0.0
    return weights


def row(name: str) -> int:
    return len(OPENPOSE_25) + GT_24.index(name)


RAISED = bent(left_shoulder=(0.0, 0.0, -1.0))
KICK = bent(left_shoulder=(0.0, 0.0, -1.0), left_knee=(0.0, 0.0, 0.8))
"""Differs from `RAISED` below the knee alone, where EFT fits no position."""


def test_of_equal_fits_it_keeps_the_one_that_the_left_out_keypoints_support(body: Body) -> None:
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    iterates = bodies(torch.stack((bent(), KICK, RAISED))[None])
    fitted = weights_of(body, keypoints)
    assert choose(body, iterates, keypoints, fitted, NO_PRIOR).tolist() == [2]
    blind = replace(NO_PRIOR, held_out_weight=0.0)
    assert choose(body, iterates, keypoints, fitted, blind).tolist() == [1]


STRAIGHT = replace(NO_PRIOR, robust_px=1e6)
"""Geman-McClure's error is the squared error here."""


def test_the_score_is_the_rms_distance_over_known_keypoints(body: Body) -> None:
    """Only one keypoint is displaced, by a hundredth of the crop's half side."""
    truth = bodies(RAISED[None, None])
    keypoints = keypoints_of(body, truth)
    keypoints[0, row("left_ankle"), 0] += 0.01
    fitted = weights_of(body, keypoints)
    known = int(body.available()[len(OPENPOSE_25) :].sum())
    expected = 0.01 * crop_units_to_pixels() / known**0.5
    score, off = guard_scores(body, truth, keypoints, fitted, STRAIGHT)
    # float32 projections of order 1, in units of 112 px
    assert score.item() == pytest.approx(expected, abs=1e-4)
    assert off.item() == 0


def test_a_keypoint_that_is_far_off_counts_for_robust_px_at_most(body: Body) -> None:
    truth = bodies(RAISED[None, None])
    keypoints = keypoints_of(body, truth)
    keypoints[0, row("left_wrist"), 0] += 1e4
    fitted = weights_of(body, keypoints)
    known = int(body.available()[len(OPENPOSE_25) :].sum())
    score, off = guard_scores(body, truth, keypoints, fitted, NO_PRIOR)
    assert score.item() == pytest.approx(NO_PRIOR.robust_px / known**0.5, rel=1e-3)
    assert off.item() == pytest.approx(1 / int((fitted > 0).sum()))


def displaced(body: Body, count: int) -> Tensor:
    """The keypoints of a raised arm, of which the first fitted ones lie half a crop away."""
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    rows = weights_of(body, keypoints)[0].nonzero()[:count, 0]
    keypoints[0, rows, 1] += 1.0
    return keypoints


@pytest.mark.parametrize(("wrong", "kept"), [(0, 1), (1, 1), (3, 0)])
def test_a_fit_that_disagrees_with_its_keypoints_must_gain_much(
    body: Body, wrong: int, kept: int
) -> None:
    """The second iterate is better, by less than `doubt_gain`."""
    keypoints = displaced(body, wrong)
    fitted = weights_of(body, keypoints)
    almost = 0.97 * RAISED
    iterates = bodies(torch.stack((almost, RAISED))[None])
    scores, off = guard_scores(body, iterates, keypoints, fitted, NO_PRIOR)
    assert 0 < float(scores[0, 0] - scores[0, 1]) < NO_PRIOR.doubt_gain
    assert (float(off[0, 1]) > NO_PRIOR.doubt_share) == (wrong > 1)
    assert choose(body, iterates, keypoints, fitted, NO_PRIOR).tolist() == [kept]
    careless = replace(NO_PRIOR, doubt_gain=0.0)
    assert choose(body, iterates, keypoints, fitted, careless).tolist() == [1]


def test_a_fit_in_doubt_that_gains_much_is_kept(body: Body) -> None:
    keypoints = displaced(body, 3)
    fitted = weights_of(body, keypoints)
    leaning = bent(spine1=(0.0, 0.0, 0.6))
    iterates = bodies(torch.stack((leaning, RAISED))[None])
    assert choose(body, iterates, keypoints, fitted, NO_PRIOR).tolist() == [1]


def test_only_known_annotated_keypoints_are_held_out(body: Body) -> None:
    confidence = torch.ones(1, 49)
    confidence[0, row("left_ankle")] = 0.0
    fitted = weights_of(body, torch.cat((torch.zeros(1, 49, 2), confidence[..., None]), -1))
    spare = held_out(confidence, fitted, body.available())[0]
    names = {GT_24[i - len(OPENPOSE_25)] for i in spare.nonzero()[:, 0].tolist()}
    assert names <= set(LEFT_OUT)
    assert "right_ankle" in names
    assert "left_ankle" not in names
    assert torch.equal(confidence[0, : len(OPENPOSE_25)], torch.ones(len(OPENPOSE_25)))


def test_of_poses_that_look_alike_it_keeps_the_likelier(body: Body) -> None:
    """A wrist turned about the forearm's axis moves no keypoint."""
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    broken = RAISED.clone()
    broken[SMPL_24.index("left_wrist") - 1] = torch.tensor([0.0, 2.5, 2.5])
    iterates = bodies(torch.stack((broken, RAISED))[None])
    fitted = weights_of(body, keypoints)
    prior = load_pose_prior()
    scores, _ = guard_scores(body, iterates, keypoints, fitted, NO_PRIOR, prior)
    assert scores[0, 0].item() == pytest.approx(scores[0, 1].item(), abs=1e-3)
    assert choose(body, iterates, keypoints, fitted, GuardConfig(), prior).tolist() == [1]


def test_an_iterate_that_is_not_finite_is_never_kept(body: Body) -> None:
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    fitted = weights_of(body, keypoints)
    for part in ("global_orient", "body_pose", "betas", "camera"):
        iterates = bodies(torch.stack((bent(), RAISED))[None])
        values = getattr(iterates, part).clone()
        values[0, 1].view(-1)[0] = float("nan")
        spoilt = replace(iterates, **{part: values})
        assert choose(body, spoilt, keypoints, fitted, GuardConfig(), load_pose_prior()) == 0
    with pytest.raises(ValueError, match="finite iterate"):
        choose(body, replace(iterates, betas=iterates.betas * float("nan")), keypoints, fitted)


def test_people_of_a_batch_are_judged_alone(body: Body) -> None:
    prior = load_pose_prior()
    iterates = bodies(prior.sample(12).unflatten(0, (4, 3)))
    keypoints = keypoints_of(body, bodies(prior.sample(4)[:, None]))
    fitted = weights_of(body, keypoints)
    together = choose(body, iterates, keypoints, fitted, prior=prior)
    for i in range(4):
        alone = Prediction(
            *(
                getattr(iterates, part)[i : i + 1]
                for part in ("global_orient", "body_pose", "betas", "camera")
            )
        )
        one = slice(i, i + 1)
        assert choose(body, alone, keypoints[one], fitted[one], prior=prior) == together[i]


def test_the_earliest_of_equal_iterates_is_kept_also_without_keypoints(body: Body) -> None:
    """Iterates after a stop repeat the last; a person without keypoints keeps the regressor's."""
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    iterates = bodies(torch.stack((bent(), RAISED, RAISED))[None])
    fitted = weights_of(body, keypoints)
    assert choose(body, iterates, keypoints, fitted, prior=load_pose_prior()) == 1
    unseen = keypoints * torch.tensor([1.0, 1.0, 0.0])
    none = torch.zeros_like(fitted)
    assert choose(body, iterates, unseen, none, prior=load_pose_prior()) == 0


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_keypoints_that_are_not_finite_are_passed_over(body: Body, confidence: float) -> None:
    keypoints = keypoints_of(body, bodies(RAISED[None, None]))
    keypoints[0, row("left_ankle")] = torch.tensor([float("nan"), float("nan"), confidence])
    iterates = bodies(torch.stack((bent(), RAISED))[None])
    assert choose(body, iterates, keypoints, weights_of(body, keypoints)) == 1


def test_the_guard_sees_through_the_camera_of_the_fit(body: Body) -> None:
    """A projection that differs from person to person, and is exact for the second iterate."""
    iterates = bodies(torch.stack((bent(), RAISED))[None].expand(2, 2, -1, -1))
    shift = torch.tensor([[0.3, 0.0], [0.0, -0.4]])

    def shifted(points: Tensor, camera: Tensor, rows: Tensor) -> Tensor:
        return project_weak(points, camera) + shift[rows, None]

    keypoints = keypoints_of(body, bodies(RAISED[None, None].expand(2, 1, -1, -1)))
    keypoints[..., :2] += shift[:, None]
    fitted = weights_of(body, keypoints)
    scores, _ = guard_scores(body, iterates, keypoints, fitted, NO_PRIOR, projection=shifted)
    # float32 rounding of coordinates of order 1, in units of 112 px
    assert torch.allclose(scores[:, 1], torch.zeros(2), atol=1e-4)
    assert (scores[:, 0] > 1).all()


@pytest.mark.parametrize("field", list(vars(GuardConfig())))
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_numbers_must_be_finite_and_not_negative(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=field):
        GuardConfig(**{field: value})


def test_a_robust_error_needs_a_distance() -> None:
    with pytest.raises(ValueError, match="robust_px must be positive, got 0"):
        GuardConfig(robust_px=0.0)
