"""Whether other readings of a person tell that a fit faces the wrong way.

    python -m benchmarks.facing --cache W --output benchmarks/results/facing.json

The people of `benchmarks.quality`, with its cache of fits. A fit is turned if its limb joints suit
the annotated ones far better with left and right exchanged. Each person is read 24 times more: by
both trunks, in six crops and in a mirror. A reading votes against a fit if it lies nearer to the
fit's joints with left and right exchanged.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float

from benchmarks import quality
from benchmarks.common import write_results
from exemplar.detect.landmarks import default_trunk, find_people
from exemplar.files.image_files import crop_image, read_image
from exemplar.geometry.crops import Box, crop_to_image
from exemplar.regressors.blazepose import RESOLUTION, TrunkOutput
from exemplar.regressors.landmark_reader import landmarks_of, unmirrored
from exemplar.scene import Fitter
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, flip_permutation, indices

CROPS = ((1.0, 0.0), (0.85, 0.0), (1.25, 0.0), (1.5, 0.0), (1.0, 30.0), (1.0, -30.0))
"""Side, in sides of the first crop, and turn, degrees."""

LESS, WRONG = 0.6, 0.08
"""A fit is turned if exchanging the sides leaves so much of its error at most, and it is more than
this of the person's extent."""

VOTES = (0.01, 0.1, 0.2, 0.3, 0.5)
"""Least shares of readings against a fit, for the table."""

_LIMBS = indices(LIMBS_12, BLAZEPOSE_33)
_EXCHANGED = flip_permutation(LIMBS_12)


@dataclass(frozen=True)
class Config:
    """Settings."""

    people: quality.Config = field(default_factory=quality.Config)
    """Whose fits, and where they are kept."""
    output: Path | None = None
    """JSON file to write."""


@torch.no_grad()
def readings(image: np.ndarray, box: Box) -> Iterator[Float[np.ndarray, "12 2"]]:
    """Limb joints, image px."""
    boxes = [
        replace(box, size=box.size * side, angle=box.angle + math.radians(turn))
        for side, turn in CROPS
    ]
    crops = torch.from_numpy(np.stack([crop_image(image, each, RESOLUTION) for each in boxes]))
    crops = crops.permute(0, 3, 1, 2).float() / 255
    for trunk in (default_trunk("full"), default_trunk("heavy")):
        plain = landmarks_of(TrunkOutput(*trunk(crops)))
        mirrored = unmirrored(landmarks_of(TrunkOutput(*trunk(crops.flip(-1)))))
        for read in (plain, mirrored):
            for points, each in zip(read.points, boxes, strict=True):
                yield crop_to_image(points[_LIMBS], each).numpy()


def votes_against(fit: np.ndarray, image: np.ndarray, box: Box) -> float:
    """Share of the readings that vote against a fit (12, 2)."""
    apart = [
        np.linalg.norm(read[order] - fit, axis=-1).mean()
        for read in readings(image, box)
        for order in (slice(None), _EXCHANGED)
    ]
    return float(np.mean(np.array(apart[1::2]) < np.array(apart[::2])))


def errors(fit: np.ndarray, limbs: quality.Limbs) -> tuple[float, float]:
    """A fit's error, as it is and with left and right exchanged, over the person's extent."""
    known = limbs[:, 2] > 0
    size = max(float(np.ptp(limbs[known, :2], axis=0).max()), 1.0)
    own, other = (
        float(np.linalg.norm(fit[order] - limbs[:, :2], axis=-1)[known].mean()) / size
        for order in (slice(None), _EXCHANGED)
    )
    return own, other


def main(config: Config) -> None:
    """Read, count, write."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.people.regressor)
    turned, shares = [], []
    for name, path, people in quality.photographs(config.people):
        people = [one for one in people if (one[:, 2] > 0).sum() >= quality.FEWEST[name]]
        fits = [joints[1] for joints, _ in quality.fits_of(fitter, path, config.people.cache)]
        if not people or not fits:
            continue
        image = read_image(path)
        found = find_people(image)
        for limbs in people:
            best = min(range(len(fits)), key=lambda i: min(errors(fits[i], limbs)))
            own, other = errors(fits[best], limbs)
            if min(own, other) > quality.SAME:
                continue
            seen = min(found, key=lambda one: np.abs(one.keypoints[_LIMBS, :2] - fits[best]).mean())
            turned.append(other < LESS * own and own > WRONG)
            shares.append(votes_against(fits[best], image, seen.box))
    wrong, against = np.array(turned), np.array(shares)
    results = {
        "people": len(wrong),
        "turned": int(wrong.sum()),
        "votes": {
            str(least): {
                "turned": int((against[wrong] >= least).sum()),
                "others": int((against[~wrong] >= least).sum()),
            }
            for least in VOTES
        },
    }
    print(results)
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
