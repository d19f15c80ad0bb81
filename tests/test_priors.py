"""The pose prior: a proper, symmetric density within its own limits."""

import numpy as np
import torch

from exemplar.priors import load_pose_prior
from exemplar.skeletons import SMPL_24, flip_permutation


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_samples_are_likelier_than_noise_of_the_same_size() -> None:
    prior = load_pose_prior()
    poses = prior.sample(200, generator())
    noise = torch.randn(poses.shape, generator=generator()) * poses.std()
    assert torch.isfinite(prior.log_prob(poses)).all()
    assert prior.log_prob(poses).median() > prior.log_prob(noise).median() + 100


def test_samples_respect_the_limits_and_repeat() -> None:
    prior = load_pose_prior()
    poses = prior.sample(300, generator())
    flat = poses.flatten(1)
    assert (flat >= prior.lower).all()
    assert (flat <= prior.upper).all()
    assert torch.equal(poses, prior.sample(300, generator()))


def test_a_pose_and_its_mirror_image_are_equally_likely() -> None:
    """The factors are stored in half precision: 3 digits of a log density of some 100."""
    prior = load_pose_prior()
    poses = prior.sample(50, generator())
    mirrored = poses[:, flip_permutation(SMPL_24[1:])] * torch.tensor([1.0, -1.0, -1.0])
    assert torch.allclose(prior.log_prob(poses), prior.log_prob(mirrored), rtol=0.02, atol=2.0)


def test_the_density_is_that_of_its_components() -> None:
    """Against the textbook formula with explicit covariances, in float64."""
    prior = load_pose_prior()
    pose = prior.sample(1, generator())[0].double()
    total = 0.0
    for mean, factor, weight in zip(prior.means, prior.cholesky, prior.weights, strict=True):
        covariance = (factor.double() @ factor.double().T).numpy()
        offset = (pose.flatten() - mean.double()).numpy()
        _, log_det = np.linalg.slogdet(2 * np.pi * covariance)
        squared = offset @ np.linalg.solve(covariance, offset)
        total += float(weight) * np.exp(-0.5 * (squared + log_det))
    assert np.isclose(prior.log_prob(pose).item(), np.log(total), rtol=1e-6)


def test_the_gradient_leads_to_likelier_poses() -> None:
    prior = load_pose_prior()
    pose = (prior.sample(4, generator()) + 0.1).requires_grad_()
    before = prior.log_prob(pose)
    (gradient,) = torch.autograd.grad(before.sum(), pose)
    assert (prior.log_prob(pose + 1e-6 * gradient) > before).all()


def test_the_prior_names_its_source() -> None:
    assert "mocap.cs.cmu.edu" in load_pose_prior().source
    assert torch.isclose(load_pose_prior().weights.sum(), torch.tensor(1.0))
