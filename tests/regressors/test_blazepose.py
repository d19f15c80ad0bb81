"""The trunk agrees with the published network, splits anywhere, and can be trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, vmap

from exemplar.assets import load_asset_state
from exemplar.regressors.blazepose import CUTS, BlazePoseTrunk, TrunkOutput

GOLDEN = Path(__file__).parents[1] / "golden" / "trunk" / "blazepose.npz"


@pytest.fixture(scope="module")
def trunk() -> BlazePoseTrunk:
    model = BlazePoseTrunk()
    model.load_state_dict(load_asset_state("pose_trunk.safetensors"))
    return model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


def assert_equal(first: TrunkOutput, second: TrunkOutput) -> None:
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


def test_agrees_with_the_published_network(trunk):
    golden = np.load(GOLDEN)
    pixels = torch.from_numpy(golden["squares"]).float() / 255
    image = pixels.repeat_interleave(16, 0).repeat_interleave(16, 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        output = trunk(image)
    difference = np.abs(output.landmarks[0].numpy() - golden["landmarks"])
    # The interpreter adds up float32 products in another order; 0.004 px was the most on photos.
    assert difference[:, :3].max() < 0.01
    assert difference[:, 3:].max() < 1e-3  # logits
    assert np.abs(output.world[0].numpy() - golden["world"]).max() < 1e-4  # 0.1 mm
    np.testing.assert_allclose(output.presence.sigmoid(), golden["presence"], atol=1e-4)


def test_shapes_are_those_documented(trunk, images):
    with torch.no_grad():
        output = trunk(images)
    assert [tuple(field.shape) for field in output] == [
        (2, 39, 5), (2, 39, 3), (2,), (2, 288, 2, 2), (2, 864, 8, 8),
    ]  # fmt: skip


@pytest.mark.parametrize("stage", CUTS)
def test_split_at_any_cut_gives_the_same_output(trunk, images, stage):
    prefix, suffix = trunk.split_at(stage)
    with torch.no_grad():
        crossing = prefix(images)
        assert tuple(crossing.shape[1:]) == CUTS[stage]
        assert_equal(suffix(crossing), trunk(images))


def test_the_parts_share_the_names_and_the_weights_of_the_whole(trunk):
    whole = dict(trunk.named_parameters())
    for part in trunk.split_at("thirty_second"):
        for name, parameter in part.named_parameters():
            assert whole[name] is parameter


def test_cannot_be_split_after_the_middle_tap(trunk):
    with pytest.raises(ValueError, match="cannot split at 'neck'"):
        trunk.split_at("neck")


def test_another_resolution_is_refused(trunk):
    with pytest.raises(ValueError, match="256"):
        trunk(torch.zeros(1, 3, 224, 224))


def test_channels_last_changes_nothing(trunk, images):
    with torch.no_grad():
        other = trunk(images.contiguous(memory_format=torch.channels_last))
        expected = trunk(images)
    for a, b in zip(other, expected, strict=True):
        # float32 sums in another order; landmarks are some hundreds of px
        torch.testing.assert_close(a, b, atol=5e-3, rtol=1e-4)


def test_every_parameter_receives_a_gradient(images):
    trunk = BlazePoseTrunk()
    trunk.load_state_dict(load_asset_state("pose_trunk.safetensors"))
    output = trunk(images)
    (output.landmarks.sum() + output.world.sum() + output.presence.sum()).backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_each_exemplar_can_own_its_weights(images):
    """vmap of grad of functional_call, as the fitting loop does it, equals one at a time."""
    trunk = BlazePoseTrunk()
    trunk.load_state_dict(load_asset_state("pose_trunk.safetensors"))
    # In float64, so that no rounding takes an activation over a corner of the ReLU6.
    prefix, suffix = trunk.double().split_at("thirty_second")
    with torch.no_grad():
        crossing = prefix(images.double())
    weights = {name: p.detach() for name, p in suffix.named_parameters()}

    def loss(weights, activations):
        return functional_call(suffix, weights, (activations[None],)).world.square().sum()

    stacked = {name: p.expand(2, *p.shape) for name, p in weights.items()}
    together = vmap(grad(loss))(stacked, crossing)
    for i in range(2):
        alone = grad(loss)(weights, crossing[i])
        for name, expected in alone.items():
            # Grouped and plain convolutions add up in different orders.
            torch.testing.assert_close(together[name][i], expected, rtol=1e-8, atol=1e-8)
