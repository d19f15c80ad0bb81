"""EFT's JSON: both directions, its order and types, and where its bodies lie on the image."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from exemplar.data.contents import Contents
from exemplar.data.formats import eft_json
from exemplar.samples import BodyTruth, Sample
from tests.golden import eft

EXAMPLE = eft.FOLDER / "eft_reference_example.json"

OPENPOSE18_IN_GT24 = [19, 12, 8, 7, 6, 9, 10, 11, 2, 1, 0, 3, 4, 5, 21, 20, 23, 22]
"""Which of the 24 annotated joints each of OpenPose's 18 is (EFT's own list)."""


def same_text_order(a: object, b: object) -> bool:
    """Equal as JSON, with the keys of every object in the same order."""
    return json.dumps(a) == json.dumps(b)


def made(**changes: object) -> Sample:
    values = {
        "image": "seq/a.jpg",
        "box_centre": np.array([100.25, 50.5]),
        "box_scale": 0.7,
        "keypoints_2d": np.arange(147.0).reshape(49, 3) / 147,
        "body": BodyTruth(
            np.tile(np.eye(3), (24, 1, 1)), np.arange(10.0), np.array([0.9, 0.1, 0.2])
        ),
    }
    return Sample(**(values | changes))  # pyright: ignore


def written(samples: list[Sample], folder: Path, **options: object) -> dict:
    eft_json.write(samples, folder / "out.json", **options)  # pyright: ignore
    return json.loads((folder / "out.json").read_text())


def test_reading_and_writing_the_example_gives_it_again(tmp_path: Path) -> None:
    content = json.loads(EXAMPLE.read_text())
    out = written(list(eft_json.read(EXAMPLE)), tmp_path, header=eft_json.read_header(EXAMPLE))
    assert out == content
    assert same_text_order(out, content)


def test_optional_fields_are_written_only_where_there_were_any(tmp_path: Path) -> None:
    content = json.loads(EXAMPLE.read_text())
    first, second, third, fourth = content["data"]
    first |= {"annotId": 0}
    image = second.pop("imageName")
    second |= {"annotId": 183126, "imageName": image, "subjectId": "seq-id003"}
    del first["imageName"]
    first["imageName"] = "a.jpg"
    third["joint_validity_openpose18"] = [0.5] * 18  # not what the keypoints say: kept
    third["gt_keypoint_2d"][7] = [3.25, 4.5, 0.0]  # a place without confidence: kept
    fourth["imageName"] = "folder/b.jpg"
    source = tmp_path / "in.json"
    source.write_text(json.dumps(content))
    samples = list(eft_json.read(source))
    assert [s.annotation_id for s in samples] == [0, 183126, None, None]
    assert [s.subject for s in samples] == ["", "seq-id003", "", ""]
    out = written(samples, tmp_path, header=eft_json.read_header(source))
    assert same_text_order(out, content)
    assert written(samples, tmp_path, base_names=True)["data"][3]["imageName"] == "b.jpg"


def test_fields_are_read_as_the_format_says() -> None:
    entry = json.loads(EXAMPLE.read_text())["data"][0]
    sample = next(eft_json.read(EXAMPLE))
    assert sample.image == "img_00.png"
    assert sample.box_scale == 1.182
    assert sample.box_size == pytest.approx(236.4)
    assert sample.box_centre.tolist() == [326.0, 223.5]
    # rows 25.. are the 24 annotated joints, the right ankle first
    assert sample.keypoints_2d[25].tolist() == [319.0, 322.0, 1.0]
    assert (sample.keypoints_2d[:25] == 0).all()
    assert sample.body is not None
    assert sample.body.pose[1, 0, 2] == entry["parm_pose"][1][0][2]
    assert sample.body.weak_camera is not None
    assert sample.body.weak_camera[0] == 0.9138092398643494
    assert sample.body.gender == "neutral"
    assert sample.extra == {}


def test_the_validity_follows_openpose_18(tmp_path: Path) -> None:
    keypoints = np.zeros((49, 3))
    keypoints[25:, 2] = np.arange(24) / 100
    (entry,) = written([made(keypoints_2d=keypoints)], tmp_path)["data"]
    assert entry["joint_validity_openpose18"] == [k / 100 for k in OPENPOSE18_IN_GT24]
    keys = list(entry)
    assert keys == [
        "parm_pose", "parm_shape", "parm_cam", "bbox_scale", "bbox_center", "gt_keypoint_2d",
        "joint_validity_openpose18", "smpltype", "imageName",
    ]  # fmt: skip


def test_an_empty_file_and_a_header(tmp_path: Path) -> None:
    header = eft_json.EftHeader(1.0, {"dbname": "X", "rawname": "y", "more": [1]})
    out = written([], tmp_path, header=header)
    assert out == {"ver": 1.0, "data": [], "meta": {"dbname": "X", "rawname": "y", "more": [1]}}
    assert eft_json.read_header(tmp_path / "out.json") == header


@pytest.mark.parametrize("chunk", [1, 7, 1000, 24848])
def test_entries_are_found_wherever_the_text_is_cut(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, chunk: int
) -> None:
    content = {"ver": 12.5, "meta": {"a": "]}"}, "data": [{"b": 1.25}, {"c": 'x"}'}, 34], "end": -1}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content, indent=1))
    monkeypatch.setattr(eft_json, "_CHUNK", chunk)
    items = [("data", item) for item in content["data"]]
    expected = [("ver", 12.5), ("meta", {"a": "]}"}), *items, ("end", -1)]
    assert list(eft_json._stream(path)) == expected


def test_an_entry_without_end_is_refused_before_all_of_it_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is parsed anew whenever more has been read, so the reads grow with it."""
    monkeypatch.setattr(eft_json, "_LONGEST", 1 << 16)
    monkeypatch.setattr(eft_json, "_CHUNK", 1 << 10)
    path = tmp_path / "a.json"
    path.write_text('{"data": [[' + "1," * 500_000)
    with pytest.raises(ValueError, match=r"a\.json has an entry of more than"):
        list(eft_json._stream(path))
    path.write_text(" " * 500_000 + '{"data": []}' + " " * 500_000)
    assert list(eft_json._stream(path)) == []


@pytest.mark.parametrize(
    ("box", "corner", "o2n"),
    [  # centre and scale; upper left corner and crop px per image px as EFT's program recorded them
        ((320.0, 240.0, 1.5), (170, 90), 224 / 300),
        ((332.4, 230.7, 1.278), (204, 102), 224 / 256),
        ((600.2, 420.9, 1.806), (419, 240), 224 / 361),
        ((100.0, 90.0, 0.7), (30, 20), 224 / 140),
    ],
)
def test_bodies_lie_within_a_pixel_of_the_published_route(
    box: tuple[float, float, float], corner: tuple[int, int], o2n: float
) -> None:
    """Theirs: crop px over `o2n`, from a corner cut to whole pixels."""
    numbers = eft.reference()
    pose, betas = numbers.array("smpl_pose_rot")[0], numbers.array("smpl_betas")[0]
    camera = numbers.array("proj_cam")[0]
    joints = numbers.array("smpl_joints49_rot_f64")[0]
    theirs = 112 * (camera[0] * joints[:, :2] + camera[1:] + 1) / o2n + np.array(corner)
    truth = BodyTruth(pose, betas, camera)
    sample = made(box_centre=np.array(box[:2]), box_scale=box[2], body=truth)
    ours = eft_json.image_keypoints(sample, eft.body(torch.float64))
    gap = np.abs(ours - theirs).max()
    assert gap < 1.0
    if box[0] in (320.0, 100.0):  # a box with whole corners: the routes are one
        assert gap < 1e-6  # px; the recorded joints and ours agree to 1e-9 m


def broken(key: str, value: object) -> dict:
    content = json.loads(EXAMPLE.read_text())
    content["data"][1][key] = value
    return content


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("parm_pose", [[1.0]], "parm_pose is (1, 1), expected (24, 3, 3)"),
        ("parm_cam", [0.9, None, 0.1], "parm_cam"),
        ("bbox_scale", "wide", "could not convert"),
        ("bbox_center", [float("nan"), 1.0], "not finite"),
        ("gt_keypoint_2d", [[1.0, 2.0], [1.0]], "inhomogeneous"),
        ("smpltype", "smplx", "smpltype is 'smplx'"),
        ("annotId", "x", "invalid literal"),
    ],
)
def test_a_broken_entry_does_not_cost_the_rest(
    tmp_path: Path, key: str, value: object, says: str
) -> None:
    path = tmp_path / "in.json"
    path.write_text(json.dumps(broken(key, value)))
    samples = list(eft_json.read(path))
    assert [bool(s.problem) for s in samples] == [False, True, False, False]
    assert says in samples[1].problem
    assert samples[1].image == "img_01.png"
    assert samples[1].keypoints_2d[:, 2].max() == 0


def test_a_file_that_is_cut_short_says_so(tmp_path: Path) -> None:
    path = tmp_path / "cut.json"
    path.write_text(EXAMPLE.read_text()[:9000])
    people = eft_json.read(path)
    assert next(people).image == "img_00.png"
    with pytest.raises(ValueError, match="cut short"):
        list(people)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "text", '{"images": [], "annotations": []}', '{"data": []}']
)
def test_other_files_are_not_eft(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    assert not eft_json.matches(Contents(path))
    with pytest.raises(ValueError, match="not an EFT JSON"):
        eft_json.read(path)
    assert eft_json.matches(Contents(EXAMPLE))
    assert not eft_json.matches(Contents(tmp_path))


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (made(body=None), "no body"),
        (made(body=BodyTruth(np.zeros((24, 3, 3)), np.zeros(10))), "no weak camera"),
        (made(box_scale=float("nan")), "not finite"),
        (made(body=BodyTruth(np.zeros((24, 3, 3)), np.zeros(11), np.ones(3))), "betas"),
    ],
)
def test_what_the_format_cannot_hold_is_one_line_and_leaves_the_file(
    tmp_path: Path, sample: Sample, says: str
) -> None:
    path = tmp_path / "out.json"
    path.write_text("before")
    with pytest.raises(ValueError, match=says):
        eft_json.write([made(), sample], path)
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["out.json"]
