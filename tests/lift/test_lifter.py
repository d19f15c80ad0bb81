"""Samples in, results out: where the bodies lie, which recipe made them, why they are rejected."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from exemplar.bodies import BodyParams, load_body
from exemplar.data import looks
from exemplar.data.crops import batch_of
from exemplar.data.formats.eft_json import image_keypoints
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.weights import predict_in_blocks
from exemplar.lift.config import LiftConfig, Recipe
from exemplar.lift.lifter import Lifter, weights_digest
from exemplar.regressors.checkpoints import load_regressor
from exemplar.results import OK, REJECTED
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, OPENPOSE_25
from tests.lift.toy import drawn, sample

QUICK = LiftConfig("mobile", iterations=3)


@cache
def lifter(config: LiftConfig) -> Lifter:
    return Lifter(config, workers=1)


def lift(photographs: Path, config: LiftConfig, *people: Sample) -> list[PseudoTruth]:
    one = lifter(config)
    prepare = one.preparer(photographs)
    made: dict[int, PseudoTruth] = {}
    one.fit([prepare(i, person) for i, person in enumerate(people)], made.__setitem__)
    return [made[i] for i in range(len(people))]


@pytest.mark.parametrize(
    "changes", [{}, {"box_centre": np.array([70.0, 150.0]), "box_scale": 0.4}], ids=["", "moved"]
)
def test_bodies_lie_on_the_image_where_the_fit_left_them(
    photographs: Path, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The weak camera in units of the annotated box gives back the fit's own 2D error."""
    monkeypatch.setattr(looks, "DOUBT_PX", np.inf)
    (made,) = lift(photographs, QUICK, sample(1, **changes))
    points = made.sample.keypoints_2d
    projected = image_keypoints(made.sample, load_body("open"))
    box = lifter(QUICK).preparer(photographs)(0, made.sample).person.box  # type: ignore[union-attr]
    weight = points[:, 2].copy()
    weight[: len(OPENPOSE_25)] = 0
    names = lifter(QUICK).eft.ignored
    for name in names:
        weight[len(OPENPOSE_25) + GT_24.index(name)] = 0
    distance = np.linalg.norm(projected - points[:, :2], axis=1)
    error = (weight * distance).sum() / weight.sum() * 224 / float(box.size)
    # float32 through a rotation and two boxes
    assert error == pytest.approx(made.error_px_after, abs=5e-3)


def test_people_whose_keypoints_are_missed_are_seen_in_other_crops(
    photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With nobody believed at first sight, the crop that agrees best is the one that counts."""
    untouched = LiftConfig("mobile", iterations=0)

    def errors() -> list[float]:
        body = load_body("open")
        found = []
        for made in lift(photographs, untouched, *(sample(i) for i in range(4))):
            points = made.sample.keypoints_2d[len(OPENPOSE_25) :]
            away = image_keypoints(made.sample, body)[len(OPENPOSE_25) :] - points[:, :2]
            found.append(float(np.linalg.norm(away[points[:, 2] > 0], axis=1).mean()))
        return found

    monkeypatch.setattr(looks, "DOUBT_PX", np.inf)
    first = errors()
    monkeypatch.setattr(looks, "DOUBT_PX", 0.0)
    second = errors()
    assert all(again <= once + 1e-3 for once, again in zip(first, second, strict=True))
    assert sum(second) < 0.97 * sum(first)


def test_a_body_knows_its_translation_where_the_camera_is_known(photographs: Path) -> None:
    camera = np.array([[500.0, 0, 128], [0, 500, 128], [0, 0, 1]])
    (made,) = lift(photographs, QUICK, sample(1, intrinsics=camera))
    body = made.sample.body
    assert body is not None
    assert body.translation is not None
    model = load_body("open")
    pose = torch.from_numpy(body.pose).float()
    params = BodyParams(pose[:1].squeeze(0), pose[1:], torch.from_numpy(body.betas).float())
    joints = model.keypoints(params, "smpl49").numpy()
    weak = image_keypoints(made.sample, model)
    defined = model.available("smpl49").numpy() > 0

    def gap(translation: np.ndarray) -> float:
        moved = (joints + translation)[defined]
        seen = moved[:, :2] / moved[:, 2:] * 500 + 128
        return float(np.square(seen - weak[defined]).mean())

    # perspective against weak perspective of a body some metres away
    assert gap(body.translation) < 12**2
    steps = 0.02 * np.concatenate([np.eye(3), -np.eye(3)])
    assert all(gap(body.translation) < gap(body.translation + step) for step in steps)
    (made,) = lift(photographs, QUICK, sample(1))
    assert made.sample.body is not None
    assert made.sample.body.translation is None


@pytest.mark.parametrize(
    ("recipe", "iterations"),
    [("regressor", 0), ("eft", 3), ("eft-paper", 3), ("eft-released", 3)],
)
def test_recipes_of_eft(photographs: Path, recipe: str, iterations: int) -> None:
    config = LiftConfig("mobile", recipe=recipe, iterations=3 if iterations else None)
    (made,) = lift(photographs, config, sample(1))
    assert made.recipe == recipe
    assert made.iterations <= iterations
    assert (made.error_px_after < made.error_px_before) == (made.iterations > 0)


def test_smplify_lowers_the_2d_error(photographs: Path) -> None:
    config = LiftConfig(recipe="smplify")
    made = lift(photographs, config, sample(1), sample(4))
    assert all(one.error_px_after < 0.7 * one.error_px_before for one in made)
    assert all(one.recipe == "smplify" for one in made)
    assert lifter(config).window == 64


def test_the_guard_says_which_iterate_it_kept(photographs: Path) -> None:
    config = replace(QUICK, guard=True)
    made = lift(photographs, config, *(sample(i) for i in range(4)))
    assert all(one.recipe == "eft+guard" for one in made)
    assert all(one.kept_iteration <= one.iterations for one in made)


def test_bodies_may_suit_the_perspective_of_their_images(photographs: Path) -> None:
    """The camera sees the joints where the weak one has them without, and other fits are alike."""
    intrinsics = np.array([[300.0, 0.0, 120.0], [0.0, 300.0, 120.0], [0.0, 0.0, 1.0]])
    (plain,), (turned,) = (
        lift(
            photographs,
            replace(QUICK, perspective=wanted),
            replace(sample(1), intrinsics=intrinsics),
        )
        for wanted in (False, True)
    )
    points = image_keypoints(plain.sample, load_body("open"))
    seen = plain.sample.keypoints_2d[:, 2] > 0
    gaps = []
    for made in (plain, turned):
        pose, truth = torch.from_numpy(made.sample.body.pose).float(), made.sample.body  # type: ignore[union-attr]
        betas = torch.from_numpy(truth.betas).float()  # type: ignore[union-attr]
        joints = load_body("open").keypoints(BodyParams(pose[:1], pose[None, 1:], betas[None]))[0]
        there = (joints.numpy() + truth.translation) @ intrinsics.T  # type: ignore[union-attr]
        away = np.linalg.norm(there[:, :2] / there[:, 2:] - points, axis=1)
        gaps.append(float(away[seen].mean()))
    assert gaps[1] < 0.7 * gaps[0]
    assert (plain.recipe, turned.recipe) == ("eft", "eft+perspective")
    assert (plain.loss_2d, plain.error_px_after) == (turned.loss_2d, turned.error_px_after)


@pytest.mark.parametrize(
    ("changes", "reason"), [({"largest_loss": 1e-9}, "2D error"), ({"largest_beta": 0.0}, "shape")]
)
def test_a_rejected_fit_says_why(photographs: Path, changes: dict, reason: str) -> None:
    (made,) = lift(photographs, replace(QUICK, **changes), sample(1))
    assert made.status == REJECTED
    assert made.message.startswith(reason + ":")
    assert not made.usable
    assert made.sample.body is not None, "to look at"


def test_results_name_what_made_them(photographs: Path) -> None:
    (made,) = lift(photographs, QUICK, sample(1))
    module, _ = load_regressor(QUICK.regressor)
    assert made.status == OK
    assert made.regressor == f"{QUICK.regressor}@{weights_digest(module)}"
    assert made.body_model == "open"
    assert made.version[0].isdigit()


def test_another_networks_weights_have_another_digest() -> None:
    module, _ = load_regressor("mobile")
    before = weights_digest(module)
    next(module.parameters()).data.view(-1)[0] += 1e-6
    assert weights_digest(module) != before


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "magic"},
        {"recipe": "smplify", "guard": True},
        {"recipe": "smplify", "iterations": 3},
    ],
)
def test_settings_that_make_no_sense(options: dict) -> None:
    # tests check types as well, which is first to see a recipe that is none
    with pytest.raises((ValueError, TypeCheckError), match=r"recipe|EFT"):
        LiftConfig(**options)


def test_3d_keypoints_are_fitted_where_the_set_has_them(photographs: Path) -> None:
    """Eq. 4: with them the body's joints come nearer to the 3D keypoints, about the nose."""
    truth = drawn().keypoints_3d[1, len(OPENPOSE_25) :].astype(np.float64)
    joints = np.concatenate([truth, np.ones((len(truth), 1))], axis=1)
    config = LiftConfig(iterations=8)
    found = []
    for use_3d in (True, False):
        (made,) = lift(photographs, replace(config, use_3d=use_3d), sample(1, joints_3d=joints))
        body = made.sample.body
        assert body is not None
        pose, betas = torch.from_numpy(body.pose).float(), torch.from_numpy(body.betas).float()
        points = load_body("open").keypoints(BodyParams(pose[0], pose[1:], betas), "smpl49")
        points = points[len(OPENPOSE_25) :].numpy()
        nose = GT_24.index("nose")
        apart = (points - points[nose]) - (truth - truth[nose])
        found.append(float(np.linalg.norm(apart, axis=1).mean()))
    assert found[0] < 0.98 * found[1]


DUAL = LiftConfig(regressor="mobile", recipe="dual", auxiliary="mobile", iterations=2)


def test_dual_networks_lift_as_they_fit(photographs: Path) -> None:
    """The result is `fit_dual`'s, with the step that `exemplar train exemplar` trains for."""
    (made,) = lift(photographs, DUAL, sample(2))
    one = lifter(DUAL)
    person = one.preparer(photographs)(0, sample(2)).person
    assert person is not None
    network, _ = load_regressor("mobile")
    settings = replace(DualConfig.trained(), iterations=2)
    batch = batch_of([person]).with_keypoints_shown()
    fits = fit_dual(network, network, one.body, batch, settings)
    assert made.sample.body is not None
    expected = fits.after.prediction.turned_back(batch.box).body_pose[0].double().numpy()
    np.testing.assert_allclose(made.sample.body.pose[1:], expected, atol=1e-6)
    assert made.error_px_after < made.error_px_before
    assert (made.iterations, made.recipe) == (2, "dual")
    digest = weights_digest(network)
    assert made.regressor == f"mobile@{digest}+mobile@{digest}"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"auxiliary": None}, "needs the auxiliary network"),
        ({"recipe": "eft"}, "no other recipe takes one"),
        ({"guard": True}, "guard, robust_px, teacher and joints_weight are EFT's"),
        ({"robust_px": 80.0}, "guard, robust_px, teacher and joints_weight are EFT's"),
    ],
)
def test_what_does_not_go_with_dual_networks_is_told(changes: dict, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(DUAL, **changes)


@pytest.mark.parametrize(("recipe", "reads"), [("eft", True), ("eft-paper", False)])
def test_the_network_reads_the_annotation_unless_the_recipe_is_a_papers(
    photographs: Path, recipe: Recipe, reads: bool
) -> None:
    """Without updates the body is the network's own, of one head or the other."""
    config = LiftConfig("mobile", recipe=recipe, iterations=0)
    (made,) = lift(photographs, config, sample(0))
    prepared = lifter(config).preparer(photographs)(0, sample(0)).person
    assert prepared is not None
    batch = batch_of([prepared])
    shown = batch.with_keypoints_shown() if reads else batch
    found = predict_in_blocks(load_regressor("mobile")[0], shown.image, shown.box)
    assert made.sample.body is not None
    pose = torch.from_numpy(made.sample.body.pose[1:]).float()
    torch.testing.assert_close(pose, found.body_pose[0], rtol=0, atol=1e-5)  # float32
