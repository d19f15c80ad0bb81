"""EFT's JSON of pseudo ground truth (facebookresearch/eft, docs/README_dataformat.md).

`{"ver": 0.1, "data": [entry, ...], "meta": {"dbname": ..., "rawname": ...}}`; an entry is

- `parm_pose` [24][3][3]: rotation matrices, root first, the root's into the camera's frame;
- `parm_shape` [10]; `parm_cam` [3]: the weak camera (s, tx, ty) in the box, which spans [-1, 1];
- `bbox_scale` (side / 200 px), `bbox_center` [2] px;
- `gt_keypoint_2d` [49][3]: image px and confidence, OpenPose's 25 (normally all 0) and the 24;
- `joint_validity_openpose18` [18]: confidence of the annotated joints in OpenPose-18's order;
- `smpltype`: "smpl"; `annotId`: COCO's annotation id, 0 in sets without; `imageName`;
  `subjectId`: "{sequence}-id{track}" in sets of sequences.

The published exporter never copies `annotId`, though its own viewer and the released COCO files
have it: here it is written where a sample has one. Entries are read and written one by one, so
that a file of 79,000 people needs no more memory than one of ten.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from jaxtyping import Float

from exemplar.bodies import Body, BodyParams
from exemplar.data.contents import Contents
from exemplar.data.records import sample_or_problem
from exemplar.files.atomic_files import replacing
from exemplar.geometry.cameras import project_weak
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import GT_24, OPENPOSE_18, OPENPOSE_25, OPENPOSE_PREFIX, SMPL_49, indices

TITLE = "EFT pseudo ground truth (JSON)"
JOINTS = SMPL_49

_VALIDITY = "joint_validity_openpose18"
_NEEDED = ("parm_pose", "parm_shape", "parm_cam", "bbox_scale", "bbox_center", "gt_keypoint_2d")
_OPENPOSE_18_ROWS = [
    len(OPENPOSE_25) + row
    for row in indices([name.removeprefix(OPENPOSE_PREFIX) for name in OPENPOSE_18], GT_24)
]
_CHUNK = 1 << 20
_PEEK = 1 << 16
_LONGEST = 1 << 26
_SPACES = re.compile(r"\s*")


@dataclass(frozen=True)
class EftHeader:
    """What an EFT JSON says of itself."""

    ver: float = 0.1
    """Version of the file."""
    meta: Mapping[str, Any] = field(default_factory=lambda: {"dbname": "", "rawname": ""})
    """Name of the data set and of the run that made it."""


def matches(contents: Contents) -> bool:
    """Whether the file is EFT's: a JSON object whose beginning has an entry of `data`."""
    if contents.suffix != ".json" or contents.path.is_dir():
        return False
    try:
        with contents.path.open("rb") as file:
            start = file.read(_PEEK)
    except OSError:
        return False
    return b'"data"' in start and b'"parm_pose"' in start and b'"gt_keypoint_2d"' in start


def read(source: str | Path | Contents) -> Iterator[Sample]:
    """The people of the file, in its order, each with its body.

    ValueError if it is not EFT's JSON or is cut short (the entries before that are given).
    """
    contents = Contents(source)
    if not matches(contents):
        raise ValueError(
            f"{contents.path} is not an EFT JSON: expected 'data' with entries of"
            " parm_pose, parm_shape, parm_cam, ..."
        )
    return _samples(contents.path)


def _samples(path: Path) -> Iterator[Sample]:
    for key, entry in _stream(path):
        if key == "data":
            name, number = "", None
            if isinstance(entry, dict):
                name = str(entry.get("imageName", ""))
                number = entry.get("annotId")
            number = number if isinstance(number, int) else None
            yield from sample_or_problem(
                lambda entry=entry: _sample(entry), image=_slashes(name), annotation_id=number
            )


def read_header(path: str | Path) -> EftHeader:
    """The file's `ver` and `meta`, found by reading through all of it."""
    found = {key: value for key, value in _stream(Path(path)) if key in ("ver", "meta")}
    meta = found.get("meta", {})
    if not isinstance(meta, dict):
        raise ValueError(f"{path}: expected 'meta' to be an object, got {type(meta).__name__}")
    return EftHeader(found.get("ver", EftHeader.ver), meta)


def _sample(entry: Mapping[str, Any]) -> Sample:
    if not isinstance(entry, dict):
        raise ValueError(f"expected an entry of 'data' to be an object, got {str(entry)[:40]}")
    if entry.get("smpltype", "smpl") != "smpl":
        raise ValueError(f"smpltype is {entry['smpltype']!r}, expected 'smpl'")
    missing = [key for key in (*_NEEDED, "imageName") if key not in entry]
    if missing:
        raise ValueError(f"an entry has no {', '.join(missing)}")
    keypoints = _numbers(entry, "gt_keypoint_2d", (len(SMPL_49), 3))
    validity = keypoints[_OPENPOSE_18_ROWS, 2]
    extra = {}
    if _VALIDITY in entry:
        stored = _numbers(entry, _VALIDITY, (len(OPENPOSE_18),))
        if not np.array_equal(stored, validity):
            extra[_VALIDITY] = stored
    body = BodyTruth(
        pose=_numbers(entry, "parm_pose", (24, 3, 3)),
        betas=_numbers(entry, "parm_shape", (10,)),
        weak_camera=_numbers(entry, "parm_cam", (3,)),
    )
    annotation_id = entry.get("annotId")
    return Sample(
        image=_slashes(str(entry["imageName"])),
        box_centre=_numbers(entry, "bbox_center", (2,)),
        box_scale=float(_numbers(entry, "bbox_scale", ())),
        keypoints_2d=keypoints,
        annotation_id=None if annotation_id is None else int(annotation_id),
        subject=str(entry.get("subjectId", "")),
        body=body,
        extra=extra,
    )


def _numbers(entry: Mapping[str, Any], key: str, shape: tuple[int, ...]) -> np.ndarray:
    numbers = np.asarray(entry[key], np.float64)
    if numbers.shape != shape:
        raise ValueError(f"{key} is {numbers.shape}, expected {shape}")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{key} has numbers that are not finite")
    return numbers


def _slashes(name: str) -> str:
    return name.replace("\\", "/")


def write(
    samples: Iterable[Sample],
    path: str | Path,
    *,
    header: EftHeader | None = None,
    base_names: bool = False,
) -> int:
    """Write samples with a body and a weak camera as EFT's JSON; how many there were.

    `base_names` drops the folders of `Sample.image`, as in the released files. ValueError, in one
    line, for a sample that the format cannot hold; nothing is written then.
    """
    header = header or EftHeader()
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        file.write(f'{{"ver": {json.dumps(header.ver)}, "data": [')
        for sample in samples:
            file.write(", " if count else "")
            file.write(json.dumps(_entry(sample, base_names), allow_nan=False))
            count += 1
        file.write(f'], "meta": {json.dumps(dict(header.meta))}}}')
    return count


def _entry(sample: Sample, base_names: bool) -> dict[str, Any]:
    body = sample.body
    if body is None or body.weak_camera is None:
        lacks = "body" if body is None else "weak camera"
        raise ValueError(f"{sample.image} has no {lacks}, an EFT JSON holds one of every person")
    if body.betas.shape != (10,):
        raise ValueError(f"{sample.image} has {body.betas.shape} betas, an EFT JSON holds (10,)")
    validity = sample.extra.get(_VALIDITY, sample.keypoints_2d[_OPENPOSE_18_ROWS, 2])
    parts = (body.pose, body.betas, body.weak_camera, sample.keypoints_2d, sample.box_centre)
    if not all(np.isfinite(part).all() for part in (*parts, sample.box_scale)):
        raise ValueError(f"{sample.image} has numbers that are not finite")
    entry: dict[str, Any] = {
        "parm_pose": body.pose.tolist(),
        "parm_shape": body.betas.tolist(),
        "parm_cam": body.weak_camera.tolist(),
        "bbox_scale": float(sample.box_scale),
        "bbox_center": sample.box_centre.tolist(),
        "gt_keypoint_2d": sample.keypoints_2d.tolist(),
        _VALIDITY: validity.tolist(),
        "smpltype": "smpl",
    }
    if sample.annotation_id is not None:
        entry["annotId"] = sample.annotation_id
    entry["imageName"] = sample.image.rsplit("/", 1)[-1] if base_names else sample.image
    if sample.subject:
        entry["subjectId"] = sample.subject
    return entry


def image_keypoints(sample: Sample, body: Body) -> Float[np.ndarray, "49 2"]:
    """Where the sample's body has its 49 joints, image px.

    The weak camera projects into the box, and the box lies at its centre, to the fraction of a
    pixel; the published route cuts the box's corners to whole pixels first. ValueError without a
    body or a weak camera.
    """
    if sample.body is None or sample.body.weak_camera is None:
        raise ValueError(f"{sample.image}: no body with a weak camera to project")
    pose = torch.from_numpy(sample.body.pose).to(body.v_template)
    betas = torch.from_numpy(sample.body.betas).to(body.v_template)
    camera = torch.from_numpy(sample.body.weak_camera).to(body.v_template)
    with torch.no_grad():
        points = body.keypoints(BodyParams(pose[0], pose[1:], betas))
        crop = project_weak(points, camera).double().numpy()
    return sample.box_centre + crop * (sample.box_size / 2)


def _stream(path: Path) -> Iterator[tuple[str, Any]]:
    """(key, value) of a JSON object in its file's order; each item of the list `data` by itself.

    Values are parsed as the text arrives: only one entry is in memory at a time.
    """
    with path.open(encoding="utf-8-sig") as file:
        text = _Text(path, file)
        text.expect("{")
        if text.peek() == "}":
            return
        while True:
            key = text.value()
            text.expect(":")
            if key == "data" and text.peek() == "[":
                yield from ((key, item) for item in text.items())
            else:
                yield key, text.value()
            if text.expect(",}") == "}":
                return


class _Text:
    """JSON text that is read as far as its next value needs."""

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path, self.file = path, file
        self.text, self.at = "", 0
        self.decoder = json.JSONDecoder()

    def peek(self) -> str:
        """The next character that is not a space."""
        while True:
            self.at = _SPACES.match(self.text, self.at).end()  # pyright: ignore - it always does
            if self.at < len(self.text):
                return self.text[self.at]
            self._more()

    def expect(self, characters: str) -> str:
        """Step over one of the characters."""
        found = self.peek()
        if found not in characters:
            wanted = " or ".join(characters)
            raise ValueError(f"{self.path} is not JSON: expected {wanted}, got {found!r}")
        self.at += 1
        return found

    def value(self) -> Any:
        """The value that starts here."""
        self.peek()
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except RecursionError:
                raise ValueError(f"{self.path} is not JSON that can be read: too deep") from None
            except json.JSONDecodeError as error:
                if len(self.text) - error.pos > _PEEK:  # broken there, whatever follows
                    raise ValueError(f"{self.path} is not JSON: {error}") from error
                self._more(error)
                continue
            # a number may go on in the next chunk
            if self.text[end : end + 32].strip("0123456789.+-eE") or not self._grow():
                self.at = end
                return value

    def items(self) -> Iterator[Any]:
        """The items of the list that starts here."""
        self.expect("[")
        if self.peek() == "]":
            self.at += 1
            return
        while True:
            yield self.value()
            if self.expect(",]") == "]":
                return

    def _grow(self) -> bool:
        """Read as much again as waits: a value is parsed anew from its start each time."""
        waiting = len(self.text) - self.at
        if waiting > _LONGEST:
            raise ValueError(f"{self.path} has an entry of more than {_LONGEST >> 20} MB")
        try:
            chunk = self.file.read(max(waiting, _CHUNK))
        except (UnicodeDecodeError, OSError) as error:
            raise ValueError(f"{self.path} is not a JSON text: {error}") from error
        self.text, self.at = self.text[self.at :] + chunk, 0
        return bool(chunk)

    def _more(self, error: json.JSONDecodeError | None = None) -> None:
        if not self._grow():
            reason = f": {error.msg}" if error else ""
            raise ValueError(f"{self.path} is not JSON, or is cut short{reason}")
