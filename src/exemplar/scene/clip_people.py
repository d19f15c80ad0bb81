"""One person of a clip: fitted, given one shape, and placed in the camera."""

import copy
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.bodies.shape_prior import NOTHING_KNOWN, Traits, shape_prior
from exemplar.fitting.clip import ClipConfig, fit_clip
from exemplar.fitting.projections import placed
from exemplar.fitting.steadying import steady_box, steady_keypoints, steady_landmarks
from exemplar.fitting.weights import Inputs
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import EFT_CROP, Box, image_to_crop
from exemplar.geometry.smoothing import steady_series
from exemplar.motion import HIGHEST_FPS, MISSING, STILL_FPS, Camera, Motion, rest_pose
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import Lifter
from exemplar.regressors.shaped import ShapedRegressor
from exemplar.scene.clip_options import ClipOptions
from exemplar.scene.placing import believed_depth
from exemplar.scene.smoothing import smoothed
from exemplar.skeletons import SMPL_24

DEPTH_HZ = 1.0
"""Frequency above which a person's distance is noise: it is told by a size of few pixels."""


@dataclass(frozen=True)
class ClipCamera:
    """The camera of a clip."""

    focal: float
    """Px."""
    size: tuple[int, int]
    """Width and height, px."""
    focal_source: str = "given"
    """Where the focal length is from, in words."""

    @property
    def principal_point(self) -> Float[np.ndarray, "2"]:
        """The picture's middle, px."""
        return np.array(self.size) / 2

    def seeing(self, box: Box) -> Box:
        """A box, or boxes, of this camera's pictures."""
        return replace(
            box,
            focal=torch.full_like(box.size, self.focal),
            principal_point=torch.from_numpy(self.principal_point).to(box.centre).expand_as(
                box.centre
            ),
        )  # fmt: skip

    def boxes(self, numbers: Float[np.ndarray, "t 4"], device: torch.device) -> Box:
        """Boxes from their centres, sides and angles."""
        values = torch.from_numpy(numbers).float().to(device)
        return self.seeing(Box(values[:, :2], values[:, 2], values[:, 3]))


@dataclass(frozen=True)
class PersonFrames:
    """What was kept of one person."""

    rows: Int[np.ndarray, " t"]
    """Their frames, by place among those taken."""
    times: Float[np.ndarray, " t"]
    """Seconds."""
    box: Box
    """Their crops."""
    inputs: Inputs
    """What the regressor's frozen parts made of them; 8-bit crops if it has none."""
    keypoints_2d: Float[np.ndarray, "t 49 3"]
    """Image px, confidence."""
    scores: Float[np.ndarray, " t"]
    """How sure it is that they are there."""


@dataclass(frozen=True)
class ClipPerson:
    """A fitted person of a clip."""

    motion: Motion
    """In the camera's frame."""
    error_px: Float[np.ndarray, " t"]
    """Mean 2D error of each of their frames over the fitted keypoints, px of a 224 crop."""
    misfit_px: Float[np.ndarray, " t"]
    """How far the full camera sees the joints from where the fit shows them, image px."""
    traits: Traits = NOTHING_KNOWN
    """What was said of the person."""


def fit_person(
    regressor: nn.Module,
    body: Body,
    seen: PersonFrames,
    times: Float[np.ndarray, " frames"],
    camera: ClipCamera,
    config: ClipConfig,
    options: ClipOptions,
    traits: Traits = NOTHING_KNOWN,
) -> ClipPerson:
    """Fit one person of a clip whose frames are shown at `times`. The body is on the CPU.

    ValueError if traits are known, but not what people with such look like in this body.
    """
    box, inputs, keypoints = seen.box, seen.inputs, seen.keypoints_2d
    if isinstance(inputs, Tensor) and inputs.dtype == torch.uint8:
        inputs = inputs.permute(0, 3, 1, 2) / 255
    perspective = None
    if options.perspective and isinstance(regressor, Lifter):
        perspective = believed_depth(camera.focal_source)
    hz = options.steady_hz
    if hz is not None:
        keypoints = steady_keypoints(keypoints, seen.times, hz)
        if isinstance(regressor, Lifter) and isinstance(inputs, tuple):
            box = steady_box(seen.box, seen.times, hz)
            inputs = tuple(steady_landmarks(Landmarks(*inputs), seen.box, box, seen.times, hz))
    points = torch.from_numpy(keypoints).to(box.centre)
    in_crop = torch.cat((image_to_crop(points[..., :2], box), points[..., 2:]), -1)
    when = torch.from_numpy(seen.times - seen.times[0]).to(box.centre)
    own = copy.deepcopy(body).to(box.centre.device)
    if traits:
        regressor = ShapedRegressor(regressor, own, shape_prior(body, traits))
    fits = fit_clip(regressor, own, inputs, box, in_crop, when, config).cpu()
    box = box.to("cpu")

    confidence = _confidence(seen)
    weight = torch.from_numpy(np.maximum(confidence, 1e-3)).to(box.centre)
    found = fits.after.prediction
    betas = (found.betas * weight[:, None]).sum(0) / weight.sum()
    found = replace(found, betas=betas.expand_as(found.betas))
    model: CameraModel = getattr(regressor, "camera_model", "weak")
    resolution = getattr(regressor, "resolution", EFT_CROP)
    with torch.no_grad():
        put = placed(body, found, box, model, resolution, perspective=perspective)
    shape = _array(betas)
    pelvis = rest_pose(body, shape).joints.numpy()[SMPL_24.index("pelvis")]
    away = steady_depth(_array(put.translation) + pelvis, seen.times, confidence) - pelvis
    joints = _array(put.joints) + away[:, None]
    shown = camera.focal * joints[..., :2] / joints[..., 2:] + camera.principal_point
    motion = Motion(
        times=times,
        fps=fps_of(times),
        global_orient=_spread(_array(put.prediction.global_orient), seen.rows, times),
        body_pose=_spread(_array(put.prediction.body_pose), seen.rows, times),
        betas=shape,
        translation=_spread(away, seen.rows, times),
        status=tuple(_spread(np.array(fits.status, object), seen.rows, times, MISSING)),
        confidence=_spread(confidence, seen.rows, times),
        body=body.name,
        camera=Camera(camera.focal, camera.principal_point, camera.size),
        keypoints_2d=_spread(seen.keypoints_2d, seen.rows, times),
    )
    return ClipPerson(
        motion=smoothed(motion, options.smoothing),
        error_px=_array(fits.after.evaluation.error_px),
        misfit_px=np.linalg.norm(shown - _array(put.joints_2d), axis=-1).mean(1),
        traits=traits,
    )


def steady_depth(
    places: Float[np.ndarray, "t 3"], times: Float[np.ndarray, " t"], weights: np.ndarray
) -> Float[np.ndarray, "t 3"]:
    """Places in the camera's frame moved along their rays, so that their depths are smooth."""
    depth = np.exp(steady_series(np.log(places[:, 2]), weights, times, DEPTH_HZ))
    return places * (depth / places[:, 2])[:, None]


def fps_of(times: Float[np.ndarray, " t"]) -> float:
    """The mean rate of frames; a photo's for a single one."""
    if len(times) < 2:
        return STILL_FPS
    rate = (len(times) - 1) / float(times[-1] - times[0])
    # 29.999999 is a matter of a container's units; a frame an hour is a rate, too
    return min(float(f"{rate:.5g}"), HIGHEST_FPS)


def _confidence(seen: PersonFrames) -> Float[np.ndarray, " t"]:
    """Of each frame: the mean of its keypoints', times how sure it is that somebody is there."""
    given = seen.keypoints_2d[..., 2]
    counted = (given > 0).sum(1)
    return np.clip(given.sum(1) / np.maximum(counted, 1) * seen.scores, 0.0, 1.0)


def _spread(
    values: np.ndarray, rows: np.ndarray, times: np.ndarray, missing: object = 0.0
) -> np.ndarray:
    """Values of some frames among all frames."""
    out = np.full((len(times), *values.shape[1:]), missing, values.dtype)
    out[rows] = values
    return out


def _array(values: Tensor) -> np.ndarray:
    return values.detach().double().cpu().numpy()
