"""What is drawn, and how often: every knob of the synthetic photographs."""

from collections.abc import Mapping
from dataclasses import dataclass, field


def _pose_families() -> Mapping[str, float]:
    return {
        "everyday": 0.27,
        "standing": 0.08,
        "sitting_chair": 0.09,
        "sitting_ground": 0.07,
        "cross_legged": 0.03,
        "crouching": 0.06,
        "kneeling": 0.05,
        "all_fours": 0.03,
        "lying": 0.09,
        "arms_overhead": 0.05,
        "lunging": 0.04,
        "bending": 0.05,
        "kicking": 0.03,
        "inverted": 0.03,
        "acrobatic": 0.05,
    }


@dataclass(frozen=True)
class PoseConfig:
    """How bodies are posed and shaped."""

    families: Mapping[str, float] = field(default_factory=_pose_families)
    """Relative frequency of each family of `poses.FAMILIES`."""
    betas_std: float = 1.1
    """Standard deviation of the shape coefficients."""
    betas_limit: float = 3.0
    """Shape coefficients are clipped to +- this."""


@dataclass(frozen=True)
class ViewConfig:
    """Where the camera stands and how the crop is taken."""

    distance: tuple[float, float] = (1.6, 12.0)
    """Metres from camera to pelvis, drawn evenly in the logarithm."""
    off_axis: float = 0.12
    """Standard deviation of the person's place off the optical axis, as a tangent."""
    high_view: float = 0.09
    """Probability of looking down from 35 to 90 degrees."""
    low_view: float = 0.03
    """Probability of looking up from 15 to 40 degrees below."""
    box_scale: float = 1.35
    """Side of the crop over the extent of the visible keypoints."""
    box_scale_jitter: tuple[float, float] = (0.85, 1.25)
    """Factor on that side, uniform."""
    box_shift: float = 0.08
    """Largest shift of the crop's centre, in sides."""
    turned: bool = True
    """Whether the crop is turned so that the torso points up; else the camera's up is."""
    angle_std: float = 8.0
    """Standard deviation of the crop's angle about upright, degrees."""
    any_angle: float = 0.05
    """Probability of an angle drawn from the full circle."""
    truncated: float = 0.15
    """Probability that the crop is made for a part of the person only."""
    image_border: float = 0.10
    """Probability that the photograph ends inside the crop (black beyond)."""
    ends: tuple[float, float] | None = None
    """The crop's lower side cuts the torso at a height from this range: 0 are the hips, 1 the
    shoulders. None cuts nobody."""


@dataclass(frozen=True)
class SceneConfig:
    """What surrounds the person, and what the camera does."""

    occluder: float = 0.35
    """Probability of things in front of the person."""
    bystander: float = 0.14
    """Probability of somebody else beside, behind or in front."""
    shadow: float = 0.75
    """Probability that the main light casts shadows."""
    blur: float = 0.35
    """Probability of defocus or motion blur."""
    low_resolution: float = 0.18
    """Probability that the person was small in the photograph."""
    jpeg: float = 0.65
    """Probability of JPEG artefacts."""
    noise: float = 0.6
    """Probability of sensor noise."""
    grey: float = 0.04
    """Probability of a black and white photograph."""


@dataclass(frozen=True)
class SynthConfig:
    """Everything that decides what `draw_samples` draws."""

    image_size: int = 256
    """Side of the square crops, pixels."""
    antialias: int = 2
    """Samples along each side of a pixel."""
    poses: PoseConfig = PoseConfig()
    """Poses and shapes."""
    views: ViewConfig = ViewConfig()
    """Cameras and crops."""
    scene: SceneConfig = SceneConfig()
    """Surroundings, occluders and image quality."""
