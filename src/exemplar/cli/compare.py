"""`exemplar compare`: a blind comparison of two sets of bodies, and what its votes say."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from exemplar.cli.options.compare import CompareCommand
from exemplar.counting import counted
from exemplar.evaluation.compare_sources import BodySource, ComparedPictures, open_source
from exemplar.files.image_store_files import open_images
from exemplar.viewer.compare.page import serve_comparison, write_comparison
from exemplar.viewer.compare.people import Matched, choose_people, match_people
from exemplar.viewer.compare.preference import Preference, Share, preference
from exemplar.viewer.compare.votes import VoteFile, read_votes
from exemplar.viewer.local_pages import open_page


def run(command: CompareCommand) -> None:
    """Ask people which of two bodies fits a photo better, without telling them whose it is."""
    _check(command)
    console = Console(soft_wrap=True, highlight=False)
    sources = open_source(command.first), open_source(command.second)
    matched = match_people(
        *(source.rows() for source in sources),
        names=(sources[0].name, sources[1].name),
        usable=command.usable,
    )
    if command.result:
        votes = [vote for path in command.result for vote in read_votes(path)]
        found = preference(votes, matched.people, seed=command.seed)
        if command.json:
            print(json.dumps(_plain(result_record(found, sources)), indent=1))
        else:
            console.print("\n".join(result_lines(found, sources)), markup=False)
        return
    _ask(command, sources, matched, console)


def _check(command: CompareCommand) -> None:
    """ValueError or OSError for options that do not go together, before anything is read."""
    if command.json and not command.result:
        raise ValueError("--json is for --result VOTES")
    if command.result and command.static is not None:
        raise ValueError("--result and --static are two things: give one of them")
    if command.first == command.second:
        raise ValueError(f"A and B are the same: {command.first}")
    if command.images is not None and not command.images.is_dir():
        raise FileNotFoundError(f"no folder of images at {command.images}")


def _ask(
    command: CompareCommand,
    sources: tuple[BodySource, BodySource],
    matched: Matched,
    console: Console,
) -> None:
    """Show the page, or write it."""
    people = choose_people(matched.people, command.count, command.seed)
    pictures = ComparedPictures(
        people, sources, images=_images(command, sources), body=command.body
    )
    console.print(f"{len(people):,} of {counted(len(matched.people))} that both have")
    for reason, count in matched.left_out.items():
        console.print(f"left out {count:,}: {reason}", markup=False)
    if pictures.unnamed and command.body is None:
        console.print("bodies of unknown models are drawn with the open body: --body FILE")
    if command.static is not None:
        with console.status("pictures"):
            write_comparison(pictures, command.static)
        console.print(f"wrote {command.static / 'index.html'}", markup=False)
        return
    votes = VoteFile(command.votes)

    def opened(address: str) -> None:
        line = f"compare at {address} (Ctrl-C ends; votes are saved at once in {command.votes})"
        open_page(console, line, address, browser=command.browser)

    serve_comparison(pictures, votes, annotator=command.annotator, port=command.port, opened=opened)
    console.print(f"\n{command.votes}: {counted(len(votes.votes()), 'vote')}", markup=False)


def _images(command: CompareCommand, sources: tuple[BodySource, BodySource]) -> str | Path:
    missing: list[str] = []
    for place in (command.images, *(source.images for source in sources)):
        if place is not None:
            try:
                open_images(place).check()
                return place
            except OSError as error:
                missing.append(str(error))
    what = missing[0] if missing else "neither names its images"
    raise FileNotFoundError(f"{what}: --images FOLDER tells where they are")


def result_lines(found: Preference, sources: tuple[BodySource, BodySource]) -> list[str]:
    """The result as a person reads it."""
    a, b = (source.name for source in sources)
    several = len(found.annotators) > 1
    votes = found.votes.first + found.votes.second + found.ties
    lines = [
        f"A = {a}, B = {b}",
        f"{votes:,} votes of {counted(len(found.annotators), 'annotator')}"
        f" on {counted(len(found.people))}",
        f"votes: {_share(found.votes)} ({'bootstrap over people' if several else 'Wilson'})",
        f"no preference: {found.ties:,} of {votes:,}",
    ]
    if found.majority is not None:
        shared = found.majority.first + found.majority.second + found.undecided
        lines += [
            f"majority: {_share(found.majority)} (Wilson), {found.undecided:,} of {shared:,} people"
            " without one",
            f"unanimous: {found.unanimous[0]:,} people for A, {found.unanimous[1]:,} for B",
            f"agreement: {_percent(found.agreement)} of pairs of votes,"
            f" Krippendorff's alpha {_number(found.alpha)}",
        ]
    lines.append(f"left side: preferred in {_percent(found.left.share)}{_interval(found.left)}")
    if found.overlay:
        lines.append(f"{found.overlay:,} votes after a look at the bodies over the photo")
    if found.elsewhere:
        lines.append(f"not counted: {found.elsewhere:,} votes on bodies that are not A's and B's")
    return lines


def result_record(found: Preference, sources: tuple[BodySource, BodySource]) -> Mapping[str, Any]:
    """The result for programs: shares in 0..1, null where unknown, and the votes on each person."""
    record = asdict(found) | {"a": sources[0].name, "b": sources[1].name}
    for name in ("votes", "majority", "left"):
        share: Share | None = getattr(found, name)
        record[name] = None if share is None else asdict(share) | {"share": share.share}
    record["people"] = [
        {
            "image": one.person.image,
            "annotation_id": one.person.annotation_id,
            "subject": one.person.subject,
            "first": one.first,
            "second": one.second,
            "none": one.none,
        }
        for one in found.people
    ]
    return record


def _plain(value: Any) -> Any:
    """Without nan, which JSON has not."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _share(share: Share) -> str:
    count = share.first + share.second
    if not count:
        return "nobody has a preference"
    return f"A in {_percent(share.share)} of {count:,}{_interval(share)}"


def _interval(share: Share) -> str:
    if not math.isfinite(share.low):
        return ""
    return f", 95 % interval {100 * share.low:.1f} to {100 * share.high:.1f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "unknown"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "unknown"
