"""MMHuman3D's HumanData (`.npz`): images, boxes, 2D and 3D keypoints and SMPL bodies.

See github.com/open-mmlab/mmhuman3d, docs/human_data.md. Rows are people: `image_path`,
`bbox_xywh` (N, 5) px, `keypoints2d` (N, K, 3) px and confidence, `keypoints3d` (N, K, 4) metres,
each with `*_mask` (190) of the joints that the file has: K is 190, or their number in files with
`__keypoints_compressed__`. `smpl` has `global_orient`, `body_pose`, `betas` (and `transl`, which
is left out: it has no camera), `meta` the `gender`. Newer files call the keypoints
`keypoints2d_original` and so on.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from exemplar.data.contents import Contents
from exemplar.data.npz_arrays import texts_of
from exemplar.data.records import (
    box_of_points,
    box_of_xywh,
    image_path,
    joints24,
    joints49,
    known_points,
    sample_or_problem,
)
from exemplar.data.sequences import body_truth
from exemplar.files.npy_files import read_npz
from exemplar.samples import BodyTruth, Gender, Sample
from exemplar.skeletons import HUMAN_DATA_190_ROWS

TITLE = "MMHuman3D's HumanData (.npz)"
JOINTS = tuple(HUMAN_DATA_190_ROWS)

_COUNT = 190
_VARIANTS = ("", "_original", "_ori", "_smpl", "_cam")
_GENDERS: Mapping[str, Gender] = {"m": "male", "male": "male", "f": "female", "female": "female"}


def matches(contents: Contents) -> bool:
    """Whether it is an `.npz` file with paths of images and masked keypoints or bodies."""
    keys = contents.npz_keys if contents.suffix == ".npz" else frozenset()
    return "image_path" in keys and ("smpl" in keys or bool(_key("2d", keys)))


def _key(kind: str, keys: frozenset[str]) -> str:
    """Name of the file's keypoints of a kind, "" if it has none with a mask."""
    names = [f"keypoints{kind}{variant}" for variant in _VARIANTS]
    return next((name for name in names if {name, f"{name}_mask"} <= keys), "")


def read(source: str | Path | Contents, *, image_folder: str = "") -> Iterator[Sample]:
    """The people of the file, in its order. `image_folder` is put before the images' names.

    ValueError, in one line, if it is not such a file or its arrays do not fit together.
    """
    contents = Contents(source)
    if not matches(contents):
        raise ValueError(f"{contents.path} is not {TITLE}: expected image_path and keypoints2d")
    flat, deep = _key("2d", contents.npz_keys), _key("3d", contents.npz_keys)
    wanted = {"image_path", "bbox_xywh", "smpl", "meta", flat, deep, f"{flat}_mask", f"{deep}_mask"}
    arrays = read_npz(contents.path, sorted(wanted - {"", "_mask"}))
    names = texts_of(arrays["image_path"])
    try:
        points = _block(arrays, flat, 3, len(names))
        points_3d = _block(arrays, deep, 4, len(names))
        boxes = arrays.get("bbox_xywh")
        if boxes is not None and (boxes.ndim != 2 or len(boxes) != len(names)):
            raise ValueError(f"bbox_xywh is {boxes.shape}, expected ({len(names)}, 5)")
        smpl, meta = (_dict(arrays.get(key)) for key in ("smpl", "meta"))
    except ValueError as error:
        raise ValueError(f"{contents.path}: {error}") from error

    def samples() -> Iterator[Sample]:
        for row, name in enumerate(names):
            make = partial(
                _sample,
                image_folder,
                name,
                None if boxes is None else boxes[row, :4],
                None if points is None else points.row(row),
                None if points_3d is None else points_3d.row(row),
                partial(_body, smpl, meta, row) if smpl else None,
            )
            yield from sample_or_problem(make, image=name)

    return samples()


@dataclass(frozen=True)
class _Block:
    """Keypoints as the file has them."""

    points: Float[np.ndarray, "rows k width"]
    """Of the file's joints."""
    there: Bool[np.ndarray, " joints"]
    """Which of `JOINTS` are among them."""
    places: Int[np.ndarray, " known"]
    """Where these are."""

    def row(self, row: int) -> Float[np.ndarray, "joints width"]:
        """A person's keypoints of the joints `JOINTS`; those that the mask leaves out are 0."""
        whole = np.zeros((len(self.there), self.points.shape[2]))
        whole[self.there] = self.points[row, self.places]
        return whole


def _block(arrays: Mapping[str, np.ndarray], key: str, width: int, rows: int) -> _Block | None:
    """ValueError if the arrays do not fit together."""
    if not key:
        return None
    points, mask = arrays[key], np.ravel(arrays[f"{key}_mask"]) > 0
    shapes = [(rows, count, width) for count in (_COUNT, int(mask.sum()))]
    if mask.shape != (_COUNT,) or points.shape not in shapes or points.dtype.kind not in "fiu":
        raise ValueError(
            f"{key} is {points.shape} with a mask of {mask.shape}, expected {shapes[0]}"
        )
    columns = np.arange(_COUNT) if points.shape[1] == _COUNT else np.cumsum(mask) - 1
    ours = list(HUMAN_DATA_190_ROWS.values())
    return _Block(points, mask[ours], columns[ours][mask[ours]])


def _dict(array: np.ndarray | None) -> Mapping[str, Any]:
    """What an array of one dict holds; {} for anything else."""
    value = array.item() if array is not None and array.size == 1 else None
    return value if isinstance(value, dict) else {}


def _sample(
    folder: str,
    name: str,
    box: np.ndarray | None,
    points: Float[np.ndarray, "k 3"] | None,
    points_3d: Float[np.ndarray, "k 4"] | None,
    body: Any,
) -> Sample:
    known = np.zeros((len(JOINTS), 3)) if points is None else known_points(points)
    known[:, 2] = known[:, 2].clip(0.0, 1.0)
    keypoints = joints49(JOINTS, known)
    centre, scale = box_of_points(keypoints) if box is None else box_of_xywh(box.tolist())
    joints_3d = None if points_3d is None else joints24(JOINTS, np.nan_to_num(points_3d))
    has_3d = joints_3d is not None and bool((joints_3d[:, -1] > 0).any())
    return Sample(
        image_path(folder, name),
        centre,
        scale,
        keypoints,
        joints_3d=joints_3d if has_3d else None,
        body=None if body is None else body(),
    )


def _body(smpl: Mapping[str, Any], meta: Mapping[str, Any], row: int) -> BodyTruth:
    pose = np.concatenate([np.ravel(smpl["global_orient"][row]), np.ravel(smpl["body_pose"][row])])
    genders = meta.get("gender")
    letter = "" if genders is None else str(genders[row]).lower()
    return body_truth(pose, smpl["betas"][row], gender=_GENDERS.get(letter, "neutral"))
