"""SMPL+H and SMPL-X as bodies of SMPL's 24 joints: the first 22 turn, hands and face are kept.

Joints that never turn relative to their parents are summed out: their weights go to the joint that
carries them, and the pose in which they stand is put into the rest mesh (Loper et al. 2015, Eq. 2-4
with constant rotations). This is exact for flat hands, and for vertices that move with no other
joint than those of one hand.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies.body import BodyArrays, pose_feature
from exemplar.bodies.lbs import apply, forward_kinematics, skin
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.skeletons import HANDS_24, SMPL_24, SMPL_24_PARENTS


def with_kept_hands(
    arrays: BodyArrays, names: Sequence[str], hands: Float[Tensor, "fingers 3"] | None
) -> BodyArrays:
    """The body of 24 joints that `arrays`, with joints `names`, is when its hands do not move.

    `hands` are the fingers' rotations, axis-angle in the order of `names`, radians; None is flat.
    The hands' own joints of the 24 lie where `HANDS_24` says and turn nothing.
    """
    count = len(names)
    kept = [names.index(name) for name in SMPL_24 if name in names]
    as_24 = [names.index(HANDS_24.get(name, name)) for name in SMPL_24]
    local = torch.eye(3, dtype=arrays.v_template.dtype).repeat(count, 1, 1)
    if hands is not None:
        local[count - len(hands) :] = axis_angle_to_rotmat(hands.to(local))

    def stand(
        points: Float[Tensor, "*batch v 3"], joints: Float[Tensor, "*batch j 3"]
    ) -> tuple[Float[Tensor, "*batch v 3"], Float[Tensor, "*batch j 3"]]:
        world, posed = forward_kinematics(
            local.expand(*joints.shape[:-1], 3, 3), joints, arrays.parents
        )
        return skin(points, arrays.skinning_weights, world, posed - apply(world, joints)), posed

    template, shapedirs, posedirs = arrays.v_template, arrays.shapedirs, arrays.posedirs
    if posedirs is not None:
        template = template + posedirs @ pose_feature(local[1:])
        turning = posedirs[..., : 9 * (len(kept) - 1)].movedim(-1, 0)
        turning, _ = stand(turning, turning.new_zeros(len(turning), count, 3))
        posedirs = posedirs.new_zeros(len(template), 3, 9 * (len(SMPL_24) - 1))
        posedirs[..., : len(turning)] = turning.movedim(0, -1)
    template, joints = stand(template, arrays.joints_template)
    shapedirs, directions = stand(shapedirs.movedim(-1, 0), arrays.joints_shapedirs.movedim(-1, 0))
    carried = torch.zeros(count, len(SMPL_24), dtype=template.dtype)
    for joint in range(count):
        carrier = joint
        while carrier not in kept:
            carrier = arrays.parents[carrier]
        carried[joint, as_24.index(carrier)] = 1.0
    return replace(
        arrays,
        v_template=template,
        shapedirs=shapedirs.movedim(0, -1),
        posedirs=posedirs,
        joints_template=joints[as_24],
        joints_shapedirs=directions.movedim(0, -1)[as_24],
        skinning_weights=arrays.skinning_weights @ carried,
        parents=SMPL_24_PARENTS,
    )
