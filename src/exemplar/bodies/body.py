"""Body: a skinned parametric body with named keypoints, filled from any SMPL-like source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar.bodies.lbs import apply, forward_kinematics, mix, skin, subtrees
from exemplar.geometry.products import linear_in_lines


@dataclass(frozen=True)
class BodyParams:
    """Pose and shape of a batch of bodies, rotations as matrices relative to the parent joint."""

    global_orient: Float[Tensor, "*batch 3 3"]
    """Root rotation: body frame (y up, facing +z) to camera frame (x right, y down, z forward)."""
    body_pose: Float[Tensor, "*batch joints 3 3"]
    """Rotations of the joints but the root."""
    betas: Float[Tensor, "*batch shapes"]
    """Shape coefficients, in standard deviations: `Body.num_betas`, or more up to `most_betas`."""
    transl: Float[Tensor, "*batch 3"] | None = None
    """Translation added to everything, metres; None is zero."""

    def __getitem__(self, rows: slice | Int[Tensor, " rows"]) -> "BodyParams":
        """Some of the bodies."""
        return self._each(lambda value: value[rows])

    def to(self, target: torch.device | torch.dtype | str) -> "BodyParams":
        """The bodies on another device or in another dtype."""
        return self._each(lambda value: value.to(target))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "BodyParams":
        return BodyParams(
            change(self.global_orient),
            change(self.body_pose),
            change(self.betas),
            None if self.transl is None else change(self.transl),
        )


@dataclass(frozen=True)
class BodyOutput:
    """A posed body."""

    joints: Float[Tensor, "*batch joints 3"]
    """Kinematic joints, metres."""
    vertices: Float[Tensor, "*batch v 3"]
    """Mesh vertices, metres."""


@dataclass(frozen=True)
class Population:
    """N people of evenly spread ages, in a body's shapes."""

    age: Float[Tensor, " n"]
    """Years."""
    gender: Float[Tensor, " n"]
    """0 male, 1 female."""
    height: Float[Tensor, " n"]
    """Metres."""
    betas: Float[Tensor, "n b"]
    """Their shape coefficients, all of them."""


@dataclass(frozen=True)
class BodyArrays:
    """What a body consists of, as read from a file. V vertices, J joints, B shapes."""

    v_template: Float[Tensor, "v 3"]
    """Rest-pose vertices, metres."""
    shapedirs: Float[Tensor, "v 3 b"]
    """Vertex displacement for one unit of each beta, metres."""
    posedirs: Float[Tensor, "v 3 p"] | None
    """Pose correctives: displacement per entry of flatten(R_1..R_J-1 - I), metres."""
    joints_template: Float[Tensor, "j 3"]
    """Rest-pose joints for betas = 0, metres."""
    joints_shapedirs: Float[Tensor, "j 3 b"]
    """Joint displacement for one unit of each beta, metres."""
    skinning_weights: Float[Tensor, "v j"]
    """Rows sum to 1."""
    parents: tuple[int, ...]
    """Parent of each joint, -1 for the root; parents come first."""
    faces: Int[Tensor, "f 3"]
    """Triangles, counter-clockwise seen from outside."""
    regressors: Mapping[str, Float[Tensor, "k jv"]]
    """Named keypoint sets: (K, J + V) matrices over posed joints, then posed vertices. A row of
    zeros says that the file does not define that keypoint."""
    num_betas: int | None = None
    """Shapes that networks predict, the first ones; None is all."""
    population: Population | None = None
    """People in these shapes, which tell whom to expect."""


class Body(nn.Module):
    """A parametric body with linear blend skinning; buffers only, nothing is trained.

    Betas may be the `num_betas` that networks predict, or more: those that are not given are 0.
    """

    v_template: Tensor
    shapedirs: Tensor
    further_shapedirs: Tensor
    posedirs: Tensor | None
    joints_template: Tensor
    joints_shapedirs: Tensor
    further_joints_shapedirs: Tensor
    skinning_weights: Tensor
    faces: Tensor

    def __init__(self, arrays: BodyArrays, *, name: str) -> None:
        super().__init__()
        self.name = name
        self.parents = arrays.parents
        self.population = arrays.population
        count = arrays.num_betas
        self.register_buffer("v_template", arrays.v_template, persistent=False)
        own, further = _split(arrays.shapedirs, count)
        self.register_buffer("shapedirs", own, persistent=False)
        self.register_buffer("further_shapedirs", further, persistent=False)
        self.register_buffer("posedirs", arrays.posedirs, persistent=False)
        self.register_buffer("joints_template", arrays.joints_template, persistent=False)
        own, further = _split(arrays.joints_shapedirs, count)
        self.register_buffer("joints_shapedirs", own, persistent=False)
        self.register_buffer("further_joints_shapedirs", further, persistent=False)
        self.register_buffer("skinning_weights", arrays.skinning_weights, persistent=False)
        self.register_buffer("faces", arrays.faces, persistent=False)
        self.keypoint_sets = nn.ModuleDict(
            {key: _KeypointSet(arrays, matrix) for key, matrix in arrays.regressors.items()}
        )

    @property
    def num_betas(self) -> int:
        """Number of shape coefficients that networks predict."""
        return self.shapedirs.shape[-1]

    @property
    def most_betas(self) -> int:
        """Number of all shape coefficients."""
        return self.num_betas + self.further_shapedirs.shape[-1]

    @property
    def all_shapedirs(self) -> Float[Tensor, "v 3 shapes"]:
        """Of the mesh, for `most_betas`."""
        return torch.cat((self.shapedirs, self.further_shapedirs), dim=-1)

    @property
    def all_joints_shapedirs(self) -> Float[Tensor, "joints 3 shapes"]:
        """Of the joints, likewise."""
        return torch.cat((self.joints_shapedirs, self.further_joints_shapedirs), dim=-1)

    def takes(self, betas: int) -> bool:
        """Whether somebody may have so many shape coefficients."""
        return self.num_betas <= betas <= self.most_betas

    def forward(self, params: BodyParams, *, stride: int = 1) -> BodyOutput:
        """Pose the joints and the mesh, or each `stride`-th vertex of it."""
        world, joints, rest = self._pose(params)
        points, weights = self.at_rest(params.betas, stride), self.skinning_weights[::stride]
        if self.posedirs is not None:
            feature = pose_feature(params.body_pose)
            points = points + torch.einsum("vcp,...p->...vc", self.posedirs[::stride], feature)
        vertices = skin(points, weights, world, joints - apply(world, rest))
        if params.transl is not None:
            joints = joints + params.transl[..., None, :]
            vertices = vertices + params.transl[..., None, :]
        return BodyOutput(joints, vertices)

    def at_rest(
        self, betas: Float[Tensor, "*batch shapes"], stride: int = 1
    ) -> Float[Tensor, "*batch v 3"]:
        """The mesh before it is posed, or each `stride`-th vertex of it, metres."""
        own, further = betas[..., : self.num_betas], betas[..., self.num_betas :]
        points = torch.einsum("vcb,...b->...vc", self.shapedirs[::stride], own)
        points = self.v_template[::stride] + points
        if further.shape[-1]:
            directions = self.further_shapedirs[::stride, :, : further.shape[-1]]
            points = points + torch.einsum("vcb,...b->...vc", directions, further)
        return points

    def keypoints(
        self, params: BodyParams, name: str = "smpl49"
    ) -> Float[Tensor, "*batch keypoints 3"]:
        """A named keypoint set (metres) without posing the mesh: the same numbers, far cheaper."""
        points = self.skeleton(params, name)[2]
        return points if params.transl is None else points + params.transl[..., None, :]

    def skeleton(
        self, params: BodyParams, *names: str
    ) -> tuple[
        Float[Tensor, "*batch joints 3 3"],
        Float[Tensor, "*batch joints 3"],
        Float[Tensor, "*batch keypoints 3"],
    ]:
        """World rotations and places of the joints, and named keypoint sets one after another; the
        places in metres without the translation."""
        world, joints, _ = self._pose(params)
        points = [self._keypoint_set(name)(world, joints, params) for name in names]
        return world, joints, points[0] if len(points) == 1 else torch.cat(points, dim=-2)

    def available(self, name: str = "smpl49") -> Float[Tensor, " keypoints"]:
        """1 for keypoints that this body's file defines, 0 for those it does not."""
        return self._keypoint_set(name).available

    def carried(self, name: str = "smpl49") -> Float[Tensor, "keypoints joints"]:
        """Share of each keypoint that turns with each joint, 0 to 1."""
        ancestry = subtrees(self.parents).to(self.v_template)
        return self._keypoint_set(name).mixing[:, : len(self.parents)] @ ancestry

    def _keypoint_set(self, name: str) -> "_KeypointSet":
        if name not in self.keypoint_sets:
            known = ", ".join(self.keypoint_sets)
            raise ValueError(f"body {self.name!r} has no keypoint set {name!r}, only {known}")
        module = self.keypoint_sets[name]
        assert isinstance(module, _KeypointSet)
        return module

    def _pose(self, params: BodyParams) -> tuple[Tensor, Tensor, Tensor]:
        """World rotations, posed joints and rest joints."""
        shapes = (self.joints_shapedirs, self.further_joints_shapedirs)
        rest = _shaped(self.joints_template, *shapes, params.betas)
        rotmats = torch.cat((params.global_orient[..., None, :, :], params.body_pose), dim=-3)
        world, joints = forward_kinematics(rotmats, rest, self.parents)
        return world, joints, rest


def pose_feature(body_pose: Float[Tensor, "*batch joints 3 3"]) -> Float[Tensor, "*batch p"]:
    """What pose correctives are linear in: flatten(R - I) (Loper et al. 2015, Eq. 9)."""
    eye = torch.eye(3, dtype=body_pose.dtype, device=body_pose.device)
    return (body_pose - eye).flatten(-3)


def _split(directions: Tensor, count: int | None) -> tuple[Tensor, Tensor]:
    """The first `count` directions (..., b), and the others."""
    count = directions.shape[-1] if count is None else count
    return directions[..., :count].contiguous(), directions[..., count:].contiguous()


def _shaped(template: Tensor, own: Tensor, further: Tensor, betas: Tensor) -> Tensor:
    """Template (n, 3) plus directions (n, 3, b) times betas (..., b); of `further` as many as
    there are betas."""
    count = own.shape[-1]
    flat = linear_in_lines(betas[..., :count], own.flatten(0, 1), template.flatten())
    if betas.shape[-1] > count:
        more = betas[..., count:]
        flat = flat + linear_in_lines(more, further[..., : more.shape[-1]].flatten(0, 1))
    return flat.unflatten(-1, (-1, 3))


class _KeypointSet(nn.Module):
    """Keypoints as linear maps of the joint transforms, with the mesh summed out beforehand.

    A keypoint is sum_v r_v x_v over posed vertices x_v = sum_j w_vj (G_j (p_v - t_j) + x_j), with
    rest joints t_j, posed ones x_j, and p_v linear in betas and pose feature. So it is
    sum_j (G_j q_j + m_j x_j) with q_j = sum_v r_v w_vj (p_v - t_j) and m_j = sum_v r_v w_vj:
    exact, and no vertex is touched. Of all pairs of a keypoint and a joint, few have m_j or q_j
    other than 0; only those are kept.
    """

    pair_joints: Tensor
    template: Tensor
    shapes: Tensor
    further_shapes: Tensor
    poses: Tensor | None
    mixing: Tensor
    available: Tensor

    def __init__(self, arrays: BodyArrays, matrix: Tensor) -> None:
        super().__init__()
        split = len(arrays.parents)
        on_vertices = matrix[:, split:].to(torch.float64)
        used = on_vertices.abs().sum(0) > 0
        share = on_vertices[:, used, None] * arrays.skinning_weights[used].to(torch.float64)
        mass = share.sum(1)
        rows, cols = (share.abs().sum(1) > 0).nonzero(as_tuple=True)
        share = share[rows, :, cols]
        weight = mass[rows, cols]
        dtype = arrays.v_template.dtype

        def spread(on_mesh: Tensor, on_joints: Tensor | None = None) -> Tensor:
            moments = torch.einsum("nv,v...->n...", share, on_mesh[used].to(share))
            if on_joints is not None:
                moments = moments - torch.einsum("n,n...->n...", weight, on_joints[cols].to(share))
            return moments.to(dtype)

        placing = torch.zeros(len(matrix), len(rows), dtype=torch.float64)
        placing[rows, torch.arange(len(rows))] = 1.0
        on_joints = matrix[:, :split].to(torch.float64) + mass
        self.register_buffer("pair_joints", cols, persistent=False)
        self.register_buffer(
            "template", spread(arrays.v_template, arrays.joints_template), persistent=False
        )
        for name, mesh_shapes, joint_shapes in zip(
            ("shapes", "further_shapes"),
            _split(arrays.shapedirs, arrays.num_betas),
            _split(arrays.joints_shapedirs, arrays.num_betas),
            strict=True,
        ):
            self.register_buffer(name, spread(mesh_shapes, joint_shapes), persistent=False)
        has_poses = arrays.posedirs is not None and bool(used.any())
        poses = spread(arrays.posedirs) if has_poses and arrays.posedirs is not None else None
        self.register_buffer("poses", poses, persistent=False)
        self.register_buffer(
            "mixing", torch.cat((on_joints, placing), dim=1).to(dtype), persistent=False
        )
        self.register_buffer("available", (matrix.abs().sum(1) > 0).to(dtype), persistent=False)

    def forward(self, world: Tensor, joints: Tensor, params: BodyParams) -> Tensor:
        moments = _shaped(self.template, self.shapes, self.further_shapes, params.betas)
        if self.poses is not None:
            feature = pose_feature(params.body_pose)
            turning = linear_in_lines(feature, self.poses.flatten(0, 1))
            moments = moments + turning.unflatten(-1, (-1, 3))
        turned = apply(world.index_select(-3, self.pair_joints), moments)
        return mix(self.mixing, torch.cat((joints, turned), dim=-2))


def sparse_rows(
    rows: Sequence[int] | Tensor,
    cols: Sequence[int] | Tensor,
    values: Sequence[float] | Tensor,
    shape: tuple[int, int],
) -> Float[Tensor, "k jv"]:
    """A dense keypoint regressor from triplets; repeated places add up."""
    out = torch.zeros(shape)
    out.index_put_(
        (torch.as_tensor(rows).long(), torch.as_tensor(cols).long()),
        torch.as_tensor(values, dtype=out.dtype),
        accumulate=True,
    )
    return out
