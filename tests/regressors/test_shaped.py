"""A regressor that is told whom it looks at."""

import pytest
import torch
from torch import nn

from exemplar.bodies import load_open_body
from exemplar.bodies.shape_prior import Traits, height_at_rest, shape_prior
from exemplar.geometry.cameras import CameraModel, project
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction, run
from exemplar.regressors.shaped import ShapedRegressor, standardised_by

BODY = load_open_body()
BOX = Box(
    torch.zeros(1, 2), torch.full((1,), 200.0), torch.zeros(1), torch.full((1,), 1e6),
    torch.zeros(1, 2),
)  # fmt: skip


class Guess(nn.Module):
    """Answers with a body at rest of some betas, seen from in front."""

    resolution = 224

    def __init__(self, betas: torch.Tensor, camera_model: CameraModel) -> None:
        super().__init__()
        self.betas, self.camera_model = nn.Parameter(betas), camera_model

    def forward(self, image: torch.Tensor, box: Box) -> Prediction:
        eye = torch.eye(3).expand(len(image), 1, 3, 3)
        upright = torch.diag(torch.tensor([1.0, -1.0, -1.0])).expand(len(image), 3, 3)
        camera = torch.tensor([0.8, 0.1, -0.2]).expand(len(image), 3)
        betas = self.betas.expand(len(image), -1)
        return Prediction(upright, eye.expand(-1, 23, 3, 3), betas, camera)

    def parts(self) -> list[nn.Module]:
        return [nn.Identity(), self]


def told(betas: torch.Tensor, camera_model: CameraModel = "weak", **traits: object):
    guess = Guess(betas, camera_model)
    prior = shape_prior(BODY, Traits(**traits))  # type: ignore[arg-type]
    return guess, ShapedRegressor(guess, BODY, prior)


def test_a_height_holds_whatever_the_network_sees() -> None:
    betas = torch.randn(10, generator=torch.Generator().manual_seed(0))
    _, shaped = told(betas, height=1.1)
    found = shaped(torch.zeros(1, 3, 8, 8), BOX)
    assert found.betas.shape == (1, BODY.most_betas)
    assert height_at_rest(BODY, found.betas).item() == pytest.approx(1.1, abs=0.02)


def test_what_the_network_sees_still_counts() -> None:
    betas = torch.zeros(10)
    betas[2] = 1.5
    _, shaped = told(betas, height=1.1)
    _, plain = told(torch.zeros(10), height=1.1)
    image = torch.zeros(1, 3, 8, 8)
    assert 0.3 < float((shaped(image, BOX).betas - plain(image, BOX).betas)[0, 2]) < 2.0


@pytest.mark.parametrize("camera_model", ["weak", "crop_perspective", "full_perspective"])
def test_a_child_is_seen_where_the_network_saw_somebody(camera_model: CameraModel) -> None:
    guess, shaped = told(torch.zeros(10), camera_model, age=5)
    image = torch.zeros(1, 3, 8, 8)

    def seen(found: Prediction) -> torch.Tensor:
        points = BODY.keypoints(found.body_params(), "coco17")
        return project(points, found.camera, BOX, camera_model, 224)[0]

    before, after = seen(guess(image, BOX)), seen(shaped(image, BOX))
    # a child's legs are shorter in the picture, and its head is larger
    assert float((before - after).norm(dim=-1).mean()) < 0.08
    assert float(before.std(0)[1] / after.std(0)[1]) == pytest.approx(1.0, abs=0.08)


def test_parts_make_up_the_whole_under_its_names() -> None:
    _, shaped = told(torch.zeros(10), age=5)
    image = torch.zeros(1, 3, 8, 8)
    whole, joined = shaped(image, BOX), run(shaped.parts(), image, BOX)
    assert torch.equal(whole.betas, joined.betas)
    assert torch.equal(whole.camera, joined.camera)
    (name,) = dict(shaped.named_parameters())
    assert name in dict(shaped.parts()[-1].named_parameters())


def test_betas_count_from_what_is_expected() -> None:
    guess, shaped = told(torch.zeros(10), age=5)
    prior = shape_prior(BODY, Traits(age=5))
    standardised = standardised_by(shaped)
    assert float(standardised(prior.mean.float()).abs().max()) < 1e-4
    draws = torch.distributions.MultivariateNormal(prior.mean, prior.covariance)
    torch.manual_seed(0)
    spread = standardised(draws.sample((4000,)).float()).std(0)
    assert torch.allclose(spread, torch.ones_like(spread), atol=0.06)
    assert torch.equal(standardised_by(guess)(guess.betas), guess.betas)
