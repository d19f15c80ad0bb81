"""What a fitted photo is: plain numpy arrays in the photo's own frame."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8

from exemplar.bodies.shape_prior import NOTHING_KNOWN, Traits

OK = "ok"
"""Status of a person who was fitted."""
DIVERGED = "diverged"
"""Status of a fit that met a number that was not finite; the last finite iterate is kept."""
NOTHING_TO_FIT = "nothing_to_fit"
"""Status of a person with fewer than two keypoints that the fit uses: the regressor's answer is
kept."""
BAD_INPUT = "bad_input"
"""Status of a person whose keypoints, box or crop hold numbers that make no sense."""
DOUBTFUL = "doubtful"
"""Status of a fit that may be wrong, by its quality."""
REJECTED = "rejected"
"""Status of a fit that ended with an extreme shape, a large 2D error or a poor quality, or of a
person whose annotation a teacher contradicts: not to be trusted."""

QUALITY_WORDS = ((0.7, "good"), (0.4, "doubtful"), (0.0, "poor"))
"""Least quality of each word."""


@dataclass(frozen=True)
class BodyState:
    """One body in the photo's camera frame: x right, y down, z forward, metres."""

    global_orient: Float[np.ndarray, "3 3"]
    """Root rotation, body frame to camera frame."""
    body_pose: Float[np.ndarray, "23 3 3"]
    """Rotations of the other joints relative to their parents."""
    betas: Float[np.ndarray, " shapes"]
    """Shape coefficients."""
    weak_camera: Float[np.ndarray, "3"]
    """(scale, tx, ty) in units of the person's unturned square crop, which spans [-1, 1]."""
    translation: Float[np.ndarray, "3"]
    """Where the full-image camera sees the body's origin, metres."""
    joints_3d: Float[np.ndarray, "49 3"]
    """The 49 joints in the camera frame, metres."""
    joints_2d: Float[np.ndarray, "49 2"]
    """The 49 joints as the weak camera projects them, image px."""
    kinematic_joints: Float[np.ndarray, "24 3"]
    """The 24 SMPL joints in the camera frame, metres."""
    vertices: Float[np.ndarray, "v 3"]
    """Mesh in the camera frame, metres."""
    error_px: float
    """Mean 2D error over the fitted keypoints, px of a 224 crop."""


@dataclass(frozen=True)
class PersonFit:
    """One person of a photo."""

    status: str
    """`OK`, or what went wrong."""
    keypoints_2d: Float[np.ndarray, "49 3"]
    """The keypoints that were fitted: x, y in image px, confidence (0: missing)."""
    fitted: Float[np.ndarray, " 49"]
    """Weight of each keypoint in the fit; 0 for those left out."""
    box_centre: Float[np.ndarray, "2"]
    """Centre of the crop, image px."""
    box_size: float
    """Side of the crop, image px."""
    box_angle: float
    """How far the crop is turned, radians from the image's x axis towards y."""
    steps: tuple[BodyState, ...]
    """Every iterate, from the regressor's answer to the fit; the last may be `aligned`."""
    seconds: float
    """Time the fit took."""
    made: int | None = None
    """Weight updates that were made, if known: more than `iterations` where the guard kept an
    earlier iterate than the last."""
    quality: float | None = None
    """Probability that the fit is right (`scene.quality`), 0 to 1; None where it is not known: with
    keypoints that were given, and with other regressors than the shipped ones."""
    detection_score: float | None = None
    """How sure the finder was that here is a person, 0 to 1; None where keypoints were given."""
    size_factor: float = 1.0
    """By what the body's size and distance were multiplied, so that the people of the photo stand
    in one space (`scene.together`)."""
    traits: Traits = NOTHING_KNOWN
    """What was said of the person, which made a prior on the shape."""
    height: float | None = None
    """From soles to the top of the head of the fitted body at rest, metres, if known."""

    aligned: bool = False
    """Whether the last step is no weight update, but puts feet, hands and head where the picture
    shows them (`fitting.alignment`)."""

    @property
    def quality_word(self) -> str:
        """The quality in a word, "" where it is not known."""
        known = self.quality
        return "" if known is None else next(w for least, w in QUALITY_WORDS if known >= least)

    @property
    def before(self) -> BodyState:
        """The regressor's own answer."""
        return self.steps[0]

    @property
    def after(self) -> BodyState:
        """The fit."""
        return self.steps[-1]

    @property
    def iterations(self) -> int:
        """Weight updates behind the fit."""
        return len(self.steps) - 1 - self.aligned


@dataclass(frozen=True)
class Overlap:
    """Two people of a photo whose bodies run through each other."""

    people: tuple[int, int]
    """Their numbers."""
    depth: float
    """How far the one lies in the other, at most, metres."""


@dataclass(frozen=True)
class FitResult:
    """A fitted photo."""

    image: UInt8[np.ndarray, "h w 3"]
    """The photo, RGB, as displayed (EXIF orientation applied)."""
    focal: float
    """Focal length of the full-image camera, px."""
    principal_point: Float[np.ndarray, "2"]
    """Principal point of the full-image camera, px: the image's middle."""
    faces: Int[np.ndarray, "f 3"]
    """Triangles of every body's mesh."""
    people: tuple[PersonFit, ...]
    """The people, in the order in which they were found or given."""
    body: str
    """Name of the body model."""
    regressor: str
    """Name of the regressor."""
    focal_source: str = "given"
    """Where the focal length is from, in words."""
    overlaps: tuple[Overlap, ...] = ()
    """Whose bodies run through each other by more than a hand's width."""

    def reprojected(self, points: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 2"]:
        """Points of the camera frame (metres) as the full-image camera sees them, px."""
        return self.focal * points[:, :2] / points[:, 2:] + self.principal_point

    def camera_misfit_px(self, person: PersonFit) -> float:
        """How far the full-image camera sees a fit's joints from `joints_2d` on average, image px,
        of those with a keypoint."""
        seen, fit = person.keypoints_2d[:, 2] > 0, person.after
        gaps = self.reprojected(fit.joints_3d[seen]) - fit.joints_2d[seen]
        return float(np.linalg.norm(gaps, axis=1).mean()) if seen.any() else 0.0
