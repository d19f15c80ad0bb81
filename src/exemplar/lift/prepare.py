"""From an annotated sample to what a regressor is shown; what is wrong becomes a message."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from exemplar.data.crops import CroppedPerson, crop_person, framing_of, person_box
from exemplar.files.image_files import OutsideError
from exemplar.files.image_store_files import ImageStore, open_images
from exemplar.fitting.inputs import checked_keypoints
from exemplar.geometry.crops import Box, Framing, crop_to_image
from exemplar.lift.reasons import MISSING, UNREADABLE, lacks_image
from exemplar.objectives import JointsAbout
from exemplar.results import BAD_INPUT
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, OPENPOSE_25, OPENPOSE_PREFIX, SMPL_49

BORDER_PX = 10.0
"""EFT's program drops ankles nearer than this to the image's lower border, px."""

BORDER_CONFIDENCE = 0.1
"""... unless OpenPose sees the ankle with at least this confidence."""


@dataclass(frozen=True)
class Prepared:
    """A sample that is ready for the regressor, or what kept it from being so."""

    number: int
    """Its number in the job."""
    sample: Sample
    """As annotated."""
    person: CroppedPerson | None
    """What the regressor is shown; None for a broken sample, or one that a teacher contradicts."""
    message: str = ""
    """What is wrong with such a sample, or which keypoints of another were left out: kind, colon,
    details."""
    status: str = BAD_INPUT
    """Why there is nothing to show: one of `exemplar.results`' statuses."""

    @property
    def lacks_image(self) -> bool:
        """Whether its image could not be had."""
        return lacks_image(self.status, self.message)


@dataclass(frozen=True)
class Shown:
    """What a regressor wants to see of a sample."""

    resolution: int
    """Height of its crops, px."""
    width: int
    """Their width, px."""
    framing: Framing
    """Where they lie about a person."""
    use_3d: bool = True
    """Whether 3D joints are wanted."""
    joints_about: JointsAbout = "nose"
    """What 3D joints are compared about."""
    border_ankles: bool = True
    """Whether ankles at the image's lower border are kept."""


def shown_to(
    regressor: nn.Module,
    *,
    use_3d: bool,
    joints_about: JointsAbout = "nose",
    border_ankles: bool = True,
) -> Shown:
    """What a regressor wants to see of samples."""
    resolution = int(getattr(regressor, "resolution"))  # noqa: B009 - a Module attribute
    return Shown(
        resolution,
        int(getattr(regressor, "width", resolution)),
        framing=framing_of(regressor),
        use_3d=use_3d,
        joints_about=joints_about,
        border_ankles=border_ankles,
    )


class Preparer:
    """Reads images and crops people; those of one image, one after another, share its decoding."""

    def __init__(self, images: ImageStore | Path, shown: Shown) -> None:
        self.images = open_images(images) if isinstance(images, Path) else images
        self.shown = shown
        self._last: tuple[str | None, np.ndarray | str] = (None, "")
        self._read: list[str] = []

    def __call__(self, number: int, sample: Sample) -> Prepared:
        """The sample's crop, or its problem."""
        try:
            return Prepared(number, sample, self._person(sample))
        except (ValueError, OSError) as error:
            return Prepared(number, sample, None, str(error))

    def _person(self, sample: Sample) -> CroppedPerson:
        """ValueError with kind, colon, details for a broken sample."""
        if sample.problem:
            raise ValueError(sample.problem)
        if not (np.isfinite(sample.box_centre).all() and 0 < sample.box_scale < float("inf")):
            raise ValueError(f"empty box: scale {sample.box_scale:g}")
        clean, bad = checked_keypoints(torch.from_numpy(sample.keypoints_2d)[None])
        if bool(bad[0]):
            raise ValueError("keypoints: a number that is not finite, or a negative confidence")
        pixels = self._pixels(sample.image)
        height, width = pixels.shape[:2]
        sample.check_image_size(width, height)
        joints = clean[0].float()
        if not self.shown.border_ankles:
            joints = without_border_ankles(joints, height)
        box = self._box(sample, joints)
        _check_inside(box, width, height)
        return self._crop(sample, joints, _with_camera(box, sample, width, height))

    def again(self, one: Prepared, box: Box) -> CroppedPerson:
        """Another crop of a person who was prepared. ValueError or OSError if the image is gone."""
        assert one.person is not None
        known, first = one.person.keypoints_2d, one.person.box
        joints = torch.cat((crop_to_image(known[:, :2], first), known[:, 2:]), dim=1)
        return self._crop(one.sample, joints, box)

    def _crop(self, sample: Sample, joints: Tensor, box: Box) -> CroppedPerson:
        """ValueError with kind, colon, details if the image cannot be had."""
        return crop_person(
            self._pixels(sample.image),
            joints,
            box,
            self.shown.resolution,
            self.shown.width,
            fitted_3d(sample, self.shown.joints_about) if self.shown.use_3d else None,
        )

    def _box(self, sample: Sample, joints: Tensor) -> Box:
        """The annotated box, or an upright one about the keypoints."""
        if self.shown.framing != "level":
            try:
                return person_box(joints, self.shown.framing)
            except ValueError:  # too few keypoints, or all in one place: the annotated box will do
                pass
        return annotated_box(sample)

    def sees_images(self, some: Sequence[str]) -> bool:
        """Whether the images' place can be read: whether the image that was read last is still
        there, or, if none was, one of `some`."""
        try:
            return any(self.images.has(name) for name in self._read or some)
        except OSError:
            return False

    def _pixels(self, name: str) -> np.ndarray:
        """The image; ValueError with kind, colon, details if it cannot be had."""
        last = self._last
        if last[0] != name:
            last = self._last = (name, self._image(name))
        pixels = last[1]
        if isinstance(pixels, str):
            raise ValueError(pixels)
        return pixels

    def _image(self, name: str) -> np.ndarray | str:
        """The image, or what is wrong with it."""
        try:
            pixels = self.images.read(name)
        except FileNotFoundError as error:
            return f"{MISSING}: {error}"
        except OutsideError as error:
            return str(error)
        except (ValueError, OSError) as error:
            return f"{UNREADABLE}: {error}"
        self._read = [name]
        return pixels


def annotated_box(sample: Sample) -> Box:
    """The sample's own box."""
    centre = torch.from_numpy(np.asarray(sample.box_centre)).float()
    return Box(centre, torch.tensor(float(sample.box_size)), torch.tensor(0.0))


def fitted_3d(sample: Sample, about: JointsAbout = "nose") -> Float[Tensor, "24 4"] | None:
    """The sample's 3D joints if they can be fitted: EFT compares them about the nose (Eq. 4), and
    about their mean where there is a teacher."""
    joints = sample.joints_3d
    needed = slice(None) if about == "mean" else GT_24.index("nose")
    if joints is None or not (joints[needed, -1] > 0).any():
        return None
    return torch.from_numpy(joints).float()


def without_border_ankles(joints: Float[Tensor, "49 3"], height: int) -> Float[Tensor, "49 3"]:
    """The joints without annotated ankles at the lower border of an image of `height` px.

    A rule of EFT's program: such ankles are often the border, not the ankle.
    """
    joints = joints.clone()
    for name in ("left_ankle", "right_ankle"):
        row = len(OPENPOSE_25) + GT_24.index(name)
        seen = joints[SMPL_49.index(OPENPOSE_PREFIX + name), 2] >= BORDER_CONFIDENCE
        if abs(float(joints[row, 1]) - height) < BORDER_PX and not seen:
            joints[row, -1] = 0.0
    return joints


def _check_inside(box: Box, width: int, height: int) -> None:
    size = np.array([width, height])
    reach = np.abs(box.centre.numpy() - size / 2)
    if not (reach < (size + float(box.size)) / 2).all():
        raise ValueError(f"box outside the image: an image of {width}x{height} px")


def _with_camera(box: Box, sample: Sample, width: int, height: int) -> Box:
    """The box with its image's camera; unknown ones see about 55 degrees (CLIFF's default)."""
    focal, centre = float(np.hypot(width, height)), (width / 2, height / 2)
    if sample.intrinsics is not None:
        focal, centre = float(sample.intrinsics[0, 0]), tuple(sample.intrinsics[:2, 2])
    point = torch.tensor([float(x) for x in centre])
    return replace(box, focal=torch.tensor(focal), principal_point=point)
