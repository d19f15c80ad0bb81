"""Binary glTF 2.0 (`.glb`): the meshes of a scene as its animation moves them.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Morph targets, sparse and compressed
meshes are not read.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from exemplar.files.file_budget import Budget
from exemplar.files.reading_files import parse_json, reading

_COMPONENTS = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_TRIANGLES = 4
_REST = {"translation": (0.0, 0.0, 0.0), "rotation": (0.0, 0.0, 0.0, 1.0), "scale": (1.0, 1.0, 1.0)}
_GREY = (0.7, 0.7, 0.7)


@dataclass(frozen=True)
class MovingMesh:
    """A mesh in T frames, in the scene's axes (y up, metres)."""

    name: str
    """Of its node."""
    faces: Int[np.ndarray, "f 3"]
    vertices: Float[np.ndarray, "t v 3"]
    colour: tuple[float, float, float]
    """RGB, 0 to 1."""
    joint_names: tuple[str, ...]
    """Of its skeleton; none if it has no skin."""
    parents: tuple[int, ...]
    """Of each joint, by number; -1 for a joint whose parent is no joint."""
    joints: Float[np.ndarray, "t joints 3"]


def read_glb(path: Path, most_frames: int) -> tuple[Float[np.ndarray, " t"], list[MovingMesh]]:
    """The times (seconds) of the first animation's keys, `most_frames` of them at most, and the
    meshes at these times; one time, 0, if nothing moves.

    FileNotFoundError if there is no file; ValueError, in one line, if it is damaged, has no
    triangles, or would take more memory than its budget.
    """
    with reading(path, "a binary glTF 2.0 file"):
        return _Reader(path).scene(most_frames)


class _Reader:
    """One file."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.budget = Budget(len(data))
        magic, version, _, size, kind = struct.unpack_from("<4sIII4s", data)
        if (magic, version, kind) != (b"glTF", 2, b"JSON"):
            raise ValueError("it does not begin as a binary glTF 2.0 file")
        self.asset: dict[str, Any] = parse_json(data[20 : 20 + size], self.budget)
        needs = self.asset.get("extensionsRequired")
        if needs:
            raise ValueError(f"it needs the extension {needs[0]}, which is not known")
        self.binary = data[28 + size :]
        self.nodes: list[dict[str, Any]] = self.asset.get("nodes", [])
        self.parents = self._parents()

    def scene(self, most_frames: int) -> tuple[np.ndarray, list[MovingMesh]]:
        tracks = list(self._tracks())
        keys = np.unique(np.concatenate([times for _, _, times, _ in tracks] or [np.zeros(1)]))
        times = keys[np.unique(np.linspace(0, len(keys) - 1, most_frames).round().astype(int))]
        world = self._world(times, tracks)
        meshes = [
            self._mesh(number, primitive, world)
            for number, node in enumerate(self.nodes)
            if "mesh" in node and number in world
            for primitive in self.asset["meshes"][node["mesh"]]["primitives"]
            if primitive.get("mode", _TRIANGLES) == _TRIANGLES
        ]
        if not meshes:
            raise ValueError("it has no mesh of triangles")
        return times - times[0], meshes

    def array(self, number: int) -> np.ndarray:
        """An accessor's rows, numbers as the file means them."""
        entry = self.asset["accessors"][number]
        if "sparse" in entry or "bufferView" not in entry:
            raise ValueError("it has sparse arrays, which are not read")
        view = self.asset["bufferViews"][entry["bufferView"]]
        dtype = np.dtype(_COMPONENTS[entry["componentType"]])
        width, count = _WIDTHS[entry["type"]], entry["count"]
        stride = view.get("byteStride") or width * dtype.itemsize
        begin = view.get("byteOffset", 0) + entry.get("byteOffset", 0)
        self.budget.take(count * width * 8)
        inside = begin + count * stride <= len(self.binary) + stride
        if min(begin, count) < 0 or stride < width * dtype.itemsize or not inside:
            raise ValueError("an array reaches beyond the end of the file")
        rows = np.ndarray((count, width), dtype, self.binary, begin, (stride, dtype.itemsize))
        if entry.get("normalized"):
            return np.maximum(rows / np.iinfo(dtype).max, -1.0)
        return rows

    def _parents(self) -> dict[int, int]:
        """The node above each node, -1 above the scene's roots, in an order in which parents come
        first; ValueError for nodes that are below two others, or below themselves."""
        scenes = self.asset.get("scenes") or [{"nodes": list(range(len(self.nodes)))}]
        parents = dict[int, int]()
        left = [(root, -1) for root in scenes[self.asset.get("scene", 0)].get("nodes", [])]
        while left:
            number, above = left.pop()
            if number in parents or not 0 <= number < len(self.nodes):
                raise ValueError(f"node {number} is no node, or in two places")
            parents[number] = above
            left += [(child, number) for child in self.nodes[number].get("children", [])]
        return parents

    def _tracks(self) -> Iterator[tuple[int, str, np.ndarray, np.ndarray]]:
        """Of the first animation: which node, what of it, when, and what it is then."""
        for animation in self.asset.get("animations", [])[:1]:
            for channel in animation["channels"]:
                target, sampler = channel["target"], animation["samplers"][channel["sampler"]]
                if target["path"] not in _REST or "node" not in target:
                    continue
                times = self.array(sampler["input"])[:, 0].astype(np.float64)
                values = self.array(sampler["output"]).astype(np.float64)
                if sampler.get("interpolation") == "CUBICSPLINE":
                    values = values[1::3]
                sane = np.isfinite(times).all() and (np.diff(times) > 0).all()
                if not (len(times) and sane and len(values) == len(times)):
                    raise ValueError("its animation has times that do not grow, or lacks values")
                yield target["node"], target["path"], times, values

    def _world(
        self, times: np.ndarray, tracks: Sequence[tuple[int, str, np.ndarray, np.ndarray]]
    ) -> Mapping[int, Float[np.ndarray, "t 4 4"]]:
        """Each node's place in the scene at each time."""
        moved = {(node, what): _between(times, *own) for node, what, *own in tracks}
        world = dict[int, np.ndarray]()
        for number, above in self.parents.items():
            node = self.nodes[number]
            if "matrix" in node:
                local = np.asarray(node["matrix"], np.float64).reshape(4, 4).T[None]
            else:
                parts = [
                    moved.get((number, what), np.asarray(node.get(what, rest), np.float64)[None])
                    for what, rest in _REST.items()
                ]
                local = _matrices(*parts)
            world[number] = local if above < 0 else world[above] @ local
            self.budget.take(world[number].nbytes)
        return {number: np.broadcast_to(own, (len(times), 4, 4)) for number, own in world.items()}

    def _mesh(
        self, number: int, primitive: Mapping[str, Any], world: Mapping[int, np.ndarray]
    ) -> MovingMesh:
        node, own = self.nodes[number], primitive["attributes"]
        points = self.array(own["POSITION"]).astype(np.float64)
        order = primitive.get("indices")
        faces = np.arange(len(points)) if order is None else self.array(order)[:, 0].astype(int)
        faces = faces[: len(faces) // 3 * 3].reshape(-1, 3)
        if not len(faces) or faces.max() >= len(points):
            raise ValueError("a mesh has no triangles, or triangles of points that it has not")
        skin = self.asset["skins"][node["skin"]] if "skin" in node else None
        bones: list[int] = skin["joints"] if skin else []
        self.budget.take(len(world[number]) * (len(points) * 12 + len(bones) * 24))
        self.budget.take(len(points) * len(bones) * 8)
        if skin is None:
            vertices = _placed(world[number], points)
        else:
            vertices = self._skinned(points, own, skin, world)
        if not np.isfinite(vertices).all():
            raise ValueError("a mesh has numbers that are not finite")
        joints = [world[bone][:, :3, 3] for bone in bones] or [np.zeros((len(vertices), 0, 3))]
        return MovingMesh(
            str(node.get("name", f"mesh {number}")),
            faces,
            vertices,
            self._colour(primitive),
            tuple(str(self.nodes[bone].get("name", bone)) for bone in bones),
            tuple(
                bones.index(self.parents[bone]) if self.parents[bone] in bones else -1
                for bone in bones
            ),
            np.stack(joints, axis=1) if bones else joints[0],
        )

    def _skinned(
        self,
        points: np.ndarray,
        own: Mapping[str, int],
        skin: Mapping[str, Any],
        world: Mapping[int, np.ndarray],
    ) -> Float[np.ndarray, "t v 3"]:
        bones: list[int] = skin["joints"]
        rest = np.eye(4)[None].repeat(len(bones), 0)
        if "inverseBindMatrices" in skin:
            rest = self.array(skin["inverseBindMatrices"]).reshape(-1, 4, 4).swapaxes(1, 2)
        chosen = self.array(own["JOINTS_0"]).astype(int)
        weights = self.array(own["WEIGHTS_0"]).astype(np.float64)
        shares = np.zeros((len(points), len(bones)))
        for joint, weight in zip(chosen.T, weights.T, strict=True):
            np.add.at(shares, (np.arange(len(points)), joint), weight)
        whole = np.concatenate([points, np.ones((len(points), 1))], axis=1)
        frames = len(world[bones[0]])
        vertices = np.zeros((frames, len(points), 3), np.float32)
        for frame in range(frames):
            matrices = np.stack([world[bone][frame] for bone in bones]) @ rest
            blended = (shares @ matrices.reshape(len(bones), 16)).reshape(-1, 4, 4)
            vertices[frame] = np.einsum("vij,vj->vi", blended[:, :3], whole)
        return vertices

    def _colour(self, primitive: Mapping[str, Any]) -> tuple[float, float, float]:
        materials = self.asset.get("materials", [])
        material = materials[primitive["material"]] if "material" in primitive else {}
        told = material.get("pbrMetallicRoughness", {}).get("baseColorFactor", _GREY)
        red, green, blue = (float(min(max(value, 0.0), 1.0)) for value in told[:3])
        return red, green, blue


def _between(
    times: Float[np.ndarray, " t"], keys: Float[np.ndarray, " k"], values: Float[np.ndarray, "k n"]
) -> Float[np.ndarray, "t n"]:
    """Values on the straight way between keys; of quaternions on the shorter one."""
    if values.shape[1] == 4:
        turned_over = (values[1:] * values[:-1]).sum(-1, keepdims=True) < 0
        values = values.copy()
        values[1:] *= np.cumprod(np.where(turned_over, -1.0, 1.0), axis=0)
    return np.stack([np.interp(times, keys, column) for column in values.T], axis=1)


def _matrices(
    translation: Float[np.ndarray, "#t 3"],
    rotation: Float[np.ndarray, "#t 4"],
    scale: Float[np.ndarray, "#t 3"],
) -> Float[np.ndarray, "n 4 4"]:
    """Node transforms; rotations are quaternions (x, y, z, w)."""
    length = np.linalg.norm(rotation, axis=-1, keepdims=True)
    x, y, z, w = (rotation / np.maximum(length, 1e-12)).T
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    ).transpose(2, 0, 1)
    count = max(len(translation), len(rotation), len(scale))
    out = np.zeros((count, 4, 4))
    out[:, :3, :3] = turn * scale[:, None, :]
    out[:, :3, 3] = translation
    out[:, 3, 3] = 1.0
    return out


def _placed(
    matrices: Float[np.ndarray, "t 4 4"], points: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, "t v 3"]:
    moved = np.einsum("tij,vj->tvi", matrices[:, :3, :3], points) + matrices[:, None, :3, 3]
    return moved.astype(np.float32)
