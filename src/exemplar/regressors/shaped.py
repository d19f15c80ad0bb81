"""A regressor that is told whom it looks at: a person's age, gender or height."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from exemplar.bodies import Body
from exemplar.bodies.shape_prior import ShapePrior
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction

SEEN_IN_PICTURE = 0.25
"""How well a network knows each of its betas from a picture: the inverse variance of what it sees,
in the units of betas, whose own is 1."""

_ATTRIBUTES = ("resolution", "width", "framing", "camera_model")


class ShapedRegressor(nn.Module):
    """A regressor whose betas are what is expected of a person, as far as it sees no other.

    Its own are the mean of what a picture leaves open under betas of a standard normal
    distribution; here they are that under `prior` (the product of the two normal densities), and
    all of the body's. The camera moves so that the joints stay where they were seen.
    """

    def __init__(self, regressor: nn.Module, body: Body, prior: ShapePrior) -> None:
        super().__init__()
        self.regressor = regressor
        self._told = (body, prior)
        self.answer = _Answer(body, prior, getattr(regressor, "camera_model", "weak"))
        for name in _ATTRIBUTES:
            if hasattr(regressor, name):
                setattr(self, name, getattr(regressor, name))
        self.eval()

    def forward(self, image: Float[Tensor, "b 3 height width"], box: Box) -> Prediction:
        """Bodies from RGB crops in 0..1."""
        return self.answer(self.regressor(image, box))

    def parts(self) -> list[nn.Module]:
        """The regressor's own parts, the last with what is expected."""
        if not hasattr(self.regressor, "parts"):
            return [self]
        *first, last = self.regressor.parts()  # pyright: ignore[reportCallIssue]
        return [*first, _Last(last, self.answer)]

    def for_given(self) -> "ShapedRegressor":
        """The same of the regressor's network for people who are given with keypoints."""
        for_given = getattr(self.regressor, "for_given", None)
        return self if for_given is None else ShapedRegressor(for_given(), *self._told)

    def standardised(self, betas: Float[Tensor, "*b shapes"]) -> Float[Tensor, "*b shapes"]:
        """How far betas are from what is expected, as a standard normal distribution has it."""
        return linear(betas - self.answer.mean, self.answer.whitening)


class _Answer(nn.Module):
    """A network's answer in the light of what is expected."""

    mean: Tensor
    whitening: Tensor
    offset: Tensor
    gain: Tensor
    joints: Tensor
    directions: Tensor

    def __init__(self, body: Body, prior: ShapePrior, camera_model: CameraModel) -> None:
        super().__init__()
        self.camera_model: CameraModel = camera_model
        own, every = body.num_betas, len(prior.mean)
        precision = torch.linalg.inv(prior.covariance)
        seen = torch.zeros(every, dtype=precision.dtype)
        seen[:own] = SEEN_IN_PICTURE
        spread = torch.linalg.inv(precision + torch.diag(seen))
        buffers = {
            "mean": prior.mean,
            "whitening": torch.linalg.inv(torch.linalg.cholesky(prior.covariance)),
            "offset": spread @ precision @ prior.mean,
            "gain": (1 + SEEN_IN_PICTURE) * spread[:, :own],
            "joints": body.joints_template.flatten(),
            "directions": body.all_joints_shapedirs.flatten(0, 1),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.to(body.v_template), persistent=False)

    def forward(self, found: Prediction) -> Prediction:
        betas = self.offset + linear(found.betas, self.gain)
        before = linear(found.betas, self.directions[:, : found.betas.shape[-1]], self.joints)
        after = linear(betas, self.directions, self.joints)
        larger = (before * after).sum(-1, keepdim=True) / after.square().sum(-1, keepdim=True)
        scale, shift = found.camera[..., :1] * larger, found.camera[..., 1:]
        if self.camera_model != "weak":  # metres
            shift = shift / larger
        return Prediction(
            found.global_orient, found.body_pose, betas, torch.cat((scale, shift), dim=-1)
        )


class _Last(nn.Module):
    """The last part of a regressor, and what is expected, under their names in the whole."""

    def __init__(self, last: nn.Module, answer: _Answer) -> None:
        super().__init__()
        self.regressor, self.answer = last, answer

    def forward(self, inputs, box: Box) -> Prediction:
        return self.answer(self.regressor(inputs, box))


def standardised_by(regressor: nn.Module) -> Callable[[Tensor], Tensor]:
    """Betas as a standard normal distribution has them: about what is expected of a person, or, of
    any other regressor, as they are."""
    if isinstance(regressor, ShapedRegressor):
        return regressor.standardised
    return as_they_are


def as_they_are(betas: Tensor) -> Tensor:
    """The betas."""
    return betas
