"""Fitted photos as files: arrays, JSON and 3D scenes."""

from exemplar.export.glb_file import write_glb
from exemplar.export.json_file import write_json
from exemplar.export.npz_file import write_npz

__all__ = ["write_glb", "write_json", "write_npz"]
