"""Estimate the shipped pose prior from a set of poses.

    python scripts/fit_pose_prior.py --poses poses.npz

The file holds `poses`, (N, 24, 3) axis-angle in `skeletons.SMPL_24` order. Only the mixture and
the joint limits are written; the poses themselves are not.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from exemplar.skeletons import SMPL_24, flip_permutation

SOURCE = (
    "Estimated from the CMU Graphics Lab Motion Capture Database, mocap.cs.cmu.edu, created with "
    "funding from NSF EIA-0196217."
)


@dataclass(frozen=True)
class FitConfig:
    """What to fit and where to write it."""

    poses: Path
    """npz with `poses` (N, 24, 3), radians."""
    output: Path = Path("src/exemplar/assets/pose_prior.npz")
    """The asset to write."""
    components: int = 12
    """Gaussians before mirroring; the asset holds twice as many."""
    shrinkage: float = 0.15
    """Weight of the pooled covariance in each component's covariance."""
    floor: float = 0.03
    """Standard deviation added to every coordinate, radians."""
    limit_margin: float = 0.10
    """Radians added to the extreme percentiles to give the joint limits."""
    iterations: int = 60
    """Rounds of expectation maximisation."""
    seed: int = 0
    """Seed of the starting means."""


def mirror(poses: np.ndarray) -> np.ndarray:
    """Poses (N, 23, 3) reflected left to right."""
    names = SMPL_24[1:]
    return poses[:, flip_permutation(names)] * np.array([1.0, -1.0, -1.0])


def nearest_turns(poses: np.ndarray) -> np.ndarray:
    """The same rotations with angles in [0, pi]."""
    angle = np.linalg.norm(poses, axis=-1, keepdims=True)
    wrapped = (angle + np.pi) % (2 * np.pi) - np.pi
    return poses * np.where(angle > 1e-8, wrapped / np.maximum(angle, 1e-8), 1.0)


def log_densities(x: np.ndarray, means: np.ndarray, cholesky: np.ndarray) -> np.ndarray:
    """(N, M) log densities of x (N, D), but for a constant."""
    out = np.empty((len(x), len(means)))
    for m, (mean, factor) in enumerate(zip(means, cholesky, strict=True)):
        scaled = np.linalg.solve(factor, (x - mean).T)
        out[:, m] = -0.5 * (scaled**2).sum(0) - np.log(np.diag(factor)).sum()
    return out


def fit_mixture(
    x: np.ndarray, config: FitConfig
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Means (M, D), Cholesky factors (M, D, D), weights (M,) and mean log likelihood."""
    rng = np.random.default_rng(config.seed)
    size = x.shape[1]
    pooled = np.cov(x.T) / 2 + config.floor**2 * np.eye(size)
    means = _spread_out_means(x, config.components, rng)
    cholesky = np.repeat(np.linalg.cholesky(pooled / 4)[None], config.components, axis=0)
    weights = np.full(config.components, 1 / config.components)
    likelihood = -np.inf
    for _ in range(config.iterations):
        joint = log_densities(x, means, cholesky) + np.log(weights)
        top = joint.max(1, keepdims=True)
        total = top + np.log(np.exp(joint - top).sum(1, keepdims=True))
        share = np.exp(joint - total)
        likelihood = float(total.mean())
        mass = share.sum(0) + 1e-9
        weights = mass / mass.sum()
        means = share.T @ x / mass[:, None]
        for m in range(config.components):
            centred = x - means[m]
            own = (share[:, m, None] * centred).T @ centred / mass[m]
            mixed = (1 - config.shrinkage) * own + config.shrinkage * pooled / 4
            cholesky[m] = np.linalg.cholesky(mixed + config.floor**2 * np.eye(size))
    return means, cholesky, weights, likelihood


def _spread_out_means(x: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """k-means++ starting points."""
    means = [x[rng.integers(len(x))]]
    for _ in range(count - 1):
        squared = np.min([((x - mean) ** 2).sum(1) for mean in means], axis=0)
        means.append(x[rng.choice(len(x), p=squared / squared.sum())])
    return np.array(means)


def main(config: FitConfig) -> None:
    """Fit, make it exactly left-right symmetric, and write the asset."""
    with np.load(config.poses, allow_pickle=False) as file:
        poses = nearest_turns(file["poses"].astype(np.float64)[:, 1:])
    both = np.concatenate([poses, mirror(poses)])
    x = both.reshape(len(both), -1)
    means, cholesky, weights, likelihood = fit_mixture(x, config)

    size = x.shape[1]
    mirrored = mirror(means.reshape(len(means), -1, 3)).reshape(means.shape)
    reflect = mirror(np.eye(size).reshape(size, -1, 3)).reshape(size, size)
    covariances = cholesky @ cholesky.transpose(0, 2, 1)
    other = np.linalg.cholesky(reflect.T @ covariances @ reflect)
    rows, cols = np.tril_indices(size)
    factors = np.concatenate([cholesky, other])[:, rows, cols]
    low, high = np.percentile(x, [0.2, 99.8], axis=0)
    np.savez_compressed(
        config.output,
        means=np.concatenate([means, mirrored]).astype(np.float32),
        cholesky_rows=factors.astype(np.float16),
        weights=(np.concatenate([weights, weights]) / 2).astype(np.float32),
        lower=(low - config.limit_margin).astype(np.float32),
        upper=(high + config.limit_margin).astype(np.float32),
        source=np.array(SOURCE),
    )
    size_kb = config.output.stat().st_size / 1000
    print(f"{len(poses)} poses, mean log likelihood {likelihood:.1f}, {size_kb:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(FitConfig))
