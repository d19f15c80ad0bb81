"""Several cameras: how near bodies come to triangulated markers, by recipe and number of views.

    python -m benchmarks.views --history --output benchmarks/results/views.json

The markers are another program's triangulation of another detector's keypoints, from the same four
cameras: agreement with them is no independent truth, and they are not SMPL's joints. Against them:

- `single`: the regressor on each view alone;
- `triangulated`: the keypoints' own triangulation, without a body;
- `mean`: the views' bodies, brought to the world and averaged (EFT of no updates);
- `agreeing`: EFT, the views' weights shared, with the one body's 2D keypoints in every view and
  agreement of the views' bodies with it;
- `joints`: the same with the triangulated joints as 3D term (EFT, Eq. 4): what `exemplar views`
  does.

Subsets of the cameras find and match people on their own. What a camera that is left out sees of
the body is compared with the keypoints that all four agree on in it, and with the markers.
"""

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
import tyro

from benchmarks.common import write_results
from benchmarks.real_cameras import read_markers
from benchmarks.real_sequences import FOURTEEN, LIMBS
from exemplar.bodies import Body
from exemplar.data.calibration import read_cameras
from exemplar.data.footage import open_footage
from exemplar.files.atomic_files import replacing
from exemplar.fitting.trace import pick
from exemplar.fitting.views import Views, ViewsConfig, fit_views, placed_body
from exemplar.geometry.align import similarity_align
from exemplar.geometry.rigs import LensCamera
from exemplar.regressors.checkpoints import body_for, load_regressor
from exemplar.scene.association import Person, associate, extents_of, person_of
from exemplar.scene.view_crops import joined, views_of
from exemplar.scene.view_people import PeopleFinder, detected

Recipe = Literal["single", "triangulated", "mean", "agreeing", "joints"]

CROP = 224
"""Errors in px are also given for a crop of this side about the person."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    photos: Path = Path("../shared/photos")
    """Where `multiview` is."""
    every: int = 5
    """Take every n-th frame."""
    subset_every: int = 20
    """The same for subsets of the cameras."""
    regressor: str = "large"
    """Name of a shipped regressor, or a checkpoint file."""
    views: tuple[int, ...] = (4, 3, 2)
    """Numbers of cameras."""
    learning_rate: float | None = None
    """Step of the fits; None takes `ViewsConfig.of`'s."""
    iterations: int | None = None
    """Updates; None takes the recipe's."""
    agreement_weight: float | None = None
    joints_weight: float | None = None
    history: bool = False
    """Also the errors after each update."""
    cache: Path | None = None
    """Folder for what is found in the pictures."""
    threads: int = 1
    """Threads of the fits."""
    output: Path | None = None
    """JSON file to write."""


Moments = Mapping[int, Person]
"""The person by frame, in a set of cameras."""


class Bench:
    """The sequence, and what is found in it."""

    def __init__(self, config: Config) -> None:
        self.config = config
        folder = config.photos / "multiview"
        self.cameras = read_cameras(folder / "Calib.qca.txt")
        self.footage = [open_footage(folder / f"{camera.name}.mp4") for camera in self.cameras]
        self.frames = list(range(0, self.footage[0].count, config.every))
        streams = [footage.pictures(self.frames) for footage in self.footage]
        self.pictures = dict(zip(self.frames, map(list, zip(*streams, strict=True)), strict=True))
        self.truth = read_markers(folder / "pose3d.trc")
        self.regressor, info = load_regressor(config.regressor)
        self.body: Body = body_for(info, None)
        settings = ViewsConfig.of(info)
        eft = settings.eft
        eft = replace(
            eft,
            learning_rate=config.learning_rate or eft.learning_rate,
            iterations=config.iterations or eft.iterations,
            joints_weight=(
                eft.joints_weight if config.joints_weight is None else config.joints_weight
            ),
        )
        if config.agreement_weight is not None:
            settings = replace(settings, agreement_weight=config.agreement_weight)
        self.settings = replace(settings, eft=eft)
        self._detected: dict[tuple[int, int], list[np.ndarray]] = {}

    def people(self, chosen: Sequence[int], frames: Sequence[int]) -> Moments:
        """The person as these cameras alone find and match them, in the points of all cameras."""
        out = {}
        cameras = [self.cameras[c] for c in chosen]
        finder = PeopleFinder(cameras)
        for frame in frames:
            points = self._kept(chosen, frame)
            if points is None:
                pictures = [self.pictures[frame][c] for c in chosen]
                views = [self._found(frame, c) for c in chosen]
                found = associate(
                    views, cameras, lambda p, seen=pictures: finder.read_again(p, seen)
                )
                largest = max(found, key=lambda p: extents_of(p.points).max(), default=None)
                points = np.zeros((0, len(chosen), 49, 3))
                if largest is not None:
                    points = largest.points[None]
                self._keep(chosen, frame, points)
            if len(points):
                out[frame] = person_of(points[0], cameras)
        return out

    def _found(self, frame: int, camera: int) -> list[np.ndarray]:
        key = (frame, camera)
        if key not in self._detected:
            self._detected[key] = detected(self.pictures[frame][camera])
        return self._detected[key]

    def _path(self, chosen: Sequence[int], frame: int) -> Path | None:
        name = f"views-{''.join(map(str, chosen))}-{frame:04d}.npy"
        return None if self.config.cache is None else self.config.cache / name

    def _kept(self, chosen: Sequence[int], frame: int) -> np.ndarray | None:
        path = self._path(chosen, frame)
        return np.load(path) if path is not None and path.is_file() else None

    def _keep(self, chosen: Sequence[int], frame: int, points: np.ndarray) -> None:
        path = self._path(chosen, frame)
        if path is not None:
            with replacing(path) as half, half.open("wb") as file:
                np.save(file, points, allow_pickle=False)

    def views(self, people: Moments, cameras: Sequence[LensCamera], chosen: Sequence[int]):
        """What fits take, by the number of views of each moment: [(frames, Views)]."""
        made = {
            frame: views_of(
                person, [self.pictures[frame][c] for c in chosen], cameras, self.regressor
            )
            for frame, person in people.items()
        }
        out: list[tuple[list[int], Views]] = []
        for count in sorted({views.count for views in made.values()}):
            frames = [frame for frame, views in made.items() if views.count == count]
            out.append((frames, joined([made[frame] for frame in frames])))
        return out


def pa_mm(joints: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Mean error of the limb joints that both know after alignment, and as they are, mm."""
    known = LIMBS & np.isfinite(joints).all(1) & np.isfinite(truth).all(1)
    found, wanted = joints[known], truth[known]
    aligned = similarity_align(torch.from_numpy(found), torch.from_numpy(wanted)).numpy()
    return tuple(float(1000 * np.linalg.norm(x - wanted, axis=1).mean()) for x in (aligned, found))  # pyright: ignore[reportReturnType]


def joints_by_recipe(
    bench: Bench, chosen: Sequence[int], frames: Sequence[int]
) -> tuple[dict[Recipe, dict[int, list[np.ndarray]]], Moments, dict[Recipe, list[list[float]]]]:
    """`LSP_14` in the world by recipe and frame (one entry a view for `single`), the people, and
    each recipe's mean error by update."""
    cameras = [bench.cameras[c] for c in chosen]
    people = bench.people(chosen, frames)
    out: dict[Recipe, dict[int, list[np.ndarray]]] = {name: {} for name in get_args(Recipe)}
    curves: dict[Recipe, list[list[float]]] = {"agreeing": [], "joints": []}
    for frame, person in people.items():
        out["triangulated"][frame] = [person.joints[FOURTEEN]]
    for frames_of, views in bench.views(people, cameras, chosen):
        rows = torch.arange(len(views.batch))
        with torch.no_grad():
            own = bench.regressor(views.batch.image, views.batch.box)
            alone = bench.body.keypoints(own.body_params()).double().numpy()[:, FOURTEEN]
            mean = _joints(bench.body, placed_body(bench.body, own, views, rows))
        for i, frame in enumerate(frames_of):
            out["single"][frame] = list(alone[i * views.count : (i + 1) * views.count])
            out["mean"][frame] = [mean[i]]
        for recipe in ("agreeing", "joints"):
            given = views
            if recipe == "agreeing":
                given = replace(views, batch=replace(views.batch, joints_3d=None))
            fit = fit_views(
                bench.regressor,
                bench.body,
                given,
                bench.settings,
                workers=bench.config.threads,
                history=bench.config.history,
            )
            for frame, joints in zip(frames_of, _joints(bench.body, fit.params), strict=True):
                out[recipe][frame] = [joints]
            if bench.config.history:
                curves[recipe] += _curve(bench, given, fit.trace, frames_of)
    return out, people, curves


def _joints(body: Body, params: Any) -> np.ndarray:
    with torch.no_grad():
        return body.keypoints(params).double().numpy()[:, FOURTEEN]


def _curve(bench: Bench, views: Views, trace: Any, frames: Sequence[int]) -> list[list[float]]:
    """PA-MPJPE of each body after each update."""
    rows = torch.arange(len(views.batch))
    steps = trace.iterates.prediction.camera.shape[1]
    out: list[list[float]] = [[] for _ in frames]
    for step in range(steps):
        iterate = pick(trace.iterates, lambda x, step=step: x[:, step])
        with torch.no_grad():
            params = placed_body(bench.body, iterate.prediction, views, rows)
        for i, joints in enumerate(_joints(bench.body, params)):
            out[i].append(pa_mm(joints, bench.truth[frames[i]])[0])
    return out


def summary(values: Sequence[float]) -> dict[str, float]:
    """Mean, median and how many."""
    known = [value for value in values if np.isfinite(value)]
    if not known:
        return {"n": 0}
    return {
        "mean": round(float(np.mean(known)), 2),
        "median": round(float(np.median(known)), 2),
        "n": len(known),
    }


def measure(bench: Bench, chosen: Sequence[int], frames: Sequence[int], whole: Moments) -> dict:
    """Errors of every recipe with these cameras."""
    joints, people, curves = joints_by_recipe(bench, chosen, frames)
    out: dict[str, Any] = {"cameras": [bench.cameras[c].name for c in chosen], "recipes": {}}
    left = [c for c in range(len(bench.cameras)) if c not in chosen]
    for recipe, by_frame in joints.items():
        errors = [pa_mm(j, bench.truth[f]) for f, each in by_frame.items() for j in each]
        entry: dict[str, Any] = {"pa_mm": summary([pa for pa, _ in errors])}
        if recipe != "single":
            entry["mm"] = summary([plain for _, plain in errors])
            for name, cameras in (("used", chosen), ("left_out", left)):
                if cameras:
                    entry[f"{name}_px"] = _seen(bench, by_frame, cameras, whole)
        if curves.get(recipe):
            entry["pa_mm_by_update"] = np.round(np.mean(curves[recipe], axis=0), 2).tolist()
        out["recipes"][recipe] = entry
    out["found"] = f"{len(people)} of {len(frames)}"
    return out


def _seen(
    bench: Bench,
    by_frame: Mapping[int, Sequence[np.ndarray]],
    cameras: Sequence[int],
    whole: Moments,
) -> dict[str, Any]:
    """Distance of projected limb joints from the keypoints that all cameras agree on, and from
    projected markers, in px of the picture and of a crop."""
    keypoints, crops, markers = [], [], []
    for frame, (joints,) in by_frame.items():
        if frame not in whole:
            continue
        person = whole[frame]
        extents = extents_of(person.points)
        for c in cameras:
            seen = bench.cameras[c].project(joints)
            known = LIMBS & person.supports[c, FOURTEEN]
            gaps = np.linalg.norm(seen - person.points[c, FOURTEEN, :2], axis=1)[known]
            gaps = gaps[np.isfinite(gaps)]
            if len(gaps):
                keypoints.append(float(gaps.mean()))
                crops.append(float(gaps.mean() * CROP / (1.35 * extents[c])))
            true = bench.cameras[c].project(bench.truth[frame])
            markers.append(float(np.nanmean(np.linalg.norm(seen - true, axis=1)[LIMBS])))
    return {
        "keypoints": summary(keypoints),
        "keypoints_of_224_crop": summary(crops),
        "markers": summary(markers),
    }


def run(config: Config) -> None:
    """Measure all sets of cameras; print and write what is known after each."""
    bench = Bench(config)
    everyone = tuple(range(len(bench.cameras)))
    whole = bench.people(everyone, bench.frames)
    results: dict[str, Any] = {}
    for count in config.views:
        every = config.every if count == len(everyone) else config.subset_every
        frames = [frame for frame in bench.frames if frame % every == 0]
        for chosen in itertools.combinations(everyone, count):
            began = time.perf_counter()
            name = "+".join(bench.cameras[c].name for c in chosen)
            results[name] = measure(bench, chosen, frames, whole)
            print(f"{name}: {results[name]['found']}, {time.perf_counter() - began:.0f} s")
            for recipe, entry in results[name]["recipes"].items():
                left = entry.get("left_out_px", {}).get("keypoints_of_224_crop", {})
                print(
                    f"  {recipe:13} PA {entry['pa_mm'].get('mean')} mm,"
                    f" as is {entry.get('mm', {}).get('mean')} mm, left out {left.get('mean')} px",
                    flush=True,
                )
                if "pa_mm_by_update" in entry:
                    print("    by update", entry["pa_mm_by_update"])
            out = {"sets": results, "by_count": by_count(results)}
            write_results(config.output, config, out)


def by_count(results: Mapping[str, Any]) -> dict[str, Any]:
    """Means over the sets of as many cameras."""
    out: dict[str, Any] = {}
    for count in sorted({len(entry["cameras"]) for entry in results.values()}):
        own = [e["recipes"] for e in results.values() if len(e["cameras"]) == count]
        out[str(count)] = {
            recipe: {
                "pa_mm": round(float(np.mean([e[recipe]["pa_mm"]["mean"] for e in own])), 2),
                **{
                    key: round(
                        float(np.mean([e[recipe][key]["keypoints"]["mean"] for e in own])), 2
                    )
                    for key in ("used_px", "left_out_px")
                    if key in own[0][recipe]
                },
            }
            for recipe in get_args(Recipe)
        }
    return out


def main(config: Config) -> None:
    """Measure."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    run(config)


if __name__ == "__main__":
    main(tyro.cli(Config))
