"""The exemplar step inside training (dual networks, section 3), for a head on landmarks.

Each person's own weights take a step down the loss that a fit could minimise; the training loss
then corrects what they predict. With an auxiliary head the inner loss is the training loss with the
auxiliary's body in place of the truth; without one it is the training loss's 2D term.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from exemplar.bodies import Body
from exemplar.fitting.low_rank import changed_prediction, own_step
from exemplar.regressors.lifter import LifterHead
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import LIMBS_IN_49
from scripts.lifter.losses import NO_BOX, WEIGHTS, terms_of
from scripts.lifter.people import People

_KNOWN = 0.93
"""How often a limb joint is annotated."""
_CLICKS = 0.012
"""How far annotators are off, in units of the person's extent."""


@dataclass(frozen=True)
class Inner:
    """The step."""

    rate: float
    """Its size."""
    auxiliary: LifterHead | None = None
    """A frozen head, in eval mode, whose body stands for the truth."""


def stepped(
    head: LifterHead, body: Body, people: People, inner: Inner, generator: torch.Generator
) -> Prediction:
    """What each person's own weights predict after one step (first order)."""
    target = annotated(people, generator)
    if inner.auxiliary is not None:
        with torch.no_grad():
            found = inner.auxiliary(people.landmarks, NO_BOX)
        params = {name: getattr(found, name) for name in ("global_orient", "body_pose", "betas")}
        target = replace(target, **params, weight=torch.ones_like(people.weight))

    def loss(prediction: Prediction) -> Tensor:
        terms = terms_of(body, prediction, target)
        used = WEIGHTS if inner.auxiliary is not None else ("points",)
        return torch.stack([WEIGHTS[name] * terms[name] for name in used]).sum(0)

    state = torch.get_rng_state()
    _, _, changes = own_step(lambda: head(people.landmarks, NO_BOX), loss, inner.rate, {})
    # the same neurons drop out on both passes
    torch.set_rng_state(state)
    return changed_prediction(lambda: head(people.landmarks, NO_BOX), changes)


def annotated(people: People, generator: torch.Generator) -> People:
    """The people with 2D points as an annotator would click them: limb joints, some missing."""
    count = len(people)
    clicked = people.points[:, LIMBS_IN_49, :2]
    clicked = clicked + _CLICKS * torch.randn(clicked.shape, generator=generator)
    known = torch.rand(count, len(LIMBS_IN_49), generator=generator) < _KNOWN
    points = torch.zeros_like(people.points)
    points[:, LIMBS_IN_49, :2] = clicked
    points[:, LIMBS_IN_49, 2] = people.points[:, LIMBS_IN_49, 2] * known
    return replace(people, points=points)
