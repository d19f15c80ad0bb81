"""Binary glTF 2.0, of what skinned and animated meshes need: accessors, nodes, one buffer.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html
"""

import json
import struct
from typing import Any, Literal

import numpy as np

from exemplar.environment import code_version

_COMPONENTS = {"float32": 5126, "uint32": 5125, "uint8": 5121}
_TYPES = {(): "SCALAR", (3,): "VEC3", (4,): "VEC4", (16,): "MAT4"}
_TARGETS = {"vertices": 34962, "indices": 34963}
_MAGIC, _VERSION, _JSON, _BIN = b"glTF", 2, b"JSON", b"BIN\0"


class Gltf:
    """A glTF asset in the making."""

    def __init__(self) -> None:
        self.asset: dict[str, Any] = {
            "asset": {"version": "2.0", "generator": f"exemplar {code_version()}"}
        }
        self._buffer = bytearray()

    def add(self, kind: str, entry: dict[str, Any]) -> int:
        """Append to one of the asset's lists ("nodes", "meshes", ...); its number there."""
        entries = self.asset.setdefault(kind, [])
        entries.append(entry)
        return len(entries) - 1

    def accessor(
        self, array: np.ndarray, target: Literal["vertices", "indices"] | None = None
    ) -> int:
        """Append an array of scalars, vectors of 3 or 4, or matrices as 16 numbers in columns, of
        float32, uint32 or uint8; its number among the accessors."""
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": array.nbytes}
        if target is not None:
            view["target"] = _TARGETS[target]
        self._buffer += array.astype(array.dtype.newbyteorder("<")).tobytes()
        self._buffer += bytes(-len(self._buffer) % 4)
        return self.add(
            "accessors",
            {
                "bufferView": self.add("bufferViews", view),
                "componentType": _COMPONENTS[array.dtype.name],
                "type": _TYPES[array.shape[1:]],
                "count": len(array),
                "min": np.atleast_1d(array.min(0)).tolist(),
                "max": np.atleast_1d(array.max(0)).tolist(),
            },
        )

    def to_bytes(self) -> bytes:
        """The `.glb` file."""
        asset = {**self.asset, "buffers": [{"byteLength": len(self._buffer)}]}
        text = json.dumps(asset, separators=(",", ":"), allow_nan=False).encode()
        chunks = b"".join(
            struct.pack("<I4s", len(data), kind) + data
            for kind, data in (
                (_JSON, text + b" " * (-len(text) % 4)),
                (_BIN, bytes(self._buffer)),
            )
        )
        return struct.pack("<4sII", _MAGIC, _VERSION, 12 + len(chunks)) + chunks
