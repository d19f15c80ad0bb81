"""Betas of bodies that are larger or smaller as a whole."""

import pytest
import torch

from exemplar.bodies import BodyParams, load_open_body
from exemplar.bodies.scaling import scaled_betas


@pytest.mark.parametrize("factor", [0.88, 0.97, 1.05, 1.12])
def test_every_part_of_the_body_grows_alike(factor: float) -> None:
    body, eye = load_open_body(), torch.eye(3)
    betas = torch.linspace(-1, 1, body.num_betas)

    def at_rest(betas: torch.Tensor) -> torch.Tensor:
        vertices = body(BodyParams(eye, eye.expand(23, 3, 3), betas)).vertices
        return vertices - vertices.mean(0)

    wanted = factor * at_rest(betas)
    gaps = (at_rest(scaled_betas(body, betas, factor)) - wanted).norm(dim=1)
    # what the shapes cannot say: half a millimetre for each hundredth, and a little more
    assert float(gaps.mean()) < 0.06 * abs(factor - 1)
    assert float((at_rest(betas) - wanted).norm(dim=1).mean()) > 8 * float(gaps.mean())


def test_the_same_size_is_the_same_shape() -> None:
    body = load_open_body()
    betas = torch.linspace(-1, 1, body.num_betas).expand(2, -1)
    assert torch.equal(scaled_betas(body, betas, 1.0), betas)


def test_a_size_is_positive() -> None:
    with pytest.raises(ValueError, match="expected a positive factor, got 0"):
        scaled_betas(load_open_body(), torch.zeros(10), 0.0)
