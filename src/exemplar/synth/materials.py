"""Colours and patterns: a material is a row of numbers that the shading kernel reads."""

import colorsys
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Colour: TypeAlias = tuple[float, float, float]
"""sRGB, 0..1."""

PLAIN, STRIPES, VERTICAL, CHECKS, DOTS, CAMOUFLAGE, TWO_TONE, DIAGONAL, FADE, SPECKLE = range(10)
SKIN, HAIR = 10, 11

PATTERN, FIRST, SECOND, THIRD = 0, 1, 4, 7
PERIOD, DUTY, GRAIN, GRAIN_SIZE, GLOSS, SPLIT = 10, 11, 12, 13, 14, 15
LOGO, BUMP, BUMP_SIZE = 16, 21, 22
ROW_LENGTH = 24


@dataclass(frozen=True)
class Material:
    """How a surface looks."""

    first: Colour
    """Main colour."""
    second: Colour = (0.0, 0.0, 0.0)
    """Second colour of the pattern; lips on skin."""
    third: Colour = (0.0, 0.0, 0.0)
    """Third colour, and the logo's."""
    pattern: int = PLAIN
    """One of this file's pattern codes."""
    period: float = 0.08
    """Size of the pattern's repeat, metres."""
    duty: float = 0.5
    """Share of the repeat that has the second colour."""
    grain: float = 0.1
    """Strength of the random variation of brightness."""
    grain_size: float = 0.02
    """Its size, metres."""
    gloss: float = 0.0
    """Strength of highlights."""
    split: float = 0.0
    """Height of the change between the colours of TWO_TONE, metres."""
    logo: tuple[float, float, float, float, float] = (0.0, 0.0, 0.0, 0.0, 0.0)
    """Shape (0 none, 1 ellipse, 2 rectangle, 3 lines), centre x, y, half width, half height."""
    bump: float = 0.0
    """Strength of small folds."""
    bump_size: float = 0.05
    """Their size, metres."""

    def row(self) -> np.ndarray:
        """float32 (ROW_LENGTH,); colours become linear light."""
        out = np.zeros(ROW_LENGTH, np.float32)
        out[PATTERN] = self.pattern
        for place, colour in ((FIRST, self.first), (SECOND, self.second), (THIRD, self.third)):
            out[place : place + 3] = np.square(colour)
        out[PERIOD], out[DUTY] = self.period, self.duty
        out[GRAIN], out[GRAIN_SIZE] = self.grain, 1 / self.grain_size
        out[GLOSS], out[SPLIT] = self.gloss, self.split
        out[LOGO : LOGO + 5] = self.logo
        out[BUMP], out[BUMP_SIZE] = self.bump, 1 / self.bump_size
        return out


_SKINS: tuple[Colour, ...] = (
    (0.96, 0.82, 0.73), (0.92, 0.75, 0.64), (0.87, 0.67, 0.54), (0.80, 0.60, 0.46),
    (0.72, 0.52, 0.38), (0.60, 0.42, 0.30), (0.48, 0.33, 0.24), (0.36, 0.24, 0.18),
    (0.26, 0.17, 0.13),
)  # fmt: skip
"""From light to dark."""

_HAIRS: tuple[Colour, ...] = (
    (0.07, 0.06, 0.06), (0.12, 0.09, 0.07), (0.22, 0.15, 0.10), (0.33, 0.22, 0.14),
    (0.48, 0.33, 0.19), (0.68, 0.52, 0.32), (0.85, 0.74, 0.53), (0.50, 0.24, 0.13),
    (0.55, 0.54, 0.53), (0.85, 0.84, 0.82),
)  # fmt: skip
_HAIR_SHARES = np.array([0.24, 0.18, 0.14, 0.12, 0.09, 0.07, 0.05, 0.04, 0.04, 0.03])


def draw_skin(rng: np.random.Generator) -> Material:
    """A skin tone between two neighbours of a light-to-dark scale, with its lips."""
    place = rng.random() * (len(_SKINS) - 1)
    low = int(place)
    share = place - low
    tone = np.array(_SKINS[low]) * (1 - share) + np.array(_SKINS[low + 1]) * share
    tone = np.clip(tone * rng.uniform(0.93, 1.05) + rng.normal(0, 0.012, 3), 0.05, 1)
    lips = tone * np.array([0.88, 0.62, 0.62]) * rng.uniform(0.85, 1.05)
    if rng.random() < 0.15:
        lips = tone * 0.4 + 0.6 * np.array([0.70, 0.12, 0.18])
    return Material(
        _colour(tone), second=_colour(lips), third=_colour(tone * (0.9, 0.68, 0.62)),
        pattern=SKIN, grain=0.12, grain_size=0.025, gloss=rng.uniform(0.02, 0.14),
    )  # fmt: skip


def draw_hair(rng: np.random.Generator) -> Material:
    """A hair colour; now and then a dyed one."""
    colour = np.array(_HAIRS[int(rng.choice(len(_HAIRS), p=_HAIR_SHARES))])
    if rng.random() < 0.03:
        colour = np.array(draw_colour(rng))
    colour = np.clip(colour * rng.uniform(0.8, 1.2), 0.03, 1)
    return Material(
        _colour(colour), second=_colour(np.clip(colour * 1.7 + 0.03, 0, 1)), pattern=HAIR,
        period=rng.uniform(0.006, 0.015), grain=0.5, grain_size=0.012,
        gloss=rng.uniform(0.0, 0.25), bump=rng.uniform(0.2, 0.6), bump_size=0.02,
    )  # fmt: skip


def draw_colour(rng: np.random.Generator) -> Colour:
    """A colour as clothes have them: many neutral and dark, some strong."""
    kind = rng.random()
    if kind < 0.16:
        return _colour(np.full(3, rng.uniform(0.02, 0.16)) + rng.normal(0, 0.01, 3))
    if kind < 0.30:
        return _colour(np.full(3, rng.uniform(0.78, 0.97)) + rng.normal(0, 0.02, 3))
    if kind < 0.42:
        return _colour(np.full(3, rng.uniform(0.2, 0.75)) + rng.normal(0, 0.02, 3))
    saturation, value = rng.beta(2.2, 2.0), rng.beta(2.5, 1.8)
    return colorsys.hsv_to_rgb(rng.random(), float(saturation), float(value))


def draw_denim(rng: np.random.Generator) -> Material:
    """Blue jeans, from faded to dark."""
    dark = rng.uniform(0.25, 0.95)
    colour = np.array([0.36, 0.47, 0.63]) * dark + rng.normal(0, 0.015, 3)
    return Material(
        _colour(colour), grain=rng.uniform(0.2, 0.5), grain_size=rng.uniform(0.006, 0.05),
        bump=rng.uniform(0.2, 0.7), bump_size=rng.uniform(0.025, 0.06),
    )  # fmt: skip


_PATTERNS = (PLAIN, STRIPES, VERTICAL, CHECKS, DOTS, CAMOUFLAGE, TWO_TONE, DIAGONAL, FADE, SPECKLE)
_PATTERN_SHARES = np.array([0.54, 0.09, 0.04, 0.08, 0.04, 0.04, 0.06, 0.02, 0.03, 0.06])


def draw_cloth(rng: np.random.Generator, *, chest_y: float, logo: float = 0.25) -> Material:
    """A piece of cloth; `logo` is the probability of a print on the chest at `chest_y`."""
    print_ = (0.0, 0.0, 0.0, 0.0, 0.0)
    if rng.random() < logo:
        print_ = (
            float(rng.integers(1, 4)), rng.normal(0, 0.02), chest_y + rng.normal(-0.03, 0.04),
            rng.uniform(0.03, 0.11), rng.uniform(0.02, 0.11),
        )  # fmt: skip
    return Material(
        draw_colour(rng), draw_colour(rng), draw_colour(rng),
        pattern=int(rng.choice(_PATTERNS, p=_PATTERN_SHARES)),
        period=float(np.exp(rng.uniform(np.log(0.018), np.log(0.14)))),
        duty=rng.uniform(0.15, 0.6), grain=rng.uniform(0.02, 0.3),
        grain_size=float(np.exp(rng.uniform(np.log(0.005), np.log(0.08)))),
        gloss=max(0.0, rng.normal(0.0, 0.08)), split=chest_y + rng.uniform(-0.35, 0.08),
        logo=print_, bump=rng.uniform(0.1, 0.9), bump_size=rng.uniform(0.025, 0.09),
    )  # fmt: skip


def draw_leather(rng: np.random.Generator, split: float) -> Material:
    """A shoe whose sole, below `split`, has another colour."""
    neutral = rng.random() < 0.6
    colour = _colour(np.full(3, rng.choice([0.06, 0.1, 0.2, 0.35, 0.9])) + rng.normal(0, 0.03, 3))
    sole = rng.choice([0.05, 0.2, 0.6, 0.92])
    return Material(
        colour if neutral else draw_colour(rng), _colour(np.full(3, sole)),
        pattern=TWO_TONE, split=split, gloss=rng.uniform(0, 0.4), grain=0.15,
        logo=(0.0, 0.0, 0.0, 0.0, 0.0), bump=0.2, bump_size=0.02,
    )  # fmt: skip


def _colour(values: np.ndarray) -> Colour:
    r, g, b = np.clip(values, 0.01, 0.99)
    return float(r), float(g), float(b)
