"""Where training people come from: named annotation files, and their people as arrays.

A source is written on the command line as `NAME=PATH[:IMAGES][@RATIO][#USE]`:

- `coco=coco_train.json:train2014` has its images in `train2014`; without IMAGES they are beside
  PATH (in it, if it is a folder), or in a folder `images` there;
- `h36m=h36m.npz@0.4` is drawn with probability 0.4 (`mixtures` says what happens without);
- `coco=train.npz#keypoints` uses the 2D keypoints alone; `#no-body`, `#no-3d` leave one thing out.

Paths with `:`, `@` or `#`, formats that must be named and options of readers go into a `.json`
file given in place of a source: a list of objects with the fields of `SourceConfig`, or
`{"sources": [...], "ratios": {"h36m": 0.4, "lsp+mpii": 0.6}}`. Paths in it are relative to it.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float32, Float64, Int32, Shaped

from exemplar.counting import counted
from exemplar.data.contents import Contents
from exemplar.data.formats import format_named, read_truths, recognise
from exemplar.data.formats.cliff_npz import FOCAL
from exemplar.data.options import parse_options
from exemplar.data.pseudo_gt import IMPORTED, PseudoTruth
from exemplar.files.image_files import image_size, image_within
from exemplar.files.reading_files import one_line, read_json, reading
from exemplar.results import OK
from exemplar.samples import BodyTruth, Gender, Sample

Check = Literal["file", "header"]
"""How images are looked at before training: whether there is a file, or what its header says."""

_USES: Mapping[str, Mapping[str, bool]] = {
    "keypoints": {"use_body": False, "use_3d": False},
    "no-body": {"use_body": False},
    "no-3d": {"use_3d": False},
}
_SPELLING = "NAME=PATH[:IMAGES][@RATIO][#keypoints|#no-body|#no-3d]"
_GENDERS: tuple[Gender, ...] = ("neutral", "male", "female")
_CHUNK = 2048


@dataclass(frozen=True)
class SourceConfig:
    """A data set to train on."""

    name: str
    """What a mixture calls it."""
    annotations: Path
    """File or folder of any format that `exemplar data inspect` knows."""
    images: Path | None = None
    """Folder that its image names are relative to; None looks beside the annotation."""
    ratio: float | None = None
    """Probability that a person is drawn from it; None leaves that to the mixture."""
    format: str | None = None
    """Format of the annotation, where it cannot be told."""
    options: tuple[str, ...] = ()
    """name=value for the format's reader."""
    use_body: bool = True
    """Whether its bodies, annotated or fitted, supervise."""
    use_3d: bool = True
    """Whether its 3D joints supervise."""

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "+=:@# /\\"):
            raise ValueError(f"a data set's name is a word without +=:@#/, got {self.name!r}")
        if self.ratio is not None and not 0 < self.ratio <= 1:
            raise ValueError(f"{self.name}: expected a ratio over 0 and up to 1, got {self.ratio}")

    def image_folder(self, first: str) -> Path:
        """The folder that image names are relative to; `first` is one of them.

        FileNotFoundError if there is no such folder.
        """
        beside = self.annotations if self.annotations.is_dir() else self.annotations.parent
        if self.images is None:
            inside = beside / "images"
            return inside if not (beside / first).exists() and inside.is_dir() else beside
        if not self.images.is_dir():
            there = one_line(self.images)
            raise FileNotFoundError(f"{self.name}: no folder of images at {there}")
        return self.images


def parse_sources(
    texts: Sequence[str],
) -> tuple[tuple[SourceConfig, ...], dict[str, float] | None]:
    """Sources as written (see the module), and the ratios that a `.json` file gives, if any.

    ValueError, in one line, for a text that is not so written, a name that comes twice or ratios
    in two places; FileNotFoundError for a `.json` file that is not there.
    """
    found: list[SourceConfig] = []
    ratios: dict[str, float] | None = None
    for text in texts:
        if "=" not in text and text.lower().endswith(".json"):
            more, given = _read_sources(Path(text))
            if given is not None and ratios is not None:
                raise ValueError(f"{text} gives ratios, and so does the file before it")
            found.extend(more)
            ratios = ratios if given is None else given
        else:
            found.append(parse_source(text))
    twice = [name for name, count in Counter(source.name for source in found).items() if count > 1]
    if twice:
        where = ", ".join(texts)
        raise ValueError(f"data set {twice[0]!r} is given twice in {where}: give each its own name")
    return tuple(found), ratios


def parse_source(text: str) -> SourceConfig:
    """One source from `NAME=PATH[:IMAGES][@RATIO][#USE]`; ValueError says what does not fit."""
    name, equals, rest = text.partition("=")
    if not equals or not rest:
        raise ValueError(f"expected data as {_SPELLING} or a .json file, got {text!r}")
    rest, use = _tail(rest, "#")
    if use is not None and use not in _USES:
        raise ValueError(f"{text!r}: expected {', '.join(_USES)} after #, got {use!r}")
    rest, ratio = _tail(rest, "@")
    annotations, colon, images = rest.partition(":")
    if not annotations or (colon and not images) or ":" in images:
        raise ValueError(f"expected data as {_SPELLING}, got {text!r}")
    try:
        share = None if ratio is None else float(ratio)
    except ValueError:
        raise ValueError(f"{text!r}: expected a number after @, got {ratio!r}") from None
    folder = Path(images) if images else None
    return SourceConfig(name, Path(annotations), folder, share, **_USES.get(use or "", {}))  # pyright: ignore[reportArgumentType]


def _tail(text: str, sign: str) -> tuple[str, str | None]:
    """What is before and after the last `sign`, unless it is within a path."""
    before, found, after = text.rpartition(sign)
    return (before, after) if found and "/" not in after else (text, None)


def _read_sources(path: Path) -> tuple[list[SourceConfig], dict[str, float] | None]:
    if not path.is_file():
        raise FileNotFoundError(f"no file of data sources at {path}")
    content = read_json(path)
    ratios = None
    if isinstance(content, dict):
        unknown = set(content) - {"sources", "ratios"}
        if unknown:
            raise ValueError(f"{path}: expected sources and ratios, got {min(unknown)!r}")
        content, ratios = content.get("sources", []), content.get("ratios")
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise ValueError(f"{path}: expected a list of sources")
    if ratios is not None and not _is_ratios(ratios):
        raise ValueError(f"{path}: expected ratios as name to number, got {str(ratios)[:60]}")
    with reading(path, "a file of data sources"):
        return [_source_of(one, path) for one in content], ratios


def _is_ratios(value: object) -> bool:
    return isinstance(value, dict) and all(_is_a(float, number) for number in value.values())


def _source_of(content: Mapping[str, Any], path: Path) -> SourceConfig:
    kinds = {
        "name": str, "annotations": str, "images": str, "ratio": float, "format": str,
        "options": list, "use_body": bool, "use_3d": bool,
    }  # fmt: skip
    assert list(kinds) == [f.name for f in fields(SourceConfig)]
    for key, value in content.items():
        if key not in kinds:
            raise ValueError(f"{path}: a source has no {key!r}, expected {', '.join(kinds)}")
        if not _is_a(kinds[key], value):
            raise ValueError(f"{path}: expected {kinds[key].__name__} as {key}, got {value!r}")
    missing = [key for key in ("name", "annotations") if key not in content]
    if missing:
        raise ValueError(f"{path}: a source lacks {' and '.join(missing)}")
    given = dict(content)
    for key in ("annotations", "images"):
        if key in given:
            given[key] = path.parent / given[key]
    given["options"] = tuple(str(option) for option in given.get("options", ()))
    return SourceConfig(**given)


def _is_a(kind: type, value: object) -> bool:
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if isinstance(value, str) and not value.isascii():
        return kind is str and value == value.encode(errors="replace").decode()  # half characters
    return isinstance(value, kind)


@dataclass(frozen=True, eq=False)
class Column:
    """Arrays of one shape that some people have."""

    rows: Int32[np.ndarray, " people"]
    """Row of each person in `values`; -1 for those who have none."""
    values: Float32[np.ndarray, "known ..."]
    """The arrays."""

    def __getitem__(self, person: int) -> Shaped[np.ndarray, "..."] | None:
        """One person's array in double precision, as samples have it, or None."""
        row = int(self.rows[person])
        return None if row < 0 else self.values[row].astype(np.float64)


@dataclass(frozen=True, eq=False)
class People:
    """A source's people as arrays: a `Sample` each would take ten times the memory.

    The arrays take 0.7 kB a person, and 1.3 kB more with a body and 3D joints.
    """

    config: SourceConfig
    """Where they come from."""
    images: Path
    """Folder of the images."""
    names: Shaped[np.ndarray, " people"]
    """Image files, UTF-8."""
    boxes: Float64[np.ndarray, "people 3"]
    """Centre (px) and scale, as in `Sample`."""
    keypoints: Float32[np.ndarray, "people 49 3"]
    """x, y px and confidence."""
    joints_3d: Column
    """(24, 4), where they supervise."""
    pose: Column
    """Rotation matrices (24, 3, 3), where bodies supervise."""
    betas: Column
    """Shape coefficients, likewise."""
    genders: Shaped[np.ndarray, " people"]
    """Whose body, as an index."""
    intrinsics: Column
    """Camera matrices (3, 3)."""
    focal: Column
    """Focal lengths (), px, of sets that give no more of the camera."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """How many people of the annotation are not here, by reason."""

    def __len__(self) -> int:
        return len(self.names)

    @property
    def name(self) -> str:
        """What a mixture calls the source."""
        return self.config.name

    def image(self, person: int) -> Path:
        """The file of a person's image; ValueError if it is outside the folder of images."""
        return image_within(self.images, self.names[person].decode())

    def sample(self, person: int) -> Sample:
        """One person, with the supervision that the source gives."""
        pose, betas, focal = self.pose[person], self.betas[person], self.focal[person]
        body = None
        if pose is not None and betas is not None:
            body = BodyTruth(pose, betas, gender=_GENDERS[int(self.genders[person])])
        return Sample(
            image=self.names[person].decode(),
            box_centre=self.boxes[person, :2],
            box_scale=float(self.boxes[person, 2]),
            keypoints_2d=self.keypoints[person].astype(np.float64),
            joints_3d=self.joints_3d[person],
            body=body,
            intrinsics=self.intrinsics[person],
            extra={} if focal is None else {FOCAL: focal},
        )

    def digest(self) -> str:
        """What tells these people from others: all numbers and file names, not where they lie."""
        digest = hashlib.sha256(self.name.encode())
        columns = (self.joints_3d, self.pose, self.betas, self.intrinsics, self.focal)
        arrays = [self.names, self.boxes, self.keypoints, self.genders]
        for array in (*arrays, *(a for c in columns for a in (c.rows, c.values))):
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]

    def summary(self) -> str:
        """One line: how many people, what is known of them, how many were left out and why."""
        known = {"bodies": self.pose, "3D joints": self.joints_3d}
        parts = [counted(len(self))]
        parts += [f"{int((c.rows >= 0).sum()):,} with {what}" for what, c in known.items()]
        if self.left_out:
            why = ", ".join(f"{count:,} {reason}" for reason, count in self.left_out.items())
            parts.append(f"left out: {why}")
        return f"{self.name}: {'; '.join(parts)}"


def load_people(source: SourceConfig, *, check: Check = "file") -> People:
    """The people of a source who can be trained on.

    Left out and counted are records with a problem, people without an image, with a box or with
    numbers that are broken, whose fit was refused (if bodies supervise), or of whom nothing that
    supervises is known. `check`: what is asked of images now (the rest is found out when they are
    read). FileNotFoundError or ValueError, in one line, if there is no such data or nobody is left.
    """
    if not source.annotations.exists():
        raise FileNotFoundError(f"{source.name}: no annotations at {source.annotations}")
    with reading(source.annotations, "an annotation to train on"):
        return _people(source, check)


def _people(source: SourceConfig, check: Check) -> People:
    truths = _truths(source)
    first = next(truths, None)
    if first is None:
        raise ValueError(f"{source.annotations} has nobody to train on, with its reader's rules")
    builder, left_out = _Builder(), Counter[str]()
    look = _Look(source.image_folder(first.sample.image), check)
    for truth in itertools.chain((first,), truths):
        try:
            sample = _checked(_supervised(truth, source), builder.shapes)
            look(sample)
        except _LeftOut as reason:
            left_out[str(reason)] += 1
        else:
            builder.add(sample)
    people = builder.people(source, look.images, dict(left_out))
    if len(people) == 0:
        raise ValueError(f"{source.annotations} has nobody to train on ({people.summary()})")
    return people


def _truths(source: SourceConfig) -> Iterator[PseudoTruth]:
    contents = Contents(source.annotations)
    name = source.format or recognise(contents)
    parsed = parse_options(format_named(name).read, source.options, f"format {name}")
    return read_truths(contents, name, **parsed)


class _LeftOut(Exception):
    """Why a person is not trained on."""


class _Look:
    """Leaves out people whose image is not there; people of one image are often neighbours."""

    def __init__(self, images: Path, check: Check) -> None:
        self.images, self.check = images, check
        self.last: tuple[str, str] = ("", "")
        self.size: tuple[int, int] | None = None

    def __call__(self, sample: Sample) -> None:
        name = sample.image
        if self.last[0] != name:
            self.size = None
            self.last = (name, self._wrong(name))
        if self.last[1]:
            raise _LeftOut(self.last[1])
        if sample.image_size and self.size not in (None, sample.image_size):
            raise _LeftOut("image size")

    def _wrong(self, name: str) -> str:
        try:
            path = image_within(self.images, name)
        except ValueError:
            return "image outside the folder (--allow-outside)"
        try:
            if path.stat().st_size == 0:
                return "unreadable image"
            if self.check == "header":
                self.size = image_size(path)
        except FileNotFoundError:
            return "missing image"
        except (ValueError, OSError):
            return "unreadable image"
        return ""


def _supervised(truth: PseudoTruth, source: SourceConfig) -> Sample:
    """The sample with what supervises."""
    sample = truth.sample
    if sample.problem:
        raise _LeftOut(sample.problem.partition(":")[0])
    refused = truth.status not in (OK, IMPORTED) and truth.decision != "accepted"
    if source.use_body and (refused or truth.decision == "rejected"):
        raise _LeftOut("refused fit")
    sample = replace(
        sample,
        body=sample.body if source.use_body else None,
        joints_3d=sample.joints_3d if source.use_3d else None,
    )
    seen = (sample.keypoints_2d[:, 2] > 0).any()
    if not seen and sample.body is None and sample.joints_3d is None:
        raise _LeftOut("nothing annotated")
    return sample


def _checked(sample: Sample, shapes: int | None) -> Sample:
    """The sample without numbers that are not finite; `shapes`: how many betas there must be."""
    if not (np.isfinite(sample.box_centre).all() and 0 < sample.box_scale < np.inf):
        raise _LeftOut("empty box")
    keypoints, joints = _known(sample.keypoints_2d), sample.joints_3d
    camera = (sample.intrinsics, sample.extra.get(FOCAL))
    if not all(numbers is None or np.isfinite(numbers).all() for numbers in camera):
        raise _LeftOut("broken camera")
    body = sample.body
    if body is not None:
        wrong = shapes is not None and len(body.betas) != shapes
        if wrong or not (np.isfinite(body.pose).all() and np.isfinite(body.betas).all()):
            raise _LeftOut("broken body")
    return replace(
        sample, keypoints_2d=keypoints, joints_3d=None if joints is None else _known(joints)
    )


def _known(points: np.ndarray) -> np.ndarray:
    """The points, 0 where they have no confidence."""
    known = points[:, -1:] != 0
    if not np.isfinite(points[known[:, 0]]).all() or (points[:, -1] < 0).any():
        raise _LeftOut("broken keypoints")
    return np.where(known, points, 0.0)


class _Builder:
    """Columns that grow by chunks."""

    OPTIONAL: Mapping[str, Callable[[Sample], np.ndarray | None]] = {
        "joints_3d": lambda sample: sample.joints_3d,
        "pose": lambda sample: None if sample.body is None else sample.body.pose,
        "betas": lambda sample: None if sample.body is None else sample.body.betas,
        "intrinsics": lambda sample: sample.intrinsics,
        "focal": lambda sample: sample.extra.get(FOCAL),
    }

    def __init__(self) -> None:
        self.shapes: int | None = None
        self._fresh: list[Sample] = []
        self._names: list[np.ndarray] = []
        self._chunks: dict[str, list[np.ndarray]] = {}

    def add(self, sample: Sample) -> None:
        if len(self._fresh) >= _CHUNK:
            self._flush()
        self._fresh.append(sample)
        if sample.body is not None:
            self.shapes = len(sample.body.betas)

    def _flush(self) -> None:
        fresh, self._fresh = self._fresh, []
        if not fresh:
            return
        genders = ["neutral" if sample.body is None else sample.body.gender for sample in fresh]
        columns: dict[str, np.ndarray] = {
            "names": np.array([sample.image.encode() for sample in fresh]),
            "boxes": np.array([(*sample.box_centre, sample.box_scale) for sample in fresh]),
            "keypoints": np.stack([s.keypoints_2d for s in fresh]).astype(np.float32),
            "genders": np.array([_GENDERS.index(gender) for gender in genders], np.int8),
        }
        for name, get in self.OPTIONAL.items():
            values = [get(sample) for sample in fresh]
            columns[f"has_{name}"] = np.array([value is not None for value in values])
            known = [value for value in values if value is not None]
            if known:
                columns[name] = np.stack(known).astype(np.float32)
        for name, array in columns.items():
            self._chunks.setdefault(name, []).append(array)

    def people(self, source: SourceConfig, images: Path, left_out: Mapping[str, int]) -> People:
        """All that was added."""
        self._flush()
        joined: dict[str, np.ndarray] = {}
        for name in list(self._chunks):
            joined[name] = np.concatenate(self._chunks.pop(name))
        empty = {
            "names": np.zeros(0, "S1"),
            "boxes": np.zeros((0, 3)),
            "keypoints": np.zeros((0, 49, 3), np.float32),
            "genders": np.zeros(0, np.int8),
        }
        plain = {name: joined.get(name, array) for name, array in empty.items()}
        optional = {name: _column(name, joined) for name in self.OPTIONAL}
        return People(source, images, **plain, **optional, left_out=left_out)  # pyright: ignore[reportArgumentType]


def _column(name: str, joined: Mapping[str, np.ndarray]) -> Column:
    has = joined.get(f"has_{name}", np.zeros(0, bool))
    rows = np.where(has, np.cumsum(has) - 1, -1).astype(np.int32)
    return Column(rows, joined.get(name, np.zeros((0, 0), np.float32)))
