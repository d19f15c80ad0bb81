"""Both trunks agree with the published networks, and can be trained."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from exemplar.assets import load_asset_state
from exemplar.regressors.blazepose import BlazePoseTrunk, Size

GOLDEN = Path(__file__).parents[1] / "golden" / "trunk"
ASSETS: dict[Size, str] = {
    "full": "pose_trunk.safetensors",
    "heavy": "pose_trunk_heavy.safetensors",
}
ANSWERS: dict[Size, str] = {"full": "blazepose.npz", "heavy": "blazepose_heavy.npz"}
NUM_PARAMETERS: dict[Size, int] = {"full": 3_107_073, "heavy": 13_747_169}


def load_trunk(size: Size) -> BlazePoseTrunk:
    model = BlazePoseTrunk(size)
    model.load_state_dict(load_asset_state(ASSETS[size]), strict=True)
    return model


@pytest.fixture(scope="module", params=["full", "heavy"])
def size(request) -> Size:
    return request.param


@pytest.fixture(scope="module")
def trunk(size) -> BlazePoseTrunk:
    return load_trunk(size)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 3, 256, 256, generator=torch.Generator().manual_seed(0))


def test_agrees_with_the_published_network(trunk, size):
    golden = np.load(GOLDEN / ANSWERS[size])
    pixels = torch.from_numpy(golden["squares"]).float() / 255
    image = pixels.repeat_interleave(16, 0).repeat_interleave(16, 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        output = trunk(image)
    difference = np.abs(output.landmarks[0].numpy() - golden["landmarks"])
    # The interpreter adds up float32 products in another order; 0.004 px was the most on photos.
    assert difference[:, :3].max() < 0.01
    assert difference[:, 3:].max() < 1e-3  # logits
    assert np.abs(output.world[0].numpy() - golden["world"]).max() < 1e-4  # 0.1 mm
    # The probability is small for this picture: 1e-3 of it is 1e-3 of the logit.
    np.testing.assert_allclose(output.presence.sigmoid(), golden["presence"], rtol=1e-3)


def test_the_sizes_are_those_documented(trunk, size):
    assert sum(p.numel() for p in trunk.parameters()) == NUM_PARAMETERS[size]


def test_shapes_are_those_documented(trunk, images):
    with torch.no_grad():
        output = trunk(images)
    assert [tuple(field.shape) for field in output] == [(2, 39, 5), (2, 39, 3), (2,)]


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


def test_every_parameter_receives_a_gradient(size, images):
    trunk = load_trunk(size)
    output = trunk(images)
    (output.landmarks.sum() + output.world.sum() + output.presence.sum()).backward()
    for name, parameter in trunk.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_each_exemplar_can_own_its_weights(size, images):
    """vmap of grad of functional_call, as the fitting loop does it, equals one at a time."""
    # In float64, so that no rounding takes an activation over a corner of the ReLU6.
    trunk = load_trunk(size).double()
    stages = list(trunk.stages.values())
    with torch.no_grad():
        crossing = nn.Sequential(*stages[:-2])(images.double())
    last = nn.Sequential(*stages[-2:], trunk.heads.world)
    weights = {name: p.detach() for name, p in last.named_parameters()}

    def loss(weights, activations):
        return functional_call(last, weights, (activations[None],)).square().sum()

    stacked = {name: p.expand(2, *p.shape) for name, p in weights.items()}
    together = vmap(grad(loss))(stacked, crossing)
    for i in range(2):
        alone = grad(loss)(weights, crossing[i])
        for name, expected in alone.items():
            # Grouped and plain convolutions add up in different orders.
            torch.testing.assert_close(together[name][i], expected, rtol=1e-8, atol=1e-8)
