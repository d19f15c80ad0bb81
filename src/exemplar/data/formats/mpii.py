"""MPII Human Pose: `train.h5` of Stacked Hourglass, the JSON list, and the official `.mat`.

- `train.h5` (https://github.com/princeton-vl/pose-hg-train): `imgname`, `center`, `scale` and
  `part` (n, 16, 2), a row a person.
- JSON (`mpii_train.json` and the like): people with `image`, `center`, `scale`, `joints` (16 x 2),
  -1 for unknown ones, and `joints_vis`.
- `mpii_human_pose_v1_u12_1.mat` (http://human-pose.mpi-inf.mpg.de): `RELEASE.annolist[i]` has
  `image.name` and `annorect[j]`, a person with `objpos`, `scale` and `annopoints.point[k]`: `id` of
  the joint, `x`, `y`, `is_visible`. People without joints (test images, and those outlined only by
  their head) and people without position or scale are left out, as in the h5 file.

A joint is known where both coordinates are above 0, seen or hidden, and gets confidence 1; EFT
keeps people whose 16 joints are all known. `scale` is the person's height over 200 px: the box's
side, without the margin of other sets.

Pixels are counted from 1, as MATLAB does, in all three files; so they stay, as in the published
programs. The boxes of the h5 file are not those of the other two: its authors moved centres down by
15 x scale px and made scales 1.25 times as large, without which feet are cut off. The published
fits are made from that file, so the others' boxes are made alike; `box="stored"` leaves them.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from exemplar.data.array_files import array_names, read_h5
from exemplar.data.contents import Contents
from exemplar.data.mat_files import mat_shapes, read_mat
from exemplar.data.records import image_path, joints49, numbers, sample_or_problem
from exemplar.samples import Sample
from exemplar.skeletons import MPII_16

TITLE = "MPII Human Pose"
JOINTS = MPII_16

_H5_KEYS = frozenset({"imgname", "center", "scale", "part"})
_JSON_KEYS = frozenset({"image", "center", "scale", "joints"})
_WIDER, _LOWER = 1.25, 15.0
"""What Stacked Hourglass makes of a scale, and how far down it moves the centre, px per scale."""


@dataclass(frozen=True)
class _Rules:
    """Options of `read`."""

    min_joints: int
    image_folder: str
    hourglass: bool


def matches(contents: Contents) -> bool:
    """Whether it is one of the three kinds of file."""
    with contextlib.suppress(OSError):
        if contents.suffix == ".mat":
            return "RELEASE" in mat_shapes(contents)
        if contents.suffix in (".h5", ".hdf5"):
            return array_names(contents) >= _H5_KEYS
        if contents.suffix == ".json" and contents.path.is_file():
            return _is_list_of_people(contents)
    return False


def read(
    source: str | Path | Contents,
    *,
    min_joints: int = len(MPII_16),
    box: Literal["stored", "hourglass"] | None = None,
    image_folder: str = "",
) -> Iterator[Sample]:
    """People of an MPII file, in its order; images without annotation (the test set) have none.

    min_joints: of the 16, how many must be known. box: "hourglass" widens the boxes of JSON and
    `.mat` files (see above), which is also done by default; "stored" leaves them. image_folder: put
    before the images' names.
    """
    contents = Contents(source)
    if not 0 <= min_joints <= len(JOINTS):
        raise ValueError(f"expected min_joints from 0 to {len(JOINTS)}, got {min_joints}")
    widened = contents.suffix in (".h5", ".hdf5")
    if widened and box == "hourglass":
        raise ValueError(f"the boxes of {contents.path} are widened already: use box='stored'")
    rules = _Rules(min_joints, image_folder, hourglass=not widened and box != "stored")
    if contents.path.is_dir():
        raise ValueError(f"{contents.path} is not {TITLE}: expected a file, got a folder")
    if contents.suffix == ".mat":
        return _read_mat(contents, rules)
    if contents.suffix in (".h5", ".hdf5"):
        return _read_h5(contents, rules)
    return _read_json(contents, rules)


def _person(name: Any, centre: Any, scale: Any, points: Any, rules: _Rules) -> Sample | None:
    """A sample of one person's numbers, or None if too few joints are known."""
    coordinates = numbers(points, (len(JOINTS), 2), "joints")
    known = (coordinates > 0).all(axis=1, keepdims=True)
    if known.sum() < rules.min_joints:
        return None
    middle = numbers(centre, (2,), "centre")
    size = float(numbers(scale, (), "scale"))
    if rules.hourglass:
        middle, size = middle + np.array([0.0, _LOWER * size]), _WIDER * size
    return Sample(
        image=image_path(rules.image_folder, name),
        box_centre=middle,
        box_scale=size,
        keypoints_2d=joints49(JOINTS, np.concatenate([coordinates, known], axis=1)),
    )


def _named(rules: _Rules, name: Any) -> str:
    """The image's name for a record that may be broken."""
    return image_path(rules.image_folder, name) if isinstance(name, str) and name else ""


# JSON


def _is_list_of_people(contents: Contents) -> bool:
    with contextlib.suppress(ValueError):
        first = contents.json[0] if isinstance(contents.json, list) and contents.json else None
        return isinstance(first, dict) and first.keys() >= _JSON_KEYS
    return False


def _read_json(contents: Contents, rules: _Rules) -> Iterator[Sample]:
    if not isinstance(contents.json, list):
        got = type(contents.json).__name__
        raise ValueError(f"{contents.path} is not {TITLE}: expected a list of people, got a {got}")
    return _json_samples(contents.json, rules)


def _json_samples(people: list[Any], rules: _Rules) -> Iterator[Sample]:
    for each in people:
        name = each.get("image") if isinstance(each, dict) else ""
        yield from sample_or_problem(partial(_json_person, each, rules), image=_named(rules, name))


def _json_person(each: Any, rules: _Rules) -> Sample | None:
    if not isinstance(each, dict):
        raise ValueError(f"expected a person with keys, got {str(each)[:60]}")
    return _person(each["image"], each["center"], each["scale"], each["joints"], rules)


# HDF5


def _read_h5(contents: Contents, rules: _Rules) -> Iterator[Sample]:
    arrays = read_h5(contents.path, sorted(_H5_KEYS))
    counts = {key: array.shape[:1] for key, array in arrays.items()}
    if counts.keys() != _H5_KEYS or len(set(counts.values())) != 1:
        expected = f"{', '.join(sorted(_H5_KEYS))} of one length"
        raise ValueError(f"{contents.path} is not {TITLE}: expected {expected}, got {counts}")
    return _h5_samples(arrays, rules)


def _h5_samples(arrays: dict[str, np.ndarray], rules: _Rules) -> Iterator[Sample]:
    rows = zip(*(arrays[key] for key in ("imgname", "center", "scale", "part")), strict=True)
    for raw, centre, scale, points in rows:
        name = _text(raw)
        make = partial(_person, name, centre, scale, points, rules)
        yield from sample_or_problem(make, image=_named(rules, name))


def _text(raw: Any) -> str:
    """A name that is text, bytes, or (as Lua needed it) an array of character codes."""
    if isinstance(raw, np.ndarray):
        raw = bytes(int(code) for code in raw.ravel() if 0 < code < 256)
    return raw.decode(errors="replace").rstrip("\0") if isinstance(raw, bytes) else str(raw)


# MATLAB


def _read_mat(contents: Contents, rules: _Rules) -> Iterator[Sample]:
    release = read_mat(contents.path, "RELEASE")
    if not hasattr(release, "annolist"):
        raise ValueError(f"{contents.path} is not {TITLE}: RELEASE has no annolist")
    return _mat_samples(release.annolist, rules)


def _mat_samples(images: Any, rules: _Rules) -> Iterator[Sample]:
    for image in np.atleast_1d(images):
        name = getattr(getattr(image, "image", None), "name", "")
        for person in np.atleast_1d(getattr(image, "annorect", ())):
            yield from sample_or_problem(
                partial(_mat_person, name, person, rules), image=_named(rules, name)
            )


def _mat_person(name: Any, person: Any, rules: _Rules) -> Sample | None:
    """None for a person without joints, position or scale."""
    annotated: Any = getattr(getattr(person, "annopoints", None), "point", ())
    scale: Any = getattr(person, "scale", ())
    position: Any = getattr(person, "objpos", ())
    if 0 in (np.size(annotated), np.size(scale), np.size(position)):
        return None
    points = np.zeros((len(JOINTS), 2))
    for point in np.atleast_1d(annotated):
        number = int(point.id)
        if not 0 <= number < len(JOINTS):
            raise ValueError(f"expected joints from 0 to {len(JOINTS) - 1}, got {number}")
        points[number] = numbers([point.x, point.y], (2,), "a joint")
    return _person(name, [position.x, position.y], scale, points, rules)
