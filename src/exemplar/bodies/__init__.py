"""Parametric bodies: one skinning layer, filled from the open body or from SMPL files."""

from exemplar.bodies.body import Body, BodyArrays, BodyOutput, BodyParams
from exemplar.bodies.open_body import OPEN_BODY, load_open_body
from exemplar.bodies.smpl_files import load_smpl

__all__ = [
    "OPEN_BODY",
    "Body",
    "BodyArrays",
    "BodyOutput",
    "BodyParams",
    "load_body",
    "load_open_body",
    "load_smpl",
]


def load_body(name: str = OPEN_BODY) -> Body:
    """A body by name: "open", or the path of an SMPL, SMPL+H or SMPL-X file (.npz or .pkl).

    Raises FileNotFoundError or ValueError with one line saying what was wrong.
    """
    return load_open_body() if name == OPEN_BODY else load_smpl(name)
