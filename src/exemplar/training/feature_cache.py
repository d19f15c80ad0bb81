"""What a regressor's frozen beginning makes of everybody, kept on disk.

With the first parts frozen, a training step on the rest needs their activations alone. They are
computed once for each person in some augmented variants and written in half precision. A cache is
a folder: `header.json` says what it is of, and each `NAME-00000` holds a block of a source's
people (`features-0.npy`, ... and `targets.npy`). A block appears whole or not at all, so a cache
that was stopped goes on where it was, several processes may fill shares of it, and sources may be
added later.
"""

import hashlib
import json
import math
import shutil
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn

from exemplar.bodies import BodyParams
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import read_image
from exemplar.files.npy_files import map_npy, read_npy
from exemplar.files.reading_files import read_json, reading
from exemplar.fitting.weights import Inputs, parts_of
from exemplar.geometry.crops import Box
from exemplar.skeletons import GT_24, SMPL_24, SMPL_49
from exemplar.training.augment import AugmentConfig, frame_of
from exemplar.training.batches import Example, TrainingBatch
from exemplar.training.mixtures import Augmented, Draws, Mixture, rows_of_rank
from exemplar.training.sources import People

VERSION = 1
"""Version of the layout on disk."""

CROPS = 8
"""Crops that go through the network together: their activations stay in a processor's cache."""

_HEADER = "header.json"
_TARGETS = "targets.npy"
_BOX = {"centre": (2,), "size": (), "angle": (), "focal": (), "principal_point": (2,)}


@dataclass(frozen=True)
class CacheConfig:
    """What is kept of each person."""

    parts: int = 1
    """How many parts of the regressor, from the first, are frozen."""
    variants: int = 4
    """Augmented variants of each person."""
    plain_first: bool = True
    """Whether the first variant is the person as they are."""
    seed: int = 0
    """Of the augmentation."""
    block: int = 512
    """People written together; what a kill costs at most."""

    def __post_init__(self) -> None:
        for name in ("parts", "variants", "block"):
            if getattr(self, name) < 1:
                raise ValueError(f"expected {name} of 1 or more, got {getattr(self, name)}")


def prefix_digest(regressor: nn.Module, parts: int) -> str:
    """What tells a frozen beginning from another: its network, weights and statistics."""
    digest = hashlib.sha256(type(regressor).__name__.encode())
    for part in frozen_parts(regressor, parts):
        for name, tensor in part.state_dict().items():
            array = tensor.detach().cpu().contiguous().numpy()
            digest.update(f"{name}{array.shape}{array.dtype}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def frozen_parts(regressor: nn.Module, parts: int) -> list[nn.Module]:
    """The first `parts` of a regressor; ValueError if nothing would be left to train."""
    chain = parts_of(regressor)
    if not 0 < parts < len(chain):
        raise ValueError(
            f"{type(regressor).__name__} has {len(chain)} part(s), "
            f"expected from 1 to {len(chain) - 1} of them frozen, got {parts}"
        )
    return chain[:parts]


class _Prefix(nn.Module):
    """The frozen parts as one module."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, inputs: Any) -> Inputs:
        for part in self.parts:
            inputs = part(inputs)
        return inputs


class _Runner:
    """Runs the frozen parts on blocks of `CROPS` crops, all of one size so that a compiled network
    is compiled once."""

    def __init__(self, regressor: nn.Module, parts: int, *, compiled: bool) -> None:
        assert not regressor.training, "put the regressor in eval mode before caching"
        self._plain = _Prefix(frozen_parts(regressor, parts)).eval()
        self._device = next((p.device for p in self._plain.parameters()), torch.device("cpu"))
        self._run: Callable[[Tensor], Inputs] = (
            _compiled(self._plain, self._device) if compiled else self._plain
        )

    def __call__(self, crops: Sequence[np.ndarray]) -> list[np.ndarray]:
        """float16 activations of up to `CROPS` crops, an array for each tensor between parts."""
        image = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2) / 255
        image = torch.cat((image, image[:1].expand(CROPS - len(crops), -1, -1, -1)))
        with torch.inference_mode():
            out = self._run(image.to(self._device).contiguous())
        tensors = (out,) if isinstance(out, Tensor) else out
        halves = [tensor[: len(crops)].half().cpu() for tensor in tensors]
        if not all(torch.isfinite(half).all() for half in halves):
            largest = max(float(tensor.abs().max()) for tensor in tensors if tensor.numel())
            raise ValueError(f"activations of up to {largest:.2g} do not fit half precision")
        return [half.numpy() for half in halves]


def _compiled(module: nn.Module, device: torch.device) -> Callable[[Tensor], Inputs]:
    """The module compiled at its first call, or as it is where that cannot be done."""
    chosen: list[Callable[[Tensor], Inputs]] = []

    def run(image: Tensor) -> Inputs:
        if not chosen:
            fast = torch.compile(module)
            try:
                first = fast(image)
            except Exception:  # no compiler, an operation it does not know: any of its many errors
                chosen.append(module)
            else:
                chosen.append(fast)
                return first
        return chosen[0](image)

    return run


def fill_cache(
    folder: str | Path,
    regressor: nn.Module,
    people: Sequence[People],
    augmentation: AugmentConfig,
    config: CacheConfig | None = None,
    *,
    shard: tuple[int, int] = (0, 1),
    compiled: bool = False,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Compute what a cache lacks; how many people were done now.

    Args:
        folder: of the cache; what is there is kept.
        regressor: in eval mode, on the device that is to compute.
        people: the sources. Others that the cache has stay.
        augmentation: of all variants, or all but the first.
        config: what is kept.
        shard: (i, n): only the i-th of n shares of the blocks, for processes side by side.
        compiled: whether the network is compiled, where that can be done.
        report: hears of people done and people in all.

    A person whose image cannot be used is noted as such and never drawn. ValueError, in one line,
    if the cache in `folder` is of something else; OSError if it cannot be written.
    """
    folder, config = Path(folder), config or CacheConfig()
    header = header_of(regressor, people, augmentation, config)
    runner = _Runner(regressor, config.parts, compiled=compiled)
    _open_header(folder, header)
    makes = [Augmented(frame_of(regressor), augmentation)] * config.variants
    if config.plain_first:
        makes[0] = Augmented(frame_of(regressor), AugmentConfig.none())
    blocks = [(source, i) for source in people for i in range(_blocks(len(source), config))]
    blocks = blocks[shard[0] :: shard[1]]
    total = sum(len(_rows(source, block, config)) for source, block in blocks)
    done = made = 0
    for source, block in blocks:
        rows, path = _rows(source, block, config), _block_path(folder, source.name, block)
        if not path.is_dir():
            writer = _Block(runner, config, len(rows))
            for row, person in enumerate(rows):
                writer.add(row, _variants(source, person, makes, config))
                report(done + row, total)
            writer.save(path)
            made += len(rows)
        done += len(rows)
        report(done, total)
    return made


def header_of(
    regressor: nn.Module,
    people: Sequence[People],
    augmentation: AugmentConfig,
    config: CacheConfig,
) -> dict[str, Any]:
    """What a cache is of, as JSON."""
    return {
        "version": VERSION,
        "regressor": type(regressor).__name__,
        "weights": prefix_digest(regressor, config.parts),
        "config": asdict(config),
        "frame": asdict(frame_of(regressor)),
        "augmentation": asdict(augmentation),
        "sources": {p.name: {"people": len(p), "digest": p.digest()} for p in people},
    }


def read_header(folder: str | Path) -> dict[str, Any]:
    """What the cache in `folder` is of. FileNotFoundError or ValueError if there is none."""
    path = Path(folder) / _HEADER
    if not path.is_file():
        raise FileNotFoundError(f"no cache of features in {folder}")
    header = read_json(path)
    if not isinstance(header, dict) or header.get("version") != VERSION:
        raise ValueError(f"{path} is not of a cache of version {VERSION}")
    return header


def _open_header(folder: Path, header: dict[str, Any]) -> None:
    """Begin the cache, or add sources to it; ValueError if it is of something else."""
    if (folder / _HEADER).is_file():
        known = read_header(folder)
        _compare(folder, known, header)
        header = {**header, "sources": {**known["sources"], **header["sources"]}}
        if header == known:
            return
    elif folder.is_dir() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty and has no cache of features")
    with replacing(folder / _HEADER) as temporary:
        temporary.write_text(json.dumps(header, indent=1), encoding="utf-8")


def _compare(folder: Path, known: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """ValueError naming the first thing in which two headers differ, but for further sources."""
    for key, value in _flat(wanted).items():
        other = _flat(known).get(key)
        new = key.startswith("sources.") and key.split(".")[1] not in known["sources"]
        if other != value and not new:
            raise ValueError(
                f"the cache in {folder} is of something else: {key} is {other}, expected {value}"
            )


def _flat(header: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in header.items():
        nested = _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {}
        out |= nested or {f"{prefix}{key}": value}
    return out


def _blocks(people: int, config: CacheConfig) -> int:
    return -(-people // config.block)


def _rows(source: People, block: int, config: CacheConfig) -> range:
    return range(block * config.block, min((block + 1) * config.block, len(source)))


def _block_path(folder: Path, name: str, block: int) -> Path:
    return folder / f"{name}-{block:05}"


def _variants(
    source: People, person: int, makes: Sequence[Augmented], config: CacheConfig
) -> list[Example] | None:
    """A person's variants, or None if their image cannot be used."""
    place = (config.seed, zlib.crc32(source.name.encode()), person)
    try:
        pixels = read_image(source.image(person))
        sample = source.sample(person)
        return [
            make(sample, pixels, np.random.default_rng((*place, variant)))
            for variant, make in enumerate(makes)
        ]
    except (ValueError, OSError):
        return None


class _Block:
    """Rows of a block while it is computed: people in order, their variants side by side."""

    def __init__(self, runner: _Runner, config: CacheConfig, people: int) -> None:
        self._runner, self._variants = runner, config.variants
        self._count = people * config.variants
        self._features: list[np.ndarray] = []
        self._targets: np.ndarray | None = None
        self._waiting: list[tuple[int, np.ndarray]] = []

    def add(self, person: int, variants: Sequence[Example] | None) -> None:
        """A person's rows; they stay as they are, marked as not sound, without variants."""
        for variant, example in enumerate(variants or ()):
            target = _row_of(example)
            if self._targets is None:
                self._targets = np.zeros((self._count, len(target)), np.float32)
            row = person * self._variants + variant
            self._targets[row] = target
            self._waiting.append((row, example.crop))
            if len(self._waiting) == CROPS:
                self._run()

    def _run(self) -> None:
        rows = [row for row, _ in self._waiting]
        found = self._runner([crop for _, crop in self._waiting])
        if not self._features:
            self._features = [np.zeros((self._count, *x.shape[1:]), x.dtype) for x in found]
        for kept, new in zip(self._features, found, strict=True):
            kept[rows] = new
        self._waiting = []

    def save(self, path: Path) -> None:
        """Write the block. OSError, in one line, if that cannot be done."""
        if self._waiting:
            self._run()
        targets = np.zeros((self._count, 0), np.float32) if self._targets is None else self._targets
        partial = path.with_name(f".partial-{path.name}")
        try:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            np.save(partial / _TARGETS, targets)
            for i, features in enumerate(self._features):
                np.save(partial / f"features-{i}.npy", features)
            partial.rename(path)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise OSError(f"cannot write to {path}: {reason}") from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _columns(shapes: int) -> dict[str, tuple[int, ...]]:
    """What a row of targets holds, in order; the first tells whether the row is sound."""
    return {
        "sound": (),
        **_BOX,
        "keypoints_2d": (len(SMPL_49), 3),
        "joints_3d": (len(GT_24), 4),
        "has_joints_3d": (),
        "rotmats": (len(SMPL_24), 3, 3),
        "has_body": (),
        "betas": (shapes,),
    }


def _row_of(example: Example) -> Float32[np.ndarray, " numbers"]:
    """An example's targets as one row."""
    values: dict[str, Any] = {
        **vars(example), **vars(example.box), "sound": 1.0
    }  # fmt: skip
    columns = _columns(len(example.betas))
    parts = [np.asarray(values[name], np.float32).reshape(-1) for name in columns]
    return np.concatenate(parts)


def _batch_of(inputs: Inputs, targets: Float[Tensor, "b numbers"], shapes: int) -> TrainingBatch:
    """Rows of targets with their inputs."""
    columns = _columns(shapes)
    sizes = [math.prod(shape) for shape in columns.values()]
    parts = targets.split(sizes, dim=1)
    found = {
        name: part.reshape(-1, *shape)
        for part, (name, shape) in zip(parts, columns.items(), strict=True)
    }
    return TrainingBatch(
        inputs,
        Box(*(found[name] for name in _BOX)),
        found["keypoints_2d"],
        found["joints_3d"],
        found["has_joints_3d"] > 0,
        BodyParams(found["rotmats"][:, 0], found["rotmats"][:, 1:], found["betas"]),
        found["has_body"] > 0,
    )


class _Source:
    """A source's rows in a cache: features stay on disk, targets are read."""

    def __init__(
        self, folder: Path, name: str, people: int, config: CacheConfig, shapes: int
    ) -> None:
        blocks, here = _blocks(people, config), {each.name for each in folder.iterdir()}
        paths = [_block_path(folder, name, i) for i in range(min(blocks, len(here)))]
        missing = blocks - sum(path.name in here for path in paths)
        if missing:
            raise ValueError(
                f"the cache in {folder} lacks {missing} of {blocks} blocks of {name}: "
                "fill it with the same settings"
            )
        self._rows_in_block = config.block * config.variants
        width = sum(math.prod(shape) for shape in _columns(shapes).values())
        ends = [min((i + 1) * config.block, people) for i in range(len(paths))]
        counts = np.diff([0, *ends]) * config.variants
        try:
            targets = [
                _targets(path, int(count), width) for path, count in zip(paths, counts, strict=True)
            ]
            self._features = [
                _mapped(path, len(block) if block.any() else 0)
                for path, block in zip(paths, targets, strict=True)
            ]
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"the cache in {folder} is damaged: {error}") from error
        self.targets = np.concatenate(targets)
        if not self.targets.any():
            raise ValueError(f"the cache in {folder} has nobody of {name}: no image could be used")
        sound = self.targets[:: config.variants, 0] > 0
        self._stand_in = _next_sound(sound)
        self._variants = config.variants

    def row(self, person: int, variant: int) -> int:
        """The row of a person, or of the next who could be computed."""
        return int(self._stand_in[person]) * self._variants + variant

    def features(self, row: int) -> list[np.ndarray]:
        """The activations of a row."""
        block, inside = divmod(row, self._rows_in_block)
        return [values[inside] for values in self._features[block]]


def _targets(path: Path, rows: int, width: int) -> Float32[np.ndarray, "rows width"]:
    """A block's targets; 0 where the block has nobody, and so no columns."""
    targets = read_npy(path / _TARGETS)
    if targets.shape == (rows, 0):
        return np.zeros((rows, width), np.float32)
    if targets.shape != (rows, width) or not np.isfinite(targets).all():
        raise ValueError(
            f"{path / _TARGETS} is {targets.shape}, expected ({rows}, {width}) finite numbers"
        )
    return targets.astype(np.float32, copy=False)


def _mapped(path: Path, rows: int) -> list[np.ndarray]:
    files = sorted(path.glob("features-*.npy"), key=lambda file: int(file.stem.split("-")[1]))
    features = [map_npy(file) for file in files]
    for file, values in zip(files, features, strict=True):
        if values.ndim < 1 or len(values) < rows:
            raise ValueError(f"{file} is {values.shape}, expected {rows} rows")
    return features


def _next_sound(sound: np.ndarray) -> np.ndarray:
    """For each person the first sound one from there on, the first after the last."""
    known = np.flatnonzero(sound)
    return known[np.searchsorted(known, np.arange(len(sound))) % len(known)]


class CachedData:
    """Batches from a cache, with activations in place of crops."""

    def __init__(
        self,
        folder: str | Path,
        regressor: nn.Module,
        mixture: Mixture,
        batch_size: int,
        *,
        seed: int = 0,
        variants: int | None = None,
    ) -> None:
        """`variants`: only the first so many of each person; all of them unless given.

        ValueError, in one line, if the cache is not of this regressor's frozen parts, is not
        complete, or lacks a data set of the mixture.
        """
        folder = Path(folder)
        self.batch_size = batch_size
        with reading(folder, "a cache of features"):
            header = read_header(folder)
            self.config = CacheConfig(**header["config"])
            digest = prefix_digest(regressor, self.config.parts)
            _compare(folder, header, {"regressor": type(regressor).__name__, "weights": digest})
            missing = [name for name in mixture.names() if name not in header["sources"]]
            if missing:
                known = ", ".join(header["sources"])
                raise ValueError(f"the cache in {folder} has no {', '.join(missing)}, only {known}")
            self.variants = self.config.variants if variants is None else variants
            if not 1 <= self.variants <= self.config.variants:
                raise ValueError(
                    f"the cache in {folder} has {self.config.variants} variants, got {variants}"
                )
            sizes = {name: int(header["sources"][name]["people"]) for name in mixture.names()}
            self._shapes = int(header["frame"]["shapes"])
            self._draws = Draws(mixture, sizes, seed)
            self._sources = [
                _Source(folder, name, people, self.config, self._shapes)
                for name, people in sizes.items()
            ]

    def batch(self, step: int, rank: int = 0, world: int = 1) -> TrainingBatch:
        """The people of a step, rows rank::world; a person's variants come in turn."""
        rows = rows_of_rank(self.batch_size, rank, world)
        drawn = self._draws(step * self.batch_size, self.batch_size)
        variants = (drawn.people + drawn.passes) % self.variants
        places = [
            (self._sources[source], self._sources[source].row(person, variant))
            for source, person, variant in zip(
                drawn.sources[rows].tolist(),
                drawn.people[rows].tolist(),
                variants[rows].tolist(),
                strict=True,
            )
        ]
        features = [source.features(row) for source, row in places]
        inputs = [torch.from_numpy(np.stack(x)).float() for x in zip(*features, strict=True)]
        targets = torch.from_numpy(np.stack([source.targets[row] for source, row in places]))
        whole = inputs[0] if len(inputs) == 1 else tuple(inputs)
        return _batch_of(whole, targets, self._shapes)

    def packed(self, step: int, rank: int = 0, world: int = 1) -> TrainingBatch:
        """`batch`, for `mixtures.prefetched`."""
        return self.batch(step, rank, world)

    def opened(self, packed: TrainingBatch) -> TrainingBatch:
        """The batch itself."""
        return packed
