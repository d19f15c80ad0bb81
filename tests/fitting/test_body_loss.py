"""The loss of a body against a known one: its terms, who they count for, what is refused."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.body_loss import (
    BodyLossConfig,
    BodyTarget,
    body_terms,
    posed_vertices,
    pseudo_target,
    valid_shares,
)
from exemplar.fitting.projections import weak_projection
from exemplar.regressors.prediction import Prediction
from tests.fitting.toy import people

EVERYTHING = replace(BodyLossConfig.released(), vertex_stride=100)


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body().double()


def target_of(body: Body, truth: Prediction) -> BodyTarget:
    """A prediction as its own target, keypoints and all."""
    with torch.no_grad():
        points = body.keypoints(truth.body_params())
        rows = torch.arange(len(truth.camera))
        seen = weak_projection(points, truth.camera, rows)
        weights = body.available("smpl49").expand(len(rows), -1).clone()
        return pseudo_target(body, truth.body_params(), seen, weights, EVERYTHING)


def terms_of(
    body: Body, prediction: Prediction, target: BodyTarget, config: BodyLossConfig
) -> dict[str, Tensor]:
    rows = torch.arange(len(prediction.camera))
    return body_terms(body, prediction, target, config, weak_projection, rows)[0]


def test_the_truth_has_no_loss_but_the_cameras_prior(body: Body) -> None:
    truth = people(3)
    terms = terms_of(body, truth, target_of(body, truth), EVERYTHING)
    assert set(terms) == {"keypoints_2d", "joints_3d", "vertices", "pose", "betas", "camera"}
    for name, value in terms.items():
        if name != "camera":
            assert float(value.abs().max()) < 1e-20, name
    assert torch.allclose(terms["camera"], 60 * torch.exp(-20 * truth.camera[:, 0]))


def test_weights_and_scale_multiply_and_a_weight_of_zero_leaves_a_term_out(body: Body) -> None:
    target = target_of(body, people(3))
    other = people(3, spread=0.4)
    one = terms_of(body, other, target, replace(EVERYTHING, scale=1.0))
    for name, weight in (("keypoints_2d", 5.0), ("joints_3d", 5.0), ("vertices", 0.5)):
        double = replace(EVERYTHING, scale=2.0, **{name: 3 * weight})
        torch.testing.assert_close(terms_of(body, other, target, double)[name], 6 * one[name])
    assert set(terms_of(body, other, target, BodyLossConfig.spin())) == set(one) - {"vertices"}
    flat = terms_of(body, other, target, EVERYTHING.only_2d())
    assert set(flat) == {"keypoints_2d", "camera"}


def test_a_moved_body_has_the_distance_that_it_was_moved_by(body: Body) -> None:
    """A shape of one deviation more: the vertices' mean distance, by hand."""
    truth = people(2)
    changed = replace(truth, betas=truth.betas + 1.0)
    target = target_of(body, truth)
    gap = (
        body(changed.body_params()).vertices[:, ::100]
        - body(truth.body_params()).vertices[:, ::100]
    )
    config = BodyLossConfig(vertices=2.0, vertex_norm="l1", vertex_stride=100)
    found = terms_of(body, changed, target, config)["vertices"]
    torch.testing.assert_close(found, 2 * gap.abs().mean((1, 2)))
    found = terms_of(body, changed, target, replace(config, vertex_norm="l2"))["vertices"]
    torch.testing.assert_close(found, 2 * gap.square().mean((1, 2)))


def test_every_nth_vertex_is_a_vertex(body: Body) -> None:
    params = people(2).body_params()
    assert torch.equal(body(params, stride=7).vertices, body(params).vertices[:, ::7])
    assert posed_vertices(body, params, BodyLossConfig.spin()) is None


def test_what_is_unknown_counts_for_nobody_and_dilutes_nothing(body: Body) -> None:
    target = target_of(body, people(4))
    target = replace(
        target,
        has_body=torch.tensor([True, True, False, False]),
        has_joints=torch.tensor([True, True, True, False]),
    )
    other = people(4, spread=0.4)
    other = replace(other, betas=other.betas + 1.0)
    terms = terms_of(body, other, target, EVERYTHING)
    for name in ("vertices", "pose", "betas"):
        assert (terms[name] > 0).tolist() == [True, True, False, False]
    assert (terms["joints_3d"] > 0).tolist() == [True, True, True, False]
    whole = valid_shares(target, 1)
    mean = (whole["pose"] * terms["pose"]).mean()
    torch.testing.assert_close(mean, terms["pose"][:2].mean())
    pairs = valid_shares(target, 2)
    assert pairs["pose"].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert pairs["joints_3d"].tolist() == [1.0, 1.0, 2.0, 2.0]


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        BodyLossConfig(pose=-1.0)
    with pytest.raises(ValueError, match="vertex_stride"):
        BodyLossConfig(vertex_stride=0)
