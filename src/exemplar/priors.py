"""Gaussian mixtures over body poses: a density to draw from, and SMPLify's penalty."""

import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.prior_files import read_gmm, read_pose_prior


@dataclass(frozen=True)
class PosePrior:
    """A mixture of M full-covariance Gaussians over the axis-angle of the joints but the root."""

    means: Float[Tensor, "m d"]
    """Component means, radians; d = 3 x 23 in the order of `skeletons.SMPL_24`."""
    cholesky: Float[Tensor, "m d d"]
    """Lower triangular factors of the covariances."""
    weights: Float[Tensor, " m"]
    """Mixture weights; they sum to 1."""
    lower: Float[Tensor, " d"]
    """Joint limits: the smallest axis-angle seen, radians."""
    upper: Float[Tensor, " d"]
    """Joint limits: the largest axis-angle seen, radians."""
    source: str
    """Where the poses came from: the credit their owner asks for."""

    def sample(
        self, n: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n joints 3"]:
        """Draw poses: axis-angle in radians, clamped to the joint limits."""
        chosen = torch.multinomial(self.weights, n, replacement=True, generator=generator)
        noise = torch.randn(n, self.means.shape[1], generator=generator).to(self.means)
        draws = self.means[chosen] + (self.cholesky[chosen] @ noise[..., None])[..., 0]
        return self.clamp(draws.unflatten(-1, (-1, 3)))

    def log_prob(
        self, body_pose_axis_angle: Float[Tensor, "*batch joints 3"]
    ) -> Float[Tensor, "*batch"]:
        """Log density of poses given as axis-angle, radians; differentiable."""
        return self.component_log_prob(body_pose_axis_angle).logsumexp(dim=-1)

    def component_log_prob(
        self, body_pose_axis_angle: Float[Tensor, "*batch joints 3"]
    ) -> Float[Tensor, "*batch m"]:
        """Log of weight times density, component by component.

        The largest of them, negated, is SMPLify's pose term (Bogo et al. 2016, Eq. 6) but for a
        constant.
        """
        pose = body_pose_axis_angle.flatten(-2)
        cholesky, means = self.cholesky.to(pose), self.means.to(pose)
        offset = (pose[..., None, :] - means)[..., None]
        scaled = torch.linalg.solve_triangular(cholesky, offset, upper=False)[..., 0]
        log_det = cholesky.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * means.shape[-1] * math.log(2 * math.pi)
        squared = scaled.square().sum(-1)
        return self.weights.to(pose).log() - log_det - constant - 0.5 * squared

    def clamp(
        self, body_pose_axis_angle: Float[Tensor, "*batch joints 3"]
    ) -> Float[Tensor, "*batch joints 3"]:
        """The nearest pose within the joint limits, coordinate by coordinate."""
        lower = self.lower.unflatten(0, (-1, 3)).to(body_pose_axis_angle)
        upper = self.upper.unflatten(0, (-1, 3)).to(body_pose_axis_angle)
        return torch.minimum(torch.maximum(body_pose_axis_angle, lower), upper)


@cache
def load_pose_prior() -> PosePrior:
    """The pose prior that ships with the package."""
    data = read_pose_prior()

    def floats(key: str) -> Tensor:
        return torch.from_numpy(data[key].astype(np.float32))

    size = data["means"].shape[1]
    rows, cols = np.tril_indices(size)
    cholesky = torch.zeros(len(data["means"]), size, size)
    cholesky[:, rows, cols] = floats("cholesky_rows")
    return PosePrior(
        means=floats("means"),
        cholesky=cholesky,
        weights=floats("weights"),
        lower=floats("lower"),
        upper=floats("upper"),
        source=str(data["source"]),
    )


@dataclass(frozen=True)
class SmplifyPrior:
    """SMPLify's pose penalty: the cheapest component of a mixture (Bogo et al. 2016, Eq. 6).

    min_k [0.5 |(x - mean_k) F_k|^2 + cost_k] over poses x as axis-angle.
    """

    means: Float[Tensor, "m d"]
    """Component means, radians; d = 3 x 23 in the order of `skeletons.SMPL_24`."""
    factors: Float[Tensor, "m d d"]
    """F_k: a square root of each precision matrix, F F^T = covariance^-1."""
    costs: Float[Tensor, " m"]
    """What the penalty is at each component's mean."""

    @staticmethod
    def from_mixture(
        means: Float[Tensor, "m d"],
        covariances: Float[Tensor, "m d d"],
        weights: Float[Tensor, " m"],
    ) -> "SmplifyPrior":
        """The penalty of a mixture of Gaussians; ValueError if a covariance is not positive.

        As released with SMPLify, the cost of a component is -log of its weight over (2 pi)^(d/2) s,
        s being the root of its determinant relative to the smallest of the mixture.
        """
        lower, failed = torch.linalg.cholesky_ex(covariances.double())
        if bool(failed.any()) or not bool((weights > 0).all()):
            raise ValueError("expected positive definite covariances and positive weights")
        eye = torch.eye(means.shape[1], dtype=torch.float64, device=means.device)
        inverse = torch.linalg.solve_triangular(lower, eye, upper=False)
        log_roots = lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = 0.5 * means.shape[1] * math.log(2 * math.pi)
        costs = log_roots - log_roots.min() + constant - weights.double().log()
        return SmplifyPrior(means.double(), inverse.mT.contiguous(), costs)

    @staticmethod
    def from_gmm_file(path: str | Path) -> "SmplifyPrior":
        """SMPLify's own prior, from the licensed `gmm_08.pkl`.

        FileNotFoundError or ValueError with one line saying what was wrong.
        """
        data = {key: torch.from_numpy(values) for key, values in read_gmm(path).items()}
        return SmplifyPrior.from_mixture(data["means"], data["covars"], data["weights"])

    @staticmethod
    def from_pose_prior(prior: PosePrior) -> "SmplifyPrior":
        """The same penalty of another mixture, such as the one that ships with the package."""
        cholesky = prior.cholesky.double()
        return SmplifyPrior.from_mixture(prior.means, cholesky @ cholesky.mT, prior.weights)

    def to(self, target: Tensor) -> "SmplifyPrior":
        """The prior with a tensor's device and dtype."""
        return SmplifyPrior(self.means.to(target), self.factors.to(target), self.costs.to(target))

    def __call__(
        self, body_pose_axis_angle: Float[Tensor, "*batch joints 3"]
    ) -> Float[Tensor, "*batch"]:
        """The penalty of poses, radians; differentiable (a tie gives one component's slope)."""
        pose = body_pose_axis_angle.flatten(-2)
        offsets = pose.reshape(-1, pose.shape[-1]) - self.means[:, None]
        squared = (offsets @ self.factors).square().sum(-1)
        cheapest = (0.5 * squared + self.costs[:, None]).min(0).values
        return cheapest.view(pose.shape[:-1])
