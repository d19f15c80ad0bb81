"""A synthetic data set on disk: photographs, annotations and truth in SPIN's layout.

A folder holds `dataset.json` (what it is), `images/`, `parts/` (the truth of up to 100 people each,
written after their photographs, so that a stopped run goes on), and, joined from the parts,
`annotations.npz` (what a person would have marked) and `truth.npz` (what is so).
"""

import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from exemplar.data.formats.spin_npz import Columns
from exemplar.data.records import box_of_points
from exemplar.environment import code_version
from exemplar.files.atomic_files import replacing
from exemplar.files.image_files import write_image
from exemplar.files.npy_files import read_npz
from exemplar.files.reading_files import read_json, reading
from exemplar.geometry.cameras import move_weak_camera
from exemplar.samples import SCALE_UNIT, BodyTruth, Sample
from exemplar.skeletons import GT_24, OPENPOSE_25
from exemplar.synth.annotations import AnnotatorConfig, annotate
from exemplar.synth.dataset import SynthBatch
from exemplar.synth.domains import domain_named

HEADER, ANNOTATIONS, TRUTH = "dataset.json", "annotations.npz", "truth.npz"

BLOCK = 100
"""People of a part; parts begin and end at multiples of it unless a run does not."""

_CHUNK = 20
_MOST = 10**8
_INDEX = "index"
_KEPT = tuple(item.name for item in fields(SynthBatch) if item.name != "images")
_CAMERA = ("focal", "principal_point", "root", "visible", "family")
"""What `truth.npz` has beyond SPIN's layout."""

Truth = Literal["give", "hide"]
Report = Callable[[int], None]


@dataclass(frozen=True)
class DatasetPlan:
    """Which people to draw into which folder."""

    domain: str
    """Name in `DOMAINS`."""
    folder: Path
    """The data set."""
    count: int
    """How many people."""
    seed: int = 0
    """Decides everything, with the domain and a person's number."""
    start: int = 0
    """Number of the first person."""
    truth: Truth = "hide"
    """give: annotations have bodies and 3D joints; hide: 2D only."""


def write_dataset(plan: DatasetPlan, *, workers: int = 1, report: Report | None = None) -> int:
    """Draw the people that the folder lacks, and join what it has; how many people it then has.

    Args:
        plan: what to draw.
        workers: processes.
        report: hears how many people were drawn, now and then.

    Raises:
        ValueError: numbers that make no sense, or another data set in the folder.
        OSError: the folder cannot be written; what was drawn stays.
    """
    _check(plan, workers)
    _claim(plan)
    tell = report or (lambda _: None)
    jobs = [(plan, start, stop) for start, stop in _missing(plan)]
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            tell(_draw_part(job))
    else:
        _draw_apart(jobs, workers, tell)
    return join(plan)


def _check(plan: DatasetPlan, workers: int) -> None:
    domain_named(plan.domain)
    limits = {"count": 1, "start": 0, "seed": 0}
    for name, least in limits.items():
        if not least <= getattr(plan, name) < 2**32:
            raise ValueError(f"expected {name} of {least} or more, got {getattr(plan, name)}")
    if plan.start + plan.count > _MOST:
        raise ValueError(f"expected at most {_MOST:,} people, got {plan.start + plan.count:,}")
    if workers < 1:
        raise ValueError(f"expected 1 or more workers, got {workers}")


def _identity(plan: DatasetPlan) -> dict[str, Any]:
    """What people of one folder must have in common, as JSON has it."""
    config = asdict(domain_named(plan.domain).config)
    return json.loads(json.dumps({"domain": plan.domain, "seed": plan.seed, "config": config}))


def _claim(plan: DatasetPlan) -> None:
    """Make the folder this data set's; ValueError if it is something else's."""
    path, identity = plan.folder / HEADER, _identity(plan)
    if not path.exists():
        if plan.folder.is_dir() and any(plan.folder.iterdir()):
            raise ValueError(f"{plan.folder} is not empty and has no {HEADER}")
        _write_header(plan, 0)
        return
    with reading(path, "the header of a synthetic data set"):
        found = read_json(path, "the header of a synthetic data set")
        different = [key for key in identity if not _agrees(found.get(key), identity[key])]
    if different:
        known = f"domain {found.get('domain')}, seed {found.get('seed')}"
        what = ", ".join(different)
        raise ValueError(f"{plan.folder} holds another data set ({known}): not the same {what}")


def _agrees(found: Any, now: Any) -> bool:
    """Whether two values are the same, but for settings that the older one does not know: they
    come with a default that changes nothing."""
    if isinstance(found, dict) and isinstance(now, dict):
        return all(key in now and _agrees(value, now[key]) for key, value in found.items())
    return found == now


def _write_header(plan: DatasetPlan, count: int) -> None:
    header = _identity(plan) | {
        "count": count,
        "truth": plan.truth,
        "annotator": asdict(AnnotatorConfig()),
        "version": code_version(),
    }
    with replacing(plan.folder / HEADER) as temporary:
        temporary.write_text(json.dumps(header, indent=1) + "\n")


def _missing(plan: DatasetPlan) -> Iterator[tuple[int, int]]:
    """Blocks of people that no part has."""
    known = _parts(plan.folder)
    end = plan.start + plan.count
    start = plan.start
    while start < end:
        stop = min(end, (start // BLOCK + 1) * BLOCK)
        if not any(low <= start and stop <= high for low, high in known):
            yield start, stop
        start = stop


def _parts(folder: Path) -> dict[tuple[int, int], Path]:
    """The parts by their first person and the one after their last."""
    found = {}
    for path in sorted((folder / "parts").glob("[0-9]*-[0-9]*.npz")):
        low, _, high = path.stem.partition("-")
        if low.isdecimal() and high.isdecimal():
            found[int(low), int(high)] = path
    return found


def _draw_apart(jobs: Sequence[tuple[DatasetPlan, int, int]], workers: int, tell: Report) -> None:
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        min(workers, len(jobs)), mp_context=context, initializer=_prepare_worker
    )
    try:
        for done in as_completed([pool.submit(_draw_part, job) for job in jobs]):
            tell(done.result())
    except BrokenProcessPool as error:
        raise OSError("a worker was ended from outside, perhaps for its memory") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """Leave Ctrl-C to the parent, and the other cores to the other workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _draw_part(job: tuple[DatasetPlan, int, int]) -> int:
    """Photograph some people and write their part; how many they are."""
    plan, first, stop = job
    draw = domain_named(plan.domain).draw
    columns: dict[str, list[np.ndarray]] = {name: [] for name in _KEPT}
    for start in range(first, stop, _CHUNK):
        batch = draw(min(_CHUNK, stop - start), plan.seed, start)
        for index, image in enumerate(batch.images, start=start):
            write_image(image, plan.folder / image_name(index))
        for name in _KEPT:
            columns[name].append(getattr(batch, name))
    arrays = {name: np.concatenate(rows) for name, rows in columns.items()}
    arrays[_INDEX] = np.arange(first, stop)
    with replacing(plan.folder / "parts" / f"{first:08d}-{stop:08d}.npz") as temporary:
        np.savez(temporary, **arrays)  # pyright: ignore[reportArgumentType]
    return stop - first


def image_name(index: int) -> str:
    """The photograph of a person, within the data set's folder."""
    return f"images/{index:08d}.jpg"


def join(plan: DatasetPlan) -> int:
    """Write `annotations.npz` and `truth.npz` from all parts; how many people they have."""
    size = domain_named(plan.domain).config.image_size
    annotations, truths, known = Columns(), Columns(), set[int]()
    for path in _parts(plan.folder).values():
        arrays = read_npz(path)
        for row, index in enumerate(arrays.pop(_INDEX).tolist()):
            if index in known:
                continue
            known.add(index)
            numbers = {name: np.asarray(rows[row]) for name, rows in arrays.items()}
            truth, annotation = _samples(plan, index, numbers, size)
            truths.add(truth, {name: numbers[name] for name in _CAMERA})
            annotations.add(annotation)
    truths.save(plan.folder / TRUTH)
    annotations.save(plan.folder / ANNOTATIONS)
    _write_header(plan, len(known))
    return len(known)


def _samples(
    plan: DatasetPlan, index: int, numbers: dict[str, np.ndarray], size: int
) -> tuple[Sample, Sample]:
    """A person as they are, and as they are annotated; both in the annotated box."""
    exact = numbers["keypoints_2d"].astype(np.float64)
    seen = numbers["visible"][len(OPENPOSE_25) :]
    seed = (plan.seed, index)
    marks = np.concatenate(
        [np.zeros((len(OPENPOSE_25), 3)), annotate(exact[len(OPENPOSE_25) :], seen, seed=seed)]
    )
    centre, scale = box_of_points(marks)
    points = numbers["keypoints_3d"][len(OPENPOSE_25) :].astype(np.float64)
    body = BodyTruth(
        pose=np.concatenate([numbers["global_orient"][None], numbers["body_pose"]]).astype(float),
        betas=numbers["betas"].astype(np.float64),
        weak_camera=_camera_in_box(numbers["weak_camera"], size, centre, scale * SCALE_UNIT),
    )
    exact[exact[:, 2] == 0] = 0.0
    truth = Sample(
        image=image_name(index),
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=exact,
        annotation_id=index,
        subject=domain_named(plan.domain).subject(index),
        joints_3d=np.concatenate([points, np.ones((len(GT_24), 1))], 1),
        body=body,
    )
    given = plan.truth == "give"
    return truth, Sample(
        image=truth.image,
        box_centre=centre,
        box_scale=scale,
        keypoints_2d=marks,
        annotation_id=index,
        subject=truth.subject,
        joints_3d=truth.joints_3d if given else None,
        body=body if given else None,
    )


def _camera_in_box(camera: np.ndarray, size: int, centre: np.ndarray, side: float) -> np.ndarray:
    """A weak camera of the picture as one of a box in it."""
    numbers = (camera, np.full(2, size / 2), np.array(size), centre, np.array(side))
    return move_weak_camera(*(torch.from_numpy(n.astype(np.float64)) for n in numbers)).numpy()
