"""From a photo to fitted bodies: keypoints, crop, regressor, EFT, and back onto the photo."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.bodies.shape_prior import Traits, height_at_rest, shape_prior
from exemplar.data.crops import CroppedPerson, batch_of, crop_person, framing_of, person_box
from exemplar.data.looks import Crop, Looker
from exemplar.environment import one_torch_thread, usable_device
from exemplar.files.image_files import read_image
from exemplar.fit_result import FitResult
from exemplar.fitting.alignment import aligned_fits
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.fits import Fits
from exemplar.fitting.teachers import Teacher, landmark_teacher, teach, teacher_sizes
from exemplar.fitting.trace import Evaluation, Iterate, joined, pick
from exemplar.fitting.weights import Inputs, frozen_outputs, moving_names
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, upright_box
from exemplar.regressors.checkpoints import (
    DEFAULT_REGRESSOR,
    LIFTERS,
    RegressorInfo,
    body_for,
    load_regressor,
)
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.shaped import ShapedRegressor
from exemplar.results import DOUBTFUL, NOTHING_TO_FIT, OK, REJECTED, PersonFit
from exemplar.scene.options import DETECTED_STOP_PX, FitOptions
from exemplar.scene.people import KeypointSource, Wanted, people_in
from exemplar.scene.placing import believed_depth, focal_of, on_photo
from exemplar.scene.quality import disagreement_of, quality_of
from exemplar.scene.together import Together, stand_together
from exemplar.scene.traits import for_people

_STATUS_OF = {"good": OK, "doubtful": DOUBTFUL, "poor": REJECTED}
"""By the word of the quality, of fits that are sound otherwise."""

Progress = Callable[[int, int, int, float], None]
"""Called with person, number of people, iteration and 2D error in px."""


def _untold(person: int, people: int, step: int, error: float) -> None:
    """Where nobody asks how far a fit is."""


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
        self.calibrated = self.info.architecture in LIFTERS
        self.aligns = self.options.align and self.calibrated
        self.networks = {known: self._network(known) for known in self.options.traits}
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
        keypoints: KeypointSource = None,
        progress: Progress | None = None,
    ) -> FitResult:
        """Fit the people of one photo; see `exemplar.fit`."""
        with one_torch_thread():
            return self._fit(image, keypoints, progress or _untold)

    def _fit(
        self, image: str | Path | np.ndarray, keypoints: KeypointSource, progress: Progress
    ) -> FitResult:
        pixels = read_image(image) if isinstance(image, str | Path) else _checked(image)
        name = self.options.image_name or (str(image) if isinstance(image, str | Path) else None)
        wanted = people_in(pixels, keypoints, self.options, name)
        height, width = pixels.shape[:2]
        focal, source = focal_of(image, height, width, self.camera_model, self.options.focal)
        camera = (focal, np.array([width / 2, height / 2]))
        knows = self.options.perspective and self.calibrated
        perspective = believed_depth(source) if knows else None
        traits = for_people(self.options.traits, len(wanted))

        side_by_side = len(wanted) if self.together and len(self.networks) == 1 else 1
        fits = [
            fit
            for first in range(0, len(wanted), side_by_side)
            for fit in self._people(
                pixels,
                wanted[first : first + side_by_side],
                traits[first],
                camera,
                perspective,
                keypoints is None,
                lambda i, step, error, first=first: progress(first + i, len(wanted), step, error),
            )
        ]
        fits = [
            replace(fit, detection_score=one.score) for fit, one in zip(fits, wanted, strict=True)
        ]
        if self.calibrated:
            fits = [_judged(fit) for fit in fits]
        most = max((len(person.after.betas) for person in fits), default=0)
        fits = [_with_betas(person, most) for person in fits]
        together = Together(tuple(fits), ())
        if self.options.together:
            together = stand_together(fits, self.body, *camera)
        return FitResult(
            image=pixels,
            focal=focal,
            principal_point=camera[1],
            faces=self.body.faces.cpu().numpy(),
            people=together.people,
            body=self.body.name,
            regressor=self.regressor_name,
            focal_source=source,
            overlaps=together.overlaps,
        )

    def _network(self, traits: Traits) -> "_Network":
        """The regressor that knows what is said of people."""
        regressor = self.regressor
        if traits:
            regressor = ShapedRegressor(regressor, self.body, shape_prior(self.body, traits))
        return _Network(traits, regressor, Looker(regressor, self.body, self.device))

    def _people(
        self,
        pixels: np.ndarray,
        people: Sequence[Wanted],
        traits: Traits,
        camera: tuple[float, np.ndarray],
        perspective: float | None,
        built_in: bool,
        progress: Callable[[int, int, float], None],
    ) -> list[PersonFit]:
        """People fitted side by side, to keypoints of a user or to built-in ones.

        Those are of the same kind of network: they are fitted no closer than they are good, and
        where the regressor misses them, they are as likely wrong.
        """
        started = time.perf_counter()
        network = self.networks[traits]
        crops = [self._crop_of(pixels, person, camera) for person in people]
        shown = [person for person, _ in crops]
        config = self.config
        if not built_in:
            config = replace(config, learning_rate=self.info.step(shown=True))
        if built_in and self.options.stop_px is None:
            share = min(map(_visible_share, shown))
            config = replace(config, stop_px=DETECTED_STOP_PX * share)
        together, ends, frozen = self._fits(network, shown, config, not built_in, progress)
        found = [(together, ends, row, person) for row, person in enumerate(shown)]
        if self.options.looks and not built_in:
            errors = network.looker.errors(shown, frozen).tolist()
            for i, (first, crop) in enumerate(crops):
                if not network.looker.doubts(errors[i], first):
                    continue
                second = network.looker.best(first, crop)
                if second is not first:
                    told = lambda _, *of, i=i: progress(i, *of)  # noqa: E731
                    fits, end, _ = self._fits(network, [second], config, True, told)
                    found[i] = (fits, end, 0, second)
        seconds = (time.perf_counter() - started) / len(people)
        return [
            self._on_photo(
                fits,
                end,
                row,
                batch_of([person], self.device).box,
                one.keypoints_2d,
                perspective,
                traits,
                seconds,
            )
            for (fits, end, row, person), one in zip(found, people, strict=True)
        ]

    def _crop_of(
        self,
        pixels: np.ndarray,
        person: Wanted,
        camera: tuple[float, np.ndarray],
    ) -> tuple[CroppedPerson, Crop]:
        """A person's crop, and what makes others."""
        points = torch.from_numpy(person.keypoints_2d).float()
        width = getattr(self.regressor, "width", None)
        box = replace(
            person_box(torch.from_numpy(person.framed).float(), framing_of(self.regressor)),
            focal=torch.tensor(camera[0]),
            principal_point=torch.from_numpy(camera[1]),
        )

        def crop(box: Box) -> CroppedPerson:
            return crop_person(pixels, points, box, self.resolution, width)

        return crop(box), crop

    def _fits(
        self,
        network: "_Network",
        people: Sequence[CroppedPerson],
        config: EftConfig,
        given: bool,
        progress: Callable[[int, int, float], None],
    ) -> tuple[Fits, Iterate | None, tuple[Inputs, frozenset[str]] | None]:
        """People's fits, with all iterates; the fits put onto the picture; and what the frozen
        parts made of the crops, with the weights that move.

        The network reads keypoints that are `given`; built-in ones tell it nothing new.
        """
        batch = batch_of(people, self.device)
        if given:
            batch = batch.with_keypoints_shown()
        if self.teacher is not None:
            batch = replace(batch, joints_3d=teach(self.teacher, batch.image).joints_3d)

        def report(rows: Tensor, step: int, evaluation: Evaluation) -> None:
            for row, error in zip(rows.tolist(), evaluation.error_px.tolist(), strict=True):
                progress(row, step, error)

        if self.auxiliary is not None:
            fits = fit_dual(
                network.regressor, self.auxiliary, self.body, batch, self.dual,
                history=True, progress=report,
            )  # fmt: skip
            return fits, None, None
        moving = moving_names(network.regressor, config.adapt)
        frozen = frozen_outputs(network.regressor, batch.image, moving)
        fits = fit_exemplars(
            network.regressor, self.body, batch, config,
            guard=self.options.guard, history=True, frozen=frozen, progress=report,
        )  # fmt: skip
        if not self.aligns:
            return fits, None, (frozen, moving)
        landmarks = Landmarks(*frozen) if isinstance(frozen, tuple) else None
        ends = aligned_fits(self.body, fits, batch.keypoints_2d, landmarks)
        return fits, ends, (frozen, moving)

    def _on_photo(
        self,
        fits: Fits,
        ends: Iterate | None,
        row: int,
        box: Box,
        joints: np.ndarray,
        perspective: float | None,
        traits: Traits,
        seconds: float,
    ) -> PersonFit:
        count = 1 + int(fits.trace.updates[row])
        iterates = pick(fits.trace.iterates, lambda x: x[row, :count])
        if ends is not None:
            iterates = joined((iterates, pick(ends, lambda x: x[row, None])))
        steps = len(iterates.evaluation.error_px)
        in_box = box[torch.zeros(steps, dtype=torch.long)]
        betas = iterates.prediction.betas[-1]
        return PersonFit(
            status=fits.status[row],
            keypoints_2d=joints,
            fitted=fits.fitted[row].cpu().numpy(),
            box_centre=box.centre[0].cpu().numpy(),
            box_size=float(box.size[0]),
            box_angle=float(box.angle[0]),
            steps=on_photo(
                self.body,
                iterates,
                in_box,
                self.camera_model,
                self.resolution,
                joints[:, 2] > 0,
                perspective=perspective,
            ),
            seconds=seconds,
            made=int(fits.made[row]),
            traits=traits,
            height=float(height_at_rest(self.body, betas.to(self.body.v_template))),
            aligned=ends is not None,
        )


@dataclass(frozen=True)
class _Network:
    """A regressor for people of whom something is known."""

    traits: Traits
    regressor: nn.Module
    looker: Looker


def fit(
    image: str | Path | np.ndarray,
    keypoints: KeypointSource = None,
    regressor: str | Path = DEFAULT_REGRESSOR,
    *,
    options: FitOptions | None = None,
    progress: Progress | None = None,
) -> FitResult:
    """Fit a 3D body to every person in a photo by Exemplar Fine-Tuning.

        result = exemplar.fit("photo.jpg")
        result.people[0].after.vertices     # (V, 3), metres, in the photo's camera frame
        result.save("out")

    Args:
        image: a file, or an RGB array (H, W, 3) uint8.
        keypoints: 2D keypoints: a file or folder of any detector's format (OpenPose, COCO, ...), or
            an array (K, 3) or (people, K, 3) of x, y (px) and confidence. None: the built-in
            network finds people and keypoints. Those below `LEAST_CONFIDENCE` count as not seen;
            people whose keypoints all coincide are left out.
        regressor: "large", "mobile" (faster, less accurate), or a checkpoint file.
        options: `FitOptions`: which people, body, iterations, guard, device, ...
        progress: is told (person, people, iteration, 2D error in px) while it fits.

    Returns:
        A `FitResult` with the people, every iterate of each, and `save`, `to_glb` and `plot`.

    Warns (UserWarning) of keypoints outside the photo and of people in the file that are broken.
    Raises ValueError or FileNotFoundError with one line for bad input, such as a photo without a
    person.
    """
    return Fitter(regressor, options).fit(image, keypoints, progress)


def _judged(person: PersonFit) -> PersonFit:
    """The person with the quality of the fit, if it is known, and the status that follows."""
    if person.status == NOTHING_TO_FIT or person.detection_score is None:
        return person
    disagreement = disagreement_of(person.keypoints_2d, person.box_size, person.before.error_px)
    person = replace(person, quality=quality_of(disagreement, person.detection_score))
    if person.status != OK:
        return person
    return replace(person, status=_STATUS_OF[person.quality_word])


def _with_betas(person: PersonFit, count: int) -> PersonFit:
    """The person with so many betas, as everybody in a picture has."""
    steps = (
        replace(state, betas=np.pad(state.betas, (0, count - len(state.betas))))
        for state in person.steps
    )
    return replace(person, steps=tuple(steps))


def _visible_share(person: CroppedPerson) -> float:
    """Side of an ordinary crop of the visible keypoints, in sides of the person's; at most 1.

    The crop of a close-up is as large as if the legs were in it, and errors are small in it.
    """
    in_px = person.keypoints_2d * torch.tensor([*[float(person.box.size) / 2] * 2, 1.0])
    return min(1.0, float(upright_box(in_px, None).size / person.box.size))


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
