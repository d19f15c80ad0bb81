"""`exemplar data`: what annotation files hold, and their conversion into each other."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.markup import escape

from exemplar.bodies import OPEN_BODY, load_body
from exemplar.cli import data_review
from exemplar.data.contents import Contents
from exemplar.data.convert import Conversion, target_format, write_rows
from exemplar.data.convert import convert as convert_file
from exemplar.data.formats import FORMATS, read, reader_options, recognise
from exemplar.data.inspection import Summary, summarise
from exemplar.data.options import describe, options_of
from exemplar.image_files import image_size, image_within, read_image, write_image
from exemplar.lift.ledger_files import LEDGER
from exemplar.lift.store import Ledger
from exemplar.render.contact_sheet import contact_sheet
from exemplar.samples import Sample
from exemplar.skeletons import SMPL_49

DRAWN = 24
"""People on a contact sheet."""

_MOST_PROBLEMS = 5

Options = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=VALUE")]


@dataclass(frozen=True)
class InspectCommand:
    """Say what an annotation file is, count what it holds, and draw people of it."""

    file: Annotated[Path, tyro.conf.Positional]
    """Annotation file or folder, of any known format."""
    format: str | None = None
    """Its format; recognised if not given."""
    images: Path | None = None
    """Folder of the images; without it people are drawn on grey."""
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("contact_sheet.png")
    """Picture to write: people spread over the file, with the names of their keypoints."""
    sheet: bool = True
    """Draw the picture."""
    body: str = OPEN_BODY
    """"open", or an SMPL .npz or .pkl file, to draw annotated bodies with."""
    joints: str = ""
    """Joint set of a file that cannot say: the same as --option joints=NAME."""
    option: Options = ()
    """An option of the format's reader; may be given several times."""


@dataclass(frozen=True)
class ConvertCommand:
    """Write the people of an annotation file in another format.

    The new file's suffix tells the format: .npz SPIN's, .json EFT's, .parquet our table. From a
    table only accepted fits go into JSON and .npz.
    """

    source: Annotated[Path, tyro.conf.Positional]
    """Annotation file or folder of any known format, or the output folder of `exemplar lift`."""
    target: Annotated[Path, tyro.conf.Positional]
    """The new file."""
    to: str | None = None
    """Its format: spin_npz, eft_json, table, cliff_npz or coco."""
    format: str | None = None
    """Format of the source; recognised if not given."""
    images: Path | None = None
    """Folder of the images, whose sizes CLIFF's camera needs."""
    joints: str = ""
    """Joint set of a source that cannot say: the same as --option joints=NAME."""
    option: Options = ()
    """An option of the source's reader; may be given several times."""


def inspect(command: tyro.conf.OmitArgPrefixes[InspectCommand]) -> None:
    """Say what an annotation file is, count what it holds, and draw people of it."""
    console = Console(soft_wrap=True, highlight=False)
    _check_folder(command.images)
    contents = Contents(command.file)
    texts = with_joints(command.option, command.joints)
    name, options = _reader(contents, command.format, texts, command.images)
    console.print(f"[bold]{escape(str(command.file))}[/bold]: {name}, {FORMATS[name].TITLE}")
    summary = summarise(read(contents, name, **options), spread=DRAWN)
    for line in [*_counts(summary), *_warnings(summary, command.images)]:
        console.print(line, markup=False)
    _print_joints(summary, console)
    _print_options(name, console)
    if not summary.people:
        raise ValueError(f"{command.file} has no people that its reader takes")
    if summary.broken == summary.people:
        reason = summary.problems.most_common(1)[0][0]
        raise ValueError(f"{command.file}: all {summary.people:,} people are broken: {reason}")
    if command.sheet and summary.spread:
        title = f"{FORMATS[name].TITLE}: {len(summary.spread)} of {summary.people:,} people"
        body = load_body(command.body) if summary.with_body else None
        title += f", drawn with the {body.name} body" if body else ""
        page = contact_sheet(summary.spread, _image_of(command.images), title=title, body=body)
        write_image(page, command.output)
        console.print(f"wrote {command.output}", markup=False)


def convert(command: tyro.conf.OmitArgPrefixes[ConvertCommand]) -> None:
    """Write the people of an annotation file in another format."""
    console = Console(soft_wrap=True, highlight=False)
    _check_folder(command.images)
    target_format(command.target, command.to)
    done = _from_job(command) if (command.source / LEDGER).is_file() else _from_file(command)
    console.print(
        f"{command.source} ({done.source}) to {command.target} ({done.target}):"
        f" {done.written:,} people",
        markup=False,
    )
    for reason, count in done.left_out.items():
        console.print(f"left out {count:,}: {reason}", markup=False)


def _from_file(command: ConvertCommand) -> Conversion:
    contents = Contents(command.source)
    texts = with_joints(command.option, command.joints)
    name, options = _reader(contents, command.format, texts, command.images)
    return convert_file(
        contents.path,
        command.target,
        to=command.to,
        format=name,
        images=command.images,
        options=options,
    )


def _from_job(command: ConvertCommand) -> Conversion:
    """What a lifting job has fitted so far."""
    if command.format is not None or command.option:
        raise ValueError(f"{command.source} is a lifting job: it takes no format and no options")
    with Ledger.open(command.source) as ledger:
        done = write_rows(
            ledger.truths(),
            command.target,
            to=command.to,
            images=command.images or ledger.images,
            made=ledger.meta(),
        )
    return replace(done, source="lifting job")


VERBS: Mapping[str, Callable[..., None]] = {
    "inspect": inspect,
    "convert": convert,
    "review": data_review.run,
}
"""The verbs below `exemplar data`."""


def _reader(
    contents: Contents, format: str | None, texts: Sequence[str], images: Path | None
) -> tuple[str, dict[str, Any]]:
    """Name of the format and the options of its reader."""
    name = recognise(contents) if format is None else format
    return name, reader_options(name, texts, images)


def with_joints(options: tuple[str, ...], joints: str) -> tuple[str, ...]:
    """Options of a reader, and the joint set if it is given."""
    return (*options, f"joints={joints}") if joints else options


def _check_folder(images: Path | None) -> None:
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"no folder of images at {images}")


def _counts(summary: Summary) -> list[str]:
    images = len(summary.images)
    lines = [f"{summary.people:,} people in {images:,} image{'s' if images != 1 else ''}"]
    subjects = len(summary.subjects)
    also = [
        (summary.with_3d, "with 3D joints"),
        (summary.with_body, "with a body"),
        (subjects, "subject" if subjects == 1 else "subjects"),
    ]
    known = [f"{count:,} {what}" for count, what in also if count]
    return [*lines, ", ".join(known)] if known else lines


def _warnings(summary: Summary, images: Path | None) -> list[str]:
    """What looks wrong, one a line."""
    lines = []
    if summary.broken:
        lines.append(f"{summary.broken:,} broken:")
        lines += [f"  {n:,} x {what}" for what, n in summary.problems.most_common(_MOST_PROBLEMS)]
        more = len(summary.problems) - _MOST_PROBLEMS
        lines += [f"  and {more:,} other kinds"] if more > 0 else []
    lines += [f"doubtful, {n:,} people: {what}" for what, n in summary.doubtful.most_common()]
    if images is not None:
        missing = sum(not _is_there(images, name) for name in summary.images)
        if missing:
            lines.append(f"{missing:,} of {len(summary.images):,} images are not in {images}")
        drawn = len(summary.spread)
        found = Counter(_beside_image(sample, images) for _, sample in summary.spread)
        del found[""]
        lines += [f"doubtful, {n} of the {drawn} drawn: {what}" for what, n in found.items()]
    return lines


def _is_there(images: Path, name: str) -> bool:
    try:
        return image_within(images, name).is_file()
    except (OSError, ValueError):
        return False


def _beside_image(sample: Sample, images: Path) -> str:
    """What of the annotation does not fit its image, if that is there."""
    try:
        size = image_size(image_within(images, sample.image))
    except (OSError, ValueError):
        return ""
    if sample.image_size not in (None, size):
        return "the image has another size than the annotated one"
    points = sample.keypoints_2d[sample.keypoints_2d[:, 2] > 0, :2]
    beyond = (points < -1).any() or (points > np.array(size) + 1).any()
    return "keypoints outside the image" if beyond else ""


def _print_joints(summary: Summary, console: Console) -> None:
    whole = summary.people - summary.broken
    shares = [
        f"{name} {100 * count / whole:.0f}%"
        for name, count in zip(SMPL_49, summary.visible.tolist(), strict=True)
        if count
    ]
    if shares:
        console.print(f"keypoints: {', '.join(shares)}", markup=False)


def _print_options(name: str, console: Console) -> None:
    for option, parameter in options_of(FORMATS[name].read).items():
        default = parameter.default
        default = ",".join(map(str, default)) if isinstance(default, tuple) else default
        kind = describe(parameter.annotation)
        console.print(f"option {option}={default}  ({kind})", markup=False)


def _image_of(folder: Path | None) -> Callable[[Sample], np.ndarray | None]:
    def image(sample: Sample) -> np.ndarray | None:
        if folder is None:
            return None
        try:
            return read_image(image_within(folder, sample.image))
        except (OSError, ValueError):
            return None

    return image
