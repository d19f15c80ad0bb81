"""Where feet, hands and head lie in photographs, before and after a fit is aligned.

    python -m benchmarks.ends --cache W --output benchmarks/results/ends.json

People of photographs that nobody trains on (`real_people.is_held_out_name`) are fitted to the
built-in keypoints. The bodies' joints are held against where people clicked, px of a 224 crop.
Somebody's fit is the one that is nearest; those of whom keypoints and body are somewhere else are
left out, as in `benchmarks.quality`. Bodies in 3D are `benchmarks.real`'s.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table

from benchmarks.common import write_results
from benchmarks.detection import annotated
from benchmarks.quality import FEWEST, SAME
from benchmarks.real_people import is_held_out_name
from benchmarks.real_scores import interval
from exemplar.data.formats import read
from exemplar.files.atomic_files import replacing
from exemplar.geometry.crops import EFT_CROP
from exemplar.scene import Fitter
from exemplar.skeletons import COCO_17, GT_24, LIMBS_12, LSP_ANNOTATED_14, OPENPOSE_25

SETS: Mapping[str, tuple[str, ...]] = {"lspet": LSP_ANNOTATED_14, "coco": COCO_17}
"""Annotated joints."""

PARTS: Mapping[str, tuple[str, ...]] = {
    "ankles": ("ankle",),
    "wrists": ("wrist",),
    "head": ("nose", "eye", "ear", "top"),
    "rest": ("shoulder", "elbow", "hip", "knee", "neck"),
}
"""Joints, of either side, by what is measured apart."""

KINDS = ("keypoints", "regressor", "fit", "aligned")
"""What is held against the annotation: the input, and three bodies."""

WORSE_PX = 0.5
"""A part that is farther off by less is not worse."""

Joints = Float[np.ndarray, "24 2"]


@dataclass(frozen=True)
class Config:
    """Settings."""

    lspet: Path = Path("../shared/lspet")
    """LSPet: joints.mat and images."""
    coco: Path = Path("../shared/coco")
    """COCO: person_keypoints.json and images."""
    people: int = 60
    """Most people of LSPet."""
    regressor: str = "large"
    """A shipped regressor."""
    cache: Path | None = None
    """Folder that keeps each photograph's fits."""
    output: Path | None = None
    """JSON file to write."""


def photographs(config: Config) -> Iterator[tuple[str, Path, list[Float[np.ndarray, "24 3"]]]]:
    """Name of the set, file, and the annotated joints (px, above 0 if known) of its people."""
    samples = [
        sample
        for sample in read(config.lspet / "joints.mat", labels="lspet")
        if not sample.problem
        and is_held_out_name(sample.image)
        and (config.lspet / "images" / sample.image).exists()
    ]
    for sample in samples[: config.people]:
        people = [sample.keypoints_2d[len(OPENPOSE_25) :]]
        yield "lspet", config.lspet / "images" / sample.image, people
    for path, found in annotated(config.coco):
        if is_held_out_name(path.name):
            people = [np.zeros((len(GT_24), 3)) for _ in found]
            for joints, person in zip(people, found, strict=True):
                joints[[GT_24.index(name) for name in COCO_17]] = person.keypoints
            yield "coco", path, people


def fits_of(
    fitter: Fitter, path: Path, cache: Path | None
) -> tuple[Float[np.ndarray, "n 4 24 3"], Float[np.ndarray, " n"]]:
    """Joints of each fitted person, by `KINDS` (px, and whether they are known), and the side of
    the person's crop, px."""
    kept = None if cache is None else cache / f"{path.stem}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return file["joints"], file["sizes"]
    try:
        people = [person for person in fitter.fit(path).people if person.aligned]
    except ValueError:  # nobody found
        people = []
    first = len(OPENPOSE_25)
    joints = np.ones((len(people), len(KINDS), len(GT_24), 3))
    for row, person in zip(joints, people, strict=True):
        row[0] = person.keypoints_2d[first:]
        for kind, state in enumerate((person.before, *person.steps[-2:]), start=1):
            row[kind, :, :2] = state.joints_2d[first:]
    sizes = np.array([person.box_size for person in people])
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as half, half.open("wb") as file:
            np.savez(file, joints=joints, sizes=sizes)
    return joints, sizes


def judged(
    people: list[Float[np.ndarray, "24 3"]],
    joints: Float[np.ndarray, "n 4 24 3"],
    sizes: Float[np.ndarray, " n"],
    fewest: int,
) -> Iterator[Float[np.ndarray, "4 24"]]:
    """Distances of each annotated person's fit, px of a 224 crop, by `KINDS`; NaN if not known."""
    limbs = [GT_24.index(name) for name in LIMBS_12]
    free = list(range(len(joints)))
    for person in people:
        known = person[:, 2] > 0
        if not free or known[limbs].sum() < fewest:
            continue
        off = np.linalg.norm(joints[..., :2] - person[:, :2], axis=-1)
        off = np.where(known & (joints[..., 2] > 0), off, np.nan)
        extent = max(float(np.ptp(person[known, :2], axis=0).max()), 1.0)
        means = np.nanmean(off[:, 2:, limbs], axis=-1).min(1) / extent
        best = min(free, key=lambda row: means[row])
        if means[best] < SAME:
            free.remove(best)
            yield off[best] * EFT_CROP / sizes[best]


def rows_of(name: str, part: str) -> list[int]:
    """Joints of `GT_24` that a set has of a part."""
    ends = PARTS[part]
    return [GT_24.index(joint) for joint in SETS[name] if joint.rpartition("_")[2] in ends]


def table_of(name: str, off: Float[np.ndarray, "n 4 24"]) -> dict[str, dict[str, object]]:
    """By part: a mean with interval of each kind (px), and the shares of people whose part is
    worse and better by over `WORSE_PX` after the alignment."""
    table = {}
    for part in PARTS:
        chosen = off[:, :, rows_of(name, part)]
        known = np.isfinite(chosen)
        count = known.sum(-1)
        total = np.where(known, chosen, 0.0).sum(-1)
        each = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        people = np.arange(len(each))
        row: dict[str, object] = {
            kind: vars(interval(each[:, place], people)) for place, kind in enumerate(KINDS)
        }
        change = each[:, 3] - each[:, 2]
        known = np.isfinite(change)
        row["change"] = vars(interval(change, people))
        row["worse"] = interval(np.where(known, change > WORSE_PX, np.nan), people).mean
        row["better"] = interval(np.where(known, change < -WORSE_PX, np.nan), people).mean
        table[part] = row
    return table


def main(config: Config) -> None:
    """Fit, judge, print, write."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    fitter = Fitter(config.regressor)
    off: dict[str, list[Float[np.ndarray, "4 24"]]] = {name: [] for name in SETS}
    for name, path, people in photographs(config):
        off[name] += judged(people, *fits_of(fitter, path, config.cache), FEWEST[name])
    results = {name: table_of(name, np.array(each)) for name, each in off.items() if each}
    shown = Table("set", "part", "people", *KINDS, "change", "worse", "better")
    for name, parts in results.items():
        for part, row in parts.items():
            means = [f"{row[kind]['mean']:.2f}" for kind in (*KINDS, "change")]  # pyright: ignore
            shares = [f"{row[kind]:.0%}" for kind in ("worse", "better")]
            count = str(row["aligned"]["count"])  # pyright: ignore
            shown.add_row(name, part, count, *means, *shares)
    Console().print(shown)
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
