"""The example that adapts an outside network."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

from exemplar.geometry.cameras import project, project_full
from exemplar.geometry.crops import Box

EXAMPLE = Path(__file__).parents[2] / "examples" / "03_any_regressor.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("any_regressor", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@torch.no_grad()
def test_the_adapter_sees_what_the_outside_camera_sees(example: ModuleType) -> None:
    """The outside network's own pinhole, written out; 1e-4 px is float32's rounding of 224 px."""
    network = example.Outside()
    regressor = example.Adapted(network)
    image, points = torch.rand(2, 3, 224, 224), 0.4 * torch.randn(2, 9, 3)
    found = network(255 * image.flip(1))
    focal, middle = torch.full((2,), 5000.0), torch.full((2, 2), 112.0)
    pixels = project_full(points + found["translation"][:, None], focal, middle)
    box = Box(middle, torch.full((2,), 224.0), torch.zeros(2))
    camera = regressor(image, box).camera
    seen = project(points, camera, box, regressor.camera_model, regressor.resolution)
    assert torch.allclose(112 * (seen + 1), pixels, rtol=0, atol=1e-4)


def test_the_example_fits_its_exemplar(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    example.main()
    status, before, _, after, _ = capsys.readouterr().out.split()
    assert status == "ok:"
    assert float(before) > 10
    assert float(after) < 3
