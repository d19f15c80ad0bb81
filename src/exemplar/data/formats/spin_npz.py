"""SPIN's `.npz` of a data set, which EFT, CLIFF and most programs of the field train from.

One row a person (nkolot/SPIN, datasets/preprocess; facebookresearch/eft):

- `imgname` (N,): relative to the data set's images; `center` (N, 2) px, `scale` (N,) side / 200 px;
- `part` (N, 24, 3), `openpose` (N, 25, 3): x, y px and confidence; absent means none;
- `pose` (N, 72) axis-angle, the root's into the camera's frame, and `shape` (N, 10), both needed;
  `has_smpl` (N,): rows where they are meant; absent means all;
- `S` (N, 24, 4): x, y, z in metres and confidence; MMPose's files have 17 joints in `part` and `S`,
  Human3.6M's or MPI-INF-3DHP's, which `joints` tells;
- `gender` (N,) "m" or "f"; `annotIds` (N,), -1 for none; `subjectIds` or `subjectid` (N,);
- `cam_param` (N, 3): the weak camera in the box;
- `maskname`, `partname` (LSP), `multibbox` (8 boxes), `kp_leftHand`, `kp_rightHand`, `kp_face`,
  `kp_foot` (COCO-WholeBody), `lhand_3d`, `rhand_3d`, `lhand_2d`, `rhand_2d` (Panoptic):
  `Sample.extra`, where a row has any.

Strings may be bytes or Python objects (read without running code). Deviations from the published
programs: 3D joints without any confidence (EFT's exporter writes rows of zeros) are none, so they
do not dilute a loss; confidences over 1 are 1 and under 0 are 0.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from exemplar.data.contents import Contents
from exemplar.data.npz_arrays import rows_of, texts_of
from exemplar.data.records import sample_or_problem, size_of
from exemplar.files.atomic_files import replacing
from exemplar.files.npy_files import read_npz
from exemplar.geometry.rotations import axis_angle_to_rotmat, rotmat_to_axis_angle
from exemplar.samples import BodyTruth, Gender, Sample
from exemplar.skeletons import GT_24, OPENPOSE_25, SMPL_24, SMPL_49, indices, names_of

TITLE = "SPIN-style data set (.npz)"
JOINTS = SMPL_49

NEEDED = frozenset({"imgname", "center", "scale"})
"""Arrays that every such file has."""

FULL_CAMERA = frozenset({"global_t", "focal_l", "focal_length"})
"""Arrays of files that place bodies in the full image's camera: `cliff_npz`'s."""

_SHAPES: Mapping[str, tuple[int, ...]] = {
    "center": (2,),
    "scale": (),
    "part": (len(GT_24), 3),
    "openpose": (len(OPENPOSE_25), 3),
    "pose": (3 * len(SMPL_24),),
    "shape": (10,),
    "has_smpl": (),
    "S": (len(GT_24), 4),
    "cam_param": (3,),
    "annotIds": (),
    "img_h": (),
    "img_w": (),
    "orig_shape": (2,),
}
_EXTRA_NUMBERS = (
    "kp_leftHand", "kp_rightHand", "kp_face", "kp_foot", "lhand_3d", "rhand_3d", "lhand_2d",
    "rhand_2d",
)  # fmt: skip
_EXTRA_TEXTS = ("maskname", "partname")
_TEXTS = ("imgname", "gender", "subjectIds", "subjectid", *_EXTRA_TEXTS)
_MULTI_BOX = "multibbox"
_CHUNK = 256
_GENDERS: Mapping[str, Gender] = {
    "m": "male", "male": "male", "0": "male", "f": "female", "female": "female", "1": "female",
    "n": "neutral", "neutral": "neutral", "": "neutral", "-1": "neutral",
}  # fmt: skip
_OF_24 = ("part", "S")
_WITH_CONFIDENCE = {"part", "openpose", "S"}
_LETTERS: Mapping[Gender, str] = {"male": "m", "female": "f", "neutral": "n"}

Row = dict[str, np.ndarray]


def matches(contents: Contents) -> bool:
    """Whether the file is an `.npz` with image names and boxes, and no full camera."""
    if contents.suffix != ".npz" or contents.path.is_dir():
        return False
    return contents.npz_keys >= NEEDED and not contents.npz_keys & FULL_CAMERA


def read(source: str | Path | Contents, *, joints: str = "") -> Iterator[Sample]:
    """The people of the file, in its order.

    joints: the joint set (`skeletons.FILE_SETS`) of `part` and `S` if these are not SPIN's 24, such
    as h36m17 or mpi17.

    ValueError, in one line, if it is not such a file or its arrays do not fit together.
    """
    return (sample for sample, _ in rows(Contents(source), {}, joints))


def rows(
    contents: Contents, more: Mapping[str, tuple[int, ...]], joints: str = ""
) -> Iterator[tuple[Sample, Mapping[str, np.ndarray]]]:
    """Each person, and its row of the arrays named in `more` (with their shapes); `joints` as for
    `read`."""
    missing = NEEDED - contents.npz_keys
    if contents.suffix != ".npz" or missing:
        lacks = f", lacks {', '.join(sorted(missing))}" if missing else ""
        raise ValueError(f"{contents.path} is not a SPIN-style .npz{lacks}")
    wanted = {*_SHAPES, *_TEXTS, *_EXTRA_NUMBERS, _MULTI_BOX, *more}
    arrays = read_npz(contents.path, sorted(wanted))
    try:
        blocks = {name: _in_24(name, arrays[name], joints) for name in _OF_24 if name in arrays}
        return _rows(_Table({**arrays, **blocks}, more))
    except ValueError as error:
        raise ValueError(f"{contents.path}: {error}") from error


def _in_24(name: str, array: np.ndarray, joints: str) -> np.ndarray:
    """Rows of other joints as rows of the 24, by name; ValueError if nothing tells which."""
    count = array.shape[1] if array.ndim == 3 else len(GT_24)
    if not joints and count == len(GT_24):
        return array
    if not joints:
        raise ValueError(f"'{name}' has {count} joints: name them with --joints h36m17 or mpi17")
    names = names_of(count, joints)
    out = np.zeros((len(array), len(GT_24), array.shape[2]))
    known = [each for each in names if each in GT_24]
    out[:, indices(known, GT_24)] = array[:, indices(known, names)]
    return out


class _Table:
    """The file's arrays, held against each other."""

    def __init__(
        self, arrays: Mapping[str, np.ndarray], more: Mapping[str, tuple[int, ...]]
    ) -> None:
        self.count = arrays["imgname"].size
        self.texts = {name: texts_of(arrays[name]) for name in _TEXTS if name in arrays}
        for name, texts in self.texts.items():
            if len(texts) != self.count:
                raise ValueError(f"'{name}' has {len(texts)} rows, 'imgname' has {self.count}")
        self.numbers = rows_of(arrays, _SHAPES, self.count)
        self.more = rows_of(arrays, more, self.count)
        extra = {name: arrays[name].shape[1:] for name in _EXTRA_NUMBERS if name in arrays}
        self.extra = rows_of(arrays, extra, self.count)
        self.boxes = arrays.get(_MULTI_BOX)
        if self.boxes is not None and len(self.boxes) != self.count:
            raise ValueError(f"'{_MULTI_BOX}' has {len(self.boxes)} rows, not {self.count}")
        has_pose = {"pose", "shape"} <= self.numbers.keys()
        stated = self.numbers.get("has_smpl", np.ones(self.count))
        self.has_body = (stated > 0) & has_pose

    def rotations(self, start: int) -> Float[np.ndarray, "rows 24 3 3"]:
        """Rotation matrices of some rows; identity where they have no body."""
        here = slice(start, start + _CHUNK)
        pose = np.zeros((len(self.has_body[here]), len(SMPL_24), 3))
        known = self.has_body[here] & np.isfinite(self.numbers["pose"][here]).all(1)
        pose[known] = self.numbers["pose"][here][known].reshape(-1, len(SMPL_24), 3)
        return axis_angle_to_rotmat(torch.from_numpy(pose)).numpy()


def _rows(table: _Table) -> Iterator[tuple[Sample, Mapping[str, np.ndarray]]]:
    rotations = np.zeros((0, len(SMPL_24), 3, 3))
    for row in range(table.count):
        here = row % _CHUNK
        if here == 0 and table.has_body.any():
            rotations = table.rotations(row)
        pose = rotations[here] if table.has_body[row] else None
        more = {name: np.asarray(array[row], np.float64) for name, array in table.more.items()}
        image = table.texts["imgname"][row].replace("\\", "/")
        made = sample_or_problem(lambda row=row, pose=pose: _sample(table, row, pose), image=image)
        yield from ((sample, more) for sample in made)


def _sample(table: _Table, row: int, pose: np.ndarray | None) -> Sample:
    numbers = {name: np.asarray(rows[row], np.float64) for name, rows in table.numbers.items()}
    texts = {name: rows[row] for name, rows in table.texts.items()}
    for name in _WITH_CONFIDENCE & numbers.keys():
        numbers[name][numbers[name][:, -1] == 0] = 0.0
    checked = set(numbers) - ({"pose", "shape", "cam_param"} if pose is None else set())
    for name in sorted(checked):
        if not np.isfinite(numbers[name]).all():
            raise ValueError(f"'{name}' has numbers that are not finite")
    number = int(numbers.get("annotIds", -1))
    return Sample(
        image=texts["imgname"].replace("\\", "/"),
        box_centre=numbers["center"],
        box_scale=float(numbers["scale"]),
        keypoints_2d=_keypoints(numbers),
        annotation_id=number if number >= 0 else None,
        subject=texts.get("subjectIds", texts.get("subjectid", "")),
        joints_3d=_joints(numbers),
        body=None if pose is None else _body(numbers, texts, pose),
        extra=_extra(table, row),
        image_size=_image_size(numbers),
    )


def _image_size(numbers: Row) -> tuple[int, int] | None:
    height, width = numbers.get("orig_shape", (numbers.get("img_h"), numbers.get("img_w")))
    return size_of(width, height)


def _keypoints(numbers: Row) -> Float[np.ndarray, "49 3"]:
    blocks = (("openpose", len(OPENPOSE_25)), ("part", len(GT_24)))
    joints = np.concatenate([numbers.get(name, np.zeros((n, 3))) for name, n in blocks])
    joints[:, 2] = np.clip(joints[:, 2], 0.0, 1.0)
    return joints


def _joints(numbers: Row) -> Float[np.ndarray, "24 4"] | None:
    joints = numbers.get("S")
    return joints if joints is not None and (joints[:, -1] > 0).any() else None


def _body(numbers: Row, texts: Mapping[str, str], pose: np.ndarray) -> BodyTruth:
    letter = texts.get("gender", "").strip().lower()
    if letter not in _GENDERS:
        raise ValueError(f"gender is {letter!r}, expected 'm' or 'f'")
    camera = numbers.get("cam_param")
    return BodyTruth(
        pose=pose,
        betas=numbers["shape"],
        weak_camera=camera if camera is not None and camera.any() else None,
        gender=_GENDERS[letter],
    )


def _extra(table: _Table, row: int) -> dict[str, np.ndarray]:
    extra: dict[str, np.ndarray] = {}
    for name, rows in table.extra.items():
        value = np.asarray(rows[row], np.float64)
        if value.any():
            extra[name] = value
    for name in _EXTRA_TEXTS:
        if table.texts.get(name, {row: ""})[row]:
            extra[name] = np.array(table.texts[name][row])
    if table.boxes is not None:
        extra[_MULTI_BOX] = np.array([_box(box) for box in np.ravel(table.boxes[row])])
    return extra


def _box(box: Any) -> list[float]:
    """Centre x, y px, scale, and side over the face box's, of a box of multi-crop training."""
    if not isinstance(box, dict):
        raise ValueError(f"'{_MULTI_BOX}' holds {str(box)[:40]}, expected a dict")
    x, y = np.asarray(box["center"], np.float64)
    return [float(x), float(y), float(box["scale"]), float(box["ratio_bbox_over_face"])]


def write(samples: Iterable[Sample], path: str | Path) -> int:
    """Write samples as SPIN's `.npz`, without pickles; how many there were.

    Rows without a body have `has_smpl` 0. A neutral body among gendered ones has gender "n", which
    SPIN's own program takes for a woman. Boxes of multi-crop training, translations and
    intrinsics are left out: the format has no plain place for them. ValueError, in one line, for
    numbers that do not fit.
    """
    columns = Columns()
    for sample in samples:
        columns.add(sample)
    return columns.save(path)


class Columns:
    """Arrays of an `.npz` in the making: a row a person."""

    def __init__(self) -> None:
        self.count = 0
        self._known: dict[str, dict[int, np.ndarray]] = {}

    def add(self, sample: Sample, more: Mapping[str, np.ndarray] | None = None) -> None:
        """Append a person, and more numbers of its row."""
        values: dict[str, Any] = {
            "imgname": sample.image,
            "center": sample.box_centre,
            "scale": sample.box_scale,
            "openpose": sample.keypoints_2d[: len(OPENPOSE_25)],
            "part": sample.keypoints_2d[len(OPENPOSE_25) :],
            "annotIds": sample.annotation_id,
            "subjectIds": sample.subject or None,
            "S": sample.joints_3d,
            **{name: sample.extra.get(name) for name in (*_EXTRA_NUMBERS, *_EXTRA_TEXTS)},
            **(_body_row(sample.image, sample.body) if sample.body is not None else {}),
            **(more or {}),
        }
        for name, value in values.items():
            if value is not None:
                self._put(name, np.asarray(value))
        self.count += 1

    def _put(self, name: str, value: np.ndarray) -> None:
        column = self._known.setdefault(name, {})
        first = next(iter(column.values()), value)
        if first.shape != value.shape:
            raise ValueError(f"'{name}' is {value.shape} in one row, {first.shape} in another")
        column[self.count] = value

    def save(self, path: str | Path) -> int:
        """Write the file; how many rows it has."""
        texts = np.array([], str)
        fallback = {"imgname": texts, "center": np.zeros((0, 2)), "scale": np.zeros(0)}
        arrays = {name: self._stacked(name) for name in list(self._known)} or fallback
        genders = arrays.get("gender")
        if genders is not None and (genders == _LETTERS["neutral"]).all():
            del arrays["gender"]
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        return self.count

    def _stacked(self, name: str) -> np.ndarray:
        """A column with a row for every person: -1, "" or zeros where there was none."""
        column = self._known.pop(name)
        first = next(iter(column.values()))
        if first.dtype.kind in "US":
            blank = _LETTERS["neutral"] if name == "gender" else ""
            return np.array([str(column.get(row, blank)) for row in range(self.count)])
        out = np.full((self.count, *first.shape), -1 if name == "annotIds" else 0, first.dtype)
        for row, value in column.items():
            out[row] = value
        return out


def _body_row(image: str, body: BodyTruth) -> Row:
    if body.betas.shape != _SHAPES["shape"]:
        raise ValueError(f"{image} has {body.betas.shape} betas, an .npz holds (10,)")
    axis_angle = rotmat_to_axis_angle(torch.from_numpy(body.pose.astype(np.float64)))
    row = {
        "pose": axis_angle.numpy().reshape(-1),
        "shape": body.betas.astype(np.float64),
        "has_smpl": np.array(1),
        "gender": np.array(_LETTERS[body.gender]),
    }
    return row if body.weak_camera is None else row | {"cam_param": body.weak_camera}
