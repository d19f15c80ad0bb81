"""Who is trained on when: sources in fixed shares, drawn and loaded as a function of the step.

The papers draw each person from a data set with a fixed probability (EFT, supplement E; after
SPIN), so that a large set does not drown a small one. Here, besides:

- the k-th person drawn from a source is the k-th of an endless row of its permutations: everybody
  is seen once before anybody is seen twice (the released programs take one permutation of the
  largest set modulo each set's length, which passes people over by chance);
- a draw never falls between the shares (in the released programs rounding may leave a gap);
- augmentation is seeded by the person's place in the whole training, so any process can make any
  step's batch, and training goes on after a stop without any state of its loader.
"""

import itertools
import logging
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import cv2
import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from exemplar.files.image_files import read_image
from exemplar.samples import Sample
from exemplar.training.augment import AugmentConfig, Frame, augmented_example
from exemplar.training.batches import Example, TrainingBatch, collate
from exemplar.training.sources import People, SourceConfig

Make = Callable[[Sample, UInt8[np.ndarray, "h w 3"], np.random.Generator], Example]
"""Crops and augments a person; `Augmented` is one."""

TOLERANCE = 1e-6
"""How far from 1 shares may sum: more than the rounding of a few decimals, less than a typo."""

PRESETS: Mapping[str, Mapping[str, float]] = {
    "eft-coco-h36m": {"coco": 0.6, "h36m": 0.4},
    "eft-cocoall-h36m": {"cocoall": 0.6, "h36m": 0.4},
    "eft-coco-panoptic": {"coco": 0.4, "panoptic": 0.6},
    "eft-cocoall-panoptic": {"cocoall": 0.4, "panoptic": 0.6},
    "eft-coco-h36m-panoptic": {"coco": 0.4, "h36m": 0.4, "panoptic": 0.2},
    "eft-cocoall-h36m-panoptic": {"cocoall": 0.4, "h36m": 0.4, "panoptic": 0.2},
    "eft-coco-h36m-inf": {"coco": 0.3, "h36m": 0.5, "inf": 0.2},
    "eft-cocoall-h36m-inf": {"cocoall": 0.3, "h36m": 0.5, "inf": 0.2},
    "eft-cocoall-h36m-inf-3dpw": {"cocoall": 0.3, "h36m": 0.4, "inf": 0.1, "3dpw": 0.2},
    "eft-coco-h36m-released": {"coco": 0.4, "h36m": 0.6},
    "eft-cocoall-h36m-released": {"cocoall": 0.4, "h36m": 0.6},
    "eft-cocoall-h36m-inf-released": {"cocoall": 0.4, "h36m": 0.5, "inf": 0.1},
    "eft-zoo": {
        "cocoall": 0.4,
        "h36m": 0.3,
        "inf": 0.1,
        "posetrack": 0.1,
        "lspet": 0.05,
        "ochuman": 0.05,
    },
    "spin": {"h36m": 0.3, "lsp+mpii+lspet+coco": 0.6, "inf": 0.1},
    "dual": {"h36m": 0.5, "coco+mpii": 0.3, "inf": 0.2},
    "dual-3dpw": {"h36m": 0.4, "coco+mpii": 0.3, "inf": 0.1, "3dpw": 0.2},
}
"""Shares by data set; those joined by + share theirs in proportion to their sizes. eft-*: EFT's
Table 5 with COCO-Part (`coco`) or COCO-All; *-released and eft-zoo: its program and last model
where they differ; spin: its program's; dual, dual-3dpw: the dual networks' two stages."""

_BLOCK = 1 << 16
_TRIES = 20
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Augmented:
    """`augmented_example` for a regressor's frame."""

    frame: Frame
    """What the regressor is shown."""
    config: AugmentConfig
    """How far augmentation goes."""

    def __call__(
        self, sample: Sample, pixels: UInt8[np.ndarray, "h w 3"], rng: np.random.Generator
    ) -> Example:
        """The person as drawn."""
        return augmented_example(sample, pixels, self.frame, self.config, rng)


@dataclass(frozen=True)
class Mixture:
    """Shares of data sets. ValueError unless they are positive and sum to 1."""

    shares: Mapping[str, float]
    """Probability of each data set, by name; names joined by + are drawn as one data set, each in
    proportion to its size."""

    def __post_init__(self) -> None:
        names = self.names()
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the mixture names {twice[0]!r} twice")
        bad = [f"{name} {share:g}" for name, share in self.shares.items() if not share > 0]
        if bad:
            raise ValueError(f"shares must be over 0, got {', '.join(bad)}")
        total = sum(self.shares.values())
        if not abs(total - 1.0) <= TOLERANCE:
            listed = " + ".join(f"{share:g}" for share in self.shares.values()) or "none"
            raise ValueError(f"the mixture's shares must sum to 1, got {listed} = {total:g}")

    def names(self) -> list[str]:
        """Its data sets."""
        return [name for group in self.shares for name in group.split("+")]

    def probabilities(self, sizes: Mapping[str, int]) -> dict[str, float]:
        """Probability of each data set, given how many people each has."""
        out: dict[str, float] = {}
        for group, share in self.shares.items():
            names = group.split("+")
            everybody = sum(sizes[name] for name in names)
            out |= {name: share * sizes[name] / everybody for name in names}
        return out


def mixture_of(
    sources: Sequence[SourceConfig],
    *,
    preset: str | None = None,
    ratios: Mapping[str, float] | None = None,
) -> Mixture:
    """The mixture of some sources: a preset's, or `ratios`, or each source's own ratio, or by size.

    ValueError, in one line, for an unknown preset (with those that there are), data sets that it
    names and nobody gave (which), sources that it does not name, and ratios in two places, in some
    sources only, or that do not sum to 1.
    """
    if not sources:
        raise ValueError("no data to train on: give a data set as --data NAME=PATH")
    own = {source.name: source.ratio for source in sources if source.ratio is not None}
    places = [
        place
        for place, given in (
            (f"preset {preset}", preset is not None),
            ("ratios", ratios is not None),
            ("@RATIO of a source", bool(own)),
        )
        if given
    ]
    if len(places) > 1:
        raise ValueError(f"shares are given twice: by {' and by '.join(places)}")
    if preset is not None:
        if preset not in PRESETS:
            raise ValueError(f"unknown mixture {preset!r}, expected one of {', '.join(PRESETS)}")
        return _complete(Mixture(PRESETS[preset]), sources, f"mixture {preset}")
    if ratios is not None:
        return _complete(Mixture(ratios), sources, "the mixture")
    without = [source.name for source in sources if source.ratio is None]
    if own and without:
        raise ValueError(f"data sets without a ratio, while others have one: {', '.join(without)}")
    return Mixture(own or {"+".join(without): 1.0})


def _complete(mixture: Mixture, sources: Sequence[SourceConfig], what: str) -> Mixture:
    wanted, given = mixture.names(), [source.name for source in sources]
    missing = [name for name in wanted if name not in given]
    unnamed = [name for name in given if name not in wanted]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}: give each as NAME=PATH")
    if unnamed:
        raise ValueError(f"{what} has no {', '.join(unnamed)}, its data: {', '.join(wanted)}")
    return mixture


@dataclass(frozen=True)
class Drawn:
    """Who is drawn, one a row."""

    sources: Int64[np.ndarray, " n"]
    """Which source."""
    people: Int64[np.ndarray, " n"]
    """Which of its people."""
    passes: Int64[np.ndarray, " n"]
    """How often the source had been gone through before."""


class Draws:
    """The endless row of people that training sees: a pure function of the seed and a place."""

    def __init__(self, mixture: Mixture, sizes: Mapping[str, int], seed: int) -> None:
        """`sizes`: how many people each of the mixture's sources has, in the sources' order."""
        shares = mixture.probabilities(sizes)
        self.sizes = list(sizes.values())
        self._edges = np.cumsum([shares[name] for name in sizes])
        self._seed = seed
        self._before = np.zeros((1, len(sizes)), np.int64)
        """Draws from each source before each block of draws."""
        self._block: tuple[int, np.ndarray, np.ndarray] | None = None
        self._orders: dict[int, tuple[int, np.ndarray]] = {}

    def __call__(self, first: int, count: int) -> Drawn:
        """Whom places `first` and on draw."""
        sources, ordinals = self._draws(first, count)
        sizes = np.array(self.sizes)[sources]
        passes = ordinals // sizes
        people = np.empty(count, np.int64)
        for source, turn in sorted(set(zip(sources.tolist(), passes.tolist(), strict=True))):
            rows = (sources == source) & (passes == turn)
            people[rows] = self._order(source, turn)[ordinals[rows] % self.sizes[source]]
        return Drawn(sources, people, passes)

    def _draws(self, first: int, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The sources of some places, and how many draws from them came before."""
        found = []
        for block in range(first // _BLOCK, (first + count - 1) // _BLOCK + 1):
            low = max(first - block * _BLOCK, 0)
            high = min(first + count - block * _BLOCK, _BLOCK)
            _, sources, ordinals = self._filled(block)
            found.append((sources[low:high], ordinals[low:high]))
        return np.concatenate([s for s, _ in found]), np.concatenate([o for _, o in found])

    def _filled(self, block: int) -> tuple[int, np.ndarray, np.ndarray]:
        if self._block is None or self._block[0] != block:
            while len(self._before) <= block:
                counts = np.bincount(
                    self._sources(len(self._before) - 1), minlength=len(self.sizes)
                )
                self._before = np.vstack((self._before, self._before[-1] + counts))
            sources = self._sources(block)
            ordinals = np.empty(_BLOCK, np.int64)
            for source in range(len(self.sizes)):
                rows = sources == source
                ordinals[rows] = self._before[block, source] + np.arange(rows.sum())
            self._block = (block, sources, ordinals)
        return self._block

    def _sources(self, block: int) -> Int64[np.ndarray, " draws"]:
        numbers = np.random.default_rng((self._seed, 0, block)).random(_BLOCK)
        # Rounding may leave the last edge below 1: what is drawn above it is the last source's.
        return np.minimum(np.searchsorted(self._edges, numbers, "right"), len(self.sizes) - 1)

    def _order(self, source: int, turn: int) -> Int64[np.ndarray, " people"]:
        """The order in which a source's people come the `turn`-th time."""
        known = self._orders.get(source)
        if known is None or known[0] != turn:
            rng = np.random.default_rng((self._seed, 1, source, turn))
            known = (turn, rng.permutation(self.sizes[source]))
            self._orders[source] = known
        return known[1]


def rows_of_rank(batch_size: int, rank: int, world: int) -> slice:
    """A process' share of a batch: rows rank::world.

    ValueError for a batch that cannot be shared evenly: the mean over processes of their losses
    would not be the batch's.
    """
    if batch_size < 1 or batch_size % world or not 0 <= rank < world:
        raise ValueError(
            f"a batch of {batch_size} cannot be shared evenly: process {rank} of {world}"
        )
    return slice(rank, None, world)


@dataclass
class TrainingData:
    """Batches of augmented crops from images on disk."""

    people: Sequence[People]
    """The sources."""
    mixture: Mixture
    """Their shares."""
    make: Make
    """What crops and augments a person."""
    batch_size: int
    """People of a step, of all processes together."""
    seed: int = 0
    """Of the draws and of augmentation."""
    makes: Mapping[str, Make] = field(default_factory=dict)
    """What crops and augments the people of some sources instead, by name."""
    troubles: dict[str, str] = field(default_factory=dict)
    """Images that could not be used so far, and why."""

    def __post_init__(self) -> None:
        _complete(self.mixture, [people.config for people in self.people], "the mixture")
        sizes = {people.name: len(people) for people in self.people}
        self._draws = Draws(self.mixture, sizes, self.seed)

    def batch(self, step: int, rank: int = 0, world: int = 1) -> TrainingBatch:
        """The people of a step: rows rank::world of a batch that is the same however it is shared.

        A person whose image cannot be used is replaced by the next of the source, and the image
        noted in `troubles`. ValueError if many neighbours cannot be used.
        """
        return self.opened(self.packed(step, rank, world))

    def packed(self, step: int, rank: int = 0, world: int = 1) -> "Packed":
        """`batch` in the form that goes between processes."""
        rows = rows_of_rank(self.batch_size, rank, world)
        first = step * self.batch_size
        drawn = self._draws(first, self.batch_size)
        places = range(first, first + self.batch_size)[rows]
        troubles: dict[str, str] = {}
        examples = [
            self._example(int(source), int(person), place, troubles)
            for source, person, place in zip(
                drawn.sources[rows], drawn.people[rows], places, strict=True
            )
        ]
        return Packed.of(examples, troubles)

    def opened(self, packed: "Packed") -> TrainingBatch:
        """The batch of `packed`; what it met is noted and logged."""
        for image, why in packed.troubles.items():
            if image not in self.troubles:
                self.troubles[image] = why
                _log.warning("replaced by another person: %s", why)
        return packed.opened()

    def _example(self, source: int, person: int, place: int, troubles: dict[str, str]) -> Example:
        people = self.people[source]
        make = self.makes.get(people.name, self.make)
        why = ""
        for candidate in itertools.islice(neighbours(person, len(people)), _TRIES):
            try:
                path = people.image(candidate)
                rng = np.random.default_rng((self.seed, 2, place))
                return make(people.sample(candidate), read_image(path), rng)
            except (ValueError, OSError) as error:
                why = str(error)
                troubles[f"{people.images}/{people.names[candidate].decode()}"] = why
        raise ValueError(f"{people.name}: {min(_TRIES, len(people))} people in a row failed: {why}")


def neighbours(person: int, count: int) -> Iterator[int]:
    """A person and those after them, each once, the first after the last."""
    return ((person + i) % count for i in range(count))


@dataclass(frozen=True)
class Packed:
    """A batch with its crops in 8 bits, a quarter of the memory."""

    batch: TrainingBatch
    """The batch, with something small in place of its crops."""
    crops: UInt8[Tensor, "b height width 3"]
    """RGB."""
    troubles: Mapping[str, str]
    """Images that could not be used, and why."""

    @classmethod
    def of(cls, examples: Sequence[Example], troubles: Mapping[str, str]) -> "Packed":
        """Examples side by side."""
        nothing = np.zeros((1, 1, 3), np.uint8)
        batch = collate([replace(example, crop=nothing) for example in examples])
        crops = torch.from_numpy(np.stack([example.crop for example in examples]))
        return cls(batch, crops, troubles)

    def opened(self) -> TrainingBatch:
        """The batch, as `collate` makes it."""
        return replace(self.batch, inputs=self.crops.permute(0, 3, 1, 2).float().div_(255))


@runtime_checkable
class Batches(Protocol):
    """Data whose batches can be made in other processes."""

    def packed(self, step: int, rank: int = 0, world: int = 1) -> Any:
        """A step's share in a form that goes between processes."""
        ...

    def opened(self, packed: Any) -> TrainingBatch:
        """The batch of it, in the process that asked."""
        ...


@dataclass(frozen=True)
class _Failure:
    """An error that the user can mend, on its way from a worker: torch would wrap it in its own."""

    error: Exception


class _Steps(Dataset[Any]):
    def __init__(self, data: Batches, start: int, stop: int, rank: int, world: int) -> None:
        self.data, self.start, self.count = data, start, max(0, stop - start)
        self.rank, self.world = rank, world

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        try:
            return self.data.packed(self.start + index, self.rank, self.world)
        except (ValueError, OSError) as error:
            return _Failure(error)


def prefetched(
    data: Batches, start: int, stop: int, rank: int = 0, world: int = 1, workers: int = 0
) -> Iterator[TrainingBatch]:
    """The batches of steps `start` up to `stop` in order, made ahead by `workers` processes.

    Numbers do not depend on `workers`; 0 makes each batch when it is asked for. Errors come where
    their batch would, as they are raised without workers.
    """
    if workers:
        cv2.setNumThreads(1)  # a forked child that has to end OpenCV's threads waits for ever
    loader = DataLoader(
        _Steps(data, start, stop, rank, world),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_one_thread if workers else None,
    )
    for item in loader:
        if isinstance(item, _Failure):
            raise item.error
        yield data.opened(item)


def _as_it_is(item: Any) -> Any:
    return item


def _one_thread(worker: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that trains
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
