"""Both HRNet variants: the published names and shapes, and the authors' features."""

import json

import pytest
import torch
from torch import Tensor, nn

from exemplar.regressors.hrnet import HRNet, HRNetAux, HRNetMain
from tests.golden import dual

VARIANTS = {"main": (HRNetMain, "backbone."), "aux": (HRNetAux, "encoder.")}


def below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The entries of a whole network's state dict that a module of it owns."""
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


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
@pytest.mark.parametrize(("height", "width"), [(256, 192), (224, 224)])
def test_maps_halve_from_a_quarter_of_the_image(variant: str, height: int, width: int) -> None:
    network = without_storage(variant)
    *parts, feature = network.parts()
    maps: Tensor | tuple[Tensor, ...] = torch.zeros(2, 3, height, width, device="meta")
    for part in parts:
        maps = part(maps)
        resolutions = [(height // 4 >> i, width // 4 >> i) for i in range(len(maps))]
        assert [tuple(x.shape[-2:]) for x in maps] == resolutions
    assert [x.shape[1] for x in maps] == [48, 96, 192, 384]
    assert feature(maps).shape == (2, network.features)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_parts_in_turn_are_the_network_and_share_its_weights(variant: str) -> None:
    network = VARIANTS[variant][0]().eval()
    image = torch.randn(1, 3, 64, 32)
    folded = image
    for part in network.parts():
        folded = part(folded)
    assert torch.equal(folded, network(image))
    owned = {id(p) for part in network.parts() for p in part.parameters()}
    unused = {name for name, p in network.named_parameters() if id(p) not in owned}
    assert unused == ({"final_layer.weight", "final_layer.bias"} if variant == "main" else set())


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


@pytest.mark.slow
@pytest.mark.parametrize(("variant", "recorded"), [("main", "cliff_meta"), ("aux", "cliff_aux")])
def test_features_are_those_of_the_authors_program(variant: str, recorded: str) -> None:
    """To 1e-5: float32 features up to 5.5, through some 300 layers whose sums kernels may reorder.

    Measured 0 (main) and 1e-6 (aux) on one thread of the machine that recorded them.
    """
    build, prefix = VARIANTS[variant]
    network: nn.Module = build().eval()
    network.load_state_dict(below(prefix, dual.hrnet_state(variant)))
    with torch.no_grad():
        feature = network(dual.batch()["img"][:2])
    assert (feature - dual.reference()[f"hrnet_feature/{recorded}"]).abs().max() < 1e-5
