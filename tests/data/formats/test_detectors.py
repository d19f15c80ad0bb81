"""One person as every detector writes them: the same 49 joints, where the sets share joints."""

import contextlib
import csv
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import FORMATS, read, recognise
from exemplar.data.people_files import people_of_photo
from exemplar.skeletons import SMPL_49

WIDTH, HEIGHT = 640, 480
LIMBS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
FEET_PARTS = ("big_toe", "small_toe", "heel")
COCO = ["nose", "left_eye", "right_eye", "left_ear", "right_ear"]
COCO += [f"{side}_{limb}" for limb in LIMBS for side in ("left", "right")]
FEET = [f"{side}_{part}" for side in ("left", "right") for part in FEET_PARTS]
BODY_18 = [
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
]  # fmt: skip
BODY_25 = [*BODY_18[:8], "mid_hip", *BODY_18[8:], *FEET]
BODY_25B = [*COCO, "upper_neck", "head_top", *FEET]
MPI_15 = [
    "head_top", "upper_neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "chest",
]  # fmt: skip
HALPE = [*COCO, "head_top", "neck", "mid_hip"]
HALPE += [f"{side}_{part}" for part in FEET_PARTS for side in ("left", "right")]
MEDIAPIPE = [
    "nose", "eye", "left_eye", "eye", "eye", "right_eye", "eye", "left_ear", "right_ear", "mouth",
    "mouth", *COCO[5:11], *["hand"] * 6, *COCO[11:], "left_heel", "right_heel", "left_big_toe",
    "right_big_toe",
]  # fmt: skip

PLACES = {
    name: (float(x), float(y))
    for name, x, y in zip(
        [*COCO, *FEET, "head_top", "upper_neck", "neck", "mid_hip"],
        np.random.default_rng(0).integers(100, 400, 27),
        np.random.default_rng(1).integers(50, 430, 27),
        strict=True,
    )
}
"""Where the person's joints are, px. `neck` lies between the shoulders, `upper_neck` is LSP's."""

TARGETS = {
    **{name: name for name in COCO},
    **{name: f"op_{name}" for name in FEET},
    "head_top": "head_top", "upper_neck": "neck", "neck": "op_neck", "mid_hip": "op_mid_hip",
}  # fmt: skip
"""Which of the 49 each of them is."""


def rows(names: Iterable[str], scale: float = 1.0) -> list[list[float]]:
    """x, y and score of the joints; others are somewhere."""
    return [[*PLACES.get(name, (30.0, 40.0)), 0.9 * scale] for name in names]


def flat(names: Iterable[str]) -> list[float]:
    return [value for row in rows(names) for value in row]


def as_json(data: Any, name: str = "p.json") -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(data))
        return path

    return write


def openpose(names: Sequence[str], key: str = "pose_keypoints_2d") -> dict[str, Any]:
    return {"version": 1.3, "people": [{"person_id": [-1], key: flat(names)}]}


def mmpose(names: Sequence[str], scale: float = 1.0, **more: Any) -> dict[str, Any]:
    points = rows(names, scale)
    return {
        "keypoints": [row[:2] for row in points],
        "keypoint_scores": [row[2] for row in points],
        "bbox": [[90, 40, 420, 440]],
        "bbox_score": 0.9,
        **more,
    }


def landmark(row: list[float]) -> dict[str, float]:
    return {"x": row[0] / WIDTH, "y": row[1] / HEIGHT, "z": -0.1, "visibility": row[2]}


def yolo_txt(folder: Path) -> Path:
    points = [v for x, y, c in rows(COCO) for v in (x / WIDTH, y / HEIGHT, c)]
    line = " ".join(f"{v:.9f}" for v in (0, 0.5, 0.5, 0.3, 0.5, *points, 0.93))
    (folder / "p.txt").write_text(line + "\n")
    return folder / "p.txt"


def sleap(folder: Path) -> Path:
    names = ["Nose", "LShoulder", "Right Hip", "left-knee"]
    ours = ["nose", "left_shoulder", "right_hip", "left_knee"]
    head = ["track", "frame_idx", "instance.score"]
    head += [f"{name}.{axis}" for name in names for axis in ("x", "y", "score")]
    with (folder / "p.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, ["track_0", 7, 0.8, *flat(ours)]])
    return folder / "p.csv"


def sleap_frames(folder: Path) -> Path:
    """As sleap-io writes `format="frames"`: a line a frame, the second animal not seen in it."""
    ours = ["nose", "left_shoulder", "right_hip", "left_knee"]
    kinds = ["track", "track_score", "score"]
    kinds += [f"{name}.{axis}" for name in ours for axis in ("x", "y", "score")]
    head = ["frame_idx", *(f"inst{i}.{kind}" for i in range(2) for kind in kinds)]
    with (folder / "p.csv").open("w", newline="") as file:
        csv.writer(file).writerows([head, ["7", "", "", 0.9, *flat(ours), *[""] * len(kinds)]])
    return folder / "p.csv"


def deeplabcut(folder: Path) -> Path:
    ours = ["nose", "left_shoulder", "right_hip", "left_knee"]
    lines = [
        ["scorer"] + ["DLC_resnet50"] * 12,
        ["individuals"] + ["ind1"] * 12,
        ["bodyparts"] + [name for name in ours for _ in range(3)],
        ["coords"] + ["x", "y", "likelihood"] * 4,
        ["7", *flat(ours)],
    ]
    with (folder / "p.csv").open("w", newline="") as file:
        csv.writer(file).writerows(lines)
    return folder / "p.csv"


def deeplabcut_by_sleap(folder: Path) -> Path:
    """As sleap-io writes `format="dlc"`: columns of likelihoods that are empty."""
    path = deeplabcut(folder)
    path.write_text(path.read_text().replace(",0.9", ",").replace("\n7,", "\nlabeled/000007.png,"))
    return path


def npz(folder: Path) -> Path:
    """What rtmlib returns, kept by `numpy.savez`."""
    points = np.array([rows(HALPE, 7.0)])
    np.savez(folder / "p.npz", keypoints=points[..., :2], scores=points[..., 2])
    return folder / "p.npz"


WHOLE = [*COCO, *FEET, *["face"] * 68, *["hand"] * 42]
HALPE_WHOLE = [*HALPE, *["face"] * 68, *["hand"] * 42]
CASES: dict[str, tuple[str, Callable[[Path], Path], Sequence[str], str]] = {
    "OpenPose BODY_25": ("openpose", as_json(openpose(BODY_25), "x_keypoints.json"), BODY_25, ""),
    "OpenPose COCO-18": ("openpose", as_json(openpose(BODY_18)), BODY_18, ""),
    "OpenPose BODY_25B": ("openpose", as_json(openpose(BODY_25B)), BODY_25B, "openpose25b"),
    "OpenPose 1.1": ("openpose", as_json(openpose(BODY_18, "pose_keypoints")), BODY_18, ""),
    "OpenPose 0.1": ("openpose", as_json({"version": 0.1, "bodies": [{"joints": flat(BODY_18)}]}),
                     BODY_18, ""),
    "OpenPose MPI": ("openpose", as_json(openpose(MPI_15)), MPI_15, "openpose_mpi15"),
    "OpenPose, Halpe-26": ("openpose", as_json(openpose(HALPE)), HALPE, ""),
    "ControlNet": ("openpose", as_json([openpose(BODY_18)]), BODY_18, ""),
    "ControlNet, another size": ("openpose", as_json(
        [{"canvas_width": WIDTH // 2, "canvas_height": HEIGHT // 2,
          "people": [{"pose_keypoints_2d": [v for x, y, c in rows(BODY_18)
                                            for v in (x / 2, y / 2, c)]}]}]
    ), BODY_18, ""),
    "AlphaPose, COCO": ("coco_results", as_json(
        [{"image_id": "p.jpg", "category_id": 1, "keypoints": flat(COCO), "score": 3.1, "idx": 2}]
    ), COCO, ""),
    "AlphaPose, Halpe-26": ("coco_results", as_json(
        [{"image_id": "p.jpg", "category_id": 1, "keypoints": flat(HALPE), "score": 3.1}]
    ), HALPE, ""),
    "AlphaPose, Halpe-136": ("coco_results", as_json(
        [{"image_id": "p.jpg", "category_id": 1, "keypoints": flat(HALPE_WHOLE), "score": 3.1}]
    ), HALPE, ""),
    "AlphaPose, cmu": ("alphapose", as_json(
        {"p.jpg": {"version": "AlphaPose v0.3", "bodies": [{"joints": flat(BODY_18)}]}}
    ), BODY_18, ""),
    "AlphaPose, open": ("alphapose", as_json({"p.jpg": openpose(BODY_18)}), BODY_18, ""),
    "AlphaPose, PoseFlow": ("alphapose", as_json(
        {"a.jpg": [], "p.jpg": [{"keypoints": flat(COCO), "scores": 2.1, "idx": 4}]}
    ), COCO, ""),
    "ViTPose": ("coco_results", as_json(
        [{"image_id": 7, "category_id": 1, "keypoints": flat(COCO), "score": 0.9}]
    ), COCO, ""),
    "OpenPifPaf": ("coco_results", as_json(
        [{"keypoints": flat(COCO), "bbox": [1, 2, 3, 4], "score": 0.9, "category_id": 1}]
    ), COCO, ""),
    "MMPose demo": ("mmpose_json", as_json(
        {"meta_info": {"keypoint_id2name": {str(i): name for i, name in enumerate(HALPE)}},
         "instance_info": [mmpose(HALPE)]}
    ), HALPE, ""),
    "MMPose inferencer": ("mmpose_json", as_json([mmpose(WHOLE, 8.0)]), [*COCO, *FEET], ""),
    "MMPose 0.x": ("mmpose_json", as_json(
        [{"preds": [rows(COCO)], "boxes": [[1, 2, 3, 4, 5, 6]], "image_paths": ["data/p.jpg"]}]
    ), COCO, ""),
    "MMPose, images by name": ("mmpose_json", as_json(
        [mmpose(COCO, img_path="data/p.jpg")]
    ), COCO, ""),
    "MMPose, nobody": ("mmpose_json", as_json({"meta_info": {}, "instance_info": []}), [], ""),
    "easy_ViTPose": ("mmpose_json", as_json(
        {"keypoints": [{"0": [[y, x, c] for x, y, c in rows(COCO)]}],
         "skeleton": {str(i): name for i, name in enumerate(COCO)}}
    ), COCO, ""),
    "torchvision": ("mmpose_json", as_json(
        {"boxes": [[1, 2, 3, 4]], "labels": [1], "scores": [0.99],
         "keypoints": [[[*row[:2], 1] for row in rows(COCO)]],
         "keypoints_scores": [[13.0] * len(COCO)]}
    ), COCO, ""),
    "MMPose video": ("mmpose_json", as_json(
        [{"frame_id": 7, "instances": [mmpose(COCO)]}]
    ), COCO, ""),
    "rtmlib": ("mmpose_json", as_json(
        {"keypoints": [mmpose(COCO)["keypoints"]], "scores": [mmpose(COCO)["keypoint_scores"]]}
    ), COCO, ""),
    "rtmlib arrays": ("keypoints_npz", npz, HALPE, ""),
    "Ultralytics": ("ultralytics_json", as_json(
        [{"name": "person", "class": 0, "confidence": 0.93, "box": {"x1": 1, "y1": 2},
          "keypoints": {"x": [r[0] for r in rows(COCO)], "y": [r[1] for r in rows(COCO)],
                        "visible": [r[2] for r in rows(COCO)]}}]
    ), COCO, ""),
    "Ultralytics, normalised": ("ultralytics_json", as_json(
        [{"name": "person", "class": 0, "confidence": 0.93, "box": {"x1": 0.1, "y1": 0.2},
          "keypoints": {"x": [r[0] / WIDTH for r in rows(COCO)],
                        "y": [r[1] / HEIGHT for r in rows(COCO)],
                        "visible": [r[2] for r in rows(COCO)]}}]
    ), COCO, ""),
    "YOLO-pose label": ("yolo_txt", yolo_txt, COCO, ""),
    "MediaPipe": ("mediapipe_json", as_json([landmark(r) for r in rows(MEDIAPIPE)]), MEDIAPIPE, ""),
    "MediaPipe tasks": ("mediapipe_json", as_json(
        {"landmarks": [[landmark(r) for r in rows(MEDIAPIPE)]], "worldLandmarks": [[]]}
    ), MEDIAPIPE, ""),
    "MediaPipe, its dataclasses": ("mediapipe_json", as_json(
        {"pose_landmarks": [[{**landmark(r), "presence": 0.9, "name": None}
                             for r in rows(MEDIAPIPE)]],
         "pose_world_landmarks": [], "segmentation_masks": None}
    ), MEDIAPIPE, ""),
    "MediaPipe protobuf": ("mediapipe_json", as_json(
        {"poseLandmarks": {"landmark": [landmark(r) for r in rows(MEDIAPIPE)]}}
    ), MEDIAPIPE, ""),
    "TensorFlow.js": ("mediapipe_json", as_json(
        [{"keypoints": [{"x": r[0], "y": r[1], "score": r[2], "name": name}
                        for r, name in zip(rows(COCO), COCO, strict=True)]}]
    ), COCO, ""),
    "SLEAP": ("sleap_csv", sleap, ["nose", "left_shoulder", "right_hip", "left_knee"], ""),
    "SLEAP, a line a frame": (
        "sleap_csv", sleap_frames, ["nose", "left_shoulder", "right_hip", "left_knee"], ""
    ),
    "DeepLabCut without scores": (
        "deeplabcut_csv", deeplabcut_by_sleap,
        ["nose", "left_shoulder", "right_hip", "left_knee"], ""
    ),
    "DeepLabCut": (
        "deeplabcut_csv", deeplabcut, ["nose", "left_shoulder", "right_hip", "left_knee"], ""
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_person_has_the_same_joints_in_every_format(case: str, tmp_path: Path) -> None:
    name, write, names, joints = CASES[case]
    path = write(tmp_path)
    contents = Contents(path)
    assert recognise(contents) == name
    assert [other for other, one in FORMATS.items() if one.matches(contents)] == [name]
    options = {"joints": joints, "size": (WIDTH, HEIGHT)}
    if not names:
        assert not list(read(contents, name, **options))
        return
    (lifted,) = read(contents, name, **options)
    photo = "a/000007.jpg" if "p.jpg" not in lifted.image else "a/p.jpg"
    (fitted,) = people_of_photo(path, image=photo, size=(WIDTH, HEIGHT), joints=joints)
    assert np.array_equal(fitted.keypoints_2d, lifted.keypoints_2d)
    known = {
        SMPL_49[row]: lifted.keypoints_2d[row] for row in lifted.keypoints_2d[:, 2].nonzero()[0]
    }
    wanted = {TARGETS[each]: PLACES[each] for each in names if each in TARGETS}
    assert known.keys() >= wanted.keys()
    for target, place in wanted.items():
        # the label's fractions are rounded to 9 digits
        assert known[target][:2] == pytest.approx(place, abs=1e-5), target
    of_scores = ("MMPose inferencer", "torchvision", "DeepLabCut without scores")
    sure = name == "keypoints_npz" or case in of_scores
    assert {round(value[2], 9) for value in known.values()} == {1.0 if sure else 0.9}


def test_people_who_name_their_image_are_of_that_image_alone(tmp_path: Path) -> None:
    people = [mmpose(COCO, image_id=name) for name in ("p.jpg", "q.jpg")]
    path = as_json(people)(tmp_path)
    assert [each.image for each in read(path)] == ["p.jpg", "q.jpg"]
    assert len(people_of_photo(path, image="q.jpg")) == 1


def test_points_of_a_picture_of_another_size_say_so_where_nothing_tells_the_image_s(
    tmp_path: Path,
) -> None:
    path = CASES["ControlNet, another size"][1](tmp_path)
    (person,) = read(path)
    assert person.image_size == (WIDTH // 2, HEIGHT // 2)
    with pytest.raises(ValueError, match="image size"):
        person.check_image_size(WIDTH, HEIGHT)
    (tmp_path / "images").mkdir()
    (person,) = read(path, images=tmp_path / "images")
    assert not person.problem, "that the image is missing is for whoever reads it"


@pytest.mark.parametrize("ending", ["json", "txt"])
def test_a_folder_may_begin_with_an_image_of_nobody(tmp_path: Path, ending: str) -> None:
    (tmp_path / f"a.{ending}").write_text("[]" if ending == "json" else "")
    if ending == "txt":
        yolo_txt(tmp_path)
    else:
        as_json([mmpose(COCO)])(tmp_path)
    assert [each.image for each in read(tmp_path, size=(WIDTH, HEIGHT))] == ["p.jpg"]


def test_a_folder_of_pose2sim_is_read_by_frame(tmp_path: Path) -> None:
    for frame in range(2):
        as_json(openpose(HALPE), f"cam01_json/cam01_{frame:06}.json")(tmp_path)
    people = list(read(tmp_path / "cam01_json"))
    assert [each.image for each in people] == ["cam01_000000.jpg", "cam01_000001.jpg"]
    assert people_of_photo(tmp_path / "cam01_json", image="cam01_000001.png")


def test_folders_of_labels_find_the_images_and_their_sizes(tmp_path: Path) -> None:
    from exemplar.files.image_files import write_image

    (tmp_path / "labels").mkdir()
    yolo_txt(tmp_path / "labels")
    with pytest.raises(ValueError, match="give the folder of images"):
        raise ValueError(next(read(tmp_path / "labels")).problem)
    write_image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), tmp_path / "images" / "p.png")
    (person,) = read(tmp_path / "labels", images=tmp_path / "images")
    assert person.image == "p.png"
    nose = person.keypoints_2d[SMPL_49.index("nose")]
    assert nose[:2] == pytest.approx(PLACES["nose"], abs=1e-5)


def test_numbers_of_images_are_looked_for_among_the_images(tmp_path: Path) -> None:
    (tmp_path / "images" / "val").mkdir(parents=True)
    (tmp_path / "images" / "val" / "000007.png").touch()
    path = as_json([{"image_id": 7, "keypoints": flat(COCO)}])(tmp_path)
    assert next(read(path)).image == "000000000007.jpg"
    assert next(read(path, images=tmp_path / "images")).image == "val/000007.png"


@pytest.mark.parametrize("case", CASES)
def test_broken_people_cost_nobody_else(case: str, tmp_path: Path) -> None:
    name, write, _, joints = CASES[case]
    path = write(tmp_path)
    text = path.read_bytes()
    for end in range(0, len(text), max(1, len(text) // 40)):
        path.write_bytes(text[:end])
        with contextlib.suppress(ValueError, OSError):
            for sample in read(path, name, joints=joints, size=(WIDTH, HEIGHT)):
                assert np.isfinite(sample.keypoints_2d).all()


def test_a_csv_of_sleap_with_a_line_a_joint_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("frame_idx,node,x,y,track,score\n7,nose,1,2,,0.9\n")
    with pytest.raises(ValueError, match=r"p\.csv is not SLEAP.*expected columns such as nose\.x"):
        list(read(tmp_path / "p.csv"))
