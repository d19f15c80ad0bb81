"""A regressor's weights as unknowns: which move, what is cached, and what stays untouched."""

import copy

import pytest
import torch
from torch import nn

from exemplar.fitting.weights import (
    Products,
    RegressorWeights,
    frozen_outputs,
    moving_names,
    predict_in_blocks,
)
from exemplar.regressors.checkpoints import load_regressor
from tests.fitting.toy import ToyConvNet, ToyRegressor, exemplar_of, people


def test_batch_norm_stays_unless_asked_for() -> None:
    net = ToyConvNet()
    names = {name for name, _ in net.named_parameters()}
    norms = {"stem.1.weight", "stem.1.bias", "late.0.weight", "late.0.bias"}
    assert moving_names(net, "all") == names - norms
    assert moving_names(net, "all", norms=True) == names


@pytest.mark.parametrize(
    ("adapt", "expected"),
    [
        ("later", {"late.2.weight", "late.2.bias", "late.3.weight", "late.3.bias"}),
        ("last_stage", {"late.2.weight", "late.2.bias", "late.3.weight", "late.3.bias"}),
        ("head", set()),
    ],
)
def test_sections_are_named(adapt: str, expected: set[str]) -> None:
    assert moving_names(ToyConvNet(), adapt) == expected | {"head.out.weight", "head.out.bias"}


def test_words_of_names_select() -> None:
    assert moving_names(ToyConvNet(), "stem.0, out.bias") == {
        "stem.0.weight",
        "stem.0.bias",
        "head.out.bias",
    }
    with pytest.raises(ValueError, match="selects no weight"):
        moving_names(ToyConvNet(), "elbow")
    with pytest.raises(ValueError, match="1 part"):
        moving_names(ToyRegressor(), "head")


@pytest.mark.parametrize("adapt", ["all", "later", "head", "late.3"])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_predictions_are_the_regressors_own(adapt: str, groups: int) -> None:
    net = ToyConvNet().double().eval()
    batch = exemplar_of_four()
    weights = RegressorWeights(net, batch.image, batch.box, moving_names(net, adapt))
    rows = torch.arange(4)
    found, wanted = weights.predict(weights.start(rows, groups), rows), net(batch.image, batch.box)
    for name, value in vars(wanted).items():
        # float64, products in another order
        assert torch.allclose(vars(found)[name], value, rtol=1e-12, atol=1e-14)


def exemplar_of_four():
    from exemplar.bodies import load_open_body

    return exemplar_of(load_open_body().double(), people(4))


def test_frozen_parts_run_once() -> None:
    net = ToyConvNet().double().eval()
    calls = []
    net.stem.register_forward_hook(lambda *_: calls.append(1))
    batch = exemplar_of_four()
    weights = RegressorWeights(net, batch.image, batch.box, moving_names(net, "later"))
    rows = torch.arange(4)
    for _ in range(3):
        weights.predict(weights.start(rows, 4), rows)
    assert calls == [1]


@pytest.mark.parametrize("groups", [1, 2])
def test_the_default_network_reads_its_landmarks_once(groups: int) -> None:
    net = load_regressor("mobile")[0]
    calls = []
    net.get_submodule("reader").register_forward_hook(lambda *_: calls.append(1))
    batch = exemplar_of_four()
    image = torch.rand(2, 3, 256, 256)
    weights = RegressorWeights(net, image, batch.box[:2], moving_names(net, "head"))
    assert {name.split(".")[0] for name in weights.initial} == {"head"}
    rows = torch.arange(2)
    for _ in range(3):
        found = weights.predict(weights.start(rows, groups), rows)
    assert calls == [1]
    wanted = net(image, batch.box[:2])
    # float32 products in another order
    assert torch.allclose(found.body_pose, wanted.body_pose, atol=1e-5)


def test_copies_are_copies() -> None:
    net = ToyConvNet().double().eval()
    before = copy.deepcopy(net.state_dict())
    batch = exemplar_of_four()
    weights = RegressorWeights(net, batch.image, batch.box)
    for groups in (1, 4):
        for value in weights.start(torch.arange(4), groups).values():
            value.add_(1.0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, 1, stride=2, bias=False),
        nn.Conv2d(4, 6, 1, padding=1),
        nn.Conv2d(4, 6, 1, groups=2),
        nn.Conv2d(4, 6, 3, stride=2, padding=1),
    ],
)
def test_pointwise_convolutions_as_products_are_the_same(conv: nn.Conv2d) -> None:
    conv, x = conv.double(), torch.randn(3, 4, 5, 7).double()
    with Products(pointwise=True, precision="float32"):
        found = conv(x)
    assert torch.allclose(found, conv(x), rtol=1e-12, atol=1e-14)


def test_many_crops_are_predicted_in_blocks() -> None:
    net = ToyConvNet().eval()
    image = torch.rand(70, 3, 8, 8)
    box = exemplar_of_four().box[:1]
    box = type(box)(box.centre.expand(70, 2), box.size.expand(70), box.angle.expand(70))
    found = predict_in_blocks(net, image, box)
    assert torch.allclose(found.betas, net(image, box).betas, atol=1e-6)


@pytest.mark.parametrize("groups", [1, 4])
def test_bfloat16_is_close_and_gives_gradients_in_float32(groups: int) -> None:
    net = ToyConvNet().eval()
    batch = exemplar_of_four()
    image, box = batch.image.float(), batch.box.to(torch.float32)
    exact, rough = (RegressorWeights(net, image, box, precision=p) for p in ("float32", "bfloat16"))
    rows = torch.arange(4)
    params = {name: p.requires_grad_() for name, p in rough.start(rows, groups).items()}
    found = rough.predict(params, rows)
    wanted = exact.predict(exact.start(rows, groups), rows)
    gap = float((found.body_pose - wanted.body_pose).detach().abs().max())
    assert 0 < gap < 0.03, "bfloat16 keeps 8 bits: 0.4 % a product"
    slopes = torch.autograd.grad(
        found.body_pose.square().sum() + found.camera.sum(), list(params.values())
    )
    assert all(slope.dtype == torch.float32 for slope in slopes)


def test_without_frozen_parts_crops_stay_what_they_are() -> None:
    regressor = nn.Conv2d(3, 1, 1).eval()
    image = torch.rand(2, 3, 4, 4)
    assert frozen_outputs(regressor, image, frozenset({"weight"})) is image
