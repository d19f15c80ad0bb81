"""Shapes of a body that is larger or smaller as a whole."""

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies.body import Body

TURN_TO_SIZE = 0.1
"""Price of a squared beta against a squared metre summed over the mesh: a shape that is scaled to
the last millimetre would have betas that nobody has."""


def scaled_betas(
    body: Body, betas: Float[Tensor, "*batch shapes"], factor: float
) -> Float[Tensor, "*batch shapes"]:
    """Betas of the bodies that are `factor` times as large in every direction.

    Least squares over the vertices at rest, wherever the larger body stands: with the open body a
    tenth more is met to 5 mm on average. The factor must be positive.
    """
    if not factor > 0:
        raise ValueError(f"expected a positive factor, got {factor}")
    count = betas.shape[-1]
    shapes = body.all_shapedirs[..., :count].double()
    moved = (shapes - shapes.mean(0)).flatten(0, 1)
    template = (body.v_template - body.v_template.mean(0)).double().flatten()
    eye = torch.eye(count, dtype=moved.dtype, device=moved.device)
    grow = torch.linalg.solve(
        moved.T @ moved + TURN_TO_SIZE * eye,
        moved.T @ torch.cat((template[:, None], moved), dim=1),
    )
    change = (factor - 1.0) * (grow[:, 0] + betas.double() @ grow[:, 1:].T)
    return betas + change.to(betas.dtype)
