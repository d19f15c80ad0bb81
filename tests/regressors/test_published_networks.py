"""HMR and CLIFF on ResNet-50: the published programs' numbers from the published tensor names."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from exemplar.geometry.crops import Box
from exemplar.regressors.cliff import Cliff
from exemplar.regressors.head import IterativeRegressor, box_information
from exemplar.regressors.hmr import RECT, Hmr
from exemplar.regressors.lifter import Lifter
from exemplar.regressors.prediction import Prediction, run
from tests.golden import dual, eft
from tests.golden.eft import Reference

FLOAT32 = 1e-6
"""Rounding of a float32 network whose outputs are below 4; the programs' own spread is 3e-7."""


@cache
def spin() -> Hmr:
    network = Hmr().eval()
    network.load_state_dict(eft.hmr_state())
    return network


def rect(network: str, part: str) -> IterativeRegressor:
    module = (Hmr(size=RECT) if network == "hmr" else Cliff()).eval()
    module.load_state_dict(dual.resnet_state(network, part))
    return module


def largest_difference(
    found: Prediction, recorded: Reference, names: tuple[str, str, str]
) -> float:
    rotmats = torch.cat((found.global_orient[:, None], found.body_pose), dim=1)
    pairs = zip((rotmats, found.betas, found.camera), names, strict=True)
    return max(float((value - recorded[name]).abs().max()) for value, name in pairs)


def test_parameters_have_the_published_names_in_the_published_order() -> None:
    names = [name for name, _ in spin().named_parameters()]
    assert names == eft.reference().array("param_names").tolist()
    assert set(spin().state_dict()) == set(eft.hmr_state())
    assert sum(p.numel() for p in spin().parameters()) == 26_977_501
    assert sum(p.numel() for p in Cliff().parameters()) == 26_980_573


@torch.no_grad()
def test_hmr_is_the_network_of_eft() -> None:
    batch, recorded = eft.batch(), eft.reference()
    names = ("hmr_rotmat_f32", "hmr_betas_f32", "hmr_cam_f32")
    assert largest_difference(spin()(batch.image, batch.box), recorded, names) < FLOAT32
    features = batch.image[:2]
    for part in spin().parts()[:-1]:
        features = part(features)
    expected = recorded["hmr_feat_f32"]
    assert (features - expected).abs().max() < FLOAT32 * expected.max()


@torch.no_grad()
def test_hmr_in_double_is_the_network_of_eft_in_double() -> None:
    """1e-12: rounding of float64 through fifty layers; found 3e-16."""
    network = Hmr().eval()
    network.load_state_dict(eft.hmr_state())
    batch, recorded = eft.batch(torch.float64), eft.reference()
    *trunk, _ = network.double().parts()
    features = batch.image[:1]
    for part in trunk:
        features = part(features)
    for n_iter, prefix in ((3, "hmr_"), (1, "hmr_niter1_")):
        network.n_iter = n_iter
        found = network.parts()[-1](features, batch.box[:1])
        expected = recorded[prefix + "rotmat_f64"][:1, 1:]
        assert (found.body_pose - expected).abs().max() < 1e-12
        assert (found.camera - recorded[prefix + "cam_f64"][:1]).abs().max() < 1e-12


@torch.no_grad()
@pytest.mark.parametrize(
    ("network", "part"),
    [
        ("hmr", "main"),
        pytest.param("hmr", "aux", marks=pytest.mark.slow),
        ("cliff", "main"),
        pytest.param("cliff", "aux", marks=pytest.mark.slow),
    ],
)
def test_networks_on_256x192_are_the_dual_network_authors(network: str, part: str) -> None:
    """After 1, 3 and 10 corrections."""
    module, recorded = rect(network, part), dual.reference()
    *trunk, _ = module.parts()
    features = dual.image()
    for stage in trunk:
        features = stage(features)
    prefix = f"forward/{network}_{'meta' if part == 'main' else part}/"
    expected = recorded[prefix + "feature"]
    assert (features - expected).abs().max() < FLOAT32 * max(1, expected.max())
    for n_iter in (1, 3, 10):
        module.n_iter = n_iter
        head = module.parts()[-1]
        names = tuple(f"{prefix}iter{n_iter}/{name}" for name in ("rotmat", "betas", "cam"))
        assert largest_difference(head(features, dual.box()), recorded, names) < FLOAT32


def test_the_box_tells_cliff_where_the_crop_is() -> None:
    """Recorded in float32 after float64 arithmetic; the sums cancel to a tenth of their terms."""
    expected = dual.reference()["input/bbox_info"]
    assert torch.allclose(box_information(dual.box()), expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_cliff_sees_the_box_and_refuses_one_without_a_camera() -> None:
    cliff, box = Cliff().eval(), dual.box()[:1]
    with torch.no_grad():
        cliff.decpose.weight.normal_(std=0.1)
    features = torch.rand(1, 2048)
    head = cliff.parts()[-1]
    moved = Box(box.centre + 300, box.size, box.angle, box.focal, box.principal_point)
    assert not torch.equal(head(features, box).body_pose, head(features, moved).body_pose)
    with pytest.raises(ValueError, match="focal and principal_point"):
        head(features, Box(box.centre, box.size, box.angle))


@torch.no_grad()
@pytest.mark.parametrize("make", [Hmr, Cliff, Lifter])
def test_the_parts_of_a_network_are_the_network(make: type[nn.Module]) -> None:
    network = make().eval()
    height, width = getattr(network, "resolution", 0), getattr(network, "width", 0)
    image, box = torch.rand(1, 3, height, width), dual.box()[:1]
    parts = network.parts()
    whole, folded = network(image, box), run(parts, image, box)
    assert all(
        torch.equal(a, b) for a, b in zip(vars(whole).values(), vars(folded).values(), strict=True)
    )
    named = [pair for part in parts for pair in part.named_parameters()]
    assert [name for name, _ in named] == [name for name, _ in network.named_parameters()]
    own: dict[str, Tensor] = dict(network.named_parameters())
    assert all(own[name] is parameter for name, parameter in named)


@torch.no_grad()
def test_a_head_without_corrections_to_make_answers_with_a_person_who_stands() -> None:
    network = Hmr().eval()
    for module in (network.decpose, network.decshape, network.deccam):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
    found = network.parts()[-1](torch.rand(1, 2048), dual.box()[:1])
    assert torch.equal(found.global_orient[0], torch.diag(torch.tensor([1.0, -1.0, -1.0])))
    assert torch.equal(found.body_pose, torch.eye(3).expand(1, 23, 3, 3))
    assert torch.equal(found.camera[0], torch.tensor([0.9, 0.0, 0.0]))


def test_dropout_acts_in_training_only() -> None:
    box, features = dual.box(), torch.rand(4, 2048)
    network = Hmr()
    nn.init.normal_(network.decpose.weight)
    head = network.parts()[-1]
    assert not torch.equal(head(features, box).body_pose, head(features, box).body_pose)
    head.eval()
    assert torch.equal(head(features, box).body_pose, head(features, box).body_pose)


def test_no_correction_is_an_error() -> None:
    with pytest.raises(ValueError, match="n_iter=0"):
        Hmr(n_iter=0)
