"""Errors against the quality of the 2D keypoints: noise, outliers, missing joints, by method.

python -m benchmarks.robustness --data open/wild --count 100 --folder out/robustness

The exact keypoints of a synthetic set are spoiled (`keypoint_sources.spoiled`): all of them off by
0 to 20 px, some thrown anywhere into the crop, or some missing. The crop stays the exact
keypoints', so that a curve tells of the fit alone. One file for each level and fit; the same
command goes on where it was stopped. Intervals are 95 % of 2,000 bootstrap draws of people, of the
difference to plain EFT.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from benchmarks.learning_curve import picture
from exemplar.data.contents import Contents
from exemplar.data.crops import batch_of, crop_person, framing_of, person_box
from exemplar.data.formats import spin_npz
from exemplar.evaluation.config import MethodConfig
from exemplar.evaluation.judge import Judge, Truth
from exemplar.evaluation.keypoint_sources import KeypointNoise, keypoints_from, spoiled, with_exact
from exemplar.evaluation.methods import Methods, eft_config
from exemplar.evaluation.protocols import protocol_named
from exemplar.evaluation.records import turned_back
from exemplar.evaluation.tables import interval
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import read_image
from exemplar.fitting.exemplar import fit_exemplars
from exemplar.geometry.crops import EFT_CROP, image_to_crop
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch, Sample

FITS: Mapping[str, tuple[str, ...]] = {
    "none": ("regressor",),
    "smplify": ("SMPLify",),
    "eft": ("EFT", "EFT + guard"),
    "dual": ("dual networks",),
}
"""Fits by name, and the curves each of them gives; those of a robust EFT are `robust_PX`."""

ROBUST = "robust_"

REFERENCE = "EFT"
"""What the others are compared with."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: Path
    """Folder of a synthetic set with truth.npz."""
    folder: Path
    """Where the results of each level and fit go."""
    first: int = 0
    """The first person."""
    count: int = 100
    """People."""
    noise: tuple[float, ...] = (0, 2, 5, 10, 20)
    """Deviation of x and of y of every keypoint, px of a 224 crop."""
    outliers: tuple[float, ...] = (0, 0.1, 0.2, 0.3, 0.5)
    """Share of keypoints thrown anywhere into the crop."""
    missing: tuple[float, ...] = (0, 0.2, 0.4, 0.6, 0.8)
    """Share of keypoints that are not there."""
    fits: tuple[str, ...] = ("none", "smplify", "eft", "dual")
    """Which of none, smplify, eft (with and without the guard), dual."""
    robust: tuple[float, ...] = (30.0, 80.0)
    """EFT with each of these `EftConfig.robust_px`."""
    regressor: str = "mobile"
    """Regressor to start from."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network; without it there is no curve of dual."""
    adapt: str | None = None
    """Which weights EFT moves; None takes the regressor's own."""
    eft_rate: float | None = None
    """Adam's step of EFT; None takes the regressor's own."""
    seed: int = 0
    """Of the errors of keypoints."""
    output: Path | None = None
    """JSON file to write, and the curves beside it as .svg."""


@dataclass(frozen=True)
class People:
    """People with exact keypoints, and their bodies."""

    batch: Batch
    """Crops."""
    samples: list[Sample]
    """With exact keypoints, image px."""
    judge: Judge
    """Of the open benchmark."""
    truth: Truth
    """What the samples say."""


def load(config: Config, methods: Methods) -> People:
    """The people, in the crops of their exact keypoints."""
    every = spin_npz.read(Contents(config.data / "truth.npz"))
    true = list(islice(every, config.first, config.first + config.count))
    samples = [keypoints_from(sample, "true", 0) for sample in with_exact(true, true)]
    resolution = int(getattr(methods.regressor, "resolution", EFT_CROP))
    crops = []
    for sample in samples:
        points = torch.from_numpy(sample.keypoints_2d).float()
        box = person_box(points, framing_of(methods.regressor))
        pixels = read_image(config.data / sample.image)
        crops.append(crop_person(pixels, points, box, resolution))
    judge = Judge(protocol_named("open"), methods.body)
    return People(batch_of(crops), samples, judge, judge.truth(samples))


def with_errors(people: People, noise: KeypointNoise, config: Config) -> Batch:
    """The crops with spoiled keypoints; a person's errors do not depend on who else is there."""
    box, points = people.batch.box, []
    for row, sample in enumerate(people.samples):
        rng = np.random.default_rng([config.seed, config.first + row])
        side, centre = float(box.size[row]), box.centre[row].double().numpy()
        found = spoiled(sample.keypoints_2d, side, noise, rng, box_centre=centre)
        found = torch.from_numpy(found).float()
        placed = image_to_crop(found[:, :2], box[row])
        points.append(torch.cat((placed, found[:, 2:]), dim=1))
    return replace(people.batch, keypoints_2d=torch.stack(points))


def levels(config: Config) -> dict[str, dict[str, tuple[str, KeypointNoise]]]:
    """By curve and level: file name and errors. Level 0 of all curves is the same."""

    def named(curve: str, level: float) -> str:
        return f"{curve}_{level:g}" if level else "exact"

    return {
        "noise, px": {
            f"{x:g}": (named("noise", x), KeypointNoise(deviation_px=x)) for x in config.noise
        },
        "outliers, %": {
            f"{100 * x:g}": (
                named("outliers", x), KeypointNoise(outlier_share=x, outlier_px=None)
            )
            for x in config.outliers
        },
        "missing, %": {
            f"{100 * x:g}": (named("missing", x), KeypointNoise(missing_share=x))
            for x in config.missing
        },
    }  # fmt: skip


def bodies_of(name: str, methods: Methods, batch: Batch) -> dict[str, Prediction]:
    """By curve's name, the bodies that one fit gives."""
    if name in FITS:
        made = methods.answers(name, batch)
        return {
            curve: answers.prediction
            for curve, answers in zip(FITS[name], made.values(), strict=True)
        }
    eft = eft_config(methods.config, methods.info)
    settings = replace(eft, robust_px=float(name.removeprefix(ROBUST)))
    fits = fit_exemplars(methods.regressor, methods.body, batch, settings)
    return {f"EFT, robust, {settings.robust_px:g} px": fits.after.prediction}


@torch.no_grad()
def errors(people: People, found: Prediction) -> dict[str, np.ndarray]:
    """PA-MPJPE and MPJPE of each person, mm."""
    params = turned_back(found, people.batch.box).body_params()
    scores = people.judge.scores(params, people.truth, vertices=False)
    return {name: scores[name].numpy() for name in ("pa_mpjpe", "mpjpe")}


def measured(
    config: Config, methods: Methods, people: People
) -> Iterator[tuple[str, str, str, dict[str, np.ndarray]]]:
    """(curve, level, method, errors of each person), from files where they are there."""
    fits = [*config.fits, *(f"{ROBUST}{px:g}" for px in config.robust)]
    if "dual" in fits and methods.auxiliary is None:
        print("no dual networks: --auxiliary FILE gives their auxiliary network")
        fits.remove("dual")
    for curve, of_curve in levels(config).items():
        for level, (name, noise) in of_curve.items():
            for fit in fits:
                path = config.folder / f"{name}_{fit}.npz"
                if not path.exists():
                    batch = with_errors(people, noise, config)
                    made = bodies_of(fit, methods, batch)
                    _write(path, {k: errors(people, x) for k, x in made.items()})
                    print(f"{path.name} written", flush=True)
                for method, values in _read(path).items():
                    yield curve, level, method, values


def _write(path: Path, found: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    flat = {f"{method}/{key}": x for method, of in found.items() for key, x in of.items()}
    with replacing(path) as half, half.open("wb") as file:
        np.savez(file, allow_pickle=False, **flat)


def _read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(path) as file:
        for name in file.files:
            method, _, key = name.rpartition("/")
            found.setdefault(method, {})[key] = file[name]
    return found


def row_of(values: Mapping[str, np.ndarray], all_of: Mapping[str, Mapping[str, np.ndarray]]):
    """Numbers of a method at a level: means, mm, and how it compares with plain EFT (lower is
    better) and with the regressor."""
    row = {key: float(x.mean()) for key, x in values.items()}
    if "regressor" in all_of:
        worse = values["pa_mpjpe"] > all_of["regressor"]["pa_mpjpe"]
        row["worse_percent"] = 100 * float(worse.mean())
    if REFERENCE in all_of:
        change = (values["pa_mpjpe"] - all_of[REFERENCE]["pa_mpjpe"]).astype(float)
        low, high = interval(change)
        row |= {"change_mm": float(change.mean()), "change_low": low, "change_high": high}
    return row


def main(config: Config) -> None:
    """Fit, compare, print, draw."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    settings = MethodConfig(
        regressor=config.regressor,
        auxiliary=config.auxiliary,
        adapt=config.adapt,
        eft_rate=config.eft_rate,
    )
    methods = Methods(settings)
    claim(config)
    people = load(config, methods)
    found: dict[str, dict[str, dict[str, dict[str, np.ndarray]]]] = {}
    for curve, level, method, values in measured(config, methods, people):
        found.setdefault(curve, {}).setdefault(level, {})[method] = values
    rows = {
        curve: {
            level: {method: row_of(values, of) for method, values in of.items()}
            for level, of in of_curve.items()
        }
        for curve, of_curve in found.items()
    }
    show(rows)
    if config.output is not None:
        write_results(config.output, config, {"people": len(people.samples), "curves": rows})
        config.output.with_suffix(".svg").write_text(drawn(rows))


def claim(config: Config) -> None:
    """Make the folder this run's; SystemExit if it holds another's results."""
    chosen = ("data", "first", "count", "seed", "regressor", "auxiliary", "adapt", "eft_rate")
    identity = {name: str(getattr(config, name)) for name in chosen}
    path = config.folder / "config.json"
    config.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(json.dumps(identity))
    known = json.loads(path.read_text())
    different = [name for name in chosen if known.get(name) != identity[name]]
    if different:
        raise SystemExit(f"{config.folder} holds a run with another {', '.join(different)}")


def show(rows: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> None:
    """The table."""
    table = Table("", "level", "method", "PA mm", "MPJPE", "worse %", "PA - EFT's")
    for curve, of_curve in rows.items():
        for level, of in of_curve.items():
            for method, row in of.items():
                change = ""
                if "change_mm" in row:
                    low, high = row["change_low"], row["change_high"]
                    change = f"{row['change_mm']:+.2f} ({low:+.2f} to {high:+.2f})"
                means = (f"{row[key]:.1f}" for key in ("pa_mpjpe", "mpjpe"))
                worse = f"{row['worse_percent']:.0f}" if "worse_percent" in row else ""
                table.add_row(curve, level, method, *means, worse, change)
    Console(width=110).print(table)


def drawn(rows: Mapping[str, Mapping[str, Mapping[str, Mapping[str, float]]]]) -> str:
    """The curves of PA-MPJPE as an SVG, a panel each; one level alone is no curve."""
    panels: list[dict[str, list[tuple[float, float]]]] = []
    for curve, of_curve in rows.items():
        lines: dict[str, list[tuple[float, float]]] = {}
        for level, of in of_curve.items():
            for method, row in of.items():
                label = f"{method}: PA-MPJPE, mm; {curve}"
                lines.setdefault(label, []).append((float(level), row["pa_mpjpe"]))
        if len(of_curve) > 1:
            panels.append(lines)
    return picture(panels)


if __name__ == "__main__":
    main(tyro.cli(Config))
