"""SPIN's .npz: every variant that is in circulation, and both directions."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from exemplar.data.contents import Contents
from exemplar.data.formats import spin_npz
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24
from tests.golden import eft


def saved(folder: Path, **arrays: object) -> Path:
    np.savez(folder / "set.npz", **arrays)  # pyright: ignore
    return folder / "set.npz"


def base(count: int = 3) -> dict[str, np.ndarray]:
    """The least that a file has."""
    return {
        "imgname": np.array([f"S{i}/a_{i}.jpg" for i in range(count)]),
        "center": np.arange(2.0 * count).reshape(count, 2) + 50,
        "scale": 1.0 + np.arange(count) / 10,
    }


def test_the_least_file_has_boxes_and_nothing_else(tmp_path: Path) -> None:
    first, _, third = spin_npz.read(saved(tmp_path, **base()))
    assert first.image == "S0/a_0.jpg"
    assert third.box_centre.tolist() == [54.0, 55.0]
    assert third.box_scale == 1.2
    assert first.keypoints_2d.shape == (49, 3)
    assert not first.keypoints_2d.any()
    assert first.joints_3d is None
    assert first.body is None
    assert first.annotation_id is None
    assert first.extra == {}


def test_poses_become_the_rotations_that_eft_s_program_had(tmp_path: Path) -> None:
    numbers = eft.reference()
    pose = numbers.array("smpl_pose_aa")[:2]  # the third is not the third matrices'
    path = saved(tmp_path, **base(2), pose=pose, shape=np.zeros((2, 10)))
    rotations = numbers.array("smpl_pose_rot")[:2]
    for sample, expected in zip(spin_npz.read(path), rotations, strict=True):
        assert sample.body is not None
        # its matrices went through float32
        np.testing.assert_allclose(sample.body.pose, expected, atol=2e-7)


@pytest.mark.parametrize("kind", ["bytes", "object", "object bytes", "windows"])
def test_names_of_every_kind(tmp_path: Path, kind: str) -> None:
    arrays = base()
    names = arrays["imgname"].tolist()
    if kind == "bytes":
        arrays["imgname"] = np.array(names, dtype="S")
    elif kind == "object":
        arrays["imgname"] = np.array(names, dtype=object)
    elif kind == "object bytes":
        arrays["imgname"] = np.array([name.encode() for name in names], dtype=object)
    else:
        arrays["imgname"] = np.array([name.replace("/", "\\") for name in names])
    samples = list(spin_npz.read(saved(tmp_path, **arrays)))
    assert [s.image for s in samples] == names


def test_joints_land_where_spin_counts_them(tmp_path: Path) -> None:
    """The 24 follow the 25 of OpenPose; the nose is the 20th of the 24."""
    part, openpose = np.zeros((3, 24, 3)), np.zeros((3, 25, 3))
    part[:, 19] = (7, 8, 1)
    openpose[:, 8] = (3, 4, 0.25)
    sample = next(spin_npz.read(saved(tmp_path, **base(), part=part, openpose=openpose)))
    assert sample.keypoints_2d[25 + 19].tolist() == [7, 8, 1]
    assert sample.keypoints_2d[8].tolist() == [3, 4, 0.25]
    assert (sample.keypoints_2d[:, 2] > 0).sum() == 2


@pytest.mark.parametrize("stated", [True, False])
def test_bodies_only_where_has_smpl_says_so(tmp_path: Path, stated: bool) -> None:
    pose = np.zeros((3, 72), np.float32)
    pose[0, :3] = (np.pi, 0, 0)  # upside down
    pose[1] = np.nan  # not meant, so what it holds does not matter
    arrays: dict[str, np.ndarray] = {"pose": pose, "shape": np.ones((3, 10), np.float32)}
    if stated:
        arrays["has_smpl"] = np.array([1, 0, 1], np.uint8)
    first, second, third = spin_npz.read(saved(tmp_path, **base(), **arrays))
    assert first.body is not None
    # pi in float32 is off by 9e-8
    np.testing.assert_allclose(first.body.pose[0], np.diag([1, -1, -1]), atol=2e-7)
    assert second.body is None
    assert bool(second.problem) != stated
    assert third.body is not None
    assert third.body.gender == "neutral"


def test_pose_without_shape_is_no_body(tmp_path: Path) -> None:
    sample = next(spin_npz.read(saved(tmp_path, **base(), pose=np.ones((3, 72)))))
    assert sample.body is None


def test_3d_joints_without_confidence_are_none(tmp_path: Path) -> None:
    """EFT's exporter writes rows of zeros."""
    joints = np.zeros((3, 24, 4))
    joints[1, 0] = (0.1, 0.2, 0.3, 1)
    first, second, _ = spin_npz.read(saved(tmp_path, **base(), S=joints))
    assert first.joints_3d is None
    assert second.joints_3d is not None
    assert second.joints_3d[0].tolist() == [0.1, 0.2, 0.3, 1]


def test_subjects_masks_hands_and_cameras(tmp_path: Path) -> None:
    hands = np.zeros((3, 21, 4))
    hands[2] = 1.5
    arrays = base() | {
        "subjectid": np.array(["s-id1", "s-id2", ""], dtype=object),
        "maskname": np.array(["m0.png", "", "m2.png"]),
        "rhand_3d": hands,
        "cam_param": np.array([[0.9, 0, 0.1]] * 3, np.float32),
        "pose": np.zeros((3, 72)),
        "shape": np.zeros((3, 10)),
        "annotIds": np.array([5, -1, 0]),
    }
    first, second, third = spin_npz.read(saved(tmp_path, **arrays))
    assert [s.subject for s in (first, second, third)] == ["s-id1", "s-id2", ""]
    assert [s.annotation_id for s in (first, second, third)] == [5, None, 0]
    assert first.extra["maskname"] == "m0.png"
    assert set(second.extra) == set()
    assert third.extra["rhand_3d"].shape == (21, 4)
    assert first.body is not None
    assert first.body.weak_camera is not None
    assert first.body.weak_camera.tolist() == pytest.approx([0.9, 0, 0.1], abs=1e-7)  # float32


def test_boxes_of_multi_crop_training(tmp_path: Path) -> None:
    boxes = np.empty((3, 8), dtype=object)
    for row in range(3):
        for level in range(8):
            boxes[row, level] = {
                "scale": 0.1 * level, "center": np.array([row, level]), "ratio_bbox_over_face": 2.0
            }  # fmt: skip
    third = list(spin_npz.read(saved(tmp_path, **base(), multibbox=boxes)))[2]
    assert third.extra["multibbox"].shape == (8, 4)
    assert third.extra["multibbox"][3].tolist() == [2.0, 3.0, pytest.approx(0.3), 2.0]


class Evil:
    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("touched"),))


def test_objects_run_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = np.array(["a.jpg", "b.jpg", Evil()], dtype=object)
    with pytest.raises(ValueError, match="not a pickle of plain arrays"):
        next(spin_npz.read(saved(tmp_path, **(base() | {"imgname": names}))))
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"scale": np.ones(2)}, "'scale' has 2 rows, 'imgname' has 3"),
        ({"part": np.ones((4, 24, 3))}, "'part' has 4 rows, 'imgname' has 3"),
        ({"part": np.ones((3, 17, 3))}, "'part' has 17 joints"),
        ({"pose": np.array(["a"] * 3), "shape": np.ones((3, 10))}, "'pose' is <U1"),
        ({"gender": np.array(["m", "f"])}, "'gender' has 2 rows"),
        ({"center": np.ones(())}, "'center' has no rows"),
        ({"imgname": np.arange(3.0)}, "expected a name"),
    ],
)
def test_arrays_that_do_not_fit_are_one_line(tmp_path: Path, arrays: dict, says: str) -> None:
    path = saved(tmp_path, **(base() | arrays))
    with pytest.raises(ValueError, match=says) as caught:
        list(spin_npz.read(path))
    assert "\n" not in str(caught.value)


def test_a_broken_row_does_not_cost_the_rest(tmp_path: Path) -> None:
    arrays = base() | {"gender": np.array(["m", "f", "x"]), "pose": np.zeros((3, 72))}
    arrays["shape"] = np.zeros((3, 10))
    arrays["center"][0] = np.nan
    first, second, third = spin_npz.read(saved(tmp_path, **arrays))
    assert "'center' has numbers that are not finite" in first.problem
    assert not second.problem
    assert "gender is 'x'" in third.problem


def test_other_files(tmp_path: Path) -> None:
    ours = saved(tmp_path, **base())
    assert spin_npz.matches(Contents(ours))
    np.savez(tmp_path / "cliff.npz", **base(), focal_l=np.ones(3))  # pyright: ignore
    np.savez(tmp_path / "other.npz", vertices=np.ones(3))
    (tmp_path / "text.npz").write_text("no")
    (tmp_path / "pickle.npz").write_bytes(pickle.dumps(base()))
    for name in ("cliff.npz", "other.npz", "text.npz", "pickle.npz"):
        assert not spin_npz.matches(Contents(tmp_path / name)), name
    with pytest.raises(ValueError, match="lacks center, imgname, scale"):
        spin_npz.read(tmp_path / "other.npz")
    whole = ours.read_bytes()
    ours.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"set\.npz"):
        spin_npz.read(ours)


def person(seed: int, **changes: object) -> Sample:
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(24, 3, 3)))[0]
    turns[:, :, 0] *= np.linalg.det(turns)[:, None]
    values = {
        "image": f"train/{seed}.jpg",
        "box_centre": rng.uniform(0, 640, 2),
        "box_scale": float(rng.uniform(0.5, 2)),
        "keypoints_2d": rng.uniform(0, 1, (49, 3)),
        "annotation_id": seed,
        "joints_3d": rng.uniform(0.1, 1, (24, 4)),
        "body": BodyTruth(turns, rng.normal(size=10), rng.normal(size=3)),
        "extra": {"kp_foot": rng.uniform(0.1, 1, (6, 3)), "partname": np.array(f"p{seed}.png")},
    }
    return Sample(**(values | changes))  # pyright: ignore


def test_writing_and_reading_gives_the_same_people(tmp_path: Path) -> None:
    people = [
        person(0),
        person(1, body=None, joints_3d=None, extra={}, annotation_id=None),
        person(2, subject="seq-id2", body=BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.ones(10))),
    ]
    path = tmp_path / "out.npz"
    assert spin_npz.write(people, path) == 3
    for before, after in zip(people, spin_npz.read(path), strict=True):
        assert (before.image, before.annotation_id, before.subject, before.box_scale) == (
            after.image, after.annotation_id, after.subject, after.box_scale
        )  # fmt: skip
        np.testing.assert_array_equal(before.box_centre, after.box_centre)
        np.testing.assert_array_equal(before.keypoints_2d, after.keypoints_2d)
        assert (before.joints_3d is None) == (after.joints_3d is None)
        if before.joints_3d is not None:
            np.testing.assert_array_equal(before.joints_3d, after.joints_3d)
        assert (before.body is None) == (after.body is None)
        if before.body is not None and after.body is not None:
            # a rotation's way through its axis and angle costs a few float64 roundings
            np.testing.assert_allclose(before.body.pose, after.body.pose, atol=1e-12)
            np.testing.assert_array_equal(before.body.betas, after.body.betas)
            assert (before.body.weak_camera is None) == (after.body.weak_camera is None)
        assert set(before.extra) == set(after.extra)
        for name in before.extra:
            np.testing.assert_array_equal(before.extra[name], after.extra[name])


def test_a_training_program_finds_what_it_looks_for(tmp_path: Path) -> None:
    """Keys, shapes and types of SPIN's loader, without pickles."""
    man = BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.ones(10), gender="male")
    spin_npz.write([person(0), person(1, body=man)], tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz", allow_pickle=False) as file:
        shapes = {name: file[name].shape for name in file.files}
        assert file["has_smpl"].tolist() == [1, 1]
        assert file["gender"].tolist() == ["n", "m"]
        assert file["imgname"].tolist() == ["train/0.jpg", "train/1.jpg"]
        assert file["annotIds"].dtype.kind == "i"
    expected = {
        "imgname": (2,), "center": (2, 2), "scale": (2,), "part": (2, 24, 3),
        "openpose": (2, 25, 3), "pose": (2, 72), "shape": (2, 10), "has_smpl": (2,),
        "S": (2, 24, 4), "annotIds": (2,),
    }  # fmt: skip
    assert shapes.items() >= expected.items()
    spin_npz.write([person(0)], tmp_path / "neutral.npz")
    assert "gender" not in Contents(tmp_path / "neutral.npz").npz_keys
    assert spin_npz.write([], tmp_path / "empty.npz") == 0
    assert list(spin_npz.read(tmp_path / "empty.npz")) == []


def test_rows_that_do_not_fit_are_not_written(tmp_path: Path) -> None:
    other = person(1, extra={"kp_foot": np.ones((4, 3))})
    with pytest.raises(ValueError, match=r"'kp_foot' is \(4, 3\) in one row, \(6, 3\) in another"):
        spin_npz.write([person(0), other], tmp_path / "out.npz")
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    ("joints", "names"),
    [
        ("h36m17", {"pelvis": 0, "right_hip": 1, "left_hip": 4, "neck": 8, "head": 10,
                    "left_shoulder": 11}),
        ("mpi17", {"head": 0, "neck": 1, "right_shoulder": 2, "left_ankle": 13, "pelvis": 14,
                   "jaw": 16}),
    ],
)  # fmt: skip
def test_mmpose_s_17_joints_go_by_the_set_that_is_named(
    tmp_path: Path, joints: str, names: dict[str, int]
) -> None:
    part = np.array([[[k + 1.0, k + 2.0, 1.0] for k in range(17)]])
    space = np.array([[[k / 10, 0.0, 1.0, 1.0] for k in range(17)]])
    path = tmp_path / "h36m_train.npz"
    np.savez(path, imgname=["a.jpg"], center=np.ones((1, 2)), scale=np.ones(1), part=part, S=space)
    with pytest.raises(ValueError, match="17 joints: name them with --joints h36m17 or mpi17"):
        spin_npz.read(path)
    (person,) = spin_npz.read(path, joints=joints)
    assert (person.keypoints_2d[:, 2] > 0).sum() == 17
    assert person.joints_3d is not None
    for name, k in names.items():
        assert person.keypoints_2d[25 + GT_24.index(name)].tolist() == [k + 1, k + 2, 1], name
        assert person.joints_3d[GT_24.index(name), 0] == k / 10
