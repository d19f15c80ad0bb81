"""A lifting job from its parts: samples into the ledger, results out of it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from exemplar.counting import counted
from exemplar.data.contents import Contents
from exemplar.data.convert import write_rows
from exemplar.data.formats import eft_json, read, reader_options, recognise
from exemplar.files.image_store_files import open_images, place_name
from exemplar.lift.config import LiftConfig
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import Report, run_local
from exemplar.lift.store import Ledger, Selection
from exemplar.samples import Sample

EXPORTS: Mapping[str, str] = {
    "table": "pseudo_gt.parquet",
    "eft_json": "eft.json",
    "spin_npz": "train.npz",
}
"""Files that a finished job writes, by format: all rows in the table, usable ones in the others."""


def open_job(
    folder: Path,
    annotations: Path | None,
    images: str | Path | None,
    config: LiftConfig,
    *,
    format: str | None = None,
    options: Sequence[str] = (),
) -> Ledger:
    """The ledger of a job, filled with the samples of `annotations` if it is new.

    A job that is there already must be the same one: the same annotation file (by its bytes),
    reader options, images and settings (`settings` reads them back); what is not given is its own.
    ValueError otherwise.
    """
    _check_sources(folder, annotations, images)
    ledger = Ledger(folder, create=annotations is not None)
    try:
        if annotations is not None:
            assert images is not None
            meta = {
                "annotations": _fingerprint(annotations),
                "options": sorted(options),
                "images": place_name(images),
                "config": asdict(config),
            }
            ledger.fill(_samples(annotations, images, format, options), meta)
        elif not ledger.filled():
            raise ValueError(
                f"the job in {folder} was never begun: give --annotations and --images"
            )
        elif config != LiftConfig():
            ledger.fill((), {"config": asdict(config)})
    except BaseException:
        ledger.close()
        raise
    return ledger


def settings(ledger: Ledger) -> LiftConfig:
    """How the job's people are fitted. ValueError for settings that this version does not know."""
    try:
        return LiftConfig(**ledger.meta()["config"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{ledger.folder} has settings of another version: {error}") from error


def _check_sources(folder: Path, annotations: Path | None, images: str | Path | None) -> None:
    if (annotations is None) != (images is None):
        raise ValueError("--annotations and --images go together")
    if annotations is not None and not annotations.exists():
        raise FileNotFoundError(f"no annotations at {annotations}")
    if images is not None:
        open_images(images).check()
    if folder.is_file():
        raise OSError(f"cannot write to {folder}: it is a file, expected a folder")
    if annotations is None and not (folder / LEDGER).is_file():
        raise FileNotFoundError(
            f"no lifting job in {folder}: to begin one give --annotations and --images"
        )


def _samples(
    annotations: Path, images: str | Path, format: str | None, options: Sequence[str]
) -> Iterator[Sample]:
    contents = Contents(annotations)
    name = format or recognise(contents)
    folder = Path(place_name(images))
    parsed = reader_options(name, options, folder if folder.is_dir() else None)
    empty = True
    for sample in read(contents, name, **parsed):
        empty = False
        yield sample
    if empty:
        raise ValueError(f"{annotations} has nobody to lift (as {name}, with its rules)")


def _fingerprint(path: Path) -> str:
    """What tells an annotation file from another: name, size and bytes; of a folder, its files'
    names and sizes."""
    digest = hashlib.sha256()
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            size = file.stat().st_size if file.is_file() else 0
            digest.update(f"{file.relative_to(path).as_posix()} {size}\n".encode())
    else:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return f"{path.name}:{digest.hexdigest()[:16]}"


def export(ledger: Ledger, formats: Sequence[str] = tuple(EXPORTS)) -> list[str]:
    """Write the job's results beside the ledger; each file appears whole. A line about each.

    All rows go into the table, usable ones into the other files. ImportError naming the extra if
    the table's package is missing.
    """
    meta = ledger.meta()
    name = meta.get("annotations", "").partition(":")[0]
    header = eft_json.EftHeader(meta={"dbname": Path(name).stem, "rawname": name})
    lines = []
    for format in formats:
        path = ledger.folder / EXPORTS[format]
        try:
            done = write_rows(
                ledger.truths(), path, to=format, images=ledger.images, header=header, made=meta
            )
            lines.append(f"wrote {path} ({counted(done.written)})")
        except ValueError as error:
            lines.append(f"no {path}: {error}")
    return lines


def lift_dataset(
    annotations: str | Path,
    images: str | Path,
    output: str | Path,
    config: LiftConfig | None = None,
    *,
    format: str | None = None,
    options: Sequence[str] = (),
    selection: Selection | None = None,
    device: str = "cpu",
    workers: int | None = None,
    report: Report = lambda made: None,
) -> dict[str, int]:
    """Lift a 2D data set to pseudo ground truth: `exemplar lift` as a function.

    Args:
        annotations: file or folder of any format that `exemplar data inspect` knows.
        images: folder that its image names are relative to, a URL or tar files: as
            `image_store_files.open_images` knows them.
        output: folder of the job. What is done there is kept: call again to go on.
        config: how people are fitted.
        format: of the annotations; recognised if not given.
        options: "name=value" for the format's reader.
        selection: whom to fit; everybody if not given.
        device: torch device.
        workers: threads of a CPU.
        report: hears of results as they are committed, from any thread.

    When everybody is done the files `EXPORTS` are written. Returns how many people have each
    outcome so far. ValueError, OSError or ImportError, in one line, for what the user can mend.
    """
    with open_job(
        Path(output), Path(annotations), images, config or LiftConfig(),
        format=format, options=options,
    ) as ledger:  # fmt: skip
        ledger.join()
        lifter = Lifter(settings(ledger), device, workers)
        run_local(ledger, lifter, selection or Selection(), report)
        if ledger.finished():
            export(ledger)
        return ledger.outcomes()
