"""Dual networks at test time: batches, and what the settings do."""

from dataclasses import replace

import pytest
import torch

from exemplar.bodies import Body, load_open_body
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.fits import Fits
from exemplar.samples import Batch
from tests.fitting.toy import ToyConvNet, exemplar_of, people

CONFIGS = {
    "paper": replace(DualConfig.paper(), learning_rate=1e-3, iterations=4),
    "released": replace(
        DualConfig.released(), learning_rate=1e-3, adam_rate=1e-3, adam_iterations=4
    ),
}


@pytest.fixture(scope="module")
def body() -> Body:
    return load_open_body().double()


@pytest.fixture(scope="module")
def batch(body: Body) -> Batch:
    torch.manual_seed(3)
    return exemplar_of(body, people(4))


def run(body: Body, batch: Batch, config: DualConfig, **options: int) -> Fits:
    torch.manual_seed(1)
    net, auxiliary = ToyConvNet().double().eval(), ToyConvNet().double().eval()
    return fit_dual(net, auxiliary, body, batch, config, history=True, **options)


def some(batch: Batch, rows: slice) -> Batch:
    return Batch(batch.image[rows], batch.box[rows], batch.keypoints_2d[rows])


@pytest.mark.parametrize("name", CONFIGS)
def test_batched_equals_one_by_one_whatever_the_chunk(body: Body, batch: Batch, name: str) -> None:
    together = run(body, batch, CONFIGS[name], chunk_size=4)
    chunked = run(body, batch, CONFIGS[name], chunk_size=3)
    for i in range(4):
        one = slice(i, i + 1)
        alone = run(body, some(batch, one), CONFIGS[name])
        for part, value in vars(alone.trace.iterates.prediction).items():
            for other in (together, chunked):
                found = vars(other.trace.iterates.prediction)[part][one]
                # float64: sums in another order, and Adam's division of small by small
                assert torch.allclose(found, value, rtol=1e-9, atol=1e-11), part
        assert alone.trace.updates[0] == together.trace.updates[i] == chunked.trace.updates[i]


@pytest.mark.parametrize("name", CONFIGS)
def test_the_loss_falls_and_a_group_shares(body: Body, batch: Batch, name: str) -> None:
    singles, shared = (run(body, batch, CONFIGS[name], group_size=g) for g in (1, 4))
    for fits in (singles, shared):
        pixels = fits.trace.iterates.evaluation.error_px
        assert float(pixels[:, -1].mean()) < float(pixels[:, 0].mean())
    gap = (singles.after.prediction.betas - shared.after.prediction.betas).abs().max()
    assert float(gap) > 1e-6


def test_a_small_change_of_the_loss_stops(body: Body, batch: Batch) -> None:
    config = replace(CONFIGS["paper"], iterations=6, stop_change=None)
    free = run(body, batch, config)
    losses = free.trace.iterates.evaluation.loss
    change = float((losses[:, 2] - losses[:, 3]).abs().median())
    stopped = run(body, batch, replace(config, stop_change=change))
    late = run(body, batch, replace(config, stop_change=change, stop_after_update=True))
    for i in range(4):
        changes = (losses[i, 1:] - losses[i, :-1]).abs()
        first = next((k + 1 for k, c in enumerate(changes.tolist()) if c < change), 6)
        assert int(stopped.trace.updates[i]) == first
        assert int(late.trace.updates[i]) == min(first + 1, 6)


def test_openpose_keypoints_are_their_own_block(body: Body, batch: Batch) -> None:
    points = batch.keypoints_2d.clone()
    points[:, 25:, 2] = 0
    openpose = replace(batch, keypoints_2d=points)
    config = CONFIGS["paper"]
    assert run(body, openpose, config).status == ("nothing_to_fit",) * 4
    fits = run(body, openpose, replace(config, keypoints="openpose"))
    assert fits.trace.updates.tolist() == [4] * 4


@pytest.mark.parametrize(
    "change", [{"iterations": -1}, {"adam_iterations": -2}, {"learning_rate": 0.0}]
)
def test_nonsense_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        replace(DualConfig(), **change)
