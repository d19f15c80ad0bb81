"""What a regressor and the fits after it make of real people, all from the same crops."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from benchmarks.real_people import People
from benchmarks.real_sequences import FOURTEEN
from exemplar.bodies import Body
from exemplar.data.looks import Looker
from exemplar.detect.landmarks import default_trunk
from exemplar.evaluation.config import MethodConfig
from exemplar.evaluation.methods import FITTED_TOGETHER, Answers, Methods
from exemplar.evaluation.records import turned_back
from exemplar.fitting.alignment import aligned, seen_points
from exemplar.fitting.perspective import BELIEVED_DEPTH
from exemplar.fitting.projections import placed
from exemplar.geometry.cameras import CameraModel, image_camera, project_full
from exemplar.geometry.crops import crop_to_image, image_to_crop
from exemplar.geometry.rotations import rotation_about_z
from exemplar.metrics import pa_mpjpe
from exemplar.regressors.checkpoints import RegressorInfo
from exemplar.regressors.landmark_reader import LandmarkReader
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.scene.placing import FIELD_OF_VIEW
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, LSP_14

RealMethod = Literal[
    "none", "shown", "eft", "eft+align", "eft+guard", "oracle", "smplify", "dual", "landmarks",
    "none+placed", "eft+placed", "eft+align+placed", "smplify+placed",
]  # fmt: skip
"""none: the network sees the crop alone; shown: it reads the keypoints that are given, too, and EFT
starts there; eft+align: EFT's body put onto the picture; oracle: EFT's iterate that is nearest to
the truth; landmarks: the shipped trunk's own metric landmarks of the crop and its mirror image,
averaged; placed: the body turned to suit a camera with perspective, whose field of view is assumed
(`eft+align+placed` is what `exemplar fit` writes); the others are `evaluation.methods`'."""

REAL_METHODS: tuple[RealMethod, ...] = get_args(RealMethod)

PLACED = "+placed"

BLOCK = 32
"""People fitted together."""

_LIMB_COLUMNS = [LSP_14.index(name) for name in LIMBS_12]
_LANDMARK_ROWS = [BLAZEPOSE_33.index(name) for name in LIMBS_12]


@dataclass(frozen=True)
class Found:
    """A method's answer for n people."""

    joints: Float[np.ndarray, "n 14 3"]
    """`LSP_14`, metres about any origin, along the axes of the unturned image's camera; NaN for
    joints that the method does not know."""
    points: Float[np.ndarray, "n 14 2"]
    """The same in the picture, crop units."""
    updates: Int[np.ndarray, " n"]
    """Updates behind it."""


class LoadedMethods(Methods):
    """`evaluation.methods` for networks that are in memory, as in the middle of a training run."""

    def __init__(
        self,
        regressor: nn.Module,
        info: RegressorInfo,
        body: Body,
        config: MethodConfig | None = None,
        auxiliary: nn.Module | None = None,
    ) -> None:
        """Of `config` the settings count; its files are not read."""
        self.device = torch.device("cpu")
        self.config = config or MethodConfig()
        self.regressor, self.info, self.body = regressor, info, body
        self.auxiliary = auxiliary


def fit_people(
    methods: Methods,
    people: People,
    wanted: Sequence[RealMethod],
    field_of_view: float = FIELD_OF_VIEW,
) -> dict[RealMethod, Found]:
    """What each of the methods makes of people; a method that fits nothing costs nothing.

    Cameras have that field of view (degrees) along the longer sides of their pictures.
    """
    parts: dict[RealMethod, list[Found]] = {}
    for first in range(0, len(people), BLOCK):
        some = people[slice(first, first + BLOCK)]
        for method, found in _fit_block(methods, some, wanted, field_of_view).items():
            parts.setdefault(method, []).append(found)
    return {
        method: Found(*(np.concatenate(x) for x in zip(*map(_columns, parts[method]), strict=True)))
        for method in wanted
        if method in parts
    }


def _columns(found: Found) -> tuple[np.ndarray, ...]:
    return found.joints, found.points, found.updates


def _fit_block(
    methods: Methods, people: People, wanted: Sequence[RealMethod], field_of_view: float
) -> dict[RealMethod, Found]:
    out: dict[RealMethod, Found] = {}
    fitted = people.batch
    if methods.config.looks and set(wanted) - {"none", "landmarks"}:
        fitted = people.looked_again(Looker(methods.regressor, methods.body, methods.device))
    for fit, gives in FITTED_TOGETHER.items():
        needed = {*gives, *(f"{name}{PLACED}" for name in gives)}
        if fit == "eft":
            needed |= {"shown", "oracle", "eft+align", f"eft+align{PLACED}"}
        if not needed & set(wanted):
            continue
        batch = people.batch if fit == "none" else fitted
        answers = methods.answers(fit, batch)
        for method, answer in answers.items():
            found = _found(methods.body, answer, answer.prediction, batch, answer.kept)
            out[method] = _in_first_crop(found, batch, people)
        if "shown" in wanted and "eft" in answers:
            first = _started(methods.body, answers["eft"], batch)
            out["shown"] = _in_first_crop(first, batch, people)
        if {"eft+align", f"eft+align{PLACED}"} & set(wanted) and "eft" in answers:
            put = replace(answers["eft"], prediction=_aligned(methods, answers["eft"], batch))
            found = _found(methods.body, put, put.prediction, batch, put.kept)
            out["eft+align"] = _in_first_crop(found, batch, people)
            answers = {**answers, "eft+align": put}
        for method, answer in answers.items():
            name = f"{method}{PLACED}"
            if name in wanted:
                found = _placed(methods, answer, batch, field_of_view)
                out[name] = _in_first_crop(found, batch, people)  # pyright: ignore[reportArgumentType]
        if "oracle" in wanted and "eft" in answers and np.isfinite(people.truth).any():
            nearest = _nearest(methods.body, answers["eft"], batch, people)
            out["oracle"] = _in_first_crop(nearest, batch, people)
    if "landmarks" in wanted:
        out["landmarks"] = _landmarks(methods.regressor, people.batch)
    return out


@torch.no_grad()
def _aligned(methods: Methods, answers: Answers, batch: Batch) -> Prediction:
    reader = getattr(methods.regressor, "reader", None)
    landmarks = None if reader is None else reader(batch.image)
    return aligned(methods.body, answers.prediction, seen_points(batch.keypoints_2d, landmarks))


@torch.no_grad()
def _placed(methods: Methods, answer: Answers, batch: Batch, field_of_view: float) -> Found:
    """In a camera with perspective."""
    assert batch.box.principal_point is not None
    half = batch.box.principal_point.amax(-1)
    box = replace(batch.box, focal=half / math.tan(math.radians(field_of_view / 2)))
    model: CameraModel = getattr(methods.regressor, "camera_model", "weak")
    seen = batch.keypoints_2d[..., 2] > 0
    found = placed(
        methods.body,
        answer.prediction,
        box,
        model,
        batch.image.shape[-2],
        seen,
        perspective=BELIEVED_DEPTH,
    )
    there = found.joints + found.translation[:, None]
    points = image_to_crop(project_full(there, *image_camera(box)), batch.box)
    return Found(
        found.joints[:, FOURTEEN].numpy(), points[:, FOURTEEN].numpy(), answer.kept.numpy()
    )


def _in_first_crop(found: Found, batch: Batch, people: People) -> Found:
    """The same, in units of the crops that all methods are compared in."""
    points = crop_to_image(torch.from_numpy(found.points), batch.box)
    return replace(found, points=image_to_crop(points, people.box).numpy())


@torch.no_grad()
def _found(
    body: Body, answers: Answers, prediction: Prediction, batch: Batch, updates: Tensor
) -> Found:
    rows = torch.arange(len(batch))
    joints = body.keypoints(prediction.body_params(), "smpl49")
    points = answers.projection(joints, prediction.camera, rows)
    back = rotation_about_z(batch.box.angle)
    in_camera = joints @ back.mT
    return Found(in_camera[:, FOURTEEN].numpy(), points[:, FOURTEEN].numpy(), updates.numpy())


def _started(body: Body, answers: Answers, batch: Batch) -> Found:
    """What EFT starts from."""
    assert answers.iterates is not None
    start = Prediction(*(x[:, 0] for x in vars(answers.iterates).values()))
    return _found(body, answers, start, batch, torch.zeros_like(answers.updates))


@torch.no_grad()
def _nearest(body: Body, answers: Answers, batch: Batch, people: People) -> Found:
    """EFT's iterate with the least PA-MPJPE."""
    assert answers.iterates is not None
    iterates = answers.iterates
    steps = iterates.camera.shape[1]
    found = turned_back(iterates, batch.box).body_params()
    joints = body.keypoints(found, "smpl49")[..., FOURTEEN, :].double()
    truth = torch.from_numpy(people.truth)[:, None].expand_as(joints)
    valid = torch.isfinite(truth).all(-1)
    errors = pa_mpjpe(joints, truth.nan_to_num(), valid)
    best = errors.nan_to_num(torch.inf).argmin(1).minimum(answers.updates)
    rows = torch.arange(len(batch))
    assert int(best.max()) < steps
    kept = Prediction(*(x[rows, best] for x in vars(iterates).values()))
    return _found(body, answers, kept, batch, best)


@torch.no_grad()
def _landmarks(regressor: nn.Module, batch: Batch) -> Found:
    """The metric landmarks of the regressor's own trunk, else of the shipped one.

    ValueError unless crops are as the trunk takes them.
    """
    reader = getattr(regressor, "reader", None) or LandmarkReader(default_trunk())
    read = reader(batch.image)
    world = read.world @ rotation_about_z(batch.box.angle).mT
    joints = np.full((len(batch), len(LSP_14), 3), np.nan)
    seen = np.full((len(batch), len(LSP_14), 2), np.nan)
    joints[:, _LIMB_COLUMNS] = world[:, _LANDMARK_ROWS].numpy()
    seen[:, _LIMB_COLUMNS] = read.points[:, _LANDMARK_ROWS].numpy()
    return Found(joints, seen, np.zeros(len(batch), int))
