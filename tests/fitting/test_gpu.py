"""The batched way on a GPU gives what the CPU gives."""

import pytest
import torch

from exemplar.bodies import load_open_body
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.regressors.checkpoints import load_regressor
from exemplar.samples import Batch
from tests.fitting.toy import ToyConvNet, exemplar_of, people

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


def on_gpu(batch: Batch) -> Batch:
    return Batch(batch.image.cuda(), batch.box.to("cuda"), batch.keypoints_2d.cuda())


def test_eft_is_the_same_on_both() -> None:
    torch.manual_seed(1)
    net, body = ToyConvNet().double().eval(), load_open_body().double()
    batch = exemplar_of(body, people(5))
    config = EftConfig(learning_rate=1e-3, iterations=5)
    here = fit_exemplars(net, body, batch, config)
    there = fit_exemplars(net.cuda(), body.cuda(), on_gpu(batch), config)
    for name, value in vars(here.after.prediction).items():
        # float64 on both: other sums, and Adam's division of small by small
        assert torch.allclose(vars(there.after.prediction)[name].cpu(), value, rtol=1e-8), name
    assert there.status == here.status


def test_mobile_and_smplify_run() -> None:
    net, info = load_regressor("mobile")
    body = load_open_body()
    batch = exemplar_of(body, people(3, torch.float32))
    batch = Batch(torch.rand(3, 3, 256, 256), batch.box, batch.keypoints_2d)
    config = EftConfig(learning_rate=info.learning_rate, adapt=info.adapt, iterations=3)
    fits = fit_exemplars(net.cuda(), body.cuda(), on_gpu(batch), config)
    assert bool((fits.after.evaluation.loss < fits.before.evaluation.loss).all())
    keypoints = batch.keypoints_2d.cuda()
    short = SmplifyConfig(camera_steps=5, body_steps=5)
    smplify = fit_smplify(fits.after.prediction, keypoints, body, short)
    assert smplify.after.prediction.is_finite()
