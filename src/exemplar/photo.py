"""From a photo to fitted bodies: keypoints, crop, regressor, EFT, and back onto the photo."""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.data.crops import CroppedPerson, batch_of, crop_person, framing_of, person_box
from exemplar.data.detections import (
    LEAST_CONFIDENCE,
    Detection,
    detected_joints,
    detections_of,
    scale_of,
    unit_of,
)
from exemplar.data.looks import Crop, Looker
from exemplar.data.people_files import KeypointFile
from exemplar.detect.landmarks import find_people
from exemplar.environment import one_torch_thread, usable_device
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.fits import Fits
from exemplar.fitting.projections import placed
from exemplar.fitting.teachers import Teacher, landmark_teacher, teach, teacher_sizes
from exemplar.fitting.trace import Evaluation, Iterate, pick
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, upright_box
from exemplar.image_files import focal_35mm, read_image
from exemplar.regressors.checkpoints import (
    DEFAULT_REGRESSOR,
    RegressorInfo,
    body_for,
    load_regressor,
)
from exemplar.results import BodyState, FitResult, PersonFit
from exemplar.skeletons import BLAZEPOSE_33

FIELD_OF_VIEW = 55.0
"""Angle of view that a photo is taken to have along its longer side where nothing tells, degrees:
between a phone's main lens (about 67) and a standard lens (40)."""

FILM_DIAGONAL = math.hypot(36.0, 24.0)
"""Of 35 mm film, mm: what EXIF's equivalent focal length refers to."""

FOCAL_RANGE = (0.01, 1000.0)
"""Focal lengths that lenses have, and crops of their photos: times the photo's longer side."""

DETECTED_STOP_PX = 6.0
"""Where EFT stops on the built-in keypoints: mean 2D error, px of a 224 crop of what is visible.

They err by about 6 px on real people themselves, so that a closer fit follows their noise: with
`large` 9 % of fits get worse than the regressor's answer, at 4 px 20 %, and with `mobile` at the
paper's 2 px 75 % (`python -m benchmarks.real --stop-px`)."""

Progress = Callable[[int, int, int, float], None]
"""Called with person, number of people, iteration and 2D error in px."""


@dataclass(frozen=True)
class FitOptions:
    """How a photo is fitted."""

    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    person: str = "all"
    """"all", "largest", or the number of one person, counted from 0."""
    box: tuple[float, float, float, float] | None = None
    """x, y, width, height (px) of the person to fit."""
    iterations: int | None = None
    """Most weight updates; None takes the recipe's 20."""
    guard: bool = False
    """Whether to keep the iterate that left-out keypoints and a pose prior support best, instead of
    the last: often the better 3D pose where keypoints are detected, at a larger 2D error."""
    looks: bool = True
    """Whether other crops are tried where the network's answer is far from keypoints that are given
    (`data.looks`)."""
    robust_px: float | None = None
    """How far a keypoint may be off before it counts little, px of a 224 crop
    (`EftConfig.robust_px`); None believes all alike."""
    stop_px: float | None = None
    """EFT stops when the mean 2D error falls below this, px of a 224 crop. None takes the paper's
    2 px for keypoints that are given, and `DETECTED_STOP_PX` for the built-in ones."""
    teacher: str | None = None
    """One of `fitting.teachers.TEACHERS`: BlazePose's landmarks are the fit's 3D keypoints (EFT's
    Eq. 4), which keeps their depth; None fits 2D keypoints alone."""
    auxiliary: str | Path | None = None
    """Checkpoint of an auxiliary network: the fit is then the dual networks', which regressors of
    `exemplar train exemplar` are trained for (`DualConfig.trained`)."""
    focal: float | None = None
    """Focal length of the full-image camera, px; None takes the photo's EXIF, or else
    `FIELD_OF_VIEW`."""
    device: str = "cpu"
    """Torch device; "auto" is CUDA, else MPS, else the CPU."""
    image_name: str | None = None
    """Name of the photo inside a keypoint file that covers many; None takes the path's."""
    joints: str = ""
    """Joint set of a keypoint file that cannot say (`skeletons.FILE_SETS`)."""

    def __post_init__(self) -> None:
        of_eft = (self.robust_px, self.stop_px, self.teacher)
        if self.auxiliary is not None and (self.guard or any(x is not None for x in of_eft)):
            raise ValueError(
                "guard, robust_px, stop_px and teacher are EFT's: with an auxiliary network there "
                "is none"
            )
        if self.teacher is not None:
            teacher_sizes(self.teacher)
        if self.focal is not None and not 0 < self.focal < math.inf:
            raise ValueError(f"the focal length must be a positive number, got {self.focal}")


class Fitter:
    """A loaded regressor and body, ready to fit photos one after another."""

    def __init__(
        self, regressor: str | Path = DEFAULT_REGRESSOR, options: FitOptions | None = None
    ):
        self.options = options or FitOptions()
        # the guard's prior is float64
        self.device = usable_device(self.options.device, float64=self.options.guard)
        self.together = self.device.type == "cuda"
        module, self.info = load_regressor(regressor)
        self.regressor: nn.Module = module.to(self.device)
        self.regressor_name = str(regressor)
        self.resolution = int(getattr(module, "resolution"))  # noqa: B009 - a Module attribute
        self.camera_model: CameraModel = getattr(module, "camera_model", "weak")
        self.body: Body = body_for(self.info, self.options.body).to(self.device)
        self.config = _config(self.info, self.options)
        self.looker = Looker(self.regressor, self.body, self.device)
        self.auxiliary: nn.Module | None = None
        self.dual = _dual_config(self.options)
        if self.options.auxiliary is not None:
            self.auxiliary = load_regressor(self.options.auxiliary)[0].to(self.device)
        self.teacher: Teacher | None = None
        if self.options.teacher is not None:
            self.teacher = landmark_teacher(teacher_sizes(self.options.teacher), self.device)

    @property
    def method(self) -> str:
        """What a person calls the fit."""
        return "EFT" if self.auxiliary is None else "dual networks"

    @property
    def iterations(self) -> int:
        """Most weight updates of a fit."""
        return self.config.iterations if self.auxiliary is None else self.dual.iterations

    def fit(
        self,
        image: str | Path | np.ndarray,
        keypoints: "KeypointSource" = None,
        progress: Progress = lambda person, people, step, error: None,
    ) -> FitResult:
        """Fit the people of one photo; see `exemplar.fit`."""
        with one_torch_thread():
            return self._fit(image, keypoints, progress)

    def _fit(
        self, image: str | Path | np.ndarray, keypoints: "KeypointSource", progress: Progress
    ) -> FitResult:
        pixels = read_image(image) if isinstance(image, str | Path) else _checked(image)
        name = self.options.image_name or (str(image) if isinstance(image, str | Path) else None)
        people = _people(pixels, keypoints, self.options, name)
        height, width = pixels.shape[:2]
        focal, source = self._focal(image, height, width)
        camera = (focal, np.array([width / 2, height / 2]))

        side_by_side = len(people) if self.together else 1
        fits = [
            fit
            for first in range(0, len(people), side_by_side)
            for fit in self._people(
                pixels,
                people[first : first + side_by_side],
                camera,
                keypoints is None,
                lambda i, step, error, first=first: progress(first + i, len(people), step, error),
            )
        ]
        return FitResult(
            image=pixels,
            focal=focal,
            principal_point=camera[1],
            faces=self.body.faces.cpu().numpy(),
            people=tuple(fits),
            body=self.body.name,
            regressor=self.regressor_name,
            focal_source=source,
        )

    def _focal(self, image: str | Path | np.ndarray, height: int, width: int) -> tuple[float, str]:
        """Focal length of the photo (px), and where it is from. ValueError for one that no lens
        has; EXIF's is passed over then."""
        least, most = (share * max(height, width) for share in FOCAL_RANGE)
        if self.options.focal is not None:
            if not least <= self.options.focal <= most:
                raise ValueError(
                    f"a focal length of {self.options.focal:g} px: expected {least:g} to {most:g}"
                    f" for an image of {width} x {height} px"
                )
            return self.options.focal, "given"
        equivalent = None if isinstance(image, np.ndarray) else focal_35mm(image)
        focal = (equivalent or 0.0) / FILM_DIAGONAL * math.hypot(height, width)
        if least <= focal <= most:
            return focal, f"EXIF, {equivalent:g} mm on 35 mm film"
        if self.camera_model == "full_perspective":
            return math.hypot(height, width), "assumed, the diagonal, as the network was trained"
        focal = max(height, width) / 2 / math.tan(math.radians(FIELD_OF_VIEW / 2))
        return focal, f"assumed, {FIELD_OF_VIEW:g} degrees along the longer side"

    def _people(
        self,
        pixels: np.ndarray,
        people: Sequence[Float[np.ndarray, "49 3"]],
        camera: tuple[float, np.ndarray],
        built_in: bool,
        progress: Callable[[int, int, float], None],
    ) -> list[PersonFit]:
        """People fitted side by side, to keypoints of a user or to built-in ones.

        Those are of the same kind of network: they are fitted no closer than they are good, and
        where the regressor misses them, they are as likely wrong.
        """
        started = time.perf_counter()
        crops = [self._crop_of(pixels, joints, camera) for joints in people]
        shown = [person for person, _ in crops]
        config = self.config
        if built_in and self.options.stop_px is None:
            share = min(map(_visible_share, shown))
            config = replace(config, stop_px=DETECTED_STOP_PX * share)
        together = self._fits(shown, config, progress)
        found = [(together, row, person) for row, person in enumerate(shown)]
        if self.options.looks and not built_in:
            errors = together.before.evaluation.error_px.tolist()
            for i, (first, crop) in enumerate(crops):
                if not self.looker.doubts(errors[i], first):
                    continue
                second = self.looker.best(first, crop)
                if second is not first:
                    fits = self._fits([second], config, lambda _, *told, i=i: progress(i, *told))
                    found[i] = (fits, 0, second)
        seconds = (time.perf_counter() - started) / len(people)
        return [
            self._on_photo(fits, row, batch_of([person], self.device).box, joints, seconds)
            for (fits, row, person), joints in zip(found, people, strict=True)
        ]

    def _crop_of(
        self,
        pixels: np.ndarray,
        joints: Float[np.ndarray, "49 3"],
        camera: tuple[float, np.ndarray],
    ) -> tuple[CroppedPerson, Crop]:
        """A person's crop, and what makes others."""
        points = torch.from_numpy(joints).float()
        width = getattr(self.regressor, "width", None)
        box = replace(
            person_box(points, framing_of(self.regressor)),
            focal=torch.tensor(camera[0]),
            principal_point=torch.from_numpy(camera[1]),
        )

        def crop(box: Box) -> CroppedPerson:
            return crop_person(pixels, points, box, self.resolution, width)

        return crop(box), crop

    def _fits(
        self,
        people: Sequence[CroppedPerson],
        config: EftConfig,
        progress: Callable[[int, int, float], None],
    ) -> Fits:
        """People's fits, with all iterates."""
        batch = batch_of(people, self.device)
        if self.teacher is not None:
            batch = replace(batch, joints_3d=teach(self.teacher, batch.image).joints_3d)

        def report(rows: Tensor, step: int, evaluation: Evaluation) -> None:
            for row, error in zip(rows.tolist(), evaluation.error_px.tolist(), strict=True):
                progress(row, step, error)

        if self.auxiliary is not None:
            return fit_dual(
                self.regressor, self.auxiliary, self.body, batch, self.dual,
                history=True, progress=report,
            )  # fmt: skip
        return fit_exemplars(
            self.regressor, self.body, batch, config,
            guard=self.options.guard, history=True, progress=report,
        )  # fmt: skip

    def _on_photo(
        self, fits: Fits, row: int, box: Box, joints: np.ndarray, seconds: float
    ) -> PersonFit:
        count = 1 + int(fits.trace.updates[row])
        iterates = pick(fits.trace.iterates, lambda x: x[row, :count])
        in_box = box[torch.zeros(count, dtype=torch.long)]
        return PersonFit(
            status=fits.status[row],
            keypoints_2d=joints,
            fitted=fits.fitted[row].cpu().numpy(),
            box_centre=box.centre[0].cpu().numpy(),
            box_size=float(box.size[0]),
            box_angle=float(box.angle[0]),
            steps=on_photo(self.body, iterates, in_box, self.camera_model, self.resolution),
            seconds=seconds,
        )


@torch.no_grad()
def on_photo(
    body: Body, iterates: Iterate, box: Box, camera_model: CameraModel, resolution: int
) -> tuple[BodyState, ...]:
    """Iterates (K, ...) moved from their turned crops to the photo's camera frame.

    `box` (K) has the photo's camera; `camera_model` and `resolution` are the regressor's.
    """
    found = placed(body, iterates.prediction, box, camera_model, resolution)
    prediction, away = found.prediction, found.translation[:, None]
    posed = body(prediction.body_params())
    columns = {
        "global_orient": prediction.global_orient,
        "body_pose": prediction.body_pose,
        "betas": prediction.betas,
        "weak_camera": prediction.camera,
        "translation": found.translation,
        "joints_3d": found.joints + away,
        "joints_2d": found.joints_2d,
        "kinematic_joints": posed.joints + away,
        "vertices": posed.vertices + away,
    }
    arrays = {name: value.cpu().numpy() for name, value in columns.items()}
    errors = iterates.evaluation.error_px.tolist()
    return tuple(
        BodyState(**{name: value[k] for name, value in arrays.items()}, error_px=error)
        for k, error in enumerate(errors)
    )


KeypointSource = (
    str
    | Path
    | KeypointFile
    | Detection
    | Sequence[Detection]
    | Float[np.ndarray, "*people k 3"]
    | None
)
"""A keypoint file or folder (for many photos better a `KeypointFile`, which is read once),
detections, or an array of a joint set told by its length."""


def fit(
    image: str | Path | np.ndarray,
    keypoints: KeypointSource = None,
    regressor: str | Path = DEFAULT_REGRESSOR,
    *,
    options: FitOptions | None = None,
    progress: Progress = lambda person, people, step, error: None,
) -> FitResult:
    """Fit a 3D body to every person in a photo by Exemplar Fine-Tuning.

    `image` is a file or an RGB array (H, W, 3) uint8. `keypoints` are a file or folder of any
    format in `data.formats` (OpenPose, COCO, ...) or an array (K, 3) or (people, K, 3) of x, y (px)
    and confidence; without them the built-in network finds people and keypoints. Keypoints below
    `LEAST_CONFIDENCE` count as not seen. People whose keypoints all coincide are left out.

    Warns (UserWarning) of keypoints outside the photo and of people in the file that are broken.
    Raises ValueError or FileNotFoundError with one line for bad input, such as a photo without a
    person.
    """
    return Fitter(regressor, options).fit(image, keypoints, progress)


def _people(
    pixels: np.ndarray, source: KeypointSource, options: FitOptions, name: str | None
) -> list[Float[np.ndarray, "49 3"]]:
    """The 49 joints of each person to be fitted."""
    box = options.box
    height, width = pixels.shape[:2]
    if box is not None:
        _check_box(box, pixels)
    if source is None:
        found = _built_in(pixels, box)
    else:
        found = _given(source, name, (width, height), options.joints)
    found = [person for person in found if _has_extent(person)]
    shown = "the image" if name is None else Path(name).name
    if not found and source is None:
        raise ValueError(f"no person found in {shown}: give --keypoints or --box")
    file = source.path if isinstance(source, KeypointFile) else source
    given = file if isinstance(file, str | Path) else "the keypoints"
    if not found:
        raise ValueError(
            f"{given}: expected a person with at least 2 distinct keypoints of confidence"
            f" {LEAST_CONFIDENCE:g} or more"
        )
    if source is not None:
        _check_inside(found, width, height, str(given))
    if box is not None:
        found = [max(found, key=lambda person: _overlap(person, box))]
        if _overlap(found[0], box) <= 0:
            raise ValueError(f"no person found in the box {_text(box)} of {shown}")
    return _chosen(found, options.person)


def _built_in(pixels: np.ndarray, box: tuple[float, ...] | None) -> list[np.ndarray]:
    """People found by the built-in network, in the whole photo or around a box."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = 0, 0, width, height
    if box is not None:
        x, y, w, h = box
        left, top = max(0, int(x - w / 4)), max(0, int(y - h / 4))
        right, bottom = min(width, int(x + 1.25 * w) + 1), min(height, int(y + 1.25 * h) + 1)
    people = []
    for person in find_people(pixels[top:bottom, left:right]):
        points = np.array(person.keypoints, dtype=np.float64)
        points[:, :2] += (left, top)
        inside = (points[:, :2] >= 0).all(1) & (points[:, :2] <= (width, height)).all(1)
        points[~inside, 2] = 0.0
        people.append(detected_joints(Detection(points, BLAZEPOSE_33)))
    return people


def _given(
    source: KeypointSource, name: str | None, size: tuple[int, int], joints: str
) -> list[Float[np.ndarray, "49 3"]]:
    """The 49 joints of the people that are given, unsure ones missing."""
    if isinstance(source, str | Path):
        source = KeypointFile(source, joints)
    if isinstance(source, KeypointFile):
        people = source.people(name, size)
        broken = [person.problem for person in people if person.problem]
        if len(broken) == len(people):
            raise ValueError(f"{source.path}: {broken[0]}")
        if broken:
            left = f"{source.path}: {len(broken)} people left out: {broken[0]}"
            warnings.warn(left, stacklevel=2)
        found = [person.keypoints_2d for person in people if not person.problem]
        return [np.where(each[:, 2:] < LEAST_CONFIDENCE, 0.0, each) for each in found]
    assert source is not None
    detections = [source] if isinstance(source, Detection) else source
    if isinstance(detections, np.ndarray):
        detections = detections_of(detections)
    scale = scale_of(detections)
    return [
        detected_joints(person, joints=joints, scale=scale, unit=unit_of(person, size))
        for person in detections
    ]


def _check_inside(people: list[np.ndarray], width: int, height: int, given: str) -> None:
    """Warn of keypoints outside the photo; ValueError if none is inside."""
    points = np.concatenate([person[person[:, 2] > 0, :2] for person in people])
    outside = int(((points < 0) | (points > (width, height))).any(1).sum())
    if outside == len(points):
        raise ValueError(f"{given}: no keypoint lies in the photo of {width} x {height} px")
    if outside:
        warnings.warn(
            f"{given}: {outside} of {len(points)} keypoints lie outside the photo of"
            f" {width} x {height} px",
            stacklevel=2,
        )


def _chosen(people: list[np.ndarray], person: str) -> list[np.ndarray]:
    if person == "all":
        return people
    if person == "largest":
        return [max(people, key=lambda p: float(np.prod(np.subtract(*_extent(p)[::-1]))))]
    if not person.isdigit() or int(person) >= len(people):
        count = f"{len(people)} people" if len(people) > 1 else "1 person"
        raise ValueError(
            f"--person {person!r}: expected all, largest, or a number below {len(people)} ({count})"
        )
    return [people[int(person)]]


def _visible_share(person: CroppedPerson) -> float:
    """Side of an ordinary crop of the visible keypoints, in sides of the person's; at most 1.

    The crop of a close-up is as large as if the legs were in it, and errors are small in it.
    """
    in_px = person.keypoints_2d * torch.tensor([*[float(person.box.size) / 2] * 2, 1.0])
    return min(1.0, float(upright_box(in_px, None).size / person.box.size))


def _has_extent(person: np.ndarray) -> bool:
    """Whether two keypoints are apart by more than a pixel: fewer make no crop."""
    return bool((person[:, 2] > 0).any()) and float(np.subtract(*_extent(person)).min()) < -1.0


def _extent(person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    seen = person[person[:, 2] > 0, :2]
    return seen.min(0), seen.max(0)


def _overlap(person: np.ndarray, box: tuple[float, ...]) -> float:
    """Intersection over union of the keypoints' extent and an x, y, w, h box."""
    low, high = _extent(person)
    corner = np.array(box[:2])
    inner = np.minimum(high, corner + box[2:]) - np.maximum(low, corner)
    common = float(np.prod(np.clip(inner, 0, None)))
    return common / (float(np.prod(high - low)) + box[2] * box[3] - common + 1e-9)


def _check_box(box: tuple[float, ...], pixels: np.ndarray) -> None:
    x, y, w, h = box
    height, width = pixels.shape[:2]
    if not (np.isfinite(box).all() and w > 0 and h > 0):
        raise ValueError(f"--box {_text(box)}: expected x,y,w,h with positive w and h")
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise ValueError(f"--box {_text(box)} lies outside the {width}x{height} image")


def _text(box: tuple[float, ...]) -> str:
    return ",".join(f"{value:g}" for value in box)


def _checked(image: np.ndarray) -> np.ndarray:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f"expected an RGB image (H, W, 3) uint8, got {image.shape} {image.dtype}")
    return image


def _config(info: RegressorInfo, options: FitOptions) -> EftConfig:
    config = EftConfig(
        learning_rate=info.learning_rate,
        adapt=info.adapt,
        robust_px=options.robust_px,
        joints_about="nose" if options.teacher is None else "mean",
    )
    if options.stop_px is not None:
        config = replace(config, stop_px=options.stop_px)
    return config if options.iterations is None else replace(config, iterations=options.iterations)


def _dual_config(options: FitOptions) -> DualConfig:
    config = DualConfig.trained()
    return config if options.iterations is None else replace(config, iterations=options.iterations)
