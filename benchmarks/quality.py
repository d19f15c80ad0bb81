"""Whether `quality` and `status` tell right fits from wrong ones, on annotated photographs.

    python -m benchmarks.quality --cache W --output benchmarks/results/quality.json

A fit to the built-in keypoints is right if the body's limb joints are less than a tenth of the
annotated extent from where people clicked, on average. `scene.quality`'s three numbers are fitted
anew to the photographs that are not held out (`real_people.is_held_out_name`) and printed; the
tables are of those that are. LSPet's annotators exchanged sides now and then: such fits count as
wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from scipy.optimize import minimize
from scipy.stats import mannwhitneyu

from benchmarks.common import write_results
from benchmarks.detection import annotated
from benchmarks.real_people import is_held_out_name
from benchmarks.real_sequences import FOURTEEN
from exemplar.data.formats import read
from exemplar.files.atomic_files import replacing
from exemplar.results import QUALITY_WORDS
from exemplar.scene import Fitter
from exemplar.scene.quality import (
    LEAST_DISAGREEMENT,
    OFFSET,
    SLOPE,
    SURENESS,
    disagreement_of,
    quality_of,
)
from exemplar.skeletons import COCO_17, LIMBS_12, LSP_14

WRONG = 0.1
"""Mean error of a wrong fit's limb joints, over the longer side of the annotated ones' extent."""

SAME = 0.4
"""Such an error of fit or keypoints beyond which they are of somebody else."""

FEWEST = {"lspet": 8, "coco": 6}
"""Limb joints that must be annotated."""

_COCO = [COCO_17.index(name) for name in LIMBS_12]
_LSP = [FOURTEEN[LSP_14.index(name)] for name in LIMBS_12]

Limbs = Float[np.ndarray, "12 3"]

Readings = tuple[float, float]
"""How far network and keypoints disagree, and the finder's score: what `quality_of` takes."""

Row = tuple[float, float, float]
"""A fit's error, and its readings."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    lspet: Path = Path("../shared/lspet")
    """LSPet: joints.mat and images."""
    coco: Path = Path("../shared/coco")
    """COCO: person_keypoints.json and images."""
    people: int = 240
    """People of LSPet, half of them held out."""
    regressor: str = "large"
    """A shipped regressor."""
    cache: Path | None = None
    """Folder that keeps each photograph's fits."""
    output: Path | None = None
    """JSON file to write."""


def photographs(config: Config) -> Iterator[tuple[str, Path, list[Limbs]]]:
    """Name of the set, file, and the annotated limb joints (px, above 0 if known) of its people."""
    samples = [
        sample
        for sample in read(config.lspet / "joints.mat", labels="lspet")
        if not sample.problem and (config.lspet / "images" / sample.image).exists()
    ]
    order = np.random.default_rng(9).permutation(len(samples))
    for held_out in (False, True):
        part = [samples[i] for i in order if is_held_out_name(samples[i].image) == held_out]
        for sample in part[: config.people // 2]:
            yield "lspet", config.lspet / "images" / sample.image, [sample.keypoints_2d[_LSP]]
    for path, people in annotated(config.coco):
        yield "coco", path, [person.keypoints[_COCO] for person in people]


def fits_of(fitter: Fitter, path: Path, cache: Path | None) -> list[tuple[np.ndarray, Readings]]:
    """Each fitted person: limb joints of keypoints and body (2, 12, 2), and readings."""
    kept = None if cache is None else cache / f"{path.stem}-readings.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return list(zip(file["joints"], map(tuple, file["readings"].tolist()), strict=True))
    try:
        people = fitter.fit(path).people
    except ValueError:  # nobody found
        people = ()
    found = [
        (
            np.stack((p.keypoints_2d[_LSP, :2], p.after.joints_2d[_LSP])),
            (disagreement_of(p.keypoints_2d, p.box_size, p.before.error_px), p.detection_score),
        )
        for p in people
        if p.quality is not None and p.detection_score is not None
    ]
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        joints = np.array([joints for joints, _ in found]).reshape(-1, 2, 12, 2)
        with replacing(kept) as half, half.open("wb") as file:
            readings = np.array([readings for _, readings in found]).reshape(-1, 2)
            np.savez(file, joints=joints, readings=readings)
    return found


def judged(people: list[Limbs], fits: list[tuple[np.ndarray, Readings]]) -> Iterator[Row]:
    """Error (share of the person) and readings of each annotated person's fit."""
    free = list(fits)
    for limbs in people:
        known = limbs[:, 2] > 0
        size = max(float(np.ptp(limbs[known, :2], axis=0).max()), 1.0)
        errors = [
            np.linalg.norm(joints - limbs[:, :2], axis=-1)[:, known].mean(1) / size
            for joints, _ in free
        ]
        if not errors:
            return
        best = int(np.argmin([each.min() for each in errors]))
        if errors[best].min() < SAME:
            yield float(errors[best][1]), *free.pop(best)[1]


def calibrated(rows: Float[np.ndarray, "people 3"]) -> Float[np.ndarray, "3"]:
    """Slope, weight of the score and offset that suit these people best."""
    error, disagreement, score = rows.T
    columns = np.log(disagreement + LEAST_DISAGREEMENT), score, np.ones(len(rows))

    def loss(weights: np.ndarray) -> float:
        odds = weights @ columns
        return float(np.logaddexp(0, np.where(error < WRONG, -odds, odds)).mean())

    return minimize(loss, (SLOPE, SURENESS, OFFSET), method="Nelder-Mead").x


def main(config: Config) -> None:
    """Fit, judge, print, write."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor)
    rows: dict[tuple[str, bool], list[Row]] = {}
    for name, path, people in photographs(config):
        people = [limbs for limbs in people if (limbs[:, 2] > 0).sum() >= FEWEST[name]]
        if people:
            key = (name, is_held_out_name(path.name))
            rows.setdefault(key, []).extend(judged(people, fits_of(fitter, path, config.cache)))
    chosen = np.array([row for (_, held_out), each in rows.items() if not held_out for row in each])
    slope, sureness, offset = calibrated(chosen).tolist()
    fitted = {"slope": slope, "sureness": sureness, "offset": offset}
    results: dict[str, dict[str, float]] = {"fitted": fitted}
    table = Table("set", "people", "wrong", "area under ROC")
    for _, word in QUALITY_WORDS:
        table.add_column(word)
        table.add_column("wrong")
    for (name, held_out), each in sorted(rows.items()):
        wrong = np.array([error >= WRONG for error, *_ in each])
        quality = np.array([quality_of(*readings) for _, *readings in each])
        ranks = mannwhitneyu(quality[~wrong], quality[wrong]).statistic
        numbers = {
            "people": len(each),
            "wrong": int(wrong.sum()),
            "area": float(ranks / max(wrong.sum() * (~wrong).sum(), 1)),
        }
        highest = np.inf
        for least, word in QUALITY_WORDS:
            here = (quality >= least) & (quality < highest)
            numbers |= {word: int(here.sum()), f"{word} and wrong": int((here & wrong).sum())}
            highest = least
        title = f"{name}, {'held out' if held_out else 'chosen on'}"
        results[title] = numbers
        table.add_row(title, *(f"{number:.3g}" for number in numbers.values()))
    Console(width=110).print(table)
    Console().print(", ".join(f"{name} {number:.3f}" for name, number in fitted.items()))
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
