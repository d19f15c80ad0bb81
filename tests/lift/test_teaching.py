"""A teacher in a lifting job: a fake one, who knows the truth."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.fitting.names import checked_teacher
from exemplar.fitting.teachers import Taught
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.prepare import Prepared, Preparer, Shown
from exemplar.lift.recipes import eft_config
from exemplar.lift.teaching import Teaching
from exemplar.regressors.checkpoints import RegressorInfo
from exemplar.results import BAD_INPUT, OK, REJECTED
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, LIMBS_12, OPENPOSE_25, mirror_name
from tests.lift.toy import drawn, sample

ROW = {name: len(OPENPOSE_25) + i for i, name in enumerate(GT_24)}
HIPS = Shown(256, 256, framing="hips")
CPU = torch.device("cpu")


def true_teacher(photographs: Path, person: int) -> Teaching:
    """Sees this one person in every crop, where an undisturbed annotation has the joints."""
    ready = Preparer(photographs, HIPS)(0, sample(person)).person
    assert ready is not None
    points = ready.keypoints_2d[len(OPENPOSE_25) :].clone()
    points[:, 2] = (points[:, 2] > 0).float()
    world = torch.from_numpy(drawn().keypoints_3d[person, len(OPENPOSE_25) :]).float()
    joints = torch.cat((world, points[:, 2:]), dim=1)

    def teach(image: Tensor) -> Taught:
        return Taught(joints.expand(len(image), -1, -1), points.expand(len(image), -1, -1))

    return Teaching(teach, CPU, workers=2)


def swapped(person: Sample) -> Sample:
    points = person.keypoints_2d.copy()
    for name in LIMBS_12:
        points[ROW[name]] = person.keypoints_2d[ROW[mirror_name(name)]]
    return replace(person, keypoints_2d=points)


def misclicked(person: Sample) -> Sample:
    """The left elbow at the right ankle: the crop stays as it is."""
    points = person.keypoints_2d.copy()
    points[ROW["left_elbow"]] = points[ROW["right_ankle"]]
    return replace(person, keypoints_2d=points)


def front() -> int:
    """The drawn person whose hips are farthest apart."""
    hips = drawn().keypoints_2d[:, [ROW["left_hip"], ROW["right_hip"]], 0]
    return int(np.abs(np.diff(hips, axis=1)).argmax())


def taught(photographs: Path, teaching: Teaching, *people: Sample) -> list[Prepared]:
    prepare = Preparer(photographs, HIPS)
    return teaching([prepare(i, person) for i, person in enumerate(people)])


def test_people_get_the_teachers_joints_unless_they_have_some(photographs: Path) -> None:
    own = np.ones((len(GT_24), 4))
    teaching = true_teacher(photographs, 1)
    people = (sample(1), sample(1, joints_3d=own), sample(1, box_scale=0.0))
    given, kept, broken = taught(photographs, teaching, *people)
    expected = teaching.teacher(torch.zeros(1, 3, 256, 256)).joints_3d[0]
    assert given.person is not None
    assert torch.equal(given.person.joints_3d, expected)
    assert kept.person is not None
    assert kept.person.joints_3d is not None
    assert not torch.equal(kept.person.joints_3d, expected)
    assert (broken.person, broken.status) == (None, BAD_INPUT)
    assert [one.number for one in (given, kept, broken)] == [0, 1, 2]


def test_a_wrong_click_is_left_out_and_noted(photographs: Path) -> None:
    person = sample(front())
    (one,) = taught(photographs, true_teacher(photographs, front()), misclicked(person))
    assert one.message == "wrong click: left_elbow"
    assert one.person is not None
    left = one.person.keypoints_2d[:, 2].numpy() > 0
    (gone,) = np.flatnonzero(left != (person.keypoints_2d[:, 2] > 0))
    assert gone == ROW["left_elbow"]


@pytest.fixture(scope="module")
def lifted(photographs: Path) -> list[PseudoTruth]:
    """An undisturbed person, a swapped one and one with a wrong click."""
    number = front()
    lifter = Lifter(LiftConfig("mobile", teacher="landmarks", iterations=2), workers=1)
    assert lifter.teaching is not None
    lifter.teaching = true_teacher(photographs, number)
    people = (sample(number), swapped(sample(number)), misclicked(sample(number)))
    prepare, made = lifter.preparer(photographs), dict[int, PseudoTruth]()
    lifter.fit([prepare(i, person) for i, person in enumerate(people)], made.__setitem__)
    return [made[i] for i in range(len(people))]


def test_a_contradicted_person_is_a_rejected_row(lifted: list[PseudoTruth]) -> None:
    row = lifted[1]
    assert row.status == REJECTED
    assert row.message.startswith("left/right swapped: all limbs, ")
    assert (row.iterations, row.usable, row.sample.body) == (0, False, None)


def test_results_name_the_teacher_and_what_was_left_out(lifted: list[PseudoTruth]) -> None:
    assert [row.recipe for row in lifted] == ["eft+landmarks"] * 3
    assert (lifted[0].status, lifted[0].message) == (OK, "")
    assert (lifted[2].status, lifted[2].message) == (OK, "wrong click: left_elbow")
    assert lifted[2].sample.keypoints_2d[ROW["left_elbow"], 2] > 0, "the sample is as annotated"


def test_the_shipped_teacher_gives_everybody_the_same_numbers_alone_or_not(
    photographs: Path,
) -> None:
    lifter = Lifter(LiftConfig("mobile", teacher="landmarks"), workers=2)
    assert lifter.teaching is not None
    together = taught(photographs, lifter.teaching, *(sample(i) for i in range(3)))
    alone = [taught(photographs, lifter.teaching, sample(i))[0] for i in range(3)]
    for one, other in zip(together, alone, strict=True):
        assert (one.status, one.message) == (other.status, other.message)
        if one.person is not None and other.person is not None:
            assert torch.equal(one.person.joints_3d, other.person.joints_3d)


def test_with_a_teacher_joints_are_compared_about_their_mean() -> None:
    info = RegressorInfo("lifter", "open", 1e-6)
    told = eft_config(LiftConfig(teacher="landmarks", joints_weight=2.0), info)
    assert (told.joints_about, told.joints_weight) == ("mean", 2.0)
    usual = eft_config(LiftConfig(), info)
    assert (usual.joints_about, usual.joints_weight) == ("nose", 5.0)


def test_settings_of_a_teacher() -> None:
    with pytest.raises(ValueError, match="unknown teacher 'magic'"):
        checked_teacher("magic")
    with pytest.raises(ValueError, match="joints_weight must be 0 or more"):
        LiftConfig(joints_weight=-1.0)
    for recipe in ("smplify", "smplify-paper"):
        with pytest.raises(ValueError, match="teacher and joints_weight are EFT's"):
            LiftConfig(recipe=recipe, teacher="landmarks")
    with pytest.raises(ValueError, match="teacher and joints_weight are EFT's"):
        LiftConfig(recipe="dual", auxiliary="mobile", joints_weight=1.0)
