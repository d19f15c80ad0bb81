"""Fitted photos and motions as files: arrays, JSON, 3D scenes, skeletons and tables."""

from exemplar.export.amass_file import write_amass
from exemplar.export.bvh_file import write_bvh
from exemplar.export.glb_file import write_glb, write_motion_glb
from exemplar.export.joint_tables import write_csv, write_trc
from exemplar.export.json_file import write_json
from exemplar.export.mesh_files import write_mesh
from exemplar.export.npz_file import write_npz

__all__ = [
    "write_amass",
    "write_bvh",
    "write_csv",
    "write_glb",
    "write_json",
    "write_mesh",
    "write_motion_glb",
    "write_npz",
    "write_trc",
]
