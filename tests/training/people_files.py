"""Small data sets for tests: images of one colour each, so that a crop tells its person."""

from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48
"""Side of the images, px."""


def shade(person: int) -> int:
    """The grey value of a person's image."""
    return 10 + 5 * person


def write_people(folder: Path, count: int, *, bodies: bool = False, **more: np.ndarray) -> Path:
    """SPIN's `.npz` of people in the middle of their images, with 24 joints on a circle.

    `more` replaces arrays. Returns the annotation's path; images are beside it.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for person in range(count):
        grey = np.full((SIDE, SIDE, 3), shade(person), np.uint8)
        Image.fromarray(grey).save(folder / "images" / f"{person:03}.png")
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    points = SIDE / 2 + SIDE / 4 * np.stack((np.cos(angle), np.sin(angle)), 1)
    arrays: dict[str, np.ndarray] = {
        "imgname": np.array([f"images/{person:03}.png" for person in range(count)]),
        "center": np.full((count, 2), SIDE / 2),
        "scale": np.full(count, SIDE / 2 / 200),
        "part": np.tile(np.column_stack((points, np.ones(24))), (count, 1, 1)),
    }
    if bodies:
        arrays["pose"] = np.tile(np.linspace(-0.5, 0.5, 72), (count, 1))
        arrays["shape"] = np.arange(count)[:, None] / 10 + np.zeros(10)
        arrays["S"] = np.tile(np.column_stack((points / SIDE, angle, np.ones(24))), (count, 1, 1))
    np.savez(folder / "people.npz", **{**arrays, **more})
    return folder / "people.npz"
