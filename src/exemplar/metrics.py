"""Pose errors: arrays in, millimetres out."""

from jaxtyping import Float
from torch import Tensor

from exemplar.geometry.align import similarity_align

MILLIMETRES = 1000.0


def mpjpe(
    joints: Float[Tensor, "*batch n 3"], truth: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch"]:
    """Mean per-joint position error, mm; both in metres and already centred alike."""
    return MILLIMETRES * (joints - truth).norm(dim=-1).mean(-1)


def pa_mpjpe(
    joints: Float[Tensor, "*batch n 3"], truth: Float[Tensor, "*batch n 3"]
) -> Float[Tensor, "*batch"]:
    """MPJPE after the best similarity transform of `joints` onto `truth`, mm."""
    return mpjpe(similarity_align(joints, truth), truth)
