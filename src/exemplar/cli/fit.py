"""`exemplar fit`: bodies for the people of a photo, with pictures and files."""

import warnings
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from exemplar.assets import asset_path
from exemplar.cli.options.fit import FitCommand
from exemplar.cli.options.words import genders_of, numbers_of, parse_box
from exemplar.data.people_files import KeypointFile
from exemplar.environment import device_name
from exemplar.files.given_photos import (
    check_writable,
    output_folders,
    photos_of,
    writable_folder,
)
from exemplar.fit_result import FitResult
from exemplar.results import PersonFit
from exemplar.scene import FitOptions, Fitter

DEMO = "demo.jpg"

DEMO_HINT = (
    "Look at {folder}/steps.gif: hands and feet move into place. {folder}/overlay.png has the"
    " network's guess beside the fit. {folder}/body.glb opens in Blender and other 3D viewers."
)

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
        perspective=command.perspective,
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
                f"in a camera with perspective the joints of person {number} lie {misfit:.1f}"
                " image px off the fit on average"
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
