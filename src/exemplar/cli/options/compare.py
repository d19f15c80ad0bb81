"""`exemplar compare`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro


@dataclass(frozen=True)
class CompareCommand:
    """Ask people which of two bodies fits a photo better, without telling them whose it is.

    Opens a page in the browser: photo and bodies in a random order, sides swapped at random. Keys 1
    and 2 vote, 0 is no preference. Votes are saved at once; the same command goes on where it was
    left. --result counts them.

    For example:
        exemplar compare lifted-eft lifted-smplify
        exemplar compare lifted-eft lifted-smplify --result votes.jsonl
    """

    first: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="A")]
    """A: the folder of a lifting job, a file of bodies, or RUN:METHOD of an evaluation run."""
    second: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="B")]
    """B: what it is compared with."""
    result: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="PATH ...")] = ()
    """Files of votes: print what they say, instead of asking."""
    votes: Path = Path("votes.jsonl")
    """File that votes are appended to."""
    annotator: str = ""
    """Who votes; the page asks unless it is given."""
    count: int = 500
    """People to show, chosen at random; as many as in EFT's study, if there are so many."""
    seed: int = 0
    """Which people, and in which order."""
    usable: bool = False
    """Only bodies that an export would hold: not those that a fit's own tests or a person
    rejected."""
    images: Path | None = None
    """Folder of the images, unless A or B knows it."""
    body: str | None = None
    """"open", or the SMPL file that the bodies are for, where A and B do not tell or it moved."""
    static: Path | None = None
    """Write the page into this folder, for others, instead of showing it here."""
    port: int = 0
    """Port of the page; 0 takes a free one."""
    browser: bool = True
    """Open the page in a browser."""
    json: bool = False
    """Print the result as JSON, with the votes on each person."""
