"""Both HRNet variants: the published names and shapes, and the authors' features."""

import json

import pytest
import torch
from torch import Tensor

from exemplar.fitting.weights import RegressorWeights, moving_names
from exemplar.regressors.cliff import CliffHrnet
from exemplar.regressors.hrnet import HRNet, HRNetAux, HRNetMain
from tests.golden import dual

VARIANTS = {"main": (HRNetMain, "backbone."), "aux": (HRNetAux, "encoder.")}

SHAPES = [(48, 64, 48), (96, 32, 24), (192, 16, 12)]
"""Channels, height and width of the maps of a 256x192 crop."""

ROUNDING = 1e-5
"""Float32 features up to 5.5 and outputs below 4, through some 300 layers whose sums another
kernel or number of threads may reorder. Measured 1e-6 where the numbers were recorded."""


def published_shapes(variant: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a whole published network, in the file's order."""
    key = {"main": "keys/hrnet_cliff_meta", "aux": "keys/hrnet_cliff_aux"}[variant]
    shapes = json.loads(str(dual.reference().array(key)))
    return {name: tuple(shape) for name, shape in shapes.items()}


def shapes_of(state: dict[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in state.items()}


def without_storage(variant: str) -> HRNet:
    """A network that has shapes but no numbers, which is quick."""
    with torch.device("meta"):
        return VARIANTS[variant][0]().eval()


@pytest.mark.parametrize(("variant", "total"), [("main", 67_999_893), ("aux", 78_893_405)])
def test_names_shapes_and_order_are_those_of_the_published_files(variant: str, total: int) -> None:
    prefix = VARIANTS[variant][1]
    published = published_shapes(variant)
    network = without_storage(variant)
    made = shapes_of(network.state_dict())
    body = {k.removeprefix(prefix): s for k, s in published.items() if k.startswith(prefix)}
    assert list(made.items()) == list(body.items())
    head = {k: s for k, s in published.items() if not k.startswith((prefix, "init_"))}
    numbers = sum(torch.Size(shape).numel() for shape in head.values())
    assert numbers + sum(p.numel() for p in network.parameters()) == total


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_stage_adds_a_map_of_half_the_resolution(variant: str) -> None:
    network = without_storage(variant)
    stem, *stages, last = network.parts()
    x = stem(torch.zeros(2, 3, 256, 192, device="meta"))
    assert x.shape == (2, 256, 64, 48)
    for stage in stages:
        x = stage(x)
        assert [tuple(m.shape[1:]) for m in x] == SHAPES[: len(x)]
    assert len(x) == 3
    assert last(x).shape == (2, network.features)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parts_in_turn_are_the_network_and_share_its_weights(variant: str) -> None:
    network = VARIANTS[variant][0]().eval()
    image = torch.randn(1, 3, 64, 32)
    folded = image
    for part in network.parts():
        folded = part(folded)
    assert torch.equal(folded, network(image))
    own = dict(network.named_parameters())
    named = dict(pair for part in network.parts() for pair in part.named_parameters())
    assert all(own[name] is parameter for name, parameter in named.items())
    unused = {"final_layer.weight", "final_layer.bias"} if variant == "main" else set()
    assert set(own) - set(named) == unused


def test_every_number_moves_but_those_that_never_moved_in_the_authors_program() -> None:
    network = HRNetMain().eval()
    network(torch.randn(1, 3, 64, 64)).square().sum().backward()
    still = {name for name, p in network.named_parameters() if p.grad is None}
    reference = dual.reference()
    run = "train/cliff_hrnet/bneval/first"
    names = reference.array(f"{run}/grad_names").tolist()
    never = reference[f"{run}/outer_grad"].isnan().all(1).tolist()
    expected = {name for name, none in zip(names, never, strict=True) if none}
    assert {f"backbone.{name}" for name in still} == expected
    assert len(expected) == 2


def test_other_image_sides_are_refused() -> None:
    with pytest.raises(ValueError, match="multiples of 32, got 250x192"):
        without_storage("main")(torch.zeros(1, 3, 250, 192, device="meta"))


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize("groups", [1, 2])
def test_each_exemplar_may_have_its_own_last_stage(groups: int) -> None:
    """What comes before runs once and crosses the cut as three maps. To float32's rounding."""
    network = CliffHrnet("main").eval()
    image, box = torch.rand(2, 3, 64, 64), dual.box()[:2]
    weights = RegressorWeights(network, image, box, moving_names(network, "last_stage"))
    rows = torch.arange(2)
    params = weights.start(rows, groups)
    first = torch.randn(48, 96, 1, 1)
    name = "backbone.stage4.2.fuse_layers.0.1.0.weight"
    params[name][0] = first
    found = weights.predict(params, rows)
    before = network(image, box)
    network.get_parameter(name).copy_(first)
    after = network(image, box)
    wanted = after.betas if groups == 1 else torch.stack((after.betas[0], before.betas[1]))
    assert torch.allclose(found.betas, wanted, atol=ROUNDING)
    assert (after.betas[0] - before.betas[0]).abs().max() > 10 * ROUNDING


def cliff(variant: str) -> CliffHrnet:
    """The authors' network, every tensor of the file and no other."""
    network = CliffHrnet("main", n_iter=10) if variant == "main" else CliffHrnet("aux", n_iter=3)
    network.load_state_dict(dual.hrnet_state(variant))
    return network.eval()


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize(("variant", "recorded"), [("main", "cliff_meta"), ("aux", "cliff_aux")])
def test_features_are_those_of_the_authors_program(variant: str, recorded: str) -> None:
    features = dual.image()[:2]
    for part in cliff(variant).trunk():
        features = part(features)
    expected = dual.reference()[f"hrnet_feature/{recorded}"]
    assert (features - expected).abs().max() < ROUNDING


@torch.no_grad()
@pytest.mark.slow
@pytest.mark.parametrize(("variant", "recorded"), [("main", "main_before"), ("aux", "aux")])
@pytest.mark.parametrize("mode", ["bneval", "bntrain"])
def test_bodies_are_those_of_the_authors_program(variant: str, recorded: str, mode: str) -> None:
    """In training too, where batch norm uses the two crops' own statistics; without dropout."""
    network, reference = cliff(variant), dual.reference()
    network.drop1.p = network.drop2.p = 0.0
    network.train(mode == "bntrain")
    found = network(dual.image()[:2], dual.box()[:2])
    rotmats = torch.cat((found.global_orient[:, None], found.body_pose), dim=1)
    for name, value in (("rotmat", rotmats), ("betas", found.betas), ("cam", found.camera)):
        expected = reference[f"train/cliff_hrnet/{mode}/first/{recorded}_{name}"]
        assert (value - expected).abs().max() < ROUNDING, name
