"""`exemplar video` as a process: frames a second, peak memory of a long clip, kills.

    python -m benchmarks.clip_runs speed --clips ../shared/photos/multiview/*.mp4 --work W
    python -m benchmarks.clip_runs memory --clips CLIP.mp4 --frames 30 --loops 10 --work W
    python -m benchmarks.clip_runs kills --clips CLIP.mp4 --frames 30 --kills 10 --work W

`memory` runs a piece of the clip, and the same piece again and again in one file. `kills` ends the
process (SIGKILL) at random moments, starts it again each time, and compares every file that it
leaves with those of a run that was left alone, byte by byte.
"""

import os
import random
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.common import write_results
from exemplar.files.video_files import read_frames, read_info, video_writer


@dataclass(frozen=True)
class Config:
    """What is run."""

    what: tyro.conf.Positional[Literal["speed", "memory", "kills"]]
    clips: tuple[Path, ...]
    """Videos; `memory` and `kills` take the first."""
    work: Path
    """Folder for clips and results."""
    frames: int = 30
    """Of the piece for `memory` and `kills`."""
    loops: int = 10
    """How often the piece is repeated for `memory`."""
    kills: int = 10
    """How often the process is killed."""
    seed: int = 0
    """Of the moments."""
    options: str = ""
    """More options of `exemplar video`, in one text."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Run:
    """A run that ended well."""

    seconds: float
    cpu_seconds: float
    peak_mb: float


def main(config: Config) -> None:
    """Run, print, write."""
    config.work.mkdir(parents=True, exist_ok=True)
    results = {"speed": speed, "memory": memory, "kills": kills}[config.what](config)
    print(results)
    write_results(config.output, config, results)


def speed(config: Config) -> dict:
    """Each clip whole."""
    out = {}
    for clip in config.clips:
        name = f"{clip.parent.name}-{clip.stem}"
        run = run_alone(config, clip, config.work / name)
        frames = sum(1 for _ in read_frames(clip))
        out[name] = {
            **rounded(run),
            "frames": frames,
            "frames_per_second": round(frames / run.seconds, 2),
            "cpu_seconds_per_frame": round(run.cpu_seconds / frames, 3),
        }
        print(name, out[name], flush=True)
    return out


def memory(config: Config) -> dict:
    """A piece, and the piece looped."""
    out = {}
    for loops in (1, config.loops):
        clip = looped(config, loops)
        out[str(loops)] = rounded(run_alone(config, clip, config.work / f"memory-{loops}"))
        print(loops, out[str(loops)], flush=True)
    return {"frames_of_a_loop": config.frames, "loops": out}


def kills(config: Config) -> dict:
    """Killed and started again, against left alone."""
    clip, rng = looped(config, 1), random.Random(config.seed)
    whole = run_alone(config, clip, config.work / "alone")
    folder, moments = config.work / "killed", list[dict]()
    while len(moments) < config.kills:
        process = subprocess.Popen(command(config, clip, folder), stdout=subprocess.DEVNULL)
        life = rng.uniform(0.1, 1.0) * whole.seconds
        try:
            process.wait(life)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            blocks = len(list((folder / "work").glob("block_*.npz")))
            files = len([path for path in folder.glob("*") if path.is_file()])
            moments.append({"second": round(life, 1), "blocks": blocks, "files": files})
            print(moments[-1], flush=True)
        else:
            # it came to its end: from the beginning
            remove(folder)
    subprocess.run(command(config, clip, folder), check=True, stdout=subprocess.DEVNULL)
    differing = differences(config.work / "alone", folder)
    if differing:
        sys.exit(f"these files differ: {', '.join(differing)}")
    names = sorted(path.name for path in (config.work / "alone").iterdir() if path.is_file())
    return {"kills": moments, "files": names, "files_that_differ": differing}


def looped(config: Config, loops: int) -> Path:
    """The first frames of the clip, so many times."""
    path = config.work / f"{config.clips[0].stem}-{config.frames}x{loops}.mp4"
    if not path.exists():
        with video_writer(path, read_info(config.clips[0]).fps) as write:
            for _ in range(loops):
                for frame in islice(read_frames(config.clips[0]), config.frames):
                    write(frame.pixels)
    return path


def command(config: Config, clip: Path, folder: Path) -> list[str]:
    """The command line of a clip's run."""
    exemplar = (sys.executable, "-m", "exemplar.cli", "video", str(clip), "-o", str(folder))
    return [*exemplar, *shlex.split(config.options)]


def run_alone(config: Config, clip: Path, folder: Path) -> Run:
    """A run from the beginning to the end."""
    remove(folder)
    began = time.monotonic()
    process = subprocess.Popen(command(config, clip, folder), stdout=subprocess.DEVNULL)
    # what the process used is known until it is waited for
    _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"exemplar video {clip} failed")
    return Run(time.monotonic() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def remove(folder: Path) -> None:
    """What an earlier run of this program left there."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def differences(one: Path, other: Path) -> list[str]:
    """Files of either folder that are not the same in both."""
    names = {path.relative_to(top) for top in (one, other) for path in top.rglob("*")}
    return [
        str(name)
        for name in sorted(names)
        if not (one / name).is_dir() and _content(one / name) != _content(other / name)
    ]


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def rounded(run: Run) -> dict[str, float]:
    """A run's numbers."""
    return {name: round(value, 1) for name, value in vars(run).items()}


if __name__ == "__main__":
    main(tyro.cli(Config))
