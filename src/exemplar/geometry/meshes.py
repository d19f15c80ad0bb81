"""Triangle meshes."""

import torch
from jaxtyping import Float, Int
from torch import Tensor


def vertex_normals(
    vertices: Float[Tensor, "v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "v 3"]:
    """Unit normals: the sum of the triangles' around a vertex, weighted by their areas.

    Zero for a vertex that belongs to no triangle.
    """
    corners = vertices[faces]
    crossed = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = torch.zeros_like(vertices)
    summed.index_add_(0, faces.flatten(), crossed.repeat_interleave(3, dim=0))
    return torch.nn.functional.normalize(summed, dim=-1)
