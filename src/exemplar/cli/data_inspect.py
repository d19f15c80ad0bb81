"""`exemplar data inspect`: what an annotation file holds."""

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from exemplar.bodies import load_body
from exemplar.cli.options.data_inspect import InspectCommand
from exemplar.counting import counted
from exemplar.data.contents import Contents
from exemplar.data.formats import FORMATS, chosen_reader, read
from exemplar.data.inspection import Summary, beside_image, images_of, is_there, summarise
from exemplar.data.options import describe, options_of, with_joints
from exemplar.files.image_files import write_image
from exemplar.render.contact_sheet import contact_sheet
from exemplar.skeletons import SMPL_49

SHEET = "contact_sheet.png"
"""The picture's name in a folder."""

DRAWN = 24
"""People on a contact sheet."""

_MOST_PROBLEMS = 5


def run(command: InspectCommand) -> None:
    """Say what an annotation file is, count what it holds, and draw people of it."""
    console = Console(soft_wrap=True, highlight=False)
    _check_folder(command.images)
    contents = Contents(command.file)
    texts = with_joints(command.option, command.joints)
    name, options = chosen_reader(contents, command.format, texts, command.images)
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
        raise ValueError(f"{command.file}: all broken ({counted(summary.people)}): {reason}")
    if command.sheet and summary.spread:
        title = f"{FORMATS[name].TITLE}: {len(summary.spread)} of {counted(summary.people)}"
        body = load_body(command.body) if summary.with_body else None
        title += f", drawn with the {body.name} body" if body else ""
        page = contact_sheet(summary.spread, images_of(command.images), title=title, body=body)
        output = command.output / SHEET if command.output.is_dir() else command.output
        write_image(page, output)
        console.print(f"wrote {output}", markup=False)


def _check_folder(images: Path | None) -> None:
    if images is not None and not images.is_dir():
        raise FileNotFoundError(f"no folder of images at {images}")


def _counts(summary: Summary) -> list[str]:
    images = len(summary.images)
    lines = [f"{counted(summary.people)} in {counted(images, 'image')}"]
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
    lines += [f"doubtful, {counted(n)}: {what}" for what, n in summary.doubtful.most_common()]
    if images is not None:
        missing = [name for name in summary.images if not is_there(images, name)]
        if missing:
            lines.append(
                f"not in {images}: {len(missing):,} of {counted(len(summary.images), 'image')},"
                f" such as {min(missing)}"
            )
        drawn = len(summary.spread)
        found = Counter(beside_image(sample, images) for _, sample in summary.spread)
        del found[""]
        lines += [f"doubtful, {n} of the {drawn} drawn: {what}" for what, n in found.items()]
    return lines


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
        unless = "" if default in ("", None) else f", {default} unless given"
        kind = describe(parameter.annotation)
        console.print(f"--option {option}=...  ({kind}{unless})", markup=False)
