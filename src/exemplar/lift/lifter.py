"""What fits a data set's people: a loaded regressor, a body, a recipe; samples in, results out."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.data.crops import batch_of
from exemplar.data.looks import Looker
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.environment import code_version, cores, settle, usable_device
from exemplar.files.image_store_files import ImageStore
from exemplar.fitting.dual import fit_dual
from exemplar.fitting.exemplar import EftConfig, eft_objective, stream_exemplars
from exemplar.fitting.fits import Acceptance, Fits
from exemplar.fitting.inputs import checked
from exemplar.fitting.memory import plan
from exemplar.fitting.perspective import BELIEVED_DEPTH
from exemplar.fitting.projections import placed, projection_of
from exemplar.fitting.smplify import fit_smplify
from exemplar.fitting.teachers import landmark_teacher, teacher_sizes
from exemplar.fitting.weights import (
    RegressorWeights,
    frozen_outputs,
    moving_names,
    predict_in_blocks,
)
from exemplar.geometry.cameras import (
    CameraModel,
    move_weak_camera,
    weak_equivalent,
)
from exemplar.geometry.crops import Box
from exemplar.lift.config import LiftConfig
from exemplar.lift.prepare import Prepared, Preparer, annotated_box, shown_to
from exemplar.lift.recipes import SHOW_KEYPOINTS, dual_config, eft_config, smplify_config
from exemplar.lift.teaching import Teaching
from exemplar.regressors.checkpoints import body_for, load_regressor
from exemplar.regressors.prediction import Prediction, network_for
from exemplar.results import BAD_INPUT, DIVERGED, NOTHING_TO_FIT, REJECTED
from exemplar.samples import Batch, BodyTruth, Sample
from exemplar.skeletons import SMPL_49

BLOCK = 32
"""Samples handed over together for each thread of a CPU, which idles at the end of a block."""

BLOCK_ON_GPU = 8
"""The same for each slot of a GPU, which holds their crops beside the fits."""

MANY = 1_000
"""More people than are ever fitted side by side."""

MOST_READERS = 8
"""Threads that read and crop people for a GPU."""

SMPLIFY_BATCH = 64
"""People that SMPLify fits together."""

_REASONS: Mapping[str, str] = {
    NOTHING_TO_FIT: "no keypoints: fewer than 2 that the fit uses",
    DIVERGED: "numbers: not finite after an update",
    BAD_INPUT: "numbers: not finite",
}

Finished = Callable[[int, PseudoTruth], None]
"""Called with a sample's number and what became of it, from any thread."""


Fitted = Callable[[Prepared, Fits, int], None]
"""Called with a person and the row of the fits that is theirs, from any thread."""


@dataclass(frozen=True)
class Room:
    """How many exemplars are worked on at a time."""

    slots: int
    """Side by side."""
    workers: int
    """Threads."""


class Lifter:
    """Fits samples, each by itself: on a CPU the numbers of one do not depend on its company.

    (SMPLify's people share batches, and a GPU's exemplars their kernels: last bits may differ.)
    """

    def __init__(self, config: LiftConfig, device: str = "cpu", workers: int | None = None) -> None:
        """Load everything. `workers` threads of a CPU; by default as many as there are cores and
        memory has room for. ValueError or FileNotFoundError as `load_regressor` raises them."""
        # SMPLify's and the guard's priors are float64
        self.device = usable_device(
            device, float64=config.guard or smplify_config(config) is not None
        )
        self.guard = config.guard
        self.perspective = config.perspective
        self.shows = config.recipe in SHOW_KEYPOINTS
        module, info = load_regressor(config.regressor)
        self.regressor: nn.Module = module.to(self.device)
        self.body: Body = body_for(info, config.body).to(self.device)
        self.smplify = smplify_config(config)
        self.dual = dual_config(config)
        self.auxiliary: nn.Module | None = None
        if config.auxiliary is not None:
            self.auxiliary = load_regressor(config.auxiliary)[0].to(self.device)
        self.eft = EftConfig() if self.smplify or self.dual else eft_config(config, info)
        self.acceptance: Acceptance = (self.smplify or self.dual or self.eft).acceptance
        self.shown = shown_to(
            module,
            use_3d=config.use_3d,
            joints_about=self.eft.joints_about,
            border_ankles=config.recipe != "eft-released",
        )
        networks = [(config.regressor, module)]
        if config.auxiliary is not None and self.auxiliary is not None:
            networks.append((config.auxiliary, self.auxiliary))
        said = [name for name in ("guard", "perspective") if getattr(config, name)]
        self.made_by = {
            "regressor": "+".join(f"{Path(p).name}@{weights_digest(net)}" for p, net in networks),
            "body_model": self.body.name,
            "recipe": "+".join(filter(None, (config.recipe, *said, config.teacher))),
            "version": code_version(),
        }
        self.looker = Looker(self.regressor, self.body, self.device)
        self._again: Preparer | None = None
        self.room = self._room(workers)
        self.teaching: Teaching | None = None
        if config.teacher is not None:
            teacher = landmark_teacher(teacher_sizes(config.teacher), self.device)
            self.teaching = Teaching(teacher, self.device, self.room.workers)
        settle()

    @property
    def window(self) -> int:
        """How many samples are best handed over together."""
        if self.smplify:
            return SMPLIFY_BATCH
        if self.device.type == "cuda":
            return BLOCK_ON_GPU * self.room.slots
        return BLOCK * self.room.workers

    @property
    def readers(self) -> int:
        """Threads that are to make samples ready: a GPU fits faster than one of them reads."""
        return min(cores(), MOST_READERS) if self.device.type == "cuda" else 1

    def preparer(self, images: ImageStore | Path) -> Preparer:
        """What makes samples ready for this regressor, whose images can be looked at again."""
        self._again = Preparer(images, self.shown)
        return Preparer(images, self.shown)

    def _room(self, workers: int | None) -> Room:
        if self.smplify:
            return Room(1, workers or 1)
        if self.dual:
            return Room(1, (workers or cores()) if self.device.type == "cpu" else 1)
        one = torch.ones(1)
        box = Box(torch.zeros(1, 2), one, 0 * one, one, torch.zeros(1, 2)).to(self.device)
        image = torch.zeros(1, 3, self.shown.resolution, self.shown.width, device=self.device)
        points = torch.zeros(1, len(SMPL_49), 3, device=self.device)
        batch = Batch(image, box, points)
        if self.shows:
            batch = batch.with_keypoints_shown()
        moving = moving_names(self.regressor, self.eft.adapt)
        network = network_for(self.regressor, batch.box)
        unknowns = RegressorWeights(network, image, batch.box, moving)
        objective = eft_objective(self.body, batch, self.eft, projection_of(self.regressor, box))
        slots, threads = plan(unknowns, objective, self.device, MANY)
        return Room(slots, (workers or threads) if self.device.type == "cpu" else threads)

    def fit(self, people: Sequence[Prepared], finished: Finished) -> None:
        """Fit samples; `finished` hears of each as soon as it is done."""
        if self.teaching is not None:
            people = self.teaching(people)
        for one in people:
            if one.person is None:
                finished(one.number, self._result(one.sample, one.status, one.message))
        sound = [one for one in people if one.person is not None]
        doubtful: dict[int, tuple[Prepared, Fits, int]] = {}
        alone: dict[int, float] = {}

        def first(one: Prepared, fits: Fits, row: int) -> None:
            error = alone.get(one.number, float(fits.before.evaluation.error_px[row]))
            if one.person is not None and self.looker.doubts(error, one.person):
                doubtful[one.number] = (one, fits, row)
            else:
                finished(one.number, self._made(one, fits, row))

        def second(one: Prepared, fits: Fits, row: int) -> None:
            finished(one.number, self._made(one, fits, row))

        self._fit(sound, first, alone)
        missed = [doubtful[number] for number in sorted(doubtful)]
        with ThreadPoolExecutor(self.room.workers) as pool:
            looks = list(pool.map(self._looked_again, [one for one, _, _ in missed]))
        for (one, fits, row), seen in zip(missed, looks, strict=True):
            if seen is one:
                second(one, fits, row)
        self._fit([s for (one, _, _), s in zip(missed, looks, strict=True) if s is not one], second)

    def _looked_again(self, one: Prepared) -> Prepared:
        """The person in the crop that suits the keypoints best; the same if none is better."""
        assert one.person is not None
        if self._again is None:
            return one
        try:
            found = self.looker.best(one.person, partial(self._again.again, one))
        except (ValueError, OSError):  # the image was there a moment ago: its first crop will do
            return one
        return one if found is one.person else replace(one, person=found)

    def _fit(
        self, people: Sequence[Prepared], fitted: Fitted, alone: dict[int, float] | None = None
    ) -> None:
        """Fit people who can be shown; `fitted` hears of each as soon as it is done.

        Where fits start from an answer that has read the keypoints, `alone` is filled before with
        how far the answer to each crop alone is from them, px of a 224 crop.
        """
        if not people:
            return
        crops = [one.person for one in people if one.person is not None]
        batch = batch_of(crops, self.device)
        if self.shows:
            batch = batch.with_keypoints_shown()

        frozen = None
        if self.smplify is None and self.dual is None:
            moving = moving_names(self.regressor, self.eft.adapt)
            made = frozen_outputs(self.regressor, batch.image, moving, workers=self.room.workers)
            frozen = (made, moving)
        if alone is not None and self.shows and self.looker.asks:
            numbers = (one.number for one in people)
            alone.update(zip(numbers, self.looker.errors(crops, frozen).tolist(), strict=True))

        def done(rows: Int[Tensor, " b"], fits: Fits) -> None:
            fits = fits.cpu()
            for i, row in enumerate(rows.tolist()):
                fitted(people[row], fits, i)

        if self.smplify is not None:
            clean, _ = checked(batch)
            start = predict_in_blocks(self.regressor, clean.image, clean.box)
            start = replace(start, camera=weak_equivalent(start.camera, self._camera_model()))
            fits = fit_smplify(start, clean.keypoints_2d, self.body, self.smplify)
            done(torch.arange(len(people)), fits)
            return
        if self.dual is not None and self.auxiliary is not None:
            workers = self.room.workers if self.device.type == "cpu" else None
            fits = fit_dual(
                self.regressor, self.auxiliary, self.body, batch, self.dual,
                chunk_size=None if workers is None else 1, workers=workers,
            )  # fmt: skip
            done(torch.arange(len(people)), fits)
            return
        stream_exemplars(
            self.regressor,
            self.body,
            batch,
            self.eft,
            done,
            guard=self.guard,
            chunk_size=self.room.slots,
            workers=self.room.workers,
            frozen=None if frozen is None else frozen[0],
        )

    def _camera_model(self) -> CameraModel:
        return getattr(self.regressor, "camera_model", "weak")

    def _result(self, sample: Sample, status: str, message: str, **found: Any) -> PseudoTruth:
        return PseudoTruth(sample, status, message, **self.made_by, **found)

    def _made(self, one: Prepared, fits: Fits, row: int) -> PseudoTruth:
        """One of the fits as a result."""
        status, loss = fits.status[row], float(fits.loss_2d[row])
        message = _REASONS.get(status, "")
        if status == REJECTED:
            largest = float(fits.after.prediction.betas[row].abs().max())
            message = self.acceptance.reason(largest, loss)
        message = "; ".join(filter(None, (message, one.message)))
        return self._result(
            replace(one.sample, body=self._body_truth(one, fits, row)),
            status,
            message,
            error_px_before=float(fits.before.evaluation.error_px[row]),
            error_px_after=float(fits.after.evaluation.error_px[row]),
            loss_2d=loss,
            iterations=int(fits.made[row]),
            kept_iteration=int(fits.trace.updates[row]),
        )

    def _body_truth(self, one: Prepared, fits: Fits, row: int) -> BodyTruth:
        """The fit in the frame of the unturned image, its camera in units of the sample's box."""
        assert one.person is not None
        box, own = one.person.box, fits.after.prediction
        found = Prediction(*(value[row].cpu() for value in vars(own).values()))
        model: CameraModel = "weak" if self.smplify else self._camera_model()
        weak = replace(found, camera=weak_equivalent(found.camera, model)).turned_back(box)
        translation, is_known = None, one.sample.intrinsics is not None
        if model == "full_perspective" or is_known or self.perspective:
            alone = Prediction(*(value[row : row + 1] for value in vars(own).values()))
            boxes, resolution = box[None].to(self.device), self.shown.resolution
            depth = (0.0 if is_known else BELIEVED_DEPTH) if self.perspective else None
            seen = (one.person.keypoints_2d[None, :, 2] > 0).to(self.device)
            with torch.no_grad():
                whole = placed(
                    self.body, alone, boxes, model, resolution,
                    seen if self.perspective else None, perspective=depth,
                )  # fmt: skip
            if self.perspective:
                weak = Prediction(*(value[0].cpu() for value in vars(whole.prediction).values()))
            if model == "full_perspective" or is_known:
                translation = whole.translation[0].cpu()
        annotated = annotated_box(one.sample)
        camera = move_weak_camera(
            weak.camera, box.centre, box.size, annotated.centre, annotated.size
        )
        return BodyTruth(
            pose=torch.cat((weak.global_orient[None], weak.body_pose)).double().numpy(),
            betas=weak.betas.double().numpy(),
            weak_camera=camera.double().numpy(),
            translation=None if translation is None else translation.double().numpy(),
        )


def weights_digest(module: nn.Module) -> str:
    """Eight hexadecimal digits that tell a network's weights from others."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:8]
