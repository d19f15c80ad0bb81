"""MPII: the same person from the h5 file, the JSON list and MATLAB's structs."""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from exemplar.data.contents import Contents
from exemplar.data.formats import lsp, mpii

REAL = Path(__file__).parents[4] / "shared" / "photos" / "annotations" / "mpii_sample.json"
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs shared/photos/annotations")

PLACES = [0, 1, 2, 3, 4, 5, 14, 15, 12, 13, 6, 7, 8, 9, 10, 11]
"""Where EFT's reader puts MPII's 16 joints among the 24 (its list)."""
JOINTS = [[100.5 + 10 * i, 300.0 + i] for i in range(16)]


def expected_keypoints(joints: list[list[float]] = JOINTS) -> np.ndarray:
    keypoints = np.zeros((49, 3))
    for place, (x, y) in zip(PLACES, joints, strict=True):
        if x > 0 and y > 0:
            keypoints[25 + place] = [x, y, 1]
    return keypoints


def json_person(**changed: Any) -> dict[str, Any]:
    good = {"image": "015601864.jpg", "scale": 3.5, "center": [594.0, 257.0], "joints": JOINTS}
    return good | {"joints_vis": [1] * 16} | changed


def json_file(folder: Path, *people: Any) -> Path:
    path = folder / "mpii_train.json"
    path.write_text(json.dumps(list(people)))
    return path


def h5_file(folder: Path, names: Any, **changed: Any) -> Path:
    count = len(names)
    arrays = {
        "center": np.tile([594.0, 257.0], (count, 1)),
        "scale": np.full(count, 3.5),
        "part": np.tile(JOINTS, (count, 1, 1)),
        "visible": np.ones((count, 16)),
    } | changed
    path = folder / "train.h5"
    with h5py.File(path, "w") as file:
        file["imgname"] = names
        for name, array in arrays.items():
            file[name] = array
    return path


def mat_person(joints: Any = JOINTS, **changed: Any) -> dict[str, Any]:
    point = [
        {"x": x, "y": y, "id": i, "is_visible": i % 2} for i, (x, y) in enumerate(joints) if x > 0
    ]
    position = {"x": 594, "y": 257}
    return {"scale": 3.5, "objpos": position, "annopoints": {"point": point}} | changed


def mat_file(folder: Path, *annorects: Any) -> Path:
    images = [
        {"image": {"name": f"{i:09d}.jpg"}, "annorect": rect} for i, rect in enumerate(annorects)
    ]
    path = folder / "mpii_human_pose_v1_u12_1.mat"
    train = np.ones(len(images))
    scipy.io.savemat(path, {"RELEASE": {"annolist": np.array(images), "img_train": train}})
    return path


def test_a_person_of_a_json_list(tmp_path: Path) -> None:
    path = json_file(tmp_path, json_person())
    assert mpii.matches(Contents(path))
    (person,) = mpii.read(path, image_folder="images", box="stored")
    assert person.image == "images/015601864.jpg"
    assert person.box_centre.tolist() == [594, 257]
    assert person.box_scale == 3.5
    assert (person.keypoints_2d == expected_keypoints()).all()
    assert person.annotation_id is None


def test_boxes_are_widened_to_those_of_the_h5_file(tmp_path: Path) -> None:
    """Centre down by 15 px per scale, scale 1.25 times as large."""
    path = json_file(tmp_path, json_person())
    (person,) = mpii.read(path)
    assert person.box_centre.tolist() == [594, 257 + 52.5]
    assert person.box_scale == 4.375


CODES = np.array([list(b"015601864.jpg\0\0\0")], np.uint8)


@pytest.mark.parametrize("names", [["015601864.jpg"], CODES, CODES.astype(float)])
def test_a_person_of_the_h5_file(names: Any, tmp_path: Path) -> None:
    path = h5_file(tmp_path, names)
    assert mpii.matches(Contents(path))
    (person,) = mpii.read(path)
    assert person.image == "015601864.jpg"
    assert (person.box_centre.tolist(), person.box_scale) == ([594, 257], 3.5)
    assert (person.keypoints_2d == expected_keypoints()).all()
    with pytest.raises(ValueError, match="widened already"):
        mpii.read(path, box="hourglass")


def test_people_of_the_mat_file(tmp_path: Path) -> None:
    """Images with two people, one, none, and people without joints, position or scale."""
    backwards = mat_person()
    backwards["annopoints"]["point"].reverse()
    half = mat_person([[-1, -1]] * 4 + JOINTS[4:])
    bare = {"x1": 3, "x2": 9, "scale": [], "objpos": [], "annopoints": []}
    no_scale = mat_person(scale=[])
    path = mat_file(
        tmp_path,
        np.array([mat_person(), half]),
        backwards,
        np.array([]),
        {"scale": 2.0, "objpos": {"x": 1, "y": 2}},
        np.array([bare, no_scale, mat_person()]),
    )
    assert mpii.matches(Contents(path))
    assert not lsp.matches(Contents(path))
    people = list(mpii.read(path, box="stored"))
    assert [each.problem for each in people] == [""] * 3
    assert [each.image for each in people] == ["000000000.jpg", "000000001.jpg", "000000004.jpg"]
    for person in people:
        assert (person.box_centre.tolist(), person.box_scale) == ([594, 257], 3.5)
        assert (person.keypoints_2d == expected_keypoints()).all()
    more = list(mpii.read(path, min_joints=12))
    assert len(more) == 4
    assert (more[1].keypoints_2d == expected_keypoints([[-1, -1]] * 4 + JOINTS[4:])).all()


def test_people_with_all_joints_known_are_read(tmp_path: Path) -> None:
    """Known is above 0, whatever is said of visibility."""
    missing = [[-1.0, -1.0], *JOINTS[1:]]
    at_edge = [[0.0, 50.0], *JOINTS[1:]]
    people = [
        json_person(joints=missing),
        json_person(joints=at_edge),
        json_person(joints_vis=[0] * 16),
    ]
    path = json_file(tmp_path, *people)
    (person,) = mpii.read(path)
    assert (person.keypoints_2d == expected_keypoints()).all()
    assert [each.keypoints_2d[:, 2].sum() for each in mpii.read(path, min_joints=15)] == [
        15,
        15,
        16,
    ]
    with pytest.raises(ValueError, match="from 0 to 16, got 17"):
        mpii.read(path, min_joints=17)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (7, "expected a person with keys, got 7"),
        ({"image": "b.jpg"}, "KeyError: 'center'"),
        (json_person(image=None), "expected the name of an image"),
        (json_person(joints=JOINTS[1:]), "(16, 2) numbers as joints, got (15, 2)"),
        (json_person(joints=[["1", "2"]] * 16), "expected numbers as joints"),
        (json_person(center=[1]), "(2,) numbers as centre, got (1,)"),
        (json_person(scale="3.5"), "expected numbers as scale"),
        (json_person(scale=float("nan")), "scale are not all finite"),
    ],
)
def test_a_broken_person_costs_nobody_else(record: Any, problem: str, tmp_path: Path) -> None:
    good = json_person(image="good.jpg")
    first, broken, last = mpii.read(json_file(tmp_path, good, record, good), image_folder="im")
    assert first.problem == last.problem == ""
    assert problem in broken.problem
    named = isinstance(record, dict) and record["image"]
    assert broken.image == (f"im/{record['image']}" if named else "")


def test_a_broken_row_or_struct_costs_nobody_else(tmp_path: Path) -> None:
    part = np.tile(JOINTS, (3, 1, 1))
    part[1, 4] = np.nan
    rows = list(mpii.read(h5_file(tmp_path, ["a.jpg", "b.jpg", "c.jpg"], part=part)))
    assert [bool(each.problem) for each in rows] == [False, True, False]
    assert rows[1].image == "b.jpg"
    odd = mat_person()
    odd["annopoints"]["point"][3]["id"] = 16
    structs = list(mpii.read(mat_file(tmp_path, mat_person(), odd, mat_person())))
    assert [bool(each.problem) for each in structs] == [False, True, False]
    assert "joints from 0 to 15, got 16" in structs[1].problem
    assert structs[1].image == "000000001.jpg"


def test_other_files_are_refused(tmp_path: Path) -> None:
    for name in ("a.json", "a.h5", "a.mat"):
        (tmp_path / name).write_bytes(b"\x00 nothing of the kind")
        assert not mpii.matches(Contents(tmp_path / name))
        with pytest.raises(ValueError, match=name):
            mpii.read(tmp_path / name)
    other = tmp_path / "other.mat"
    scipy.io.savemat(other, {"joints": np.zeros((3, 14, 2)), "RELEASED": 1})
    assert not mpii.matches(Contents(other))
    with pytest.raises(ValueError, match="'RELEASE'"):
        mpii.read(other)
    scipy.io.savemat(other, {"RELEASE": {"images": 3}})
    with pytest.raises(ValueError, match="no annolist"):
        mpii.read(other)
    short = h5_file(tmp_path, ["a.jpg", "b.jpg"], scale=np.ones(3))
    with pytest.raises(ValueError, match="of one length"):
        mpii.read(short)
    people = tmp_path / "people.json"
    people.write_text('{"joints": []}')
    assert not mpii.matches(Contents(people))
    with pytest.raises(ValueError, match="expected a list of people, got a dict"):
        mpii.read(people)
    assert not mpii.matches(Contents(tmp_path))
    with pytest.raises(ValueError, match="got a folder"):
        mpii.read(tmp_path)
    with pytest.raises(FileNotFoundError, match="nowhere"):
        mpii.read(tmp_path / "nowhere.h5")


@needs_real
def test_real_people_are_read() -> None:
    assert mpii.matches(Contents(REAL))
    raw = json.loads(REAL.read_text())
    full = [each["image"] for each in raw if min(map(min, each["joints"])) > 0]
    people = list(mpii.read(REAL))
    assert [each.image for each in people] == full
    assert 0 < len(full) < len(raw)
    first = people[0]
    assert first.keypoints_2d[25 + 11].tolist() == [1142, 478, 1]  # the left wrist, to the right
    assert first.keypoints_2d[25 + 6].tolist() == [869, 214, 1]  # the right wrist
    assert first.keypoints_2d[25 + 13].tolist() == [962.2409, 80.0306, 1]  # the top of the head
    assert first.keypoints_2d[25 + 14].tolist() == [974, 446, 1]  # the pelvis
    assert first.box_centre == pytest.approx([966, 340 + 15 * 4.718488])
    assert first.box_scale == 1.25 * 4.718488
