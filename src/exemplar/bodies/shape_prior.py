"""Which shapes to expect of a person whose age, gender or height is known."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies.body import Body

GENDERS = ("male", "female")

OLDEST, SHORTEST, TALLEST = 120.0, 0.4, 2.6
"""Years and metres that a person may be said to have."""

ADULT = 18.0
"""Who nothing but a gender is said of is taken to be at least so old, years."""

_FEWEST = 60
"""People who decide at least, however few of them are like the one asked for."""

_AGE_SPREAD = (0.5, 0.08)
"""How much older or younger people are who count, years, and times the age."""

_HEIGHT_SPREAD = 0.04
"""How much taller or shorter, metres."""

_HEIGHT_ERROR = 0.005
"""Standard deviation of a height that is said, metres."""

_LEAST_SPREAD = 0.05
"""Standard deviation that every combination of betas has at least."""


@dataclass(frozen=True)
class Traits:
    """What is known of a person. ValueError, in one line, for what nobody is."""

    age: float | int | None = None
    """Years."""
    gender: str | None = None
    """"male" or "female"."""
    height: float | int | None = None
    """Metres."""

    def __post_init__(self) -> None:
        if self.age is not None and not 0 <= self.age <= OLDEST:
            raise ValueError(f"age {self.age:g}: expected 0 to {OLDEST:g} years")
        if self.gender not in (None, *GENDERS):
            raise ValueError(f"gender {self.gender!r}: expected male or female")
        if self.height is not None and not SHORTEST <= self.height <= TALLEST:
            raise ValueError(f"height {self.height:g}: expected {SHORTEST:g} to {TALLEST:g} metres")

    @property
    def said(self) -> dict[str, float | int | str]:
        """What is known, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def __bool__(self) -> bool:
        return bool(self.said)


NOTHING_KNOWN = Traits()
"""Of a person of whom nothing is said."""


@dataclass(frozen=True)
class ShapePrior:
    """Betas as they are expected, a normal distribution."""

    mean: Float[Tensor, " b"]
    """The body's all."""
    covariance: Float[Tensor, "b b"]
    """Positive definite."""


def shape_prior(body: Body, traits: Traits) -> ShapePrior:
    """Betas (float64) of people like that, among the population of a body.

    People of about that age and gender count, with a trend over age. A height is a linear function
    of betas: the distribution is conditioned on it. Where only a height is said, people of about
    that height count, whatever their age. ValueError if the body has no population.
    """
    people = body.population
    if people is None:
        raise ValueError(
            f"age, gender and height are for the open body: of {body.name} it is not known how "
            "people of an age look"
        )
    weight = torch.ones(len(people.age), dtype=torch.float64)
    if traits.gender is not None:
        weight *= people.gender.cpu() == GENDERS.index(traits.gender)
    columns = [torch.ones_like(weight)]
    if traits.age is not None:
        away = people.age.cpu().double() - traits.age
        weight = weight * _nearness(away, weight, _AGE_SPREAD[0] + _AGE_SPREAD[1] * traits.age)
        columns.append(away)
    elif traits.height is not None:
        away = people.height.cpu().double() - traits.height
        weight = weight * _nearness(away, weight, _HEIGHT_SPREAD)
    else:
        weight = weight * (people.age.cpu() >= ADULT)
    prior = _weighted(people.betas.cpu().double(), weight, torch.stack(columns, 1))
    return prior if traits.height is None else _of_height(body, prior, traits.height)


def height_at_rest(body: Body, betas: Float[Tensor, "*batch b"]) -> Float[Tensor, "*batch"]:
    """From the soles to the top of the head of bodies at rest, metres."""
    level = body.at_rest(betas)[..., 1]
    return level.amax(-1) - level.amin(-1)


def _nearness(away: Tensor, counted: Tensor, spread: float) -> Tensor:
    """A normal weight of people so far away, wide enough for `_FEWEST` of those who count."""
    nearest = away.abs()[counted > 0].sort().values
    spread = max(spread, float(nearest[min(_FEWEST, len(nearest)) - 1]))
    return (-0.5 * (away / spread).square()).exp()


def _weighted(betas: Tensor, weight: Tensor, design: Tensor) -> ShapePrior:
    """Mean at the design's origin, and spread about the trend, of weighted people."""
    root = (weight / weight.sum()).sqrt()[:, None]
    trend = torch.linalg.lstsq(root * design, root * betas).solution
    left = root * (betas - design @ trend)
    floor = _LEAST_SPREAD**2 * torch.eye(betas.shape[1], dtype=betas.dtype)
    return ShapePrior(trend[0], left.T @ left + floor)


def _of_height(body: Body, prior: ShapePrior, height: float) -> ShapePrior:
    """The prior given the height, which is measured between the ends of the expected body."""
    level = body.v_template[:, 1].cpu().double()
    directions = body.all_shapedirs[:, 1].cpu().double()

    def measured_on(mean: Tensor) -> ShapePrior:
        rest = level + directions @ mean
        top, sole = rest.argmax(), rest.argmin()
        by, first = directions[top] - directions[sole], level[top] - level[sole]
        spread = prior.covariance @ by
        gain = spread / (by @ spread + _HEIGHT_ERROR**2)
        covariance = prior.covariance - torch.outer(gain, spread)
        return ShapePrior(
            prior.mean + gain * (height - first - by @ prior.mean), (covariance + covariance.T) / 2
        )

    return measured_on(measured_on(prior.mean).mean)
