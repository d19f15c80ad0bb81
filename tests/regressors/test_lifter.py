"""The default regressor: landmarks to bodies, and its checkpoint."""

from dataclasses import replace
from pathlib import Path

import pytest
import skimage.data
import torch
from torch import Tensor, nn

from exemplar import objectives
from exemplar.assets import load_asset_state
from exemplar.bodies import Body, load_open_body
from exemplar.files.image_files import crop_image
from exemplar.fitting.exemplar import EftConfig, fit_exemplars, stream_exemplars
from exemplar.fitting.fits import Fits
from exemplar.fitting.weights import RegressorWeights, moving_names, predict_in_blocks
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.regressors.checkpoints import RegressorInfo, load_regressor, save_regressor
from exemplar.regressors.landmark_reader import Landmarks, unmirrored
from exemplar.regressors.lifter import Lifter, LifterConfig, LifterHead
from exemplar.regressors.prediction import Prediction, network_for
from exemplar.samples import Batch
from exemplar.skeletons import (
    BLAZEPOSE_33,
    LIMBS_12,
    LIMBS_IN_49,
    SMPL_24,
    SMPL_49,
    flip_permutation,
    indices,
)

ACROSS = torch.diag(torch.tensor([-1.0, 1.0, 1.0]))
INFO = RegressorInfo("lifter", "open", 3e-5, "head")


def boxes(count: int) -> Box:
    """Boxes, which the network does not look at."""
    return Box(torch.zeros(count, 2), torch.full((count,), 224.0), torch.zeros(count))


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Three crops of a portrait, one of them far from the person."""
    pixels = skimage.data.astronaut()
    centres = ((230.0, 260.0), (300.0, 300.0), (150.0, 420.0))
    made = [
        crop_image(pixels, Box(torch.tensor(c), torch.tensor(480.0), torch.tensor(0.1 * i)), 256)
        for i, c in enumerate(centres)
    ]
    return torch.stack([torch.from_numpy(crop) for crop in made]).permute(0, 3, 1, 2) / 255


@pytest.fixture(scope="module")
def shipped() -> Lifter:
    regressor, _ = load_regressor("mobile")
    assert isinstance(regressor, Lifter)
    return regressor


def mirrored(person: Prediction) -> Prediction:
    """The body of the mirror image."""
    across = ACROSS.to(person.camera)
    pose = torch.cat((person.global_orient[:, None], person.body_pose), 1)
    pose = across @ pose[:, flip_permutation(SMPL_24)] @ across
    camera = person.camera * person.camera.new_tensor([1.0, -1.0, 1.0])
    return Prediction(pose[:, 0], pose[:, 1:], person.betas, camera)


def assert_close(found: Prediction, wanted: Prediction, atol: float) -> None:
    for name, value in vars(wanted).items():
        torch.testing.assert_close(vars(found)[name], value, rtol=0, atol=atol, msg=name)


# ------------------------------------------------------------------ the network


@torch.no_grad()
def test_the_shipped_regressor_predicts_proper_bodies(shipped: Lifter, crops: Tensor) -> None:
    found = shipped(crops, boxes(3))
    rotmats = torch.cat((found.global_orient[:, None], found.body_pose), 1)
    assert rotmats.shape == (3, 24, 3, 3)
    assert (found.betas.shape, found.camera.shape) == ((3, 10), (3, 3))
    # float32 rotations from six numbers
    assert torch.allclose(rotmats @ rotmats.mT, torch.eye(3).expand_as(rotmats), atol=1e-5)
    assert found.is_finite()
    assert (found.camera[:, 0] > 0).all()
    assert not shipped.training


def test_it_says_how_it_wants_to_be_used(shipped: Lifter) -> None:
    _, info = load_regressor("mobile")
    assert (info.architecture, info.body, info.adapt) == ("lifter", "open", "head.enter")
    assert info.learning_rate > 0
    assert (shipped.resolution, shipped.width, shipped.framing) == (256, 256, "hips")
    assert shipped.camera_model == "weak"


def test_it_has_few_parameters(shipped: Lifter) -> None:
    counts = [sum(p.numel() for p in part.parameters()) for part in shipped.parts()]
    assert counts[0] == 3_107_073
    assert 1.5e6 < counts[1] < 2e6


@torch.no_grad()
def test_a_mirrored_crop_gives_the_mirrored_body(shipped: Lifter, crops: Tensor) -> None:
    plain, other = shipped(crops, boxes(3)), shipped(crops.flip(-1), boxes(3))
    # float32 through another order of the batch
    assert_close(other, mirrored(plain), atol=1e-4)
    assert float((plain.body_pose - mirrored(plain).body_pose).abs().max()) > 0.01


def some_landmarks(count: int = 4) -> Landmarks:
    """Made-up readings, in float64."""
    draw = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Tensor:
        return torch.randn(count, len(BLAZEPOSE_33), *shape, generator=draw).double()

    return Landmarks(
        points=0.4 * normal(2),
        world=0.3 * normal(3),
        visibility=normal().sigmoid(),
        spread=0.02 * normal().abs(),
    )


def any_head(*, reads_keypoints: bool = False) -> LifterHead:
    """Random weights, in float64."""
    torch.manual_seed(0)
    config = LifterConfig(hidden=32, blocks=2, reads_keypoints=reads_keypoints)
    head = LifterHead(config).double().eval()
    with torch.no_grad():
        for p in head.parameters():
            p.add_(0.1 * torch.randn(p.shape).double())
    return head


@torch.no_grad()
def test_any_head_is_symmetric() -> None:
    head, read = any_head(), some_landmarks()
    plain, other = head(read, boxes(4)), head(unmirrored(read), boxes(4))
    assert_close(other, mirrored(plain), atol=1e-12)  # float64 rounding


@torch.no_grad()
@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_size_and_place_of_the_landmarks_are_the_cameras_alone(factor: float) -> None:
    head, read = any_head(), some_landmarks()
    shift = torch.tensor([0.3, -0.2]).double()
    moved = read._replace(points=factor * read.points + shift)
    plain, other = head(read, boxes(4)), head(moved, boxes(4))
    scale, place = plain.camera[:, :1], plain.camera[:, 1:]
    camera = torch.cat((factor * scale, factor * place + shift), dim=1)
    assert_close(other, replace(plain, camera=camera), atol=1e-12)  # float64 rounding


@torch.no_grad()
def test_where_the_metric_landmarks_have_their_origin_does_not_matter() -> None:
    head, read = any_head(), some_landmarks()
    moved = read._replace(world=read.world + torch.tensor([1.0, 2.0, -3.0]).double())
    assert_close(head(moved, boxes(4)), head(read, boxes(4)), atol=1e-12)  # float64 rounding


@torch.no_grad()
def test_landmarks_in_one_place_give_a_body_all_the_same() -> None:
    read = some_landmarks()
    dots = Landmarks(*(torch.zeros_like(x) for x in read))
    assert any_head()(dots, boxes(4)).is_finite()


# ------------------------------------------------------------------ keypoints that it reads


def some_keypoints(count: int = 4) -> Tensor:
    """Crop units, a third of them missing, in float64."""
    draw = torch.Generator().manual_seed(4)
    points = torch.randn(count, len(SMPL_49), 2, generator=draw).double()
    known = torch.rand(count, len(SMPL_49), 1, generator=draw).double()
    return torch.cat((0.4 * points, torch.where(known > 0.33, known, 0.0)), -1)


def given(keypoints: Tensor) -> Box:
    return replace(boxes(len(keypoints)), keypoints=keypoints)


@torch.no_grad()
def test_a_head_that_reads_keypoints_is_symmetric() -> None:
    head, read, points = any_head(reads_keypoints=True), some_landmarks(), some_keypoints()
    across = points.new_tensor([-1.0, 1.0, 1.0])
    other = head(unmirrored(read), given(points[:, flip_permutation(SMPL_49)] * across))
    assert_close(other, mirrored(head(read, given(points))), atol=1e-12)  # float64 rounding


@torch.no_grad()
def test_a_head_that_reads_keypoints_knows_neither_size_nor_place() -> None:
    head, read, points = any_head(reads_keypoints=True), some_landmarks(), some_keypoints()
    shift = points.new_tensor([0.3, -0.2])
    moved = read._replace(points=2.0 * read.points + shift)
    seen = torch.cat((2.0 * points[..., :2] + shift, points[..., 2:]), -1)
    plain, other = head(read, given(points)), head(moved, given(seen))
    camera = torch.cat((2.0 * plain.camera[:, :1], 2.0 * plain.camera[:, 1:] + shift), 1)
    assert_close(other, replace(plain, camera=camera), atol=1e-12)  # float64 rounding


@torch.no_grad()
def test_limb_joints_that_are_known_count_and_nothing_else_does() -> None:
    head, read, points = any_head(reads_keypoints=True), some_landmarks(), some_keypoints()
    answer = head(read, given(points))
    others = [row for row in range(len(SMPL_49)) if row not in LIMBS_IN_49]
    beside = points.index_fill(1, torch.tensor(others), 7.0)
    missing = torch.where(points[..., 2:] > 0, points[..., :2], 9.0)
    for same in (beside, torch.cat((missing, points[..., 2:]), -1)):
        assert_close(head(read, given(same)), answer, atol=0)
    nobody = head(read, given(torch.zeros_like(points)))
    assert_close(head(read, boxes(4)), nobody, atol=0)
    assert float((nobody.body_pose - answer.body_pose).abs().max()) > 1e-3


@torch.no_grad()
def test_a_keypoint_far_off_among_near_ones_is_missing() -> None:
    head, read = any_head(reads_keypoints=True), some_landmarks()
    near = torch.zeros(4, len(SMPL_49), 3).double()
    near[:, LIMBS_IN_49, :2] = read.points[:, indices(LIMBS_12, BLAZEPOSE_33)] + 0.01
    near[:, LIMBS_IN_49, 2] = 1.0
    thrown, missing = near.clone(), near.clone()
    thrown[:, LIMBS_IN_49[0]] = near.new_tensor([9.0, 0.0, 1.0])
    missing[:, LIMBS_IN_49[0]] = 0.0
    assert_close(head(read, given(thrown)), head(read, given(missing)), atol=0)


@torch.no_grad()
def test_keypoints_that_are_all_far_off_are_read() -> None:
    head, read, points = any_head(reads_keypoints=True), some_landmarks(), some_keypoints()
    far = points + points.new_tensor([9.0, 0.0, 0.0]) * (points[..., 2:] > 0)
    nothing = head(read, boxes(4))
    assert float((head(read, given(far)).body_pose - nothing.body_pose).abs().max()) > 1e-3


@torch.no_grad()
def test_people_who_are_given_with_keypoints_have_a_head_of_their_own(
    shipped: Lifter, crops: Tensor, body: Body
) -> None:
    batch = others(shipped, body, crops)
    plain = shipped(crops, boxes(3))
    assert network_for(shipped, batch.box) is shipped
    shown = batch.with_keypoints_shown()
    answer = network_for(shipped, shown.box)(crops, shown.box)
    assert_close(predict_in_blocks(shipped, crops, shown.box), answer, atol=0)
    assert_close(shipped(crops, shown.box), plain, atol=0)
    errors = [
        objectives.mean_error_px(
            project_weak(body.keypoints(found.body_params()), found.camera),
            batch.keypoints_2d[..., :2],
            batch.keypoints_2d[..., 2],
        )
        for found in (plain, answer)
    ]
    assert (errors[1] < 0.9 * errors[0]).all()


def test_fits_move_the_head_that_reads_the_keypoints(
    shipped: Lifter, body: Body, crops: Tensor
) -> None:
    shown = others(shipped, body, crops).with_keypoints_shown()
    fits = fit_exemplars(shipped, body, shown, EftConfig(learning_rate=1e-5, adapt="head"))
    with torch.no_grad():
        answer = network_for(shipped, shown.box)(crops, shown.box)
    assert_close(fits.before.prediction, answer, atol=1e-5)  # float32, one by one
    assert (fits.after.evaluation.error_px < fits.before.evaluation.error_px).all()


@pytest.mark.parametrize("adapt", ["head.enter", "head"])
def test_fits_are_the_same_to_the_bit_in_any_company(
    shipped: Lifter, body: Body, crops: Tensor, adapt: str
) -> None:
    everyone = others(shipped, body, crops[[0, 1, 2, 1, 0, 2, 1]]).with_keypoints_shown()
    config = EftConfig(learning_rate=2e-5, adapt=adapt, iterations=3)

    def fitted(rows: list[int], workers: int = 1) -> dict[int, list[Tensor]]:
        found: dict[int, list[Tensor]] = {}

        def finished(done: Tensor, fits: Fits) -> None:
            numbers = (*vars(fits.after.prediction).values(), fits.loss_2d)
            for place, row in enumerate(done.tolist()):
                found[rows[row]] = [x[place] for x in numbers]

        box = everyone.box[torch.tensor(rows)]
        some = Batch(everyone.image[rows], box, everyone.keypoints_2d[rows])
        stream_exemplars(
            shipped, body, some.with_keypoints_shown(), config, finished,
            chunk_size=4, workers=workers,
        )  # fmt: skip
        return found

    alone = fitted(list(range(7)))
    for rows, workers in (([6, 2, 5, 0], 1), ([3], 1), ([5, 4, 3, 2, 1, 0], 2)):
        for row, numbers in fitted(rows, workers).items():
            assert all(map(torch.equal, numbers, alone[row]))


@torch.no_grad()
def test_the_fields_of_landmarks_may_come_as_a_plain_tuple(shipped: Lifter, crops: Tensor) -> None:
    read = shipped.reader(crops)
    assert_close(shipped.head(tuple(read), boxes(3)), shipped.head(read, boxes(3)), atol=0)


# ------------------------------------------------------------------ fits


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body()


def others(regressor: Lifter, body: Body, crops: Tensor) -> Batch:
    """The crops with the keypoints of bodies a little unlike the regressor's answers."""
    with torch.no_grad():
        seen = regressor(crops, boxes(len(crops)))
        draw = torch.Generator().manual_seed(1)
        turns = axis_angle_to_rotmat(0.2 * torch.randn(len(crops), 23, 3, generator=draw))
        truth = replace(seen, body_pose=seen.body_pose @ turns.to(crops))
        points = project_weak(body.keypoints(truth.body_params()), truth.camera)
    keypoints = torch.cat((points, torch.ones_like(points[..., :1])), dim=-1)
    return Batch(crops, boxes(len(crops)).to(crops.dtype), keypoints)


def test_eft_on_the_head_lowers_the_2d_error_and_leaves_the_regressor(
    shipped: Lifter, body: Body, crops: Tensor
) -> None:
    _, info = load_regressor("mobile")
    before = {name: value.clone() for name, value in shipped.state_dict().items()}
    config = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt)
    fits = fit_exemplars(shipped, body, others(shipped, body, crops), config)
    assert (fits.after.evaluation.error_px < fits.before.evaluation.error_px).all()
    assert all(torch.equal(value, before[name]) for name, value in shipped.state_dict().items())


class Recalled(nn.Module):
    """Landmarks that were read before, in float64."""

    def __init__(self, landmarks: Landmarks) -> None:
        super().__init__()
        self.landmarks = Landmarks(*(x.double() for x in landmarks))

    def forward(self, image: Tensor) -> Landmarks:
        return self.landmarks


def test_several_exemplars_at_once_are_fitted_as_one_by_one(body: Body, crops: Tensor) -> None:
    """In float64, as Adam's first steps follow signs and enlarge rounding."""
    regressor, exact = load_regressor("mobile")[0], body.to(torch.float64)
    assert isinstance(regressor, Lifter)
    with torch.no_grad():
        read = regressor.reader(crops)
    regressor.add_module("reader", Recalled(read))
    batch = others(regressor.double(), exact, crops.double())
    config = EftConfig(learning_rate=3e-5, adapt="head", iterations=3, stop_px=None)

    def fitted(chunk: int) -> Fits:
        return fit_exemplars(regressor, exact, batch, config, chunk_size=chunk, workers=1)

    together, alone = (fitted(chunk).after.prediction for chunk in (3, 1))
    assert_close(together, alone, atol=1e-9)
    assert float((alone.body_pose - fitted(1).before.prediction.body_pose).abs().max()) > 1e-3


@torch.no_grad()
def test_weights_of_their_own_are_those_of_a_network_with_them(
    shipped: Lifter, crops: Tensor
) -> None:
    weights = RegressorWeights(shipped, crops, boxes(3), moving_names(shipped, "head"))
    params = weights.start(torch.arange(3), 3)
    draw = torch.Generator().manual_seed(5)
    params = {n: p + 0.01 * torch.randn(p.shape, generator=draw) for n, p in params.items()}
    found = weights.predict(params, torch.arange(3))
    for i in range(3):
        own = {name: p[i] for name, p in params.items()}
        alone = torch.func.functional_call(shipped, own, (crops[i : i + 1], boxes(1)))
        row = Prediction(*(x[i : i + 1] for x in vars(found).values()))
        assert_close(row, alone, atol=1e-4)  # float32 through another number of crops


# ------------------------------------------------------------------ checkpoints


def test_the_shipped_file_holds_the_head_and_the_trunk_is_its_authors(shipped: Lifter) -> None:
    names = load_asset_state("mobile.safetensors")
    assert all(name.startswith(("head.", "given_head.")) for name in names)
    trunk = load_asset_state("pose_trunk.safetensors")
    own = shipped.reader.trunk.state_dict()
    assert own.keys() == trunk.keys()
    assert all(torch.equal(own[name], value) for name, value in trunk.items())


def test_a_saved_checkpoint_loads_again_trunk_and_all(tmp_path: Path) -> None:
    model = Lifter().eval()
    save_regressor(model, INFO, tmp_path / "m.safetensors")
    loaded, info = load_regressor(tmp_path / "m.safetensors")
    assert info == INFO
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, model.state_dict()[name].half().float()), name


def test_a_head_alone_is_put_on_the_trunk_that_it_reads(tmp_path: Path) -> None:
    head = nn.ModuleDict({"head": LifterHead()})
    for name, asset in (("lifter", "pose_trunk"), ("lifter_heavy", "pose_trunk_heavy")):
        save_regressor(head, replace(INFO, architecture=name), tmp_path / "h.safetensors")
        loaded, _ = load_regressor(tmp_path / "h.safetensors")
        state = loaded.state_dict()
        trunk = load_asset_state(f"{asset}.safetensors")
        assert all(torch.equal(state[f"reader.trunk.{n}"], value) for n, value in trunk.items())
        assert torch.equal(state["head.leave.bias"], head.state_dict()["head.leave.bias"])


def test_checkpoints_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no regressor 'nonesuch'"):
        load_regressor("nonesuch")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(ValueError, match="not a safetensors checkpoint"):
        load_regressor(tmp_path / "text.safetensors")
    model = Lifter()
    del model.head.leave
    save_regressor(model, INFO, tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"missing: head\.leave\.weight, head\.leave\.bias"):
        load_regressor(tmp_path / "m.safetensors")
    wide = nn.ModuleDict({"head": LifterHead(LifterConfig(hidden=64))})
    save_regressor(wide, INFO, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"mis-shaped: head\.enter\.weight \(64, 231\) for \(512,"):
        load_regressor(tmp_path / "w.safetensors")


def test_other_architectures_are_refused_in_one_line(tmp_path: Path) -> None:
    some, path = nn.Linear(2, 2), tmp_path / "o.safetensors"
    for name, reason in (
        ("other", "known architecture: got 'other', expected one of lifter, "),
        ("mobile", "was written by version 1 of the default regressor"),
    ):
        save_regressor(some, replace(INFO, architecture=name), path)
        with pytest.raises(ValueError, match=reason) as caught:
            load_regressor(path)
        assert "o.safetensors" in str(caught.value)
        assert "\n" not in str(caught.value)
