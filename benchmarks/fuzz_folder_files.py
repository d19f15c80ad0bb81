"""Small valid files of scenes, caches, synthetic sets and evaluations, and their readers, for
`benchmarks.fuzz`."""

import json
import struct
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.fuzz_files import KINDS as KINDS_OF_DATA
from benchmarks.fuzz_files import Kind
from exemplar.bodies import OPEN_BODY, Body, load_body
from exemplar.evaluation.open_sets import fingerprints
from exemplar.evaluation.report.page import write_report
from exemplar.files.npy_files import npy_from_bytes
from exemplar.geometry.crops import Box
from exemplar.regressors.prediction import Prediction
from exemplar.synth.folders import ANNOTATIONS, HEADER, TRUTH
from exemplar.training.augment import AugmentConfig
from exemplar.training.feature_cache import CacheConfig, CachedData, fill_cache
from exemplar.training.mixtures import Mixture
from exemplar.training.sources import SourceConfig, load_people
from exemplar.viewer.result.scene import read_scene


def _no_body(name: str) -> Body:
    raise AssertionError(f"a scene of meshes asks for the body {name}")


def _bodies_of_glb(path: Path) -> object:
    return read_scene(path, _no_body)


def _scene() -> dict[str, Any]:
    """A triangle with two bones, the second of which moves."""
    arrays: dict[str, tuple[np.ndarray, int, str]] = {
        "POSITION": (np.eye(3, dtype=np.float32), 5126, "VEC3"),
        "JOINTS_0": (np.tile(np.array([0, 1, 0, 0], np.uint8), (3, 1)), 5121, "VEC4"),
        "WEIGHTS_0": (np.full((3, 4), 0.25, np.float32), 5126, "VEC4"),
        "faces": (np.arange(3, dtype=np.uint16)[:, None], 5123, "SCALAR"),
        "rest": (np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)).reshape(2, 16), 5126, "MAT4"),
        "times": (np.arange(4, dtype=np.float32)[:, None], 5126, "SCALAR"),
        "turns": (np.tile(np.array([0, 0, 0, 1], np.float32), (4, 1)), 5126, "VEC4"),
    }
    data, views, accessors = b"", [], []
    for number, (values, kind, shape) in enumerate(arrays.values()):
        raw = values.tobytes()
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(raw)})
        accessors.append(
            {"bufferView": number, "componentType": kind, "type": shape, "count": len(values)}
        )
        data += raw + b"\0" * (-len(raw) % 4)
    place = {name: number for number, name in enumerate(arrays)}
    attributes = {name: place[name] for name in ("POSITION", "JOINTS_0", "WEIGHTS_0")}
    target = {"node": 2, "path": "rotation"}
    asset = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0, 1]}],
        "nodes": [{"mesh": 0, "skin": 0, "name": "a"}, {"children": [2]}, {"name": "bone"}],
        "meshes": [{"primitives": [{"attributes": attributes, "indices": place["faces"],
                                    "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorFactor": [0.1, 0.2, 0.3, 1.0]}}],
        "skins": [{"joints": [1, 2], "inverseBindMatrices": place["rest"]}],
        "animations": [{"channels": [{"sampler": 0, "target": target}],
                        "samplers": [{"input": place["times"], "output": place["turns"]}]}],
        "accessors": accessors, "bufferViews": views, "buffers": [{"byteLength": len(data)}],
    }  # fmt: skip
    return {"asset": asset, "data": data}


def _write_glb(content: Any, path: Path) -> None:
    text = json.dumps(content["asset"]).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    chunks += struct.pack("<I4s", len(content["data"]), b"BIN\0") + content["data"]
    path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)


class _Head(nn.Module):
    """Never run."""

    def forward(self, inputs: Tensor, box: Box) -> Prediction:
        raise NotImplementedError


class _Network(nn.Module):
    """A regressor whose first part is frozen: crops become means of colours."""

    resolution = width = 12
    framing = "level"
    camera_model = "weak"

    def __init__(self) -> None:
        super().__init__()
        self.chain = nn.ModuleList([nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), _Head()])

    def parts(self) -> list[nn.Module]:
        """The frozen part and the head."""
        return list(self.chain)


@cache
def _cached() -> Mapping[str, bytes]:
    """The files of a cache by name."""
    with TemporaryDirectory() as folder:
        source = Path(folder) / "mix.json"
        KINDS_OF_DATA["training sources"].write([], source)  # its people and their picture
        people = load_people(SourceConfig("a", source.with_name("people.npz"), Path(folder)))
        cached = Path(folder) / "cache"
        config = CacheConfig(variants=2, block=8)
        fill_cache(cached, _Network().eval(), [people], AugmentConfig.none(), config)
        return {file.name: file.read_bytes() for file in cached.rglob("*") if file.is_file()}


def _write_cache(content: Any, path: Path) -> None:
    folder = path.parent if path.name == "header.json" else path.parents[1]
    (folder / "a-00000").mkdir(exist_ok=True)
    for name, data in _cached().items():
        (folder / ("" if name == "header.json" else "a-00000") / name).write_bytes(data)
    if path.name == "header.json":
        path.write_text(json.dumps(content))
    else:
        np.save(path, content["array"])


def _batch(levels: int) -> Callable[[Path], object]:
    def read(path: Path) -> object:
        data = CachedData(path.parents[levels], _Network().eval(), Mixture({"a": 1.0}), 4)
        return data.batch(0), data.batch(7)

    return read


def _array(name: str) -> Callable[[], Any]:
    return lambda: {"array": npy_from_bytes(_cached()[name])}


def _truth() -> dict[str, Any]:
    people = 2
    return {
        "pose": np.zeros((people, 72)), "shape": np.zeros((people, 10)),
        "S": np.ones((people, 24, 4)), "openpose": np.ones((people, 25, 3)),
        "part": np.ones((people, 24, 3)), "focal": np.full(people, 900.0),
        "principal_point": np.full((people, 2), 32.0), "root": np.ones((people, 3)),
        "annotIds": np.arange(people),
    }  # fmt: skip


def _write_set(content: Any, path: Path) -> None:
    folder = path.parent
    (folder / "images").mkdir(exist_ok=True)
    for number in range(2):
        (folder / "images" / f"{number:08d}.jpg").write_bytes(b"a photo")
    header = {"config": {"image_size": 64}, "domain": "wild", "seed": 1, "count": 2}
    (folder / HEADER).write_text(json.dumps(content if path.name == HEADER else header))
    np.savez(folder / ANNOTATIONS, part=np.ones((2, 24, 3)), annotIds=np.arange(2))
    truth = content if path.name == TRUTH else _truth()
    KINDS_OF_DATA["npz"].write(truth, folder / TRUTH)


def _prints(path: Path) -> object:
    with torch.inference_mode():
        return fingerprints(path.parent, [2])


@cache
def _open_body() -> Body:
    return load_body(OPEN_BODY)


def _page(path: Path) -> object:
    return write_report(path.parent, body=_open_body())


_RUN = KINDS_OF_DATA["evaluation run"]

KINDS: Mapping[str, Kind] = {
    "evaluation page": Kind(_RUN.file, _RUN.content, _RUN.write, _page),
    "glb": Kind("a.glb", _scene, _write_glb, _bodies_of_glb),
    "feature cache": Kind("header.json", lambda: json.loads(_cached()["header.json"]),
                          _write_cache, _batch(0)),
    "feature cache, targets": Kind("a-00000/targets.npy", _array("targets.npy"), _write_cache,
                                   _batch(1)),
    "feature cache, features": Kind("a-00000/features-0.npy", _array("features-0.npy"),
                                    _write_cache, _batch(1)),
    "synthetic set": Kind(HEADER, lambda: {"config": {"image_size": 64}, "domain": "wild",
                                           "seed": 1, "truth": "give", "count": 2},
                          _write_set, _prints),
    "synthetic set, truth": Kind(TRUTH, _truth, _write_set, _prints),
}  # fmt: skip
"""The files and their readers."""
