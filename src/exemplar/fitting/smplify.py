"""SMPLify: body parameters as the unknowns of the loop (Bogo et al. 2016; SPIN's Adam version).

Two stages: the root's orientation and the camera from the torso, then pose and shape under priors.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar import objectives
from exemplar.bodies import Body, BodyParams
from exemplar.fitting.fits import PAPER_ACCEPTANCE, Acceptance, Fits, judged, too_few
from exemplar.fitting.inputs import checked_keypoints
from exemplar.fitting.optimiser import minimise
from exemplar.fitting.stages import Objective, Progress, Stage
from exemplar.fitting.trace import Evaluation
from exemplar.fitting.updates import Adam, Params
from exemplar.geometry.cameras import (
    CROP_FOCAL,
    crop_perspective_translation,
    project_crop_perspective,
    project_weak,
)
from exemplar.geometry.crops import EFT_CROP, crop_units_to_pixels
from exemplar.geometry.rotations import rotmat_to_axis_angle
from exemplar.priors import SmplifyPrior, load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import OPENPOSE_25, OPENPOSE_PREFIX, SMPL_49, TORSO, indices


@dataclass(frozen=True)
class SmplifyConfig:
    """SMPLify's settings.

    Mean 3D errors on synthetic people, 154 mm at the start (`benchmarks/smplify_speed.py`): the
    defaults end at 68 mm, `paper()` at 108, `released()` at 126; with hips and legs out of the
    picture at 113, 160 and 494 mm.
    """

    camera_steps: int = 100
    """Updates of the first stage: root orientation and camera."""
    body_steps: int = 100
    """Updates of the second stage: pose, shape and root orientation under the priors."""
    learning_rate: float = 1e-2
    """Adam's step size in both stages."""
    camera: Literal["weak", "perspective"] = "weak"
    """EFT's weak camera, or SPIN's perspective one with a focal length of 5000 px."""
    pose_weight: float = 4.78**2
    """Weight of the pose prior's penalty."""
    bending_weight: float = 15.2**2
    """Weight of the penalty on knees and elbows that bend the wrong way."""
    shape_weight: float = 5.0**2
    """Weight of the sum of squared betas."""
    torso: Literal["visible", "annotated", "openpose"] = "visible"
    """What the camera stage fits. Visible: shoulders and hips by confidence, or all joints when
    fewer than two of them are seen. Annotated: those four, seen or not. Openpose: OpenPose's four
    if all are seen, else the annotated four, seen or not."""
    openpose: bool = False
    """Whether OpenPose's block of the 49 joints takes part in the body stage."""
    ignored: tuple[str, ...] = ("left_hip", "right_hip", "op_neck", "op_left_hip", "op_right_hip")
    """Joints without part in the body stage: their definitions differ from the body's."""
    anchor: Literal["distance", "ty"] = "distance"
    """What the camera stage holds near its start. Distance: a weak camera's scale or a perspective
    one's depth (m), of which a torso says little. Ty: EFT's program, whose weak camera has ty where
    SPIN's has the depth."""
    anchor_weight: float = 1.0
    """Weight of that number's squared motion."""
    camera_in_body_stage: bool = True
    """Whether the camera goes on moving in the second stage."""
    stop_px2: float | None = None
    """The body stage stops when the robust error, a mean over all 49 joints, falls below this."""
    rodrigues: Literal["exact", "released"] = "exact"
    """Released: the angle is |v + 1e-8|, so matrices are off by some 1e-8."""
    acceptance: Acceptance = PAPER_ACCEPTANCE
    """When a fit is believed."""

    def __post_init__(self) -> None:
        if min(self.camera_steps, self.body_steps) < 0:
            raise ValueError(
                f"steps must be 0 or more, got {self.camera_steps} and {self.body_steps}"
            )
        if not self.learning_rate > 0:
            raise ValueError(f"the learning rate must be positive, got {self.learning_rate}")
        indices(self.ignored, SMPL_49)

    @classmethod
    def paper(cls) -> "SmplifyConfig":
        """SMPLify as EFT's paper compares with it: 100 + 100 steps, no OpenPose joints.

        The camera is free in the first stage and then held; what is not seen is not fitted.
        """
        return cls(anchor_weight=0.0, camera_in_body_stage=False)

    @classmethod
    def released(cls) -> "SmplifyConfig":
        """EFT's program, number by number.

        It differs from `paper()`: the camera stage fits shoulders and hips even when they are
        missing, wherever their coordinates lie; ty is all but frozen, by a term that was written
        for depth; the body stage ends early at a mean robust error of 2 px^2.
        """
        return cls(
            torso="annotated",
            camera_in_body_stage=False,
            anchor="ty",
            anchor_weight=100.0**2,
            stop_px2=2.0,
            rodrigues="released",
        )

    @classmethod
    def spin(cls) -> "SmplifyConfig":
        """SPIN's program, number by number: perspective, with OpenPose's joints."""
        return cls(
            camera="perspective",
            torso="openpose",
            openpose=True,
            camera_in_body_stage=False,
            anchor_weight=100.0**2,
            rodrigues="released",
        )


@dataclass(frozen=True)
class PosedPrediction(Prediction):
    """A prediction that still knows its pose as axis-angle, which the priors are made for."""

    body_pose_axis_angle: Float[Tensor, "*batch 23 3"]
    """The pose behind `body_pose`, radians; angles may exceed pi."""


def fit_smplify(
    start: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    body: Body,
    config: SmplifyConfig,
    *,
    prior: SmplifyPrior | None = None,
    history: bool = False,
    chunk_size: int | None = None,
    progress: Progress = lambda rows, step, evaluation: None,
) -> Fits:
    """Fit bodies to 2D keypoints, each exemplar on its own, from a regressor's answer.

    Keypoints in crop units with their confidence, 0 if missing; `start` with a weak camera
    (`geometry.cameras.weak_equivalent`). Without a prior (`SmplifyPrior.from_gmm_file` reads
    SMPLify's own) the shipped one serves. Iterate 0 is `start`; with `history` the trace holds
    every iterate, else the first and the last. `chunk_size` bounds how many exemplars are
    worked on at once; results do not depend on it. People with broken input or without keypoints
    get a status and keep their start. ValueError if the batch sizes differ.
    """
    count = len(keypoints_2d)
    if len(start.betas) != count:
        raise ValueError(f"expected {count} starting bodies, got {len(start.betas)}")
    keypoints_2d, broken = checked_keypoints(keypoints_2d)
    start, lost = _finite_start(start.detach())
    weights = fitted_weights(keypoints_2d[..., 2], body, config)
    prior = SmplifyPrior.from_pose_prior(load_pose_prior()) if prior is None else prior
    trace = minimise(
        BodyUnknowns(start, config),
        count,
        smplify_stages(start, keypoints_2d, body, config, prior),
        skip=broken | lost | too_few(weights),
        history=history,
        chunk_size=chunk_size,
        device=keypoints_2d.device,
        progress=progress,
    )

    def see(points: Tensor, camera: Tensor, rows: Tensor) -> Tensor:
        return _project(points, camera, config)

    return judged(trace, body, keypoints_2d, weights, see, broken | lost, config.acceptance)


def _finite_start(start: Prediction) -> tuple[Prediction, Bool[Tensor, " b"]]:
    """The bodies, an unposed one for each that is not finite, and which those were."""
    finite, rest = start.finite_rows(), start.unposed()

    def mended(value: Tensor, default: Tensor) -> Tensor:
        return torch.where(finite.view(-1, *[1] * (value.ndim - 1)), value, default)

    whole = zip(vars(start).values(), vars(rest).values(), strict=True)
    return Prediction(*(mended(value, default) for value, default in whole)), ~finite


@dataclass(frozen=True)
class BodyUnknowns:
    """Pose as axis-angle, shape and camera of a batch of bodies, started from a prediction."""

    first: Prediction
    """Where the fit starts."""
    config: SmplifyConfig
    """Says which camera and which Rodrigues formula."""

    def start(self, rows: Int[Tensor, " b"], groups: int) -> Params:
        """Fresh unknowns of these exemplars: `global_orient`, `body_pose`, `betas`, `camera`."""
        assert groups == len(rows), "bodies are not shared"
        first = self.first
        return {
            "global_orient": rotmat_to_axis_angle(first.global_orient[rows]).nan_to_num(0.0),
            "body_pose": rotmat_to_axis_angle(first.body_pose[rows]).nan_to_num(0.0),
            "betas": first.betas[rows].clone(),
            "camera": _camera_numbers(first.camera[rows], self.config),
        }

    def predict(self, params: Params, rows: Int[Tensor, " b"]) -> PosedPrediction:
        """The bodies that these numbers describe."""
        pose = torch.cat((params["global_orient"][:, None], params["body_pose"]), dim=1)
        rotmats = rodrigues(pose, released=self.config.rodrigues == "released")
        camera = params["camera"]
        if self.config.camera == "perspective":
            camera = _weak_camera(camera)
        return PosedPrediction(
            rotmats[:, 0], rotmats[:, 1:], params["betas"], camera, params["body_pose"]
        )


def rodrigues(
    axis_angle: Float[Tensor, "*batch 3"], *, released: bool = False
) -> Float[Tensor, "*batch 3 3"]:
    """Rodrigues' formula in closed form, with the right slope at zero; radians.

    `released`: as in the SMPL layer of EFT and SPIN, the angle is |v + 1e-8| (each component).
    """
    if released:
        angle = (axis_angle + 1e-8).square().sum(-1, keepdim=True).sqrt()
    else:
        # far below rounding, but it keeps the root's slope and the quotient finite at zero
        angle = (axis_angle.square().sum(-1, keepdim=True) + 1e-30).sqrt()
    axis = axis_angle / angle
    versine = 2.0 * (0.5 * angle).sin().square()
    diagonal = 1.0 - versine * axis.square().sum(-1, keepdim=True)
    hats, eye = _hats(axis_angle.dtype, axis_angle.device)
    flat = diagonal * eye + (angle.sin() * axis) @ hats
    return flat.unflatten(-1, (3, 3)) + (versine * axis)[..., None] * axis[..., None, :]


def smplify_stages(
    start: Prediction,
    keypoints_2d: Float[Tensor, "b 49 3"],
    body: Body,
    config: SmplifyConfig,
    prior: SmplifyPrior,
) -> list[Stage]:
    """SMPLify's two stages for a batch of exemplars that start from these bodies."""
    update = Adam(config.learning_rate)
    threshold = config.stop_px2

    def near(now: Evaluation, previous: Evaluation | None) -> Tensor:
        assert threshold is not None
        return now.terms["keypoints_2d"] / len(SMPL_49) < threshold

    return [
        Stage(
            camera_objective(start, keypoints_2d, body, config),
            update,
            config.camera_steps,
            moves=lambda name: name in ("global_orient", "camera"),
        ),
        Stage(
            body_objective(keypoints_2d, body, config, prior),
            update,
            config.body_steps,
            moves=lambda name: config.camera_in_body_stage or name != "camera",
            stop=None if threshold is None else near,
        ),
    ]


def camera_objective(
    start: Prediction, keypoints_2d: Float[Tensor, "b 49 3"], body: Body, config: SmplifyConfig
) -> Objective:
    """Squared error of the torso, for a body that keeps the pose and shape of `start`.

    In crop units for the weak camera, px of a 224 crop for the perspective one (as released).
    """
    target = keypoints_2d[..., :2]
    fitted = fitted_weights(keypoints_2d[..., 2], body, config)
    torso = torso_weights(keypoints_2d[..., 2], body, config)
    unknowns, everyone = (
        BodyUnknowns(start, config),
        torch.arange(len(target), device=target.device),
    )
    first = unknowns.predict(unknowns.start(everyone, len(everyone)), everyone)
    arms, fixed = turning_keypoints(first, body)
    anchor = _anchored(start.camera, config)
    unit = 1.0 if config.camera == "weak" else crop_units_to_pixels(EFT_CROP)

    def evaluate(prediction: Prediction, rows: Int[Tensor, " b"]) -> Evaluation:
        # only the root turns in this stage, so the body is posed once for all iterates
        points = arms[rows] @ prediction.global_orient.mT + fixed[rows]
        projected = _project(points, prediction.camera, config)
        moved = _anchored(prediction.camera, config) - anchor[rows]
        return _evaluation(
            {
                "keypoints_2d": unit**2
                * objectives.squared_keypoints_2d(projected, target[rows], torso[rows]),
                "camera": config.anchor_weight * moved.square(),
            },
            objectives.mean_error_px(projected.detach(), target[rows], fitted[rows]),
        )

    return evaluate


def turning_keypoints(
    prediction: Prediction, body: Body
) -> tuple[Float[Tensor, "b 49 3"], Float[Tensor, "b 49 3"]]:
    """Arms a and fixed points c such that the keypoints are R a + c for a root rotation R, metres.

    The body layer is linear in the root's matrix, so its keypoints at I and -I tell both.
    """
    eye = torch.eye(3).to(prediction.global_orient).expand_as(prediction.global_orient)
    one = body.keypoints(BodyParams(eye, prediction.body_pose, prediction.betas))
    other = body.keypoints(BodyParams(-eye, prediction.body_pose, prediction.betas))
    return 0.5 * (one - other), 0.5 * (one + other)


def body_objective(
    keypoints_2d: Float[Tensor, "b 49 3"],
    body: Body,
    config: SmplifyConfig,
    prior: SmplifyPrior,
) -> Objective:
    """Robust 2D error of the joints, with the priors (Bogo et al. 2016, Eq. 1)."""
    target = keypoints_2d[..., :2]
    fitted = fitted_weights(keypoints_2d[..., 2], body, config)
    penalty = prior.to(keypoints_2d)

    def evaluate(prediction: Prediction, rows: Int[Tensor, " b"]) -> Evaluation:
        assert isinstance(prediction, PosedPrediction)
        points = body.keypoints(prediction.body_params())
        projected = _project(points, prediction.camera, config)
        wanted, weights = target[rows], fitted[rows]
        pose = prediction.body_pose_axis_angle
        return _evaluation(
            {
                "keypoints_2d": objectives.robust_keypoints_2d(projected, wanted, weights),
                "pose": config.pose_weight * penalty(pose),
                "bending": config.bending_weight * objectives.bending_prior(pose),
                "shape": config.shape_weight * prediction.betas.square().sum(-1),
            },
            objectives.mean_error_px(projected.detach(), wanted, weights),
        )

    return evaluate


def fitted_weights(
    confidence: Float[Tensor, "b 49"], body: Body, config: SmplifyConfig
) -> Float[Tensor, "b 49"]:
    """Weights of the body stage's joints: confidences but of those left out or unknown to it."""
    mask = body.available("smpl49").to(confidence).clone()
    if not config.openpose:
        mask[: len(OPENPOSE_25)] = 0.0
    mask[indices(config.ignored, SMPL_49)] = 0.0
    return confidence * mask


def torso_weights(
    confidence: Float[Tensor, "b 49"], body: Body, config: SmplifyConfig
) -> Float[Tensor, "b 49"]:
    """Weights of the camera stage's joints: see `SmplifyConfig.torso`."""
    annotated, openpose = torch.zeros_like(confidence), torch.zeros_like(confidence)
    annotated[:, indices(TORSO, SMPL_49)] = 1.0
    rows = indices([OPENPOSE_PREFIX + name for name in TORSO], SMPL_49)
    openpose[:, rows] = 1.0
    if config.torso == "annotated":
        return annotated
    if config.torso == "openpose":
        complete = (confidence[:, rows] > 0).all(1, keepdim=True)
        return torch.where(complete, openpose, annotated)
    seen = annotated * confidence * body.available("smpl49").to(confidence)
    enough = (seen > 0).sum(1, keepdim=True) >= 2
    return torch.where(enough, seen, fitted_weights(confidence, body, config))


def _evaluation(terms: dict[str, Tensor], error_px: Tensor) -> Evaluation:
    return Evaluation(torch.stack(list(terms.values())).sum(0), error_px, terms)


def _project(points: Tensor, camera: Tensor, config: SmplifyConfig) -> Tensor:
    """Points to crop units, through the weak camera or the perspective one that it stands for."""
    if config.camera == "weak":
        return project_weak(points, camera)
    return project_crop_perspective(points, camera)


def _camera_numbers(camera: Tensor, config: SmplifyConfig) -> Tensor:
    """What a camera's unknowns are: the weak camera, or the translation that it stands for."""
    return camera if config.camera == "weak" else crop_perspective_translation(camera, EFT_CROP)


def _anchored(camera: Tensor, config: SmplifyConfig) -> Tensor:
    """The number that `SmplifyConfig.anchor` names."""
    if config.anchor == "ty":
        return camera[:, 2]
    return camera[:, 0] if config.camera == "weak" else _camera_numbers(camera, config)[:, 2]


def _weak_camera(translation: Tensor) -> Tensor:
    """The inverse of `crop_perspective_translation`."""
    x, y, depth = translation.unbind(-1)
    return torch.stack(((2.0 * CROP_FOCAL / depth - 1e-9) / EFT_CROP, x, y), dim=-1)


@lru_cache(maxsize=16)
def _hats(dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """(3, 9) map of a vector to its cross-product matrix, and the flat identity."""
    eye = torch.eye(3, dtype=dtype, device=device)
    hats = torch.linalg.cross(eye[:, None], eye[None])  # [i, j] = e_i x e_j: column j of hat(e_i)
    return hats.mT.flatten(1), eye.flatten()
