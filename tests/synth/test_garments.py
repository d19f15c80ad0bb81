"""Clothes lie outside the body, end where they should, and do not hide each other's edges."""

import numpy as np
import pytest
import torch

from exemplar.bodies.open_body import load_open_body
from exemplar.synth.garments import draw_outfit
from exemplar.synth.regions import Regions, body_regions
from exemplar.synth.subjects import pose_body
from exemplar.synth.surfaces import dress, layer_cuts, noise_volume

BODY = load_open_body()


@pytest.fixture(scope="module")
def regions() -> Regions:
    return body_regions(BODY)


def test_regions_follow_the_anatomy(regions: Regions) -> None:
    marks = regions.marks
    assert marks.sole_y < marks.ankle_y < marks.knee_y < marks.hip_y < marks.waist_y
    assert marks.waist_y < marks.chest_y < marks.neck_y < marks.eye[1] < marks.top_y
    assert marks.shoulder_x < marks.elbow_x < marks.wrist_x
    assert (regions.arm + regions.leg + regions.head <= 1.0001).all()
    assert regions.neighbour_start[-1] == len(regions.neighbours)


def test_no_garment_reaches_the_face(regions: Regions) -> None:
    face = (regions.rest[:, 2] > regions.marks.eye[2] - 0.02) & (regions.head > 0.9)
    face &= np.abs(regions.rest[:, 1] - regions.marks.nose[1]) < 0.03
    assert face.sum() > 20
    for seed in range(40):
        outfit = draw_outfit(np.random.default_rng(seed), regions)
        for shell in outfit.shells:
            assert (shell.cover[face] < 0).all()


def test_cloth_stays_outside_the_skin(regions: Regions) -> None:
    eye = np.eye(3)
    posed = pose_body(BODY, eye, np.zeros((23, 3)), np.zeros(10), np.zeros(3))
    for seed in range(6):
        outfit = draw_outfit(np.random.default_rng(seed), regions)
        mesh = dress(posed, outfit, regions, noise_volume())
        count = len(posed.vertices)
        for layer, shell in enumerate(outfit.shells, start=1):
            points = mesh.vertices[layer * count : (layer + 1) * count]
            out = ((points - posed.vertices) * mesh.normals[:count]).sum(1)
            inside = shell.cover > 0
            assert out[inside].min() > 0.002
        assert np.isfinite(mesh.vertices).all()
        assert mesh.faces.max() < len(mesh.vertices)
        assert mesh.material.max() < len(mesh.materials)


def test_what_lies_under_a_garment_is_cut_away(regions: Regions) -> None:
    outfit = draw_outfit(np.random.default_rng(1), regions)
    cuts = layer_cuts(outfit, len(regions.rest))
    outer = [shell.cover for shell in outfit.shells]
    deep = np.max(outer, axis=0) > 0.05
    assert deep.any()
    assert (cuts[0][deep] < 0).all()


def test_the_posed_pieces_move_with_the_body(regions: Regions) -> None:
    """A body turned as a whole carries its skirt, hair and hat along: rigid to 1e-5 m."""
    from exemplar.synth.poses import turn

    still = pose_body(BODY, np.eye(3), np.zeros((23, 3)), np.zeros(10), np.zeros(3))
    rotation, shift = turn("y", 1.0), np.array([0.3, 0.1, 2.0])
    moved = pose_body(BODY, rotation, np.zeros((23, 3)), np.zeros(10), shift)
    outfit = next(
        outfit
        for outfit in (draw_outfit(np.random.default_rng(s), regions) for s in range(50))
        if outfit.pieces
    )
    volume = noise_volume()
    a, b = (dress(posed, outfit, regions, volume).vertices for posed in (still, moved))
    root = BODY.joints_template[0].numpy()
    expected = (a - root) @ rotation.T + root + shift
    assert np.abs(expected - b).max() < 1e-5


def test_the_posed_body_is_the_body_layer_s(regions: Regions) -> None:
    from exemplar.bodies.body import BodyParams
    from exemplar.synth.poses import axis_angle_to_rotmat, turn

    rng = np.random.default_rng(0)
    orient, pose, betas = turn("x", 2.5), rng.normal(0, 0.4, (23, 3)), rng.normal(0, 1, 10)
    params = BodyParams(
        torch.from_numpy(orient).float(),
        torch.from_numpy(axis_angle_to_rotmat(pose)).float(),
        torch.from_numpy(betas).float(),
    )
    posed = pose_body(BODY, orient, pose, betas, np.zeros(3))
    out = BODY(params)
    assert np.abs(posed.vertices - out.vertices.numpy()).max() < 1e-5
    assert np.abs(posed.joints - out.joints.numpy()).max() < 1e-5
