"""The pose prior: a proper, symmetric density within its own limits; SMPLify's penalty."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exemplar.priors import SmplifyPrior, load_pose_prior
from exemplar.skeletons import SMPL_24, flip_permutation
from tests.golden import eft


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


def gmm_file(folder: Path, content: Any) -> Path:
    path = folder / "gmm_08.pkl"
    path.write_bytes(pickle.dumps(content, protocol=2))
    return path


def test_the_penalty_of_a_gmm_file_is_smplifys(tmp_path: Path) -> None:
    """Float64 sums in another order: 1e-12 is some hundred times what was measured."""
    recorded = eft.reference()
    prior = SmplifyPrior.from_gmm_file(gmm_file(tmp_path, eft.fixture.gmm_prior()))
    found = prior(recorded["prior_in_bodypose"].unflatten(1, (23, 3)))
    assert torch.allclose(found, recorded["prior_pose"], rtol=1e-12)
    assert torch.allclose(prior.means, recorded["gmm_means"], rtol=0, atol=0)
    precisions = prior.factors @ prior.factors.mT
    # condition numbers near 1e3 times rounding
    assert torch.allclose(precisions[:, :5, :5], recorded["gmm_precisions"], rtol=1e-10, atol=1e-10)
    assert torch.allclose((-prior.costs).exp(), recorded["gmm_nll_weights"][0], rtol=1e-10)


def test_the_penalty_of_the_shipped_prior_is_its_likeliest_component_but_for_a_constant() -> None:
    shipped = load_pose_prior()
    poses = shipped.sample(20, generator()).double()
    penalty = SmplifyPrior.from_pose_prior(shipped)(poses)
    constant = penalty + shipped.component_log_prob(poses).max(-1).values
    assert torch.isfinite(penalty).all()
    assert float(constant.std()) < 1e-8 * float(penalty.std())  # float64 with stiff covariances


def test_the_penalty_stays_with_its_exemplar_and_its_gradient_is_right() -> None:
    prior = SmplifyPrior.from_pose_prior(load_pose_prior())
    poses = load_pose_prior().sample(3, generator()).double().requires_grad_()
    assert torch.autograd.gradcheck(prior, (poses,), fast_mode=True)
    assert torch.allclose(prior(poses)[1], prior(poses[1]), rtol=1e-12)
    (slope,) = torch.autograd.grad(prior(poses)[0], poses)
    assert not bool(slope[1:].any())


def test_the_penalty_is_finite_far_from_any_pose_and_in_single_precision() -> None:
    prior = SmplifyPrior.from_pose_prior(load_pose_prior()).to(torch.zeros(1))
    poses = torch.full((2, 23, 3), 10.0).requires_grad_()
    penalty = prior(poses)
    (slope,) = torch.autograd.grad(penalty.sum(), poses)
    assert penalty.dtype == torch.float32
    assert torch.isfinite(penalty).all()
    assert torch.isfinite(slope).all()


def test_a_missing_prior_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no pose prior at .*gmm_08\.pkl comes with"):
        SmplifyPrior.from_gmm_file(tmp_path / "gmm_08.pkl")


GOOD: dict[str, Any] = {
    "means": np.zeros((2, 69)),
    "covars": np.stack([np.eye(69), 2 * np.eye(69)]),
    "weights": np.array([0.5, 0.5]),
}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"means": GOOD["means"]}, "it lacks covars, weights"),
        ([1, 2], "expected a dict"),
        (GOOD | {"covars": np.eye(69)}, "expected shapes"),
        (GOOD | {"means": np.float64(3)}, "expected shapes|expected an array"),
        (GOOD | {"weights": "half"}, "expected an array"),
        (GOOD | {"weights": np.array([np.nan, 0.5])}, "expected finite"),
        (GOOD | {"covars": -GOOD["covars"]}, "positive definite"),
        (GOOD | {"weights": np.array([1.0, 0.0])}, "positive weights"),
        (GOOD | {"means": Path("x")}, "not a pickle of plain arrays"),
    ],
)
def test_a_bad_prior_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmplifyPrior.from_gmm_file(gmm_file(tmp_path, content))
