"""Kinds of synthetic data sets: what is drawn for each, and in what order."""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from exemplar.synth.config import PoseConfig, SynthConfig, ViewConfig
from exemplar.synth.dataset import SynthBatch, draw_samples
from exemplar.synth.lab import LAB, actor_name, draw_lab_samples

Draw = Callable[[int, int, int], SynthBatch]
"""(count, seed, start) to people `start` to `start + count` of the domain's sequence of the seed.
"""

_SIZE, _ROOM = 320, 1.9
"""Pixels, and side over the person's extent: the tight box, 1.25 times as large and turned by 30
degrees, stays inside most photographs."""


@dataclass(frozen=True)
class Domain:
    """A kind of data set."""

    title: str
    """What it is, in a few words."""
    config: SynthConfig
    """Sizes, and how often there is what."""
    draw: Draw
    """The people."""
    subject: Callable[[int], str] = lambda index: ""
    """Who person `index` is, where people come again."""


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


def _lab(count: int, seed: int, start: int) -> SynthBatch:
    return draw_lab_samples(count, domain_seed("lab", seed), start)


_WILD = SynthConfig(image_size=_SIZE, views=ViewConfig(box_scale=_ROOM))

_CROP = SynthConfig(
    image_size=_SIZE,
    poses=PoseConfig(
        families={"everyday": 0.5, "standing": 0.2, "sitting_chair": 0.2, "arms_overhead": 0.1}
    ),
    views=ViewConfig(
        distance=(0.9, 7.0),
        high_view=0.02,
        box_scale=_ROOM,
        any_angle=0.0,
        truncated=0.0,
        image_border=0.0,
        ends=(0.1, 0.55),
    ),
)

_ODD = SynthConfig(
    image_size=_SIZE,
    poses=PoseConfig(
        families={
            "acrobatic": 0.3,
            "inverted": 0.2,
            "lying": 0.2,
            "kicking": 0.15,
            "all_fours": 0.15,
        }
    ),
    views=ViewConfig(box_scale=_ROOM, turned=False, angle_std=4.0, any_angle=0.0),
)

DOMAINS: Mapping[str, Domain] = dict(
    (
        _separate("wild", "many places, lights, lenses, clothes and poses", _WILD),
        ("lab", Domain("few people, one room, four cameras", LAB, _lab, actor_name)),
        _separate("wild-crop", "as wild, cut off at waist or chest", _CROP),
        _separate("odd", "as wild, but acrobatic, inverted and lying", _ODD),
    )
)
"""All domains by name."""
