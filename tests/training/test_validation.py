"""Errors in training: what they are of, who counts, and their means."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.weights import parts_of
from exemplar.geometry.cameras import project_weak
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import H36M_17, LSP_14, indices
from exemplar.training import validation
from exemplar.training.augment import frame_of
from exemplar.training.batches import TrainingBatch
from exemplar.training.exemplar_step import TrainingStep
from exemplar.training.recipes import OURS
from exemplar.training.sources import People, SourceConfig, load_people
from exemplar.training.trainee import Trainee
from exemplar.training.validation import SHOWN, ValidationPeople, errors, evaluated, means
from tests.training.people_files import write_people
from tests.training.toy import ToyNetwork, people

CAMERA = torch.tensor([0.8, 0.1, -0.2])


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def truth_of(batch: TrainingBatch, body: Body) -> tuple[Prediction, TrainingBatch]:
    """The prediction that is the truth, and the batch with keypoints where it projects to."""
    params = batch.body
    prediction = Prediction(
        params.global_orient, params.body_pose, params.betas, CAMERA.expand(len(batch), 3)
    )
    points = project_weak(body.keypoints(params, "smpl49"), prediction.camera)
    known = torch.ones(len(batch), 49, 1)
    return prediction, replace(batch, keypoints_2d=torch.cat((points, known), -1))


def test_the_truth_has_no_error(body: Body) -> None:
    prediction, batch = truth_of(people(4), body)
    found = errors(body, ToyNetwork(), prediction, batch)
    who = batch.has_body
    assert found["pa_mpjpe"][who].abs().max() < 1e-2  # an SVD in float32, of metres, in mm
    assert torch.equal(found["mpjpe"][who], torch.zeros(3))
    assert found["px"].abs().max() < 1e-3  # float32 at 112 px


def test_errors_are_those_that_a_hand_computes(body: Body) -> None:
    truth, batch = truth_of(people(4), body)
    half_turn = torch.diag(torch.tensor([-1.0, 1.0, -1.0]))
    turned = replace(truth, global_orient=half_turn @ truth.global_orient)
    found = errors(body, ToyNetwork(), turned, batch)
    joints = body.keypoints(batch.body, "h36m17")
    joints = (joints - joints[:, :1])[:, indices(LSP_14, H36M_17)]
    # half a turn about y takes a joint across the axis, twice its distance from it
    wanted = 2000 * joints[..., [0, 2]].norm(dim=-1).mean(-1)
    who = batch.has_body
    assert torch.allclose(found["mpjpe"][who], wanted[who], rtol=1e-4)  # float32
    assert found["pa_mpjpe"][who].abs().max() < 1e-2  # as above
    # the camera's shift is in halves of a crop of 224 px
    shifted = replace(truth, camera=truth.camera + torch.tensor([0.0, 0.1, 0.0]))
    found = errors(body, ToyNetwork(), shifted, batch)
    assert torch.allclose(found["px"], torch.full((4,), 0.1 * 112), rtol=1e-4)
    assert torch.equal(found["mpjpe"][who], torch.zeros(3))


def test_who_has_no_body_or_no_keypoints_does_not_count_there(body: Body) -> None:
    prediction, batch = truth_of(people(4), body)
    keypoints = batch.keypoints_2d.clone()
    keypoints[1, :, 2] = 0.0
    keypoints[3, 25:, 2] = 0.0  # only OpenPose's joints, which are not compared
    found = errors(body, ToyNetwork(), prediction, replace(batch, keypoints_2d=keypoints))
    nowhere = {name: values.isnan().tolist() for name, values in found.items()}
    assert nowhere["pa_mpjpe"] == nowhere["mpjpe"] == [False, False, True, False]
    assert nowhere["px"] == [False, True, False, True]


NAN = torch.nan


def numbers(*values: float) -> Tensor:
    return torch.tensor(values)


def test_means_pass_over_the_unknown_and_the_score_is_the_first_numbers() -> None:
    found = {
        0: {"pa_mpjpe": numbers(40.0, NAN, 60.0), "px": numbers(1.0, 2.0, 6.0)},
        7: {"pa_mpjpe": numbers(30.0, NAN, 40.0), "px": numbers(1.0, 2.0, 0.0)},
    }
    assert means(found) == {
        "pa_mpjpe": 50.0, "px": 3.0, "pa_mpjpe_7": 35.0, "px_7": 1.0, "score": 50.0,
    }  # fmt: skip
    later = {7: found[7], 0: found[0]}
    assert means(later)["score"] == 35.0
    without = {0: {"pa_mpjpe": numbers(NAN, NAN), "px": numbers(1.0, 2.0)}}
    assert means(without) == {"px": 1.5, "score": 1.5}
    with pytest.raises(ValueError, match="no error is known"):
        means({0: {"pa_mpjpe": numbers(NAN), "px": numbers(NAN)}})


def test_the_score_of_other_steps_without_bodies_is_their_2d_error() -> None:
    assert means({7: {"pa_mpjpe": numbers(NAN), "px": numbers(2.0)}})["score"] == 2.0


def test_everybodys_errors_do_not_depend_on_how_they_are_blocked(body: Body) -> None:
    step = TrainingStep(Trainee(ToyNetwork()), body, OURS).eval()
    batch = people(5)
    whole = evaluated(step, [batch], (0,))[0]
    parts = evaluated(step, [batch[:2], batch[2:]], (0,))[0]
    for name, values in whole.items():
        # products of other shapes are rounded otherwise
        assert torch.allclose(values, parts[name], rtol=1e-4, atol=1e-3, equal_nan=True), name
    assert len(whole["px"]) == 5


def test_steps_of_a_network_that_was_not_trained_for_them_need_settings(body: Body) -> None:
    step = TrainingStep(Trainee(ToyNetwork()), body, OURS).eval()
    with pytest.raises(ValueError, match="give `inner`"):
        evaluated(step, [people(2)], (0, 1))


def loaded(folder: Path, count: int, **more: np.ndarray) -> People:
    return load_people(SourceConfig("v", write_people(folder, count, bodies=True, **more)))


def test_people_are_kept_as_they_are_each_once_without_the_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validation, "BLOCK", 8)
    source = loaded(tmp_path, 11)
    (tmp_path / "images" / "001.png").write_bytes(b"not a picture")
    network = ToyNetwork()
    kept = ValidationPeople(source, frame_of(network))
    assert [len(batch) for batch in kept] == [8, 2]
    first = next(iter(kept))
    assert isinstance(first.inputs, Tensor)
    # a picture of one colour: the middle of its crop has it
    shades = (first.inputs[:, 0, 4, 4] * 255).round().int().tolist()
    assert shades[:3] == [10, 20, 25]
    assert len(kept.shown) == len(kept.shown_batch) == SHOWN
    assert [len(b) for b in ValidationPeople(source, frame_of(network), limit=4)] == [3]


def test_features_of_frozen_parts_give_the_errors_of_crops(tmp_path: Path, body: Body) -> None:
    source, network = loaded(tmp_path, 4), ToyNetwork().eval()
    frame = frame_of(network)
    crops = ValidationPeople(source, frame)
    features = ValidationPeople(source, frame, frozen=parts_of(network)[:2])
    plain = TrainingStep(Trainee(network), body, OURS).eval()
    cached = TrainingStep(Trainee(network, frozen=2, cached=True), body, OURS).eval()
    found, wanted = (evaluated(s, p, (0,))[0] for s, p in ((cached, features), (plain, crops)))
    for name, values in wanted.items():
        assert torch.allclose(found[name], values, rtol=1e-6), name
    shape = next(iter(features)).inputs
    assert isinstance(shape, Tensor)
    assert shape.ndim == 2


def test_people_who_cannot_validate_are_one_line(tmp_path: Path) -> None:
    frame = frame_of(ToyNetwork())
    source = loaded(tmp_path / "a", 2)
    with pytest.raises(ValueError, match="at least 1 person to validate on, got 0"):
        ValidationPeople(source, frame, limit=0)
    for image in (tmp_path / "a" / "images").iterdir():
        image.write_bytes(b"")
    with pytest.raises(ValueError, match="v: no image of its people can be used"):
        ValidationPeople(source, frame)
    blind = np.zeros((2, 24, 3))
    path = write_people(tmp_path / "b", 2, bodies=True, part=blind)
    only_3d = load_people(SourceConfig("v", path, use_body=False))
    with pytest.raises(ValueError, match="nobody to validate on has a body or annotated joints"):
        ValidationPeople(only_3d, frame)
