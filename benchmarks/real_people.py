"""Crops of real people with what is known of them, and who is held out of training."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from benchmarks.real_cameras import up_in
from benchmarks.real_sequences import FEWEST_JOINTS, FOURTEEN, LIMBS, KeypointKind, Videos
from exemplar.data.crops import CroppedPerson, batch_of, crop_person, person_box
from exemplar.data.formats import read
from exemplar.data.looks import Looker
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import crop_image, read_image
from exemplar.geometry.crops import Box, crop_to_image, image_to_crop
from exemplar.lift.prepare import Shown
from exemplar.samples import Batch, Sample
from exemplar.skeletons import LSP_14, SMPL_49

HeldOut = Literal["lspet", "coco"]
"""Sets of photographs with annotated keypoints."""

CACHE_VERSION = 2
"""To be raised when prepared people of a cache are no longer what would be made."""

AROUND = 1.6
"""Side of what is kept of a picture for second looks, in sides of the crop."""

_LSPET_NAME = re.compile(r"im(\d{5})")
_COCO_NAME = re.compile(r"(?:.*_)?(\d{12})")


def is_held_out(sample: Sample) -> bool:
    """Whether nobody trains on this person of LSPet or COCO."""
    return is_held_out_name(sample.image)


def is_held_out_name(image: str) -> bool:
    """Whether nobody trains on an image of LSPet or COCO, told by the number in its name."""
    name = Path(image).stem
    if found := _LSPET_NAME.fullmatch(name):
        return int(found[1]) % 40 == 7
    if found := _COCO_NAME.fullmatch(name):
        return int(found[1]) % 4 == 3
    return False


@dataclass(frozen=True)
class People:
    """n crops of people. Frames of 3D numbers are the unturned image's: x right, y down."""

    crops: UInt8[np.ndarray, "n height width 3"]
    """RGB, as the regressor takes them."""
    around: UInt8[np.ndarray, "n wide wide 3"]
    """More of the pictures: `AROUND` times the crops' sides, about the same middle."""
    boxes: Float[np.ndarray, "n 7"]
    """Centre x and y, side, angle, focal length, principal point x and y: `geometry.crops.Box`."""
    keypoints_2d: Float[np.ndarray, "n 49 3"]
    """Given to the fit: crop units and confidence."""
    left_out: Float[np.ndarray, "n 14 3"]
    """Known `LSP_14` that the fit is not given; likewise."""
    truth: Float[np.ndarray, "n 14 3"]
    """`LSP_14`, metres in the camera's frame; NaN where not known."""
    up: Float[np.ndarray, "n 3"]
    """The world's up in the camera's frame; NaN where not known."""
    moment: Int[np.ndarray, " n"]
    """Frame of the video, or number of the image: what is resampled."""
    camera: Int[np.ndarray, " n"]
    person: Int[np.ndarray, " n"]
    """Number of the person at this moment."""

    def __len__(self) -> int:
        return len(self.crops)

    def __getitem__(self, rows: Int[np.ndarray, " some"] | slice) -> "People":
        """Some of them."""
        return People(*(getattr(self, field.name)[rows] for field in fields(self)))

    @property
    def box(self) -> Box:
        """Where the crops lie in their pictures."""
        numbers = torch.from_numpy(self.boxes).float()
        return Box(numbers[:, :2], numbers[:, 2], numbers[:, 3], numbers[:, 4], numbers[:, 5:])

    @property
    def batch(self) -> Batch:
        """What a fit takes; for some tens of people at once."""
        image = torch.from_numpy(self.crops).permute(0, 3, 1, 2) / 255
        return Batch(image, self.box, torch.from_numpy(self.keypoints_2d).float())

    def looked_again(self, looker: Looker) -> Batch:
        """What fits take: other crops where the regressor misses the keypoints."""
        firsts = [self._person(row) for row in range(len(self))]
        errors = looker.errors(firsts).tolist()
        return batch_of(
            [
                looker.best(first, partial(self._again, row))
                if looker.doubts(error, first)
                else first
                for row, (first, error) in enumerate(zip(firsts, errors, strict=True))
            ]
        )

    def _person(self, row: int) -> CroppedPerson:
        points = torch.from_numpy(self.keypoints_2d[row]).float()
        return CroppedPerson(self.crops[row], self.box[row], points)

    def _again(self, row: int, box: Box) -> CroppedPerson:
        """Another crop of one of them, out of what is kept around the first."""
        around, (height, width) = self.around[row], self.crops.shape[1:3]
        first = self.box[row]
        wide = replace(first, size=first.size * AROUND)
        kept = torch.from_numpy(self.keypoints_2d[row]).float()
        scale = len(around) / float(wide.size)

        def inside(points: Tensor) -> Tensor:
            return (image_to_crop(points, wide) + 1) * (len(around) / 2)

        joints = torch.cat((inside(crop_to_image(kept[:, :2], first)), kept[:, 2:]), dim=1)
        here = replace(
            box,
            centre=inside(box.centre[None])[0],
            size=box.size * scale,
            angle=box.angle - first.angle,
        )
        return replace(crop_person(around, joints, here, height, width), box=box)

    @property
    def given(self) -> Float[np.ndarray, "n 14 3"]:
        """Limb joints that the fit is given, of `LSP_14`: crop units and confidence."""
        return self.keypoints_2d[:, FOURTEEN] * np.where(LIMBS[:, None], 1.0, (1.0, 1.0, 0.0))

    @property
    def keys(self) -> list[tuple[int, int, int]]:
        """(moment, camera, person) of each."""
        columns = (self.moment.tolist(), self.camera.tolist(), self.person.tolist())
        return list(zip(*columns, strict=True))


def load_sequence(
    folder: Path, kind: KeypointKind, every: int, shown: Shown, cache: Path | None = None
) -> People:
    """Everybody in every n-th frame of a folder of calibrated videos, prepared for a regressor.

    `shown` is `lift.prepare.shown_to(regressor, use_3d=False)`. A `cache` keeps detections and
    the result.
    """
    spec = f"{shown.resolution}x{shown.width}-{shown.framing}"
    name = f"{folder.name}-{kind}-every{every}-{spec}-v{CACHE_VERSION}.npz"
    kept = None if cache is None else cache / name
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return People(*(file[field.name] for field in fields(People)))
    videos = Videos(folder, every, cache)
    seen = videos.people(kind)
    rows: list[People] = []
    for number, camera in enumerate(videos.cameras):
        here = [one for one in seen if number in one.points]
        for frame, picture in videos.pictures(camera):
            for one in (one for one in here if one.frame == frame):
                row = _prepared(picture, one.points[number], one.points[number], shown)
                truth = camera.in_camera(one.truth)[None]
                row = replace(row, truth=truth, up=up_in(camera)[None])
                rows.append(_named(row, frame, number, one.person))
    people = joined(rows)
    if kept is not None:
        with replacing(kept) as half, half.open("wb") as file:
            np.savez(file, allow_pickle=False, **vars(people))
    return people


def load_held_out(kind: HeldOut, folder: Path, count: int, seed: int, shown: Shown) -> People:
    """Held-out people of LSPet or COCO, each with half of the annotated limb joints given.

    `folder` is the data set's. Crops are of all annotated limb joints, so that what is left out
    is in the picture.
    """
    path, options = {
        "lspet": (folder / "joints.mat", {"labels": "lspet"}),
        "coco": (folder / "person_keypoints.json", {}),
    }[kind]
    rng = np.random.default_rng(seed)
    found = [
        sample
        for sample in read(path, **options)
        if is_held_out(sample)
        and not sample.problem
        and _limbs_of(sample).sum() >= FEWEST_JOINTS
        and (folder / "images" / sample.image).exists()
    ]
    rows = []
    for number in sorted(rng.permutation(len(found))[:count]):
        sample = found[number]
        limbs = np.zeros(len(SMPL_49), bool)
        limbs[np.array(FOURTEEN)[_limbs_of(sample)]] = True
        points = np.where(limbs[:, None], sample.keypoints_2d, 0.0)
        own = np.random.default_rng((seed, number))
        given = points.copy()
        given[own.permutation(np.flatnonzero(limbs))[1::2]] = 0.0
        row = _prepared(read_image(folder / "images" / sample.image), points, given, shown)
        image = int(re.sub(r"\D", "", Path(sample.image).stem))
        rows.append(_named(row, image, 0, sample.annotation_id or 0))
    return joined(rows)


def joined(rows: Sequence[People]) -> People:
    """People of several sets as one; ValueError if there are none."""
    if not rows:
        raise ValueError("expected people, got none")
    columns = ([getattr(row, field.name) for row in rows] for field in fields(People))
    return People(*(np.concatenate(column) for column in columns))


def _prepared(
    picture: UInt8[np.ndarray, "h w 3"],
    boxed: Float[np.ndarray, "49 3"],
    given: Float[np.ndarray, "49 3"],
    shown: Shown,
) -> People:
    """One person as `photo.Fitter` crops them, by all keypoints that are `boxed`."""
    height, width = picture.shape[:2]
    points = torch.from_numpy(boxed).float()
    box = replace(
        person_box(points, shown.framing),
        focal=torch.tensor(math.hypot(height, width)),
        principal_point=torch.tensor([width / 2, height / 2]),
    )
    joints = torch.from_numpy(given).float()
    batch = batch_of([crop_person(picture, joints, box, shown.resolution, shown.width)])
    wide = crop_image(picture, replace(box, size=box.size * AROUND), round(256 * AROUND))
    crop = (batch.image * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    rest = torch.cat((image_to_crop(points[:, :2], box), points[:, 2:]), dim=1).numpy()
    hidden = np.where(given[:, 2:] > 0, 0.0, rest)[FOURTEEN]
    hidden[~LIMBS] = 0.0
    assert box.focal is not None
    assert box.principal_point is not None
    numbers = (*box.centre, box.size, box.angle, box.focal, *box.principal_point)
    unknown = np.full((1, len(LSP_14), 3), np.nan)
    none = np.zeros(1, int)
    return People(
        crop.numpy(),
        wide[None],
        np.array([numbers], np.float32),
        batch.keypoints_2d.numpy(),
        hidden[None],
        unknown,
        unknown[:, 0],
        none,
        none,
        none,
    )


def _named(row: People, *numbers: int) -> People:
    moment, camera, person = (np.array([number]) for number in numbers)
    return replace(row, moment=moment, camera=camera, person=person)


def _limbs_of(sample: Sample) -> np.ndarray:
    """Which of `LSP_14` are annotated limb joints."""
    return (sample.keypoints_2d[FOURTEEN, 2] > 0) & LIMBS
