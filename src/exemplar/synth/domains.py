"""Kinds of synthetic data sets: what is drawn for each, and in what order."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exemplar.synth.config import SynthConfig, ViewConfig
from exemplar.synth.dataset import SynthBatch, draw_samples

Draw = Callable[[int, int, int], SynthBatch]
"""(count, seed, start) to people `start` to `start + count` of the domain's sequence of the seed.
"""

ROOMY = ViewConfig(box_scale=1.9)
"""Photographs with room around the person: the tight box, 1.25 times as large and turned by 30
degrees, stays inside most of them."""


@dataclass(frozen=True)
class Domain:
    """A kind of data set."""

    title: str
    """What it is, in a few words."""
    config: SynthConfig
    """Sizes, and how often there is what."""
    draw: Draw
    """The people."""


def domain_named(name: str) -> Domain:
    """The domain; ValueError if there is none of that name."""
    if name not in DOMAINS:
        raise ValueError(f"no domain {name!r}, expected one of {', '.join(DOMAINS)}")
    return DOMAINS[name]


def domain_seed(name: str, seed: int) -> int:
    """A seed that no other domain has, nor `draw_samples` with a seed under 2^32."""
    return (zlib.crc32(name.encode()) << 32) + seed


def _separate(name: str, title: str, config: SynthConfig) -> tuple[str, Domain]:
    """A domain whose people have nothing to do with each other."""

    def draw(count: int, seed: int, start: int) -> SynthBatch:
        return draw_samples(count, seed=domain_seed(name, seed), start=start, config=config)

    return name, Domain(title, config, draw)


_WILD = SynthConfig(image_size=320, views=ROOMY)

DOMAINS: Mapping[str, Domain] = dict(
    (_separate("wild", "many places, lights, lenses, clothes and poses", _WILD),)
)
"""All domains by name."""
