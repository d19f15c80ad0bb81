"""Lags between cameras: what is found of real footage, and of the same with lags made on purpose.

    python -m benchmarks.offsets --photos ../shared/photos --work W --output RESULTS.json

W is the folder in which `benchmarks.cameras` or `benchmarks.clips` kept what is seen in the clips.
The true lags of the footage are not known. So each camera's frames are shifted by so many more, and
what is found then is held against what is found without: the difference is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from jaxtyping import Float

from benchmarks.common import write_results
from exemplar.data.calibration import read_cameras
from exemplar.files.video_files import read_info
from exemplar.geometry.rigs import LensCamera, misses
from exemplar.scene.association import Joints49, associate, extents_of
from exemplar.scene.clip import ClipFitter
from exemplar.scene.clip_files import ClipJob
from exemplar.scene.offsets import lags_of
from exemplar.scene.people import landmark_joints

People = Sequence[Sequence[Joints49]]
"""Found in one camera's frames."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    photos: Path
    """Folder with `multiview` and `twoperson`."""
    work: Path
    """What is seen in their clips."""
    shifts: tuple[int, ...] = (-12, -6, -3, 3, 6, 12)
    """Frames by which each camera is made late."""
    most: int = 5
    """Lags, in frames, at which the camera that is latest is triangulated with the others."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Find, print, write."""
    results = {}
    for name in ("multiview", "twoperson"):
        cameras = read_cameras(config.photos / name / "Calib.qca.txt")
        paths = [config.photos / name / f"{camera.name}.mp4" for camera in cameras]
        fps = read_info(paths[0]).fps
        seen = [kept(path, config.work) for path in paths]
        results[name] = found(cameras, seen, fps, config)
        print(name, results[name], flush=True)
    write_results(config.output, config, results)


def kept(clip: Path, work: Path) -> People:
    """Everybody in each frame."""
    info = read_info(clip)
    job = ClipJob(work / f"{clip.parent.name}-{clip.stem}", clip, ClipFitter()._settings())
    return [
        [landmark_joints(person.keypoints, (info.width, info.height)) for person in people]
        for number in range(job.blocks())
        for people in job.load(number).people
    ]


def found(
    cameras: Sequence[LensCamera], seen: Sequence[People], fps: float, config: Config
) -> dict:
    """Lags in frames, errors after each shift, and triangulation by lag."""
    plain = frames_late(cameras, seen, fps)
    shifted = []
    for camera in range(len(cameras)):
        for shift in config.shifts:
            late = frames_late(cameras, with_lag(seen, camera, shift), fps)
            wanted = plain + shift * (np.arange(len(cameras)) == camera)
            # the middle camera has 0: lags are among each other
            off = np.abs((late - late[camera]) - (wanted - wanted[camera]))
            shifted.append({"camera": cameras[camera].name, "frames": shift, "off": off.max()})
            print(shifted[-1], np.round(late, 2), flush=True)
    latest = int(plain.argmax())
    return {
        "frames_late": dict(zip((c.name for c in cameras), plain.round(2).tolist(), strict=True)),
        "worst_after_shift_frames": round(float(max(s["off"] for s in shifted)), 2),
        "within_a_frame": f"{sum(s['off'] <= 1 for s in shifted)} of {len(shifted)}",
        "shifted": [{**s, "off": round(float(s["off"]), 2)} for s in shifted],
        "triangulation": {
            cameras[latest].name: {
                str(lag): apart(cameras, with_lag(seen, latest, -lag))
                for lag in range(config.most + 1)
            }
        },
    }


def frames_late(
    cameras: Sequence[LensCamera], seen: Sequence[People], fps: float
) -> Float[np.ndarray, " cameras"]:
    """How late each camera is, in frames, from every second one: 30 a second, as is shipped."""
    every = max(1, round(fps / 30))
    return fps * np.array(lags_of([own[::every] for own in seen], cameras, every / fps))


def with_lag(seen: Sequence[People], camera: int, shift: int) -> list[People]:
    """The frames that all have if one camera is so many frames late, or early."""
    back, ahead = max(shift, 0), max(-shift, 0)
    count = len(seen[0]) - back - ahead
    first = [ahead if number == camera else back for number in range(len(seen))]
    return [own[start : start + count] for own, start in zip(seen, first, strict=True)]


def apart(cameras: Sequence[LensCamera], seen: Sequence[People]) -> dict[str, float]:
    """Of the people whom all cameras see: how far their keypoints are from where they are
    triangulated, in parts of their extent."""
    gaps, people = [], 0
    for views in list(zip(*seen, strict=True))[::5]:
        for person in associate(views, cameras):
            if person.seen.all():
                extents = extents_of(person.points)[:, None]
                gaps.append(misses(person.joints, person.points, cameras) / extents)
                people += 1
    known = np.concatenate([gap[np.isfinite(gap)] for gap in gaps]) if gaps else np.array([np.nan])
    return {"mean_percent": round(100 * float(known.mean()), 3), "people": people}


if __name__ == "__main__":
    main(tyro.cli(Config))
