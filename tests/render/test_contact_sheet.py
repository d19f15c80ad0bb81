"""The contact sheet: keypoints where they are on the photo, in their colours, with their names."""

import numpy as np
import pytest
import torch

from exemplar.render import contact_sheet as module
from exemplar.render.contact_sheet import TILE, contact_sheet
from exemplar.render.drawing import LEFT, RIGHT
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, SMPL_49
from tests.golden import eft


def person(places: dict[str, tuple[float, float]], **changes: object) -> Sample:
    """A person of a 400 px box about (300, 200)."""
    keypoints = np.zeros((49, 3))
    for name, (x, y) in places.items():
        keypoints[SMPL_49.index(name)] = (x, y, 1)
    values = {
        "image": "a.jpg",
        "box_centre": np.array([300.0, 200.0]),
        "box_scale": 2.0,
        "keypoints_2d": keypoints,
    }
    return Sample(**(values | changes))  # pyright: ignore


def picture_of(tile: np.ndarray) -> np.ndarray:
    return tile[:, module._NAMES : module._NAMES + TILE]


def close(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(pixels.astype(int) - colour).max(-1) < 12


def test_keypoints_are_drawn_where_they_are_on_the_photo() -> None:
    """A photo that is white but for a black spot under the left knee."""
    photo = np.full((400, 600, 3), 255, np.uint8)
    photo[285:316, 335:366] = 0
    sample = person({"left_knee": (350.0, 300.0), "right_knee": (250.0, 300.0)})
    drawn = picture_of(module._tile(sample, photo, None))
    for colour, name in ((LEFT, "left_knee"), (RIGHT, "right_knee")):
        view = module.person_view(sample, photo, TILE)
        x, y = view.points(sample.keypoints_2d[SMPL_49.index(name), :2])
        assert close(drawn[int(y), int(x)], colour), name
    knee = module.person_view(sample, photo, TILE).points(np.array([350.0, 300.0]))
    x, y = knee.round().astype(int)
    ring = drawn[y - 9 : y + 10, x - 9 : x + 10].reshape(-1, 3)
    assert close(ring, (0, 0, 0)).mean() > 0.4  # inside the spot, not elsewhere on the white


def test_every_keypoint_gets_its_name_and_those_of_openpose_are_marked() -> None:
    sample = person({"nose": (300.0, 100.0), "op_nose": (310.0, 100.0), "op_left_heel": (300, 300)})
    places = module._places(sample, module.person_view(sample, None, TILE))
    assert list(places) == ["nose", "op_left_heel"]  # one nose: the annotated one
    assert [module._label(name) for name in places] == ["nose", "left heel (OP)"]
    empty = module._tile(person({}), None, None)
    named = module._tile(sample, None, None)
    margins = np.ones(empty.shape[1], bool)
    margins[module._NAMES : module._NAMES + TILE] = False
    assert (named != empty)[:, margins].any()


@pytest.mark.parametrize(
    "rows", [[], [5.0], [100.0, 100.5, 101.0], [319.0] * 10, [0.0] * 49, [10.0, 300.0]]
)
def test_names_do_not_overlap_and_stay_inside(rows: list[float]) -> None:
    placed = module._spread(rows)
    assert len(placed) == len(rows)
    gaps = np.diff(placed)
    assert (gaps > min(module._LINE, TILE / max(len(rows), 1)) - 1e-9).all()
    assert all(0 <= row <= TILE for row in placed)
    if rows == [10.0, 300.0]:
        assert placed == rows


def test_a_body_is_drawn_where_its_camera_puts_it() -> None:
    body = eft.body(torch.float32)
    turns = np.tile(np.eye(3), (24, 1, 1))
    turns[0] = np.diag([1.0, -1.0, -1.0])  # upright in a picture, whose y is down
    truth = BodyTruth(turns, np.zeros(10), np.array([0.9, 0.5, 0.0]))
    plain = picture_of(module._tile(person({}), None, body))
    drawn = picture_of(module._tile(person({}, body=truth), None, body))
    changed = (plain != drawn).any(-1).any(0)
    # its middle is half a box's half to the right: .5 / 1.15 of the tile's half
    columns = np.flatnonzero(changed)
    assert columns.mean() == pytest.approx(TILE / 2 * (1 + 0.5 / 1.15), abs=0.06 * TILE)


def test_a_sheet_has_a_tile_a_person_even_for_broken_ones() -> None:
    broken = person({}, box_scale=0.0, problem="broken annotation: x")
    odd = person({"left_knee": (np.nan, 3.0), "right_knee": (1e9, -1e9)})
    people = [(0, person({"nose": (300, 100)})), (7, broken), (9, odd)]
    page = contact_sheet(people, lambda sample: None, title="Three people", columns=2)
    width, height = TILE + 2 * module._NAMES, TILE + module._CAPTION
    gap = module._GAP
    assert page.shape == (module._HEADING + 2 * (height + gap), gap + 2 * (width + gap), 3)
    assert contact_sheet([], lambda sample: None, title="Nobody").ndim == 3


def test_3d_joints_stand_for_missing_keypoints_as_they_look_from_the_front() -> None:
    joints = np.zeros((len(GT_24), 4))
    joints[GT_24.index("left_knee")] = (0.2, 0.5, 3.0, 1)
    joints[GT_24.index("right_wrist")] = (-0.1, -0.5, 9.0, 1)
    joints[GT_24.index("jaw")] = (7.0, 7.0, 7.0, 0)
    shown = module._from_the_front(person({}, joints_3d=joints)).keypoints_2d
    assert np.flatnonzero(shown[:, 2]).tolist() == sorted(
        SMPL_49.index(name) for name in ("left_knee", "right_wrist")
    )
    span = 400 / 1.2  # the larger extent, in the box of 400 px
    left_knee, right_wrist = (
        shown[SMPL_49.index(name), :2] for name in ("left_knee", "right_wrist")
    )
    assert left_knee == pytest.approx([300 + 0.15 * span, 200 + 0.5 * span])
    assert right_wrist == pytest.approx([300 - 0.15 * span, 200 - 0.5 * span])
    known = person({"nose": (300.0, 100.0)}, joints_3d=joints)
    assert module._from_the_front(known) is known
