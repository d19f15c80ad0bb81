"""Which frame of each camera shows which moment."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from exemplar.data.footage import Footage
from exemplar.geometry.rigs import LensCamera
from exemplar.scene.association import Joints49, Pictures
from exemplar.scene.kept import Kept
from exemplar.scene.offsets import FEWEST_LOOKS, PROBED, STEP, lags_of
from exemplar.scene.people import has_extent, landmark_joints
from exemplar.scene.sightings import Sighting, sightings_in
from exemplar.scene.views_options import ViewsOptions, parsed_offsets

LOOK_EVERY = 10
"""People are looked for in the whole picture in every n-th look, and followed between."""

Report = Callable[[str, int, int], None]
"""Called with what is being done, how many moments of it are done, and how many there are."""


@dataclass(frozen=True)
class Moment:
    """One time, and which frame of each camera shows it."""

    time: float
    """Seconds."""
    frames: tuple[int, ...]


@dataclass(frozen=True)
class Clip:
    """What the cameras saw, and when it is looked at."""

    footage: tuple[Footage, ...]
    moments: tuple[Moment, ...]
    lags: tuple[float, ...]
    """How late each camera shows a moment, seconds."""

    def pictures(self, wanted: Sequence[int]) -> Iterator[tuple[int, Pictures]]:
        """(number, pictures) of these moments, as far as all cameras go."""
        streams = [
            footage.pictures([self.moments[k].frames[camera] for k in wanted])
            for camera, footage in enumerate(self.footage)
        ]
        for k, *pictures in zip(wanted, *streams, strict=False):
            yield k, pictures


def moments_of(
    footage: Sequence[Footage], options: ViewsOptions, lags: Sequence[float] = ()
) -> tuple[Moment, ...]:
    """The times that all cameras show, as frames of these lags (seconds) show them; ValueError if
    there are none."""
    lags = lags or (0.0,) * len(footage)
    shown = list(zip(footage, lags, strict=True))
    first = max(options.start, *(-lag - 0.5 / f.fps for f, lag in shown))
    last = min((f.count - 0.5) / f.fps - lag for f, lag in shown)
    end = last if options.end is None else min(options.end, last)
    step = options.every / footage[0].fps
    before = math.ceil((first - options.start) / step - 1e-9)
    after = math.ceil((end - options.start) / step - 1e-9)
    if after <= before:
        raise ValueError(
            f"no moment from {options.start:g} s to {end:g} s: the cameras share"
            f" {max(0.0, last - max(0.0, first)):.3g} s"
        )
    return moments_at([options.start + k * step for k in range(before, after)], footage, lags)


def moments_at(
    times: Sequence[float], footage: Sequence[Footage], lags: Sequence[float]
) -> tuple[Moment, ...]:
    """The nearest frames to these times."""
    return tuple(
        Moment(
            time,
            tuple(
                min(max(round((time + lag) * f.fps), 0), f.count - 1)
                for f, lag in zip(footage, lags, strict=True)
            ),
        )
        for time in times
    )


def lags_between(
    cameras: Sequence[LensCamera],
    footage: Sequence[Footage],
    options: ViewsOptions,
    work: Path | None,
    report: Report,
) -> tuple[float, ...]:
    """How late each camera shows a moment, seconds: given, or told by the people in the middle of
    the footage. ValueError if others are given than there are cameras."""
    none = (0.0,) * len(cameras)
    if options.offsets != "auto":
        given = parsed_offsets(options.offsets) or none
        if len(given) != len(cameras):
            raise ValueError(f"{len(given)} offsets for {len(cameras)} cameras: expected one each")
        return given
    step = max(STEP, *(1 / f.fps for f in footage))
    whole = moments_of(footage, options)
    seconds = min(whole[-1].time - whole[0].time, PROBED)
    count = math.floor(seconds / step + 1e-9) + 1
    if count < FEWEST_LOOKS:
        return none
    kept = Kept(work, "lags")
    found = kept.read(0, {"seconds": (len(cameras),)})
    if found is None:
        begin = (whole[0].time + whole[-1].time - (count - 1) * step) / 2
        clip = Clip(
            tuple(footage),
            moments_at([begin + k * step for k in range(count)], footage, none),
            none,
        )
        seen: list[list[list[Joints49]]] = [[] for _ in cameras]
        before: list[list[Sighting]] = [[] for _ in cameras]
        for k, pictures in clip.pictures(range(count)):
            report("comparing the cameras' times", k, count)
            for camera, picture in enumerate(pictures):
                # who is followed shakes less than who is found anew each time
                people = sightings_in(picture, before[camera], look=k % LOOK_EVERY == 0)
                joints = [landmark_joints(p.keypoints, footage[camera].size) for p in people]
                before[camera] = [p for p, j in zip(people, joints, strict=True) if has_extent(j)]
                seen[camera].append([j for j in joints if has_extent(j)])
        found = {"seconds": np.array(lags_of(seen, cameras, step))}
        kept.write(0, found)
    return tuple(found["seconds"].tolist())
