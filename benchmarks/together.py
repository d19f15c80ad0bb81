"""People of one photo in one space: distances between them, and bodies that run through each other.

    python -m benchmarks.together --output benchmarks/results/together.json

Each photo is fitted once; `scene.together` then places its people, and both placings are held
against the truth: drawn photos of two to five people, and the two people before four calibrated
cameras, whose places are triangulated from the views' own keypoints.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from benchmarks.drawn_groups import draw_group
from benchmarks.real_scores import interval
from benchmarks.real_sequences import FOURTEEN, Videos
from exemplar.bodies import Body
from exemplar.motion import rest_pose
from exemplar.results import FitResult, PersonFit
from exemplar.scene import FitOptions, Fitter
from exemplar.scene.options import DETECTED_STOP_PX
from exemplar.scene.together import overlaps_among, stand_together
from exemplar.skeletons import LSP_14

CLEAR = 0.3
"""Difference of two people's true depths below which nobody says who is in front, metres."""

_LSP_HIPS = [LSP_14.index(f"{side}_hip") for side in ("left", "right")]
_HIPS = [FOURTEEN[row] for row in _LSP_HIPS]


@dataclass(frozen=True)
class Config:
    """Settings."""

    drawn: int = 40
    """Drawn photos of adults, and half as many with a child."""
    seed: int = 5
    """Of the drawn photos."""
    every: int = 5
    """Take every n-th frame of the videos; 0 leaves them out."""
    photos: Path = Path("../shared/photos")
    """Where the videos are."""
    regressor: str = "large"
    """A shipped regressor."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Photo:
    """A fitted photo and the truth about it."""

    moment: int
    """What is resampled."""
    result: FitResult
    """Everyone placed alone."""
    hips: Float[np.ndarray, "people 3"]
    """Middle of the hips, metres in the camera's frame."""
    heights: Float[np.ndarray, " people"]
    """At rest, metres; NaN where not known."""


def drawn_photos(config: Config, fitter: Fitter, child: bool) -> Iterator[Photo]:
    """Fits to noisy keypoints."""
    for number in range(config.drawn // (1 + child)):
        group = draw_group(config.seed, number, child=child)
        fitter.options = replace(fitter.options, focal=group.focal)
        result = fitter.fit(group.image, group.keypoints_2d)
        yield Photo(number, result, group.joints[:, _HIPS].mean(1), group.heights)


def video_photos(config: Config, fitter: Fitter) -> Iterator[Photo]:
    """Frames in which both people are seen."""
    videos = Videos(config.photos / "twoperson", config.every)
    seen = videos.people("built-in")
    for number, camera in enumerate(videos.cameras):
        fitter.options = replace(fitter.options, focal=camera.focal)
        for frame, picture in videos.pictures(camera):
            here = [one for one in seen if one.frame == frame and number in one.points]
            if len(here) < 2:
                continue
            hips = np.stack([camera.in_camera(one.truth)[_LSP_HIPS].mean(0) for one in here])
            result = fitter.fit(picture, np.stack([one.points[number] for one in here]))
            yield Photo(frame, result, hips, np.full(len(here), np.nan))


Rows = dict[str, list[tuple[float, int]]]
"""Numbers by measure, each with the moment that it is of."""


def measured(photo: Photo, people: Sequence[PersonFit], body: Body) -> Rows:
    """Errors of a placing."""
    states = [person.after for person in people]
    found = np.stack([state.joints_3d[_HIPS].mean(0) for state in states])
    rows: Rows = {}

    def note(measure: str, value: float) -> None:
        rows.setdefault(measure, []).append((value, photo.moment))

    for i, j in combinations(range(len(states)), 2):
        own, true = found[i] - found[j], photo.hips[i] - photo.hips[j]
        note("distance_m", abs(float(np.linalg.norm(own) - np.linalg.norm(true))))
        note("depth_m", abs(float(own[2] - true[2])))
        if abs(true[2]) > CLEAR:
            note("order_wrong", float(own[2] * true[2] < 0))
    deep = [overlap.depth for overlap in overlaps_among(people, body)]
    note("overlaps", len(deep))
    note("deepest_m", max(deep, default=0.0))
    for state, height in zip(states, photo.heights, strict=True):
        rest = rest_pose(body, state.betas).vertices[:, 1]
        note("height_m", abs(float(rest.max() - rest.min()) - height))
        note("error_px", state.error_px)
    return rows


def main(config: Config) -> None:
    """Fit, place, print, write."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor, FitOptions(together=False, stop_px=DETECTED_STOP_PX))
    sets = {
        "drawn, adults": drawn_photos(config, fitter, child=False),
        "drawn, with a child": drawn_photos(config, fitter, child=True),
        "twoperson": video_photos(config, fitter),
    }
    results = {}
    for title, photos in sets.items():
        rows: dict[str, Rows] = {"alone": {}, "together": {}}
        for photo in photos:
            alone = photo.result
            placed = stand_together(
                alone.people, fitter.body, alone.focal, np.asarray(alone.principal_point)
            )
            for name, people in (("alone", alone.people), ("together", placed.people)):
                for measure, values in measured(photo, people, fitter.body).items():
                    rows[name].setdefault(measure, []).extend(values)
        results[title] = {
            name: {m: asdict(interval(*map(np.array, zip(*v, strict=True)))) for m, v in r.items()}
            for name, r in rows.items()
        }
        _print(title, results[title])
    write_results(config.output, config, results)


def _print(title: str, results: dict[str, dict[str, dict[str, float]]]) -> None:
    table = Table("placed", *results["alone"], title=title)
    for name, row in results.items():
        cells = (f"{m['mean']:.3f} ({m['low']:.3f} to {m['high']:.3f})" for m in row.values())
        table.add_row(name, *cells)
    Console(width=200).print(table)


if __name__ == "__main__":
    main(tyro.cli(Config))
