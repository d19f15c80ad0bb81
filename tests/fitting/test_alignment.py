"""Bodies put onto the picture: of a known pose, with joints turned away and brought back."""

import math

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting import alignment
from exemplar.fitting.alignment import AlignConfig, aligned, seen_points
from exemplar.fitting.small_turns import HANDS, POINTS, Seen, SmallTurns
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import BLAZEPOSE_33, OPENPOSE_25, SMPL_24, SMPL_49, flip_permutation

PEOPLE = 4
FEET = [row for row, name in enumerate(SMPL_49) if name.endswith(("ankle", "toe", "heel"))]


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


@pytest.fixture(scope="module")
def truth() -> Prediction:
    """Standing people, seen from the front."""
    draw = torch.Generator().manual_seed(0)
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0])).expand(PEOPLE, 3, 3)
    pose = axis_angle_to_rotmat(0.2 * torch.randn(PEOPLE, 23, 3, generator=draw))
    camera = torch.tensor([0.9, 0.05, 0.1]).expand(PEOPLE, 3)
    return Prediction(facing, pose, torch.zeros(PEOPLE, 10), camera)


def turned(truth: Prediction, degrees: float, *joints: str) -> Prediction:
    """The same people with joints turned about their parents' z axis, which here looks at the
    camera nearly."""
    pose = truth.body_pose.clone()
    turn = axis_angle_to_rotmat(torch.tensor([0.0, 0.0, math.radians(degrees)]))
    for joint in joints:
        row = SMPL_24.index(joint) - 1
        pose[:, row] = turn @ pose[:, row]
    return Prediction(truth.global_orient, pose, truth.betas, truth.camera)


def joints_of(body: Body, people: Prediction) -> Tensor:
    return body.keypoints(people.body_params(), "smpl49")


def seen_of(body: Body, people: Prediction) -> Tensor:
    """Keypoints that are exact and sure."""
    points = project_weak(joints_of(body, people), people.camera)
    return torch.cat((points, torch.ones(PEOPLE, len(SMPL_49), 1)), dim=-1)


def landmarks_of(body: Body, people: Prediction) -> Landmarks:
    world = body.keypoints(people.body_params(), "blazepose33")
    points = project_weak(world, people.camera)
    return Landmarks(points, world, torch.ones(points.shape[:2]), torch.zeros(points.shape[:2]))


def error_mm(body: Body, one: Prediction, other: Prediction, rows: list[int]) -> float:
    gaps = joints_of(body, one)[:, rows] - joints_of(body, other)[:, rows]
    return 1000 * float(gaps.norm(dim=-1).mean())


def test_legs_that_are_turned_in_the_picture_are_turned_back(body: Body, truth: Prediction) -> None:
    start = turned(truth, 12.0, "left_hip", "right_knee", "left_ankle")
    found = aligned(body, start, seen_points(seen_of(body, truth)))
    before, after = (error_mm(body, truth, each, FEET) for each in (start, found))
    assert before > 60
    # keypoints of 2.5 px and priors of some degrees share what is left
    assert after < 0.25 * before


def test_hands_turn_to_the_landmarks(body: Body, truth: Prediction) -> None:
    start = turned(truth, 35.0, "left_wrist", "right_wrist")
    landmarks = landmarks_of(body, truth)
    hands = list(HANDS)

    def off(people: Prediction) -> float:
        return float(
            (landmarks_of(body, people).points - landmarks.points)[:, hands].norm(dim=-1).mean()
        )

    keypoints = seen_of(body, truth)
    assert off(aligned(body, start, seen_points(keypoints))) > 0.8 * off(start)
    assert off(aligned(body, start, seen_points(keypoints, landmarks))) < 0.4 * off(start)


def test_hands_of_somebody_else_do_not_count(body: Body, truth: Prediction) -> None:
    landmarks = landmarks_of(body, truth)
    moved = landmarks._replace(points=landmarks.points + 0.5)
    seen = seen_points(seen_of(body, truth), moved)
    assert not seen.precision[:, len(SMPL_49) :].any()
    assert seen_points(seen_of(body, truth), landmarks).precision[:, len(SMPL_49) :].all()


def test_who_is_not_seen_stays_to_the_bit(body: Body, truth: Prediction) -> None:
    start = turned(truth, 12.0, "left_hip")
    keypoints = seen_of(body, truth)
    keypoints[1] = 0.0
    found = aligned(body, start, seen_points(keypoints))
    for one, other in zip(vars(found).values(), vars(start).values(), strict=True):
        assert torch.equal(one[1], other[1])
    assert not torch.equal(found.body_pose[0], start.body_pose[0])


def test_a_body_that_is_far_from_what_is_seen_is_not_bent_towards_it(
    body: Body, truth: Prediction
) -> None:
    """Here a person whose left and right are exchanged, as in a reading of front for back."""
    start = turned(truth, 12.0, "left_hip")
    keypoints = seen_of(body, truth)
    keypoints[1] = keypoints[1, flip_permutation(SMPL_49)]
    found = aligned(body, start, seen_points(keypoints))
    for one, other in zip(vars(found).values(), vars(start).values(), strict=True):
        assert torch.equal(one[1], other[1])
    assert not torch.equal(found.body_pose[0], start.body_pose[0])


def test_people_do_not_disturb_one_another(body: Body, truth: Prediction) -> None:
    start = turned(truth, 12.0, "left_hip")
    seen = seen_points(seen_of(body, truth))
    together = aligned(body, start, seen)
    for row in range(PEOPLE):
        one = Prediction(*(x[row : row + 1] for x in vars(start).values()))
        alone = aligned(body, one, Seen(seen.points[row : row + 1], seen.precision[row : row + 1]))
        # products of other sizes are rounded otherwise
        assert torch.allclose(alone.body_pose[0], together.body_pose[row], atol=1e-4)


def test_a_foot_on_somebody_else_pulls_nobody_over(body: Body, truth: Prediction) -> None:
    keypoints = seen_of(body, truth)
    ankle = SMPL_49.index("left_ankle", len(OPENPOSE_25))
    keypoints[:, ankle, 0] += 0.8
    found = aligned(body, truth, seen_points(keypoints))
    others = [row for row in range(len(SMPL_49)) if row not in FEET]
    assert error_mm(body, truth, found, others) < 15
    assert error_mm(body, truth, found, [ankle]) < 60


@pytest.mark.parametrize("value", [0.0, 1e6, -3.0])
def test_no_keypoints_lead_to_broken_numbers(body: Body, truth: Prediction, value: float) -> None:
    keypoints = seen_of(body, truth)
    keypoints[..., :2] = value
    found = aligned(body, truth, seen_points(keypoints))
    assert found.is_finite()
    turns = found.body_pose @ truth.body_pose.mT
    assert float(rotmat_to_axis_angle(turns).norm(dim=-1).max()) < math.radians(90)


@pytest.mark.parametrize("near", [0.0, 0.3])
def test_slopes_are_those_of_the_points(body: Body, truth: Prediction, near: float) -> None:
    """At the start, where rotation vectors and turns are the same."""
    double = load_open_body().double()
    start = Prediction(*(x.double() for x in vars(truth).values()))
    seen = seen_points(seen_of(body, truth), landmarks_of(body, truth))
    seen = Seen(seen.points.double(), seen.precision.double())
    nearness = torch.full((PEOPLE,), near, dtype=torch.float64)
    problem = SmallTurns(double, start, seen, AlignConfig(), nearness)
    zero = problem.start_at()
    slopes = problem._slopes(problem.at(zero))
    step = 1e-6
    for unknown in range(zero.shape[1]):
        up, down = zero.clone(), zero.clone()
        up[:, unknown], down[:, unknown] = step, -step
        numeric = (problem.at(up).gaps - problem.at(down).gaps) / (2 * step)
        # a keypoint on the skin between two joints moves in two parts; slopes take it as one point
        assert torch.allclose(slopes[..., unknown], numeric, atol=0.05)
    assert slopes.shape == (PEOPLE, POINTS, 2, zero.shape[1])


def test_hands_have_the_landmarks_of_their_side() -> None:
    names = [BLAZEPOSE_33[row] for row in HANDS]
    assert names == ["left_index", "left_pinky", "right_index", "right_pinky"]
    assert [SMPL_49[row] for row in alignment._WRISTS] == ["left_wrist"] * 2 + ["right_wrist"] * 2
    assert [BLAZEPOSE_33[row] for row in alignment._LANDMARK_WRISTS] == (
        ["left_wrist"] * 2 + ["right_wrist"] * 2
    )
