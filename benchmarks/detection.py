"""The built-in keypoints on photographs: who is found, how well, and in what time.

    python -m benchmarks.detection --output benchmarks/results/detection.json

Found people are held against COCO's annotated ones by object keypoint similarity (OKS,
https://cocodataset.org/#keypoints-eval). Settings were chosen on photographs whose number leaves
another rest than 3 when divided by 4; those with 3 are held out (`real_people.is_held_out_name`).
The annotation lacks people in crowds and those of whom no joint was labelled, so some of the
`strays` are people.
"""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Bool, Float
from rich.console import Console
from rich.table import Table
from scipy.optimize import linear_sum_assignment

from benchmarks.common import write_results
from benchmarks.real_people import is_held_out_name
from exemplar.data.detections import LEAST_CONFIDENCE
from exemplar.detect.landmarks import find_people
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import read_image
from exemplar.skeletons import BLAZEPOSE_33, COCO_17, LIMBS_12

SAME = 0.3
"""Least OKS of a found and an annotated person who are one."""

WELL = 0.5
"""Least OKS of someone who is found well."""

NEAR = 0.5
"""Least similarity of a keypoint that lies on a joint."""

MIXED_JOINTS = 3
"""Limb joints on somebody else that make a found person a chimera."""

SIZES: Mapping[str, tuple[float, float]] = {
    "under 60 px": (0, 60),
    "60 to 120 px": (60, 120),
    "120 to 240 px": (120, 240),
    "over 240 px": (240, np.inf),
}
"""Longer side of the annotated box."""

SPREADS: Mapping[str, float] = {
    "nose": 0.026, "eye": 0.025, "ear": 0.035, "shoulder": 0.079, "elbow": 0.072,
    "wrist": 0.062, "hip": 0.107, "knee": 0.087, "ankle": 0.089,
}  # fmt: skip
"""COCO's standard deviation of each joint's annotations, over the root of the person's area."""

_SPREAD = np.array([SPREADS[name.rpartition("_")[2]] for name in COCO_17])
_LIMBS = [COCO_17.index(name) for name in LIMBS_12]
_ROWS = [BLAZEPOSE_33.index(name) for name in COCO_17]


@dataclass(frozen=True)
class Config:
    """Settings."""

    coco: Path = Path("../shared/coco")
    """COCO: person_keypoints.json and images."""
    every: int = 1
    """Take every n-th photograph."""
    cache: Path | None = None
    """Folder that keeps what was found on each photograph, to go on from or to draw."""
    threads: int = 1
    """Torch's threads."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Annotated:
    """A person as COCO has them."""

    keypoints: Float[np.ndarray, "17 3"]
    """`COCO_17`: x, y px, above 0 if labelled."""
    area: float
    """Of the person's outline, px²."""
    size: float
    """Longer side of the box, px."""

    @property
    def labelled(self) -> Bool[np.ndarray, "17"]:
        """Which joints have a place."""
        return self.keypoints[:, 2] > 0


@dataclass
class Score:
    """What was found on one photograph, or on several."""

    sizes: list[float] = field(default_factory=list)
    """Of each annotated person, px."""
    oks: list[float] = field(default_factory=list)
    """Of each annotated person; 0 if missed."""
    found: int = 0
    duplicates: int = 0
    """Found people who are an annotated person that another is, too."""
    misread: int = 0
    """Found where an annotated person is, but with joints elsewhere."""
    strays: int = 0
    """Found where nobody is annotated."""
    chimeras: int = 0
    """Found people of whom several limb joints are somebody else's."""
    seconds: list[float] = field(default_factory=list)
    """Of each photograph; processor time, which other work on the machine changes least."""

    def __add__(self, other: "Score") -> "Score":
        return Score(*(a + b for a, b in zip(vars(self).values(), vars(other).values())))  # noqa: B905

    def table(self) -> dict[str, float]:
        """The numbers to show: shares are of annotated people, but for `precision`."""
        sizes, oks = np.array(self.sizes), np.array(self.oks)
        rows = {}
        for name, (low, high) in {**SIZES, "over 60 px": (60, np.inf), "all": (0, np.inf)}.items():
            here = oks[(sizes >= low) & (sizes < high)]
            rows[f"people {name}"] = len(here)
            rows[f"recall {name}"] = _mean(here >= SAME)
        return rows | {
            "recall at 0.5": _mean(oks >= WELL),
            "OKS of the found": _mean(oks[oks >= SAME]),
            "OKS of all": _mean(oks),
            "found": self.found,
            "precision": float((oks >= SAME).sum() / max(self.found, 1)),
            "duplicates": self.duplicates,
            "misread": self.misread,
            "strays": self.strays,
            "chimeras": self.chimeras,
            "seconds, mean": float(np.mean(self.seconds)),
            "seconds, median": float(np.median(self.seconds)),
            "seconds, longest": float(np.max(self.seconds)),
        }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def similarities(found: Float[np.ndarray, "17 3"], person: Annotated) -> Float[np.ndarray, "17"]:
    """COCO's similarity of each joint: 1 where they coincide; 0 for joints without a label."""
    distance = np.linalg.norm(found[:, :2] - person.keypoints[:, :2], axis=1)
    scale = 2.0 * _SPREAD * np.sqrt(person.area)
    return np.where(person.labelled, np.exp(-0.5 * (distance / scale) ** 2), 0.0)


def oks(found: Float[np.ndarray, "17 3"], person: Annotated) -> float:
    """Object keypoint similarity: the labelled joints' mean."""
    return float(similarities(found, person)[person.labelled].mean())


def is_chimera(
    found: Float[np.ndarray, "17 3"], own: Annotated, others: Sequence[Annotated]
) -> bool:
    """Whether several seen limb joints lie on one other person and nearer than the own joints."""
    seen = (found[:, 2] >= LEAST_CONFIDENCE) & own.labelled
    away = np.linalg.norm(found[:, :2] - own.keypoints[:, :2], axis=1)
    for other in others:
        nearer = np.linalg.norm(found[:, :2] - other.keypoints[:, :2], axis=1) < away
        mixed = seen & nearer & (similarities(found, other) >= NEAR)
        if mixed[_LIMBS].sum() >= MIXED_JOINTS:
            return True
    return False


def judged(
    found: Sequence[Float[np.ndarray, "17 3"]], people: Sequence[Annotated], seconds: float
) -> Score:
    """One photograph's score: each annotated person has at most one found person."""
    table = np.array([[oks(each, person) for person in people] for each in found])
    table = table.reshape(len(found), len(people))
    rows, columns = linear_sum_assignment(-table)
    matched = {r: c for r, c in zip(rows, columns, strict=True) if table[r, c] >= SAME}
    score = Score([p.size for p in people], [0.0] * len(people), len(found), seconds=[seconds])
    for row, each in enumerate(found):
        if row in matched:
            own = matched[row]
            score.oks[own] = float(table[row, own])
            others = [p for number, p in enumerate(people) if number != own]
            score.chimeras += is_chimera(each, people[own], others)
        elif table[row].max(initial=0.0) >= SAME:
            score.duplicates += 1
        elif any(_is_within(person, each) for person in people):
            score.misread += 1
        else:
            score.strays += 1
    return score


def _is_within(person: Annotated, found: Float[np.ndarray, "17 3"]) -> bool:
    """Whether half of someone's labelled joints lie within the extent of the found ones."""
    points = person.keypoints[person.labelled, :2]
    low, high = found[:, :2].min(0), found[:, :2].max(0)
    return float(((points >= low) & (points <= high)).all(1).mean()) >= 0.5


def annotated(folder: Path) -> Iterator[tuple[Path, list[Annotated]]]:
    """Each photograph of COCO that is there, and its people, in the order of the files' names."""
    content = json.loads((folder / "person_keypoints.json").read_text())
    people: dict[int, list[Annotated]] = {}
    for one in content["annotations"]:
        if one["num_keypoints"] > 0 and not one["iscrowd"]:
            points = np.array(one["keypoints"], float).reshape(-1, 3)
            person = Annotated(points, float(one["area"]), float(max(one["bbox"][2:])))
            people.setdefault(one["image_id"], []).append(person)
    for image in sorted(content["images"], key=lambda each: each["file_name"]):
        path = folder / "images" / image["file_name"]
        if path.exists():
            yield path, people.get(image["id"], [])


def found_people(path: Path, cache: Path | None) -> tuple[Float[np.ndarray, "n 33 3"], float]:
    """Keypoints of everyone who is found on a photograph, and the seconds that it took."""
    kept = None if cache is None else cache / f"{path.stem}.npz"
    if kept is not None and kept.exists():
        with np.load(kept) as file:
            return file["keypoints"], float(file["seconds"])
    image = read_image(path)
    began = time.process_time()
    people = find_people(image)
    seconds = time.process_time() - began
    keypoints = np.array([p.keypoints for p in people]).reshape(-1, len(BLAZEPOSE_33), 3)
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        scores = np.array([person.score for person in people])
        with replacing(kept) as half, half.open("wb") as file:
            np.savez(file, keypoints=keypoints, scores=scores, seconds=seconds)
    return keypoints, seconds


def main(config: Config) -> None:
    """Find, compare, print, write."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    parts = {"all": Score(), "chosen on": Score(), "held out": Score()}
    for path, people in list(annotated(config.coco))[:: config.every]:
        keypoints, seconds = found_people(path, config.cache)
        score = judged(list(keypoints[:, _ROWS]), people, seconds)
        part = "held out" if is_held_out_name(path.name) else "chosen on"
        parts["all"] += score
        parts[part] += score
    results = {name: part.table() for name, part in parts.items() if part.seconds}
    table = Table("", *results)
    for key in results["all"]:
        table.add_row(key, *(f"{column[key]:.3g}" for column in results.values()))
    Console().print(table)
    write_results(config.output, config, results)


if __name__ == "__main__":
    main(tyro.cli(Config))
