"""EFT's golden numbers and the inputs that they were computed from (see ../README.md)."""

import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from exemplar.bodies import Body, load_smpl
from exemplar.geometry.crops import Box
from exemplar.samples import Batch
from tests.golden.eft import fixture

FOLDER = Path(__file__).parent


class Reference:
    """Arrays of an .npz by name, as tensors."""

    def __init__(self, path: Path) -> None:
        self._file = np.load(path, allow_pickle=False)
        self.names: tuple[str, ...] = tuple(self._file.files)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(self.array(name))

    def array(self, name: str) -> np.ndarray:
        """The array itself (strings stay strings)."""
        return self._file[name]


@cache
def reference() -> Reference:
    """The numbers of EFT's program."""
    return Reference(FOLDER / "eft_reference.npz")


@cache
def body(dtype: torch.dtype = torch.float32, gender: str = "neutral") -> Body:
    """The invented body through the real loader; shared by all tests, so leave it as it is."""
    with tempfile.TemporaryDirectory() as folder:
        write_body(Path(folder), gender)
        return load_smpl(Path(folder) / "smpl.npz", dtype=dtype)


def write_body(folder: Path, gender: str = "neutral") -> Path:
    """`smpl.npz` and the two keypoint regressors in `folder`; the path of the first."""
    np.savez(folder / "smpl.npz", **fixture.smpl_model(gender))
    np.save(folder / "J_regressor_extra.npy", fixture.j_regressor_extra())
    np.save(folder / "J_regressor_h36m.npy", fixture.j_regressor_h36m())
    return folder / "smpl.npz"


@cache
def hmr_state() -> dict[str, Tensor]:
    """The network's state dict under the published names, with its `init_*` buffers."""
    return fixture.hmr_state_dict()


@cache
def batch(dtype: torch.dtype = torch.float32) -> Batch:
    """The six exemplars: RGB in 0..1, keypoints in crop units; a box is a whole 224 px image."""
    samples = fixture.samples()
    normalised = torch.from_numpy(np.stack([sample["img"] for sample in samples])).to(dtype)
    mean, std = (torch.from_numpy(x).to(dtype)[:, None, None] for x in (fixture.MEAN, fixture.STD))
    # The program's float64 run saw images that float32 had normalised: undo that in `dtype`.
    image = normalised * std + mean
    keypoints = np.stack([sample["keypoints"] for sample in samples])
    count = len(samples)
    box = Box(
        torch.full((count, 2), 112.0, dtype=dtype),
        torch.full((count,), 224.0, dtype=dtype),
        torch.zeros(count, dtype=dtype),
    )
    return Batch(image, box, torch.from_numpy(keypoints).to(dtype))


@cache
def pose_3d() -> Tensor:
    """3D truth of the exemplars: (6, 24, 4) metres and confidence, float64."""
    return torch.from_numpy(np.stack([sample["pose_3d"] for sample in fixture.samples()]))
