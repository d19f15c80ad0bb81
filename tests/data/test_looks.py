"""Second looks: when, and which crop is taken."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from exemplar.bodies import BodyParams, load_open_body
from exemplar.data import looks
from exemplar.data.crops import CroppedPerson, crop_person
from exemplar.data.looks import DOUBT_PX, Looker
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25, SMPL_49, flip_permutation

SIDE = 100.0
BODY = load_open_body()
FACING = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


class OneEyed(nn.Module):
    """Knows the person, who stands in the middle of crops, and turns them in crops of all sides
    but one."""

    framing = "hips"
    camera_model = "weak"

    def __init__(self, right: float) -> None:
        super().__init__()
        self.right = right

    def forward(self, image: Tensor, box: Box) -> Prediction:
        """Upright bodies, or bodies on their heads."""
        known = (box.size - self.right).abs() < 1e-3
        count = len(image)
        on_the_head = torch.diag(torch.tensor([-1.0, -1.0, 1.0])) @ FACING
        orient = torch.where(known[:, None, None], FACING, on_the_head)
        scale = 0.8 * SIDE / box.size
        return Prediction(
            orient,
            torch.eye(3).expand(count, 23, 3, 3),
            torch.zeros(count, 10),
            torch.stack((scale, 0 * scale, 0 * scale), dim=-1),
        )


def box_of(side: float = SIDE) -> Box:
    return Box(torch.tensor([150.0, 150.0]), torch.tensor(side), torch.tensor(0.0))


def crop_of(box: Box) -> CroppedPerson:
    params = BodyParams(FACING, torch.eye(3).expand(23, 3, 3), torch.zeros(10))
    points = project_weak(BODY.keypoints(params, "smpl49"), torch.tensor([0.8, 0.0, 0.0]))
    joints = torch.cat((crop_to_image(points, box_of()), torch.ones(49, 1)), dim=1)
    joints[: len(OPENPOSE_25), 2] = 0
    return crop_person(np.zeros((300, 300, 3), np.uint8), joints, box, 16)


def looker(right: float) -> Looker:
    return Looker(OneEyed(right), BODY, torch.device("cpu"))


@pytest.mark.parametrize("side", [1.25, 0.85])
def test_the_crop_that_suits_the_keypoints_is_taken(side: float) -> None:
    first = crop_of(box_of())
    best = looker(side * SIDE).best(first, crop_of)
    assert float(best.box.size) == pytest.approx(side * SIDE)
    assert float(looker(side * SIDE).errors([best])) < 0.01
    assert float(looker(side * SIDE).errors([first])) > DOUBT_PX


def test_the_first_crop_is_kept_where_none_is_better() -> None:
    first = crop_of(box_of())
    assert looker(SIDE).best(first, crop_of) is first


def test_the_first_crop_is_kept_where_no_answer_meets_the_keypoints(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Here the crop that is turned by 180 degrees is the least wrong."""
    first, wrong = crop_of(box_of()), looker(-1.0)
    assert wrong.best(first, crop_of) is not first
    monkeypatch.setattr(looks, "MEETS_PX", 0.0)
    assert wrong.best(first, crop_of) is first


def test_keypoints_with_left_and_right_exchanged_are_not_followed() -> None:
    first = crop_of(box_of())
    exchanged = replace(first, keypoints_2d=first.keypoints_2d[flip_permutation(SMPL_49)])
    one = Looker(OneEyed(SIDE), BODY, torch.device("cpu"))
    assert float(one.errors([exchanged])) > DOUBT_PX
    assert one.best(exchanged, crop_of) is exchanged


def test_errors_are_compared_in_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger crop shows the same error smaller; that is no reason to take it."""
    monkeypatch.setattr(looks, "MEETS_PX", float("inf"))
    first, wrong = crop_of(box_of()), looker(-1.0)
    larger = crop_of(box_of(1.5 * SIDE))
    assert float(wrong.errors([larger])) < 0.7 * float(wrong.errors([first]))
    assert float(wrong.best(first, crop_of).box.size) < 1.2 * SIDE


def test_who_calls_for_a_second_look() -> None:
    person = crop_of(box_of())
    one = looker(SIDE)
    assert one.doubts(DOUBT_PX + 0.1, person)
    assert not one.doubts(DOUBT_PX - 0.1, person)
    assert not one.doubts(float("nan"), person)
    few = person.keypoints_2d.clone()
    few[len(OPENPOSE_25) + 3 :, 2] = 0
    assert not one.doubts(99.0, CroppedPerson(person.crop, person.box, few))
    one.regressor.framing = "level"  # pyright: ignore
    assert not Looker(one.regressor, BODY, torch.device("cpu")).doubts(99.0, person)
