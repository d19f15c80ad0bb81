"""`exemplar compare`: a blind comparison of two sets of bodies, and what its votes say."""

import json
from pathlib import Path

from rich.console import Console

from exemplar.cli.options.compare import CompareCommand
from exemplar.counting import counted
from exemplar.evaluation.compare_sources import BodySource, ComparedPictures, open_source
from exemplar.files.image_store_files import open_images
from exemplar.viewer.compare.page import serve_comparison, write_comparison
from exemplar.viewer.compare.people import Matched, choose_people, match_people
from exemplar.viewer.compare.preference import preference
from exemplar.viewer.compare.preference_words import result_lines, result_record
from exemplar.viewer.compare.votes import VoteFile, read_votes
from exemplar.viewer.local_pages import open_page


def run(command: CompareCommand) -> None:
    """Ask people which of two bodies fits a photo better, without telling them whose it is."""
    _check(command)
    console = Console(soft_wrap=True, highlight=False)
    sources = open_source(command.first), open_source(command.second)
    names = sources[0].name, sources[1].name
    matched = match_people(
        *(source.rows() for source in sources),
        names=names,
        usable=command.usable,
    )
    if command.result:
        votes = [vote for path in command.result for vote in read_votes(path)]
        found = preference(votes, matched.people, seed=command.seed)
        if command.json:
            print(json.dumps(result_record(found, names), indent=1))
        else:
            console.print("\n".join(result_lines(found, names)), markup=False)
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
