"""The world of calibrated cameras as a motion wants it: metres, y up."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from exemplar.geometry.rigs import LensCamera
from exemplar.scene.association import Person
from exemplar.skeletons import SMPL_49

UNITS = {"m": 1.0, "cm": 1e-2, "mm": 1e-3}
"""Metres in a calibration's unit."""

UPS = ("x", "y", "z", "-x", "-y", "-z")
"""Axes of a calibration that may point up."""

TORSO = 0.5
"""From the middle of an adult's shoulders to that of the hips, metres."""

UNSURE = 2.2
"""A torso so many times longer or shorter than an adult's is of another unit. Children's are half
as long."""

SNAP = np.cos(np.deg2rad(35.0))
"""People's mean direction of up counts as the axis that is nearer than this."""


def unit_of(people: Sequence[Person]) -> tuple[str, float]:
    """The unit that makes people's torsos most like an adult's, and their length in metres then.

    ValueError if none of `UNITS` does.
    """
    lengths = [np.linalg.norm(_middle(p, "shoulder") - _middle(p, "hip")) for p in people]
    known = [length for length in lengths if np.isfinite(length)]
    if not known:
        raise ValueError("nobody's shoulders and hips are seen by two cameras: give --unit")
    length = float(np.median(known))
    name = min(UNITS, key=lambda unit: abs(np.log(length * UNITS[unit] / TORSO)))
    metres = length * UNITS[name]
    if not 1 / UNSURE < metres / TORSO < UNSURE:
        raise ValueError(
            f"people's torsos are {length:.3g} long in the calibration's unit, which is none of"
            f" {', '.join(UNITS)}: give --unit, the metres in one unit (about"
            f" {TORSO / length:.2g} for adults)"
        )
    return name, metres


def up_of(people: Sequence[Person], cameras: Sequence[LensCamera]) -> Float[np.ndarray, "3"]:
    """The world's up: an axis of the calibration, if people's and cameras' mean up is near one,
    else that mean itself.

    A person's up is from the ankles to the shoulders. Cameras count as one person.
    """
    each = [_middle(p, "shoulder") - _middle(p, "ankle") for p in people]
    ups = [up / np.linalg.norm(up) for up in each if np.isfinite(up).all()]
    ups.append(-np.mean([camera.rotation[1] for camera in cameras], axis=0))
    up = np.mean(ups, axis=0)
    up /= np.linalg.norm(up)
    axis = int(np.abs(up).argmax())
    if abs(up[axis]) < SNAP:
        return up
    return np.sign(up[axis]) * np.eye(3)[axis]


def turn_to_y(up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """A rotation that takes `up` to y. The calibration's axes stay axes: (x, y, z) becomes
    (y, z, x) for z up, as in Pose2Sim's TRC files."""
    axis = int(np.abs(up).argmax())
    forward = np.eye(3)[(axis + 1) % 3]
    z = forward - (forward @ up) * up
    z /= np.linalg.norm(z)
    return np.stack((np.cross(up, z), up, z))


def parsed_unit(text: str) -> float:
    """Metres in one of `UNITS`, or in a unit that is a number of metres; ValueError for another."""
    if text in UNITS:
        return UNITS[text]
    try:
        metres = float(text)
    except ValueError:
        metres = 0.0
    if not 0 < metres < np.inf:
        raise ValueError(f"unit {text!r}: expected auto, {', '.join(UNITS)} or a number of metres")
    return metres


def named_up(name: str) -> Float[np.ndarray, "3"]:
    """The direction of one of `UPS`; ValueError for another name."""
    if name not in UPS:
        raise ValueError(f"up {name!r}: expected auto, {', '.join(UPS)}")
    sign = -1.0 if name.startswith("-") else 1.0
    return sign * np.eye(3)["xyz".index(name[-1])]


def _middle(person: Person, part: str) -> Float[np.ndarray, "3"]:
    rows = [SMPL_49.index(f"{side}_{part}") for side in ("left", "right")]
    return person.joints[rows].mean(0)
