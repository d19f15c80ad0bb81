"""People in the cameras' pictures of a moment: found, matched, and read again where all views say
they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, UInt8

from exemplar.data.crops import batch_of, crop_person, person_box
from exemplar.data.detections import LEAST_CONFIDENCE, Detection, detected_joints
from exemplar.detect.landmarks import find_people
from exemplar.geometry.crops import crop_to_image
from exemplar.geometry.rigs import LensCamera, misses, triangulate
from exemplar.regressors.blazepose import RESOLUTION
from exemplar.regressors.checkpoints import load_trunk
from exemplar.regressors.landmark_reader import LandmarkReader
from exemplar.scene.association import (
    FEWEST_JOINTS,
    OUTLIER,
    Joints49,
    Person,
    Pictures,
    agrees,
    associate,
    extents_of,
    person_of,
)
from exemplar.skeletons import BLAZEPOSE_33

SAME = 0.25
"""People whose joints are nearer to each other than this part of their extent are one."""


@dataclass(frozen=True)
class Found:
    """Everybody at one moment."""

    people: tuple[Person, ...]
    """Whom at least two cameras see."""
    counts: tuple[int, ...]
    """How many people were found in each picture, before they were matched."""
    gap: float
    """Where several pictures have people and none agree: how far the largest person's keypoints are
    off in the median, whichever way they are triangulated, px; else NaN."""


class PeopleFinder:
    """The built-in detector in every view, and the larger landmark network on whom all views see.

    Its keypoints are a sixth nearer to the truth than the detector's (`benchmarks.views`), and it
    finds whom the detector missed in some views, as the others tell where to look.
    """

    def __init__(self, cameras: Sequence[LensCamera]) -> None:
        self.cameras = cameras

    @cached_property
    def reader(self) -> LandmarkReader:
        """The larger landmark network."""
        return LandmarkReader(load_trunk("heavy")).eval()

    def find(self, pictures: Pictures) -> Found:
        """The people whom at least two cameras see."""
        views = [detected(picture) for picture in pictures]
        matched = associate(views, self.cameras, lambda p: self.read_again(p, pictures))
        people = distinct(matched)
        counts = tuple(len(view) for view in views)
        several = not people and sum(count > 0 for count in counts) > 1
        return Found(tuple(people), counts, self._gap(views) if several else np.nan)

    def _gap(self, views: Sequence[Sequence[Joints49]]) -> float:
        """How far off the largest person of each view is, px."""
        points = np.zeros((len(views), 49, 3))
        for view, people in enumerate(views):
            if people:
                points[view] = max(people, key=lambda each: extents_of(each[None])[0])
        gaps = misses(triangulate(points, self.cameras), points, self.cameras)
        return float(np.nanmedian(gaps)) if np.isfinite(gaps).any() else np.inf

    def read_again(self, person: Person, pictures: Pictures) -> Person:
        """The person with keypoints that are read where the joints of all views say they are."""
        points = person.points.copy()
        for view, (camera, picture) in enumerate(zip(self.cameras, pictures, strict=True)):
            seen = person.seen[view]
            here = points[view] if seen else _looked_for(person, camera, picture)
            if (here[:, 2] > 0).sum() < FEWEST_JOINTS:
                continue
            found = self._read(here, picture)
            if agrees(person, view, found, self.cameras) < OUTLIER:
                points[view] = found
        return person_of(points, self.cameras)

    @torch.no_grad()
    def _read(self, points: Joints49, picture: UInt8[np.ndarray, "h w 3"]) -> Joints49:
        given = torch.from_numpy(points).float()
        box = person_box(given, "hips")
        batch = batch_of([crop_person(picture, given, box, RESOLUTION)])
        landmarks = self.reader(batch.image)
        places = crop_to_image(landmarks.points, batch.box)[0]
        rows = torch.cat((places, landmarks.visibility[0, :, None]), dim=1).double().numpy()
        return _inside(rows, picture)


def detected(picture: UInt8[np.ndarray, "h w 3"]) -> list[Joints49]:
    """People of one picture by the built-in network, what is outside it left out."""
    found = [
        _inside(person.keypoints.astype(np.float64), picture) for person in find_people(picture)
    ]
    return [points for points in found if (points[:, 2] > 0).sum() >= FEWEST_JOINTS]


def distinct(people: Sequence[Person]) -> list[Person]:
    """One of those that are at one place: what most views see, and then the surest."""
    kept: list[Person] = []
    for person in sorted(people, key=lambda p: (-p.seen.sum(), p.error)):
        if not any(is_same(person, other) for other in kept):
            kept.append(person)
    return kept


def is_same(a: Person, b: Person) -> bool:
    """Whether two people are at one place."""
    distance = np.linalg.norm(a.joints - b.joints, axis=1)
    if not np.isfinite(distance).any():
        return False
    extent = np.nanmax(np.nanmax(a.joints, axis=0) - np.nanmin(a.joints, axis=0))
    return float(np.nanmedian(distance)) < SAME * float(extent)


def _looked_for(
    person: Person, camera: LensCamera, picture: UInt8[np.ndarray, "h w 3"]
) -> Joints49:
    """Where a view must see the person's joints."""
    places = camera.project(person.joints)
    height, width = picture.shape[:2]
    with np.errstate(invalid="ignore"):
        inside = np.all((places >= 0) & (places < (width, height)), axis=1)
    return np.where(inside[:, None], np.column_stack((places, np.ones(len(places)))), 0.0)


def _inside(points: Float[np.ndarray, "33 3"], picture: UInt8[np.ndarray, "h w 3"]) -> Joints49:
    height, width = picture.shape[:2]
    outside = ((points[:, :2] < 0) | (points[:, :2] > (width, height))).any(1)
    points[outside | (points[:, 2] < LEAST_CONFIDENCE), 2] = 0.0
    return detected_joints(Detection(points, BLAZEPOSE_33), least_confidence=0.0)
