"""`exemplar fit`: bodies for the people of a photo, with pictures and files."""

import glob
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from exemplar.assets import asset_path
from exemplar.cli.options.fit import FitCommand
from exemplar.data.people_files import KeypointFile
from exemplar.environment import device_name
from exemplar.fit_result import FitResult
from exemplar.results import PersonFit
from exemplar.scene import FitOptions, Fitter

DEMO = "demo.jpg"

DEMO_HINT = (
    "Look at {folder}/steps.gif: hands and feet move into place. {folder}/overlay.png has the"
    " network's guess beside the fit. {folder}/body.glb opens in Blender and other 3D viewers."
)

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
"""Endings of a folder's files that are photos to fit."""

LARGE_MISFIT_PX = 2.0
"""What the full camera leaves (image px) is told in the summary above this."""


def run(command: FitCommand) -> None:
    """Fit 3D bodies to the people in photos by exemplar fine-tuning (EFT)."""
    console = Console(quiet=command.quiet, soft_wrap=True)
    images = photos_of(command.images)
    if command.demo:
        with asset_path(DEMO) as path:
            images.append(Path(path))
    if not images:
        raise ValueError("no photo given: exemplar fit PHOTO, or exemplar fit --demo")
    options = FitOptions(
        body=command.body,
        person=command.person,
        box=parse_box(command.box),
        iterations=command.iterations,
        guard=command.guard,
        looks=command.looks,
        together=command.together,
        align=command.align,
        robust_px=command.robust_px,
        stop_px=0.0 if command.demo and command.stop_px is None else command.stop_px,
        teacher=command.teacher,
        auxiliary=command.auxiliary,
        focal=command.focal,
        age=numbers_of("--age", command.age),
        gender=genders_of(command.gender),
        height=numbers_of("--height", command.height),
        device=command.device,
        joints=command.joints,
    )
    folders = output_folders(images, command.output)
    keypoints = command.keypoints and KeypointFile(command.keypoints, command.joints)
    if keypoints is not None and len(images) > 1:
        _check_names(keypoints, len(images))
    check_writable(command.output)
    fitter = Fitter(command.regressor, options)
    failures = []
    for image, folder in zip(images, folders, strict=True):
        try:
            fit_one(fitter, image, keypoints, folder, console)
        except (ValueError, OSError) as error:
            if len(images) == 1:
                raise
            failures.append(f"{image}: {error}")
            console.print(f"[red]failed[/red] {escape(failures[-1])}")
    if command.demo:
        console.print(DEMO_HINT.format(folder=folders[-1]))
    if failures:
        raise ValueError(f"{len(failures)} of {len(images)} photos failed: {'; '.join(failures)}")


def output_folders(images: Sequence[Path], output: Path) -> list[Path]:
    """A folder of its own for each photo: `output` for one, else its name below it, with as much
    of its path as tells the photos apart. ValueError for a photo that is given twice, or two whose
    names differ in small and capital letters alone, which some file systems do not tell apart."""
    if len(images) == 1:
        return [output]
    paths = [Path(os.path.abspath(image)) for image in images]
    for depth in range(max(len(path.parts) for path in paths)):
        for last in ("stem", "name"):
            names = [
                "_".join((*path.parts[-1 - depth : -1], getattr(path, last))) for path in paths
            ]
            if len({name.casefold() for name in names}) == len(paths):
                return [output / name for name in names]
    alike = [str(path).casefold() for path in paths]
    twice = next(path for path, name in zip(paths, alike, strict=True) if alike.count(name) > 1)
    raise ValueError(
        f"{twice} is given twice, or differs in capitals alone: their results would overwrite each"
        " other"
    )


def _check_names(keypoints: KeypointFile, photos: int) -> None:
    """ValueError if a keypoint file of one photo is given for several."""
    if not keypoints.says_image():
        raise ValueError(
            f"{keypoints.path} does not say which photo its people are in, got {photos} photos:"
            " give a folder with a file for each, or one photo at a time"
        )


def fit_one(
    fitter: Fitter, image: Path, keypoints: KeypointFile | None, folder: Path, console: Console
) -> FitResult:
    """Fit one photo, write its files and print its summary."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[error]}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"{image.name}: looking for people", total=None, error="")

        def progress(person: int, people: int, step: int, error: float) -> None:
            bar.update(
                task,
                description=f"{image.name}: person {person + 1} of {people}",
                total=fitter.iterations,
                completed=step,
                error=f"{error:.1f} px",
            )

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            result = fitter.fit(image, keypoints, progress)
        bar.update(task, description=f"{image.name}: drawing", total=None, error="")
        writable_folder(folder)
        written = result.save(folder, fit_name=fitter.method)
    for warning in caught:
        console.print(f"[yellow]warning[/yellow] {escape(str(warning.message))}")
    console.print(summary(result, image, fitter.device))
    console.print("wrote " + "  ".join(str(path) for path in written), markup=False)
    console.print(f"look at it in 3D: exemplar view {folder}", markup=False)
    return result


def summary(result: FitResult, image: Path, device: torch.device) -> Table:
    """One line a person."""
    height, width = result.image.shape[:2]
    table = Table(title=f"{escape(image.name)}  {width}x{height}", title_justify="left")
    words = ("status", "quality")
    for heading in ("person", *words, "regressor px", "fit px", "iterations", "seconds"):
        table.add_column(heading, justify="left" if heading in words else "right")
    for number, person in enumerate(result.people):
        table.add_row(
            str(number),
            person.status,
            "" if person.quality is None else f"{person.quality_word} {person.quality:.2f}",
            f"{person.before.error_px:.1f}",
            f"{person.after.error_px:.1f}",
            _iterations(person),
            f"{person.seconds:.1f}",
        )
    caption = [
        "mean 2D error over the fitted keypoints, px of a 224 px crop",
        *(
            ["quality: how likely it is that the joints are off by less than a tenth of the person"]
            if any(person.quality is not None for person in result.people)
            else []
        ),
        f"focal length {result.focal:.0f} px ({result.focal_source}); device {device_name(device)}",
    ]
    for number, person in enumerate(result.people):
        if person.traits:
            given = ", ".join(f"{name} {value}" for name, value in person.traits.said.items())
            caption.append(f"person {number} is fitted as {given}: {person.height:.2f} m tall")
    for number, person in enumerate(result.people):
        misfit = result.camera_misfit_px(person)
        if misfit > LARGE_MISFIT_PX:
            caption.append(
                f"with it the joints of person {number} are seen {misfit:.1f} image px off the fit"
                " on average"
            )
    for overlap in result.overlaps:
        first, second = overlap.people
        caption.append(
            f"persons {first} and {second} run through each other by {100 * overlap.depth:.0f} cm"
        )
    table.caption = "\n".join(caption)
    return table


def _iterations(person: PersonFit) -> str:
    """How many updates are behind the fit, and of how many, if the guard kept an earlier one."""
    if person.made is None or person.made == person.iterations:
        return str(person.iterations)
    return f"{person.iterations} of {person.made}"


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """x,y,w,h as numbers; ValueError if it is anything else."""
    if text is None:
        return None
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box {text!r}: expected four numbers x,y,w,h") from None
    return x, y, w, h


def numbers_of(option: str, text: str | None) -> tuple[float | None, ...] | None:
    """Numbers of a list such as 5,38 or 5,,38; ValueError if it is anything else."""
    if text is None:
        return None
    try:
        return tuple(float(part) if part.strip() else None for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{option} {text!r}: expected a number, or a list with one for each person, such as"
            " 5,38"
        ) from None


def genders_of(text: str | None) -> tuple[str | None, ...] | None:
    """Genders of a list such as female,male; `Traits` judges them."""
    return None if text is None else tuple(part.strip() or None for part in text.split(","))


def photos_of(given: Sequence[Path]) -> list[Path]:
    """The photos: files as they are given, the pictures in a folder, and those of a pattern such as
    `photos/*.jpg`, in the order of their names. ValueError or OSError if there is none."""
    photos = list[Path]()
    for path in given:
        if path.is_dir():
            found = sorted(one for one in path.iterdir() if one.suffix.lower() in PICTURES)
            what = f"no picture in {path}: expected {', '.join(PICTURES)}"
        elif not path.exists() and any(mark in str(path) for mark in "*?["):
            found = [Path(one) for one in sorted(glob.glob(str(path), recursive=True))]
            what = f"no file like {path}"
        else:
            found, what = [path], ""
        if not found:
            raise FileNotFoundError(what)
        photos += found
    return photos


def check_writable(folder: Path) -> None:
    """OSError with one line if a folder cannot be made or written to; nothing is made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise OSError(f"cannot write to {folder}: {there} is not a folder")
    if not os.access(there, os.W_OK):
        raise OSError(f"cannot write to {folder}: permission denied")


def writable_folder(folder: Path) -> None:
    """Make a folder; OSError with one line if it cannot be written to."""
    check_writable(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot write to {folder}: {error.strerror}") from None
