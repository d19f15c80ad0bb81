"""What is done side by side gives what is done one by one, and a GPU what a CPU gives.

Tests of ways of computing run on both; those of a GPU's own ways need one.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from benchmarks import train_speed
from benchmarks.fit_speed import exemplars, network
from benchmarks.train_speed import HEAD, in_double, new_step, together
from benchmarks.train_speed import people as trained_people
from exemplar.assets import asset_path
from exemplar.bodies import load_open_body
from exemplar.data.detections import Detection
from exemplar.files.image_files import read_image
from exemplar.fitting.exemplar import EftConfig, eft_objective, fit_exemplars, stream_exemplars
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.fitting.stages import evaluate
from exemplar.fitting.weights import (
    Convolutions,
    Products,
    RegressorWeights,
    moving_names,
    unfolded_conv2d,
)
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Selection
from exemplar.regressors.checkpoints import load_regressor
from exemplar.samples import Batch
from exemplar.scene import FitOptions, Fitter
from exemplar.skeletons import GT_24, OPENPOSE_25
from exemplar.training.augment import frame_of
from exemplar.training.starting import starting_regressor
from tests.fitting.toy import ToyConvNet, exemplar_of, people
from tests.lift.test_engines import new_job
from tests.lift.toy import write_images

GPU = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
DEVICES = ["cpu", pytest.param("cuda", marks=GPU)]


def on(device: str, batch: Batch) -> Batch:
    return Batch(batch.image.to(device), batch.box.to(device), batch.keypoints_2d.to(device))


def gpu(test):
    """A test that needs a GPU."""
    for mark in GPU:
        test = mark(test)
    return test


CONVOLUTIONS = {
    "3x3": ((4, 6, 3, 3), 1, 1),
    "3x3, stride 2": ((4, 6, 3, 3), 2, 1),
    "7x7, stride 2": ((3, 5, 7, 7), 2, 3),
    "1x3": ((4, 6, 1, 3), 1, 0),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("unfolded", [False, True])
def test_convolutions_with_own_weights(device: str, case: str, unfolded: bool) -> None:
    """Three people with two crops each: values and both gradients, one person at a time."""
    shape, stride, padding = CONVOLUTIONS[case]
    made = {"dtype": torch.float64, "device": device}
    weight = torch.randn(3, *shape, **made, requires_grad=True)
    x = torch.randn(3, 2, shape[1], 9, 8, **made, requires_grad=True)
    bias = torch.randn(3, shape[0], **made)

    def conv(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        twice = ((stride, stride), (padding, padding), (1, 1))
        return nn.functional.conv2d(x, weight, bias, *twice, 1)

    def own(*each: Tensor) -> Tensor:
        with Products(pointwise=True, unfolded=unfolded, precision="float32"):
            return conv(*each)

    wanted = torch.stack([conv(*each) for each in zip(x, weight, bias, strict=True)])
    found = vmap(own)(x, weight, bias)
    # float64, sums in another order
    assert torch.allclose(found, wanted, rtol=1e-10, atol=1e-12)
    slopes = [torch.autograd.grad(y.square().sum(), (x, weight)) for y in (found, wanted)]
    for ours, theirs in zip(*slopes, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-10)


def test_a_window_is_the_kernels() -> None:
    x, weight = torch.arange(12.0).view(1, 1, 3, 4), torch.ones(1, 1, 2, 2)
    assert torch.equal(
        unfolded_conv2d(x, weight, (1, 1), (0, 0))[0, 0],
        torch.tensor([[10.0, 14.0, 18.0], [26.0, 30.0, 34.0]]),
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("convolutions", ["grouped", "unfold"])
def test_side_by_side_is_one_by_one(
    device: str, convolutions: Convolutions, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfolded: list[torch.Size] = []

    def counted(inputs: Tensor, weight: Tensor, *rest) -> Tensor:
        unfolded.append(weight.shape)
        return unfolded_conv2d(inputs, weight, *rest)

    monkeypatch.setattr("exemplar.fitting.weights.unfolded_conv2d", counted)
    torch.manual_seed(1)
    net, body = ToyConvNet().double().eval(), load_open_body().double()
    batch, config = exemplar_of(body, people(5)), EftConfig(learning_rate=1e-3, iterations=5)
    alone = fit_exemplars(net, body, batch, config, chunk_size=1)
    beside = fit_exemplars(
        net.to(device), body.to(device), on(device, batch), config,
        chunk_size=5, convolutions=convolutions,
    )  # fmt: skip
    for name, value in vars(alone.after.prediction).items():
        # float64: other sums, and Adam's division of small by small
        found = vars(beside.after.prediction)[name].cpu()
        assert torch.allclose(found, value, rtol=1e-8, atol=1e-11), name
    assert beside.status == alone.status
    # the 3x3 convolution that is not grouped itself, once for each iterate
    assert len(unfolded) == (6 if convolutions == "unfold" else 0)


@pytest.mark.parametrize("device", DEVICES)
def test_refilled_slots_are_one_by_one(device: str) -> None:
    torch.manual_seed(1)
    net, body = ToyConvNet().double().eval(), load_open_body().double()
    batch = exemplar_of(body, people(7))
    config = EftConfig(learning_rate=2e-3, iterations=6, stop_px=None)
    start = fit_exemplars(net, body, batch, replace(config, iterations=0))
    middle = float(start.after.evaluation.error_px.median())
    config = replace(config, stop_px=0.97 * middle)
    alone = fit_exemplars(net, body, batch, config, chunk_size=1)
    assert len(alone.made.unique()) > 1, "the test needs people who stop at different times"
    found: dict[int, tuple[int, Tensor]] = {}

    def finished(rows, fits) -> None:
        for i, row in enumerate(rows.tolist()):
            found[row] = int(fits.made[i]), fits.after.prediction.body_pose[i].cpu()

    stream_exemplars(
        net.to(device), body.to(device), on(device, batch), config, finished, chunk_size=3
    )
    assert sorted(found) == list(range(7))
    for row, (made, pose) in found.items():
        assert made == int(alone.made[row])
        wanted = alone.after.prediction.body_pose[row]
        assert torch.allclose(pose, wanted, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("name", ["hmr", "mobile"])
def test_an_update_leaves_nothing_on_another_device(name: str) -> None:
    """On torch's device without numbers, which mixes with no other: what a GPU would refuse."""
    net, body = network(name).to("meta"), load_open_body().to("meta")
    batch = exemplars(net, body, 2, torch.device("meta"))
    with pytest.raises((RuntimeError, NotImplementedError)):
        batch.image + torch.zeros(2, 3, 1, 1)
    config = EftConfig(adapt="all" if name == "hmr" else "head", robust_px=50.0)
    moving = moving_names(net, config.adapt)
    rows = torch.arange(2, device="meta")
    for groups in (1, 2):
        unknowns = RegressorWeights(net, batch.image, batch.box, moving)
        params = unknowns.start(rows, groups)
        objective = eft_objective(body, batch, config)
        iterate, slopes = evaluate(unknowns, params, params, objective, rows, groups, True)
        assert {slope.device.type for slope in slopes().values()} == {"meta"}
        assert iterate.evaluation.loss.device.type == "meta"


@gpu
def test_memory_that_runs_out_halves_the_batch() -> None:
    """ResNet-50 with all weights takes over 0.4 GB a person; 3 GB are allowed."""
    net, body = network("hmr").cuda(), load_open_body().cuda()
    batch = exemplars(net, body, 8, torch.device("cuda"))
    config = EftConfig(iterations=2, stop_px=None)
    sizes: list[int] = []
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(3e9 / whole)
    try:
        fits = fit_exemplars(
            net, body, batch, config,
            chunk_size=8, progress=lambda rows, step, evaluation: sizes.append(len(rows)),
        )  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert min(sizes) < 8
    alone = fit_exemplars(net, body, batch, config, chunk_size=1)
    gap = fits.after.prediction.body_pose - alone.after.prediction.body_pose
    moved = alone.after.prediction.body_pose - alone.before.prediction.body_pose
    # float32, random weights, through Adam's division of small by small
    assert float(gap.abs().max()) < 0.1 * float(moved.abs().max()) + 1e-4


@gpu
def test_a_lifting_job_on_a_gpu(tmp_path: Path) -> None:
    photographs = write_images(tmp_path / "photographs")
    made = {}
    for device in ("cpu", "cuda"):
        with new_job(tmp_path / device, photographs, 18) as ledger:
            ledger.join()
            lifter = Lifter(LiftConfig(iterations=2, regressor="mobile"), device)
            run_local(ledger, lifter, Selection(), lambda truths: None)
            made[device] = list(ledger.truths())
    for one, other in zip(made["cpu"], made["cuda"], strict=True):
        assert (one.sample.image, one.status) == (other.sample.image, other.status)
        assert one.sample.body is not None
        assert other.sample.body is not None
        # float32 through a network and two updates
        assert abs(one.sample.body.pose - other.sample.body.pose).max() < 1e-2


@gpu
@pytest.mark.parametrize("inner", [None, HEAD])
def test_a_training_step_on_a_gpu(inner) -> None:
    step = new_step(train_speed.Config(), inner).double()
    batch = in_double(trained_people(frame_of(starting_regressor("mobile")[0]), 2))
    losses = [together(step, batch), together(step.cuda(), batch.to("cuda"))]
    # float64: sums in another order
    assert abs(losses[0] - losses[1]) < 1e-8 * abs(losses[0])
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in step.parameters())


@gpu
def test_mobile_and_smplify_run() -> None:
    net, info = load_regressor("mobile")
    body = load_open_body()
    batch = exemplar_of(body, people(3, torch.float32))
    batch = Batch(torch.rand(3, 3, 256, 256), batch.box, batch.keypoints_2d)
    config = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt, iterations=3)
    fits = fit_exemplars(net.cuda(), body.cuda(), on("cuda", batch), config, guard=True)
    assert bool((fits.after.evaluation.loss <= fits.before.evaluation.loss).all())
    keypoints = batch.keypoints_2d.cuda()
    short = SmplifyConfig(camera_steps=5, body_steps=5)
    smplify = fit_smplify(fits.after.prediction, keypoints, body, short)
    assert smplify.after.prediction.is_finite()


@gpu
def test_people_of_a_photo_on_a_gpu() -> None:
    """The person of the demo photo twice, on both devices."""
    with asset_path("demo.jpg") as path:
        photo = read_image(path)
    options = FitOptions(stop_px=0.0, iterations=3)
    here = Fitter(options=options).fit(photo)
    known = here.people[0].keypoints_2d[len(OPENPOSE_25) :]
    twice = [Detection(known, GT_24)] * 2
    there = Fitter(options=replace(options, device="auto"))
    assert there.device.type == "cuda"
    people_there = there.fit(photo, twice).people
    alone = Fitter(options=options).fit(photo, twice).people
    for one, other in zip(alone, people_there, strict=True):
        assert abs(one.after.joints_2d - other.after.joints_2d).max() < 1.0, "px"


@gpu
def test_bfloat16_is_close_to_float32() -> None:
    net, info = load_regressor("mobile")
    body, device = load_open_body().cuda(), torch.device("cuda")
    batch = exemplars(net, body, 3, device)
    config = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt, iterations=3)
    exact, rough = (
        fit_exemplars(net.cuda(), body, batch, config, precision=p) for p in ("float32", "bfloat16")
    )
    gap = exact.after.prediction.body_pose - rough.after.prediction.body_pose
    assert 0 < float(gap.abs().max()) < 0.1, "bfloat16 keeps 8 bits"
