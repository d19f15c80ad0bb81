"""Torch checkpoints: what is read as torch would, and what a file cannot make the reader do."""

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from exemplar.files.pickle_files import as_array, read_pickle
from exemplar.files.tensor_files import TENSORS, read_tensors


def checkpoint() -> dict[str, Any]:
    """Everything that training writes."""
    layer = torch.nn.Linear(3, 2)
    optimiser = torch.optim.Adam(layer.parameters())
    layer(torch.ones(3)).sum().backward()
    optimiser.step()
    flat = torch.arange(12.0)
    return {
        "module": layer.state_dict(),
        "optimiser": optimiser.state_dict(),
        "parameter": layer.weight,
        "flat": flat,
        "turned": flat.reshape(3, 4).T[1:],
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.half, torch.bfloat16, torch.int64)],
        "flag": torch.tensor(True),
        "nothing": torch.empty(0, 3),
        "state": torch.get_rng_state(),
        "score": np.float64(1.5),
        "plain": [1, 2.5, "a", None, (True, b"x")],
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_reads_as_torch_would(tmp_path: Path, zipped: bool) -> None:
    path, written = tmp_path / "last.pt", checkpoint()
    torch.save(written, path, _use_new_zipfile_serialization=zipped)
    read = read_tensors(path)
    assert same(read, written)
    read["flat"][5] = 100.0  # tensors share their numbers as they did
    assert (read["turned"] == 100).any()


def test_a_pickle_with_tensors_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"a": torch.arange(6.0).reshape(2, 3).T}))
    found = as_array(read_pickle(tmp_path / "a.pkl", TENSORS)["a"])
    assert found.tolist() == [[0, 3], [1, 4], [2, 5]]


def changed(path: Path, change: Callable[[bytes], bytes]) -> Path:
    """The checkpoint with another pickle in its zip."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, change(data) if name.endswith("data.pkl") else data)
    return path


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"K\x00K\x02K\x03\x86", b"K\x01K\x02K\x03\x86", "has 6 numbers"),
        (b"K\x03K\x01\x86", b"K\x04K\x01\x86", "has 6 numbers"),
        (b"K\x02K\x03\x86", b"K\x02J\xff\xff\xff\xff\x86", "a tensor has the size"),
        (b"K\x03K\x01\x86", b"K\x03\x85", "not as many strides as sides"),
        (b"K\x06t", b"K\x07t", "a storage has 24 bytes, too few"),
        (b"K\x02K\x03\x86q\x08K\x03K\x01", b"J\xff\xff\xff\x7fK\x03\x86q\x08K\x00K\x01", "64 MB"),
        (b"torch\nFloatStorage", b"torch\nnn.Linear", "it asks for torch.nn.Linear"),
        (b"torch._utils\n_rebuild_tensor_v2", b"os\nsystem", "it asks for os.system"),
    ],
)
def test_a_tensor_that_lies_is_refused(tmp_path: Path, old: bytes, new: bytes, reason: str) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.ones(2, 3)}, path)

    def change(data: bytes) -> bytes:
        assert old in data
        return data.replace(old, new)

    with pytest.raises(ValueError, match=reason) as caught:
        read_tensors(changed(path, change))
    assert str(path) in str(caught.value)


def test_a_packed_checkpoint_cannot_take_much(tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({"a": torch.zeros(2**25)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(ValueError, match="would take more than 64 MB"):
        read_tensors(path)


@pytest.mark.parametrize("data", [b"", b"PK", b"hello", pickle.dumps({"a": 1})])
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pt").write_bytes(data)
    with pytest.raises(ValueError, match="cannot be read as tensors alone") as caught:
        read_tensors(tmp_path / "a.pt")
    assert "\n" not in str(caught.value)
