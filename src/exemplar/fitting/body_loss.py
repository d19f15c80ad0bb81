"""The loss of a body against a known one: one form for training, with the truth, and for a fit,
with an auxiliary network's body in the truth's place (dual networks, Eq. 7-8)."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from exemplar import objectives
from exemplar.bodies import Body, BodyParams
from exemplar.fitting.projections import Projection
from exemplar.objectives import Norm
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25

SPLIT = len(OPENPOSE_25)
"""Of the 49 joints, OpenPose's come first, then the 24 annotated ones."""

OF_JOINTS = frozenset({"joints_3d"})
"""Terms that need 3D joints."""

OF_BODIES = frozenset({"vertices", "pose", "betas"})
"""Terms that need a body."""


@dataclass(frozen=True)
class BodyLossConfig:
    """Weights of the terms; the defaults are the dual networks paper's (section 3.6)."""

    keypoints_2d: float = 5.0
    """Mean squared 2D error over 49 x 2, crop units."""
    joints_3d: float = 5.0
    """Mean squared error of the 24 annotated joints about the middle of the hips, m^2."""
    vertices: float = 0.5
    """Distance of the vertices; 0 never poses the mesh."""
    vertex_norm: Norm = "l2"
    """Mean absolute (as released) or mean squared (as printed) vertex distance."""
    joint_norm: Norm = "l2"
    """The same for 2D keypoints and 3D joints; both papers and their programs square."""
    vertex_stride: int = 1
    """Take each n-th vertex: the same mean over fewer, and several times faster."""
    pose: float = 1.0
    """Mean squared difference of rotation matrices."""
    betas: float = 1e-3
    """Mean squared difference of shape coefficients."""
    camera: float = 0.0
    """Released programs' prior on the camera's scale, exp(-10 s)^2."""
    scale: float = 1.0
    """Factor on the sum (released programs: 60)."""

    def __post_init__(self) -> None:
        negative = any(weight < 0 for weight in self.weights().values())
        if negative or self.vertex_stride < 1:
            raise ValueError(
                f"loss weights must not be negative and vertex_stride at least 1, got {self}"
            )

    def weights(self) -> dict[str, float]:
        """What terms are multiplied with, by name; `scale` multiplies all of them."""
        return {name: value for name, value in vars(self).items() if isinstance(value, float)}

    @classmethod
    def paper(cls) -> "BodyLossConfig":
        """Dual networks as printed."""
        return cls()

    @classmethod
    def released(cls) -> "BodyLossConfig":
        """The dual networks' program."""
        return cls(vertex_norm="l1", camera=1.0, scale=60.0)

    @classmethod
    def spin(cls) -> "BodyLossConfig":
        """SPIN's and EFT's training programs."""
        return cls(vertices=0.0, camera=1.0, scale=60.0)

    @classmethod
    def ours(cls) -> "BodyLossConfig":
        """This project's recipes: SPIN's terms; their weights do well on the open body, too."""
        return replace(cls.spin(), camera=0.0)

    def only_2d(self) -> "BodyLossConfig":
        """Without what needs a body: the 2D term and the camera's prior."""
        return replace(self, joints_3d=0.0, vertices=0.0, pose=0.0, betas=0.0)


@dataclass(frozen=True)
class BodyTarget:
    """What bodies are compared with, one a row."""

    keypoints_2d: Float[Tensor, "b 49 2"]
    """Crop units."""
    weights: Float[Tensor, "b 49"]
    """Weights of the 2D term."""
    joints: Float[Tensor, "b 24 3"]
    """The annotated joints, metres."""
    confidence: Float[Tensor, "b 24"]
    """Their confidences."""
    body: BodyParams
    """Rotations and shape."""
    vertices: Float[Tensor, "b v 3"] | None
    """Its vertices, metres, as `posed_vertices` gives them; None if they are not compared."""
    has_joints: Bool[Tensor, " b"]
    """Who has joints."""
    has_body: Bool[Tensor, " b"]
    """Who has a body."""

    def __getitem__(self, rows: Tensor) -> "BodyTarget":
        """Some of the rows."""
        return BodyTarget(
            self.keypoints_2d[rows],
            self.weights[rows],
            self.joints[rows],
            self.confidence[rows],
            self.body[rows],
            None if self.vertices is None else self.vertices[rows],
            self.has_joints[rows],
            self.has_body[rows],
        )


def pseudo_target(
    body: Body,
    params: BodyParams,
    keypoints_2d: Float[Tensor, "b 49 2"],
    weights: Float[Tensor, "b 49"],
    config: BodyLossConfig,
) -> BodyTarget:
    """A network's bodies in the place of the truth; everyone has joints and a body."""
    everyone = torch.ones(len(weights), dtype=torch.bool, device=weights.device)
    joints = body.keypoints(params, "smpl49")[:, SPLIT:]
    return BodyTarget(
        keypoints_2d,
        weights,
        joints,
        body.available("smpl49")[SPLIT:].expand(len(weights), -1),
        params,
        posed_vertices(body, params, config),
        everyone,
        everyone,
    )


def posed_vertices(
    body: Body, params: BodyParams, config: BodyLossConfig
) -> Float[Tensor, "b v 3"] | None:
    """The vertices that the loss compares, metres; None if it compares none."""
    if config.vertices == 0:
        return None
    return body(params, stride=config.vertex_stride).vertices


def body_terms(
    body: Body,
    prediction: Prediction,
    target: BodyTarget,
    config: BodyLossConfig,
    projection: Projection,
    rows: Tensor,
    *,
    aspect: float = 1.0,
) -> tuple[dict[str, Tensor], Float[Tensor, "b 49 2"]]:
    """Weighted terms of the loss for each exemplar (dual networks, Eq. 7-8), and the projected
    joints in crop units.

    Terms of weight 0 are left out, and a term is 0 for whom its target is unknown.

    `target` is of the same exemplars; `rows` says which of the projection's they are. `aspect` is
    the crop's height over its width: the programs' 2D errors are in units of each.
    """
    params = prediction.body_params()
    joints = body.keypoints(params, "smpl49")
    projected = projection(joints, prediction.camera, rows)
    unit = projected.new_tensor([aspect, 1.0])
    terms = {
        "keypoints_2d": objectives.keypoints_2d(
            projected * unit, target.keypoints_2d * unit, target.weights, config.joint_norm
        )
    }
    if config.joints_3d:
        terms["joints_3d"] = objectives.keypoints_3d_on_hips(
            joints[:, SPLIT:], target.joints, target.confidence, config.joint_norm
        )
    if config.vertices:
        vertices = posed_vertices(body, params, config)
        assert vertices is not None
        assert target.vertices is not None
        terms["vertices"] = objectives.vertices(vertices, target.vertices, config.vertex_norm)
    if config.pose:
        terms["pose"] = objectives.rotations(_rotmats(params), _rotmats(target.body))
    if config.betas:
        terms["betas"] = objectives.betas(params.betas, target.body.betas)
    if config.camera:
        terms["camera"] = objectives.camera_scale_prior(prediction.camera)
    known = dict.fromkeys(OF_JOINTS, target.has_joints) | dict.fromkeys(OF_BODIES, target.has_body)
    weighted = {
        name: config.scale * getattr(config, name) * _where(known.get(name), value)
        for name, value in terms.items()
    }
    return weighted, projected


def valid_shares(
    target: BodyTarget, groups: int, *, everywhere: Callable[[Tensor], Tensor] = lambda share: share
) -> dict[str, Float[Tensor, " b"]]:
    """Factors that make a group's mean of a term the mean over those who have its target.

    As the released programs have it: sparse supervision is not diluted. A term whose target nobody
    in a group has stays 0. `everywhere` averages a share over machines that hold parts of a group.
    """
    out: dict[str, Tensor] = {}
    for names, has in ((OF_JOINTS, target.has_joints), (OF_BODIES, target.has_body)):
        grouped = has.to(target.weights.dtype).unflatten(0, (groups, -1))
        found = everywhere(grouped.mean(1, keepdim=True))
        factor = torch.where(found > 0, 1 / found.clamp_min(1e-6), 0.0)
        out |= dict.fromkeys(names, factor.expand_as(grouped).flatten())
    return out


def _where(known: Tensor | None, value: Tensor) -> Tensor:
    return value if known is None else torch.where(known, value, 0.0)


def _rotmats(params: BodyParams) -> Float[Tensor, "b 24 3 3"]:
    return torch.cat((params.global_orient[:, None], params.body_pose), dim=1)
