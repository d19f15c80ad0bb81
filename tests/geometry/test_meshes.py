"""Meshes."""

import torch

from exemplar.geometry.meshes import vertex_normals


def test_normals_of_a_pyramid_point_outward_and_have_unit_length() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [9, 9, 9]])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    normals = vertex_normals(vertices, faces)
    middle = vertices[:4].mean(0)
    assert ((normals[:4] * (vertices[:4] - middle)).sum(1) > 0).all()
    assert torch.allclose(normals[:4].norm(dim=1), torch.ones(4))
    # at the origin three equal right triangles meet: the diagonal
    assert torch.allclose(normals[0], torch.full((3,), -(3**-0.5)), atol=1e-6)
    assert normals[4].tolist() == [0, 0, 0]
