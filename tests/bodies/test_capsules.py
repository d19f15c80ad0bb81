"""Capsules tell whether bodies run through each other, and how far."""

import numpy as np
import pytest
import torch

from exemplar.bodies import BodyParams, load_open_body
from exemplar.bodies.capsules import CAPSULES, Capsules, capsules_of, depth_between


@pytest.fixture(scope="module")
def standing() -> Capsules:
    body, eye = load_open_body(), torch.eye(3)
    posed = body(BodyParams(eye, eye.expand(23, 3, 3), torch.zeros(body.num_betas)))
    return capsules_of(posed.joints.numpy(), posed.vertices.numpy(), body.skinning_weights.numpy())


def moved(capsules: Capsules, *way: float) -> Capsules:
    return Capsules(capsules.points + np.array(way), capsules.radii)


def test_capsules_are_as_thick_as_limbs(standing: Capsules) -> None:
    radii = dict(zip(CAPSULES, standing.radii.reshape(len(CAPSULES), -1)[:, 0], strict=True))
    assert 0.08 < radii["trunk"] < 0.13
    assert 0.05 < radii["left_thigh"] < 0.09
    assert 0.02 < radii["right_forearm"] < 0.05
    assert radii["left_shin"] == pytest.approx(radii["right_shin"], rel=0.05)


def test_the_depth_is_the_way_by_which_bones_would_have_to_part(standing: Capsules) -> None:
    """Two bodies in one place: trunk in trunk. One behind the other: less by the way between."""
    whole = depth_between(standing, standing)
    assert whole == pytest.approx(2 * standing.radii.max())
    assert depth_between(standing, moved(standing, 0, 0, 0.1)) == pytest.approx(
        whole - 0.1, abs=0.01
    )
    assert depth_between(standing, moved(standing, 0, 0, 0.5)) < 0
    assert depth_between(standing, moved(standing, 2.0, 0, 0)) < 0


def test_a_scaled_body_is_as_much_thicker(standing: Capsules) -> None:
    assert depth_between(standing.scaled(1.5), standing.scaled(1.5)) == pytest.approx(
        1.5 * depth_between(standing, standing)
    )
