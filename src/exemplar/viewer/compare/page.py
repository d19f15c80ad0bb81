"""The page of a blind comparison: a voter sees a photo and two bodies, and says which fits it.

Served to a person at this machine (`serve_comparison`), or written as files for others
(`write_comparison`). Pages, addresses and files speak of bodies by the names of `compare.people`;
which source a body is of is neither in them nor in the votes. Which side a body is shown on depends
on its name and the voter's, so it is random and stays the same when a voter comes back.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol, get_args, runtime_checkable

from exemplar.files.atomic_files import replacing
from exemplar.viewer.compare.people import ComparedPerson
from exemplar.viewer.compare.votes import VoteFile, vote_from
from exemplar.viewer.local_server import (
    LocalHandler,
    LocalServer,
    Options,
    Refused,
    Reply,
    json_reply,
    no_page,
    packaged,
    picture_reply,
    serve_until_interrupted,
)

BodyView = Literal["plain", "overlay"]
"""A body from the photo's viewpoint and from the side: on white, or the first over the photo."""

BODY_VIEWS: tuple[BodyView, ...] = get_args(BodyView)
"""Every view of a body."""

_STUDY, _PAGE = "study.js", "index.html"
_SCRIPT = "text/javascript; charset=utf-8"


@runtime_checkable
class CompareSource(Protocol):
    """Whom a comparison shows, and how they look. Pictures are asked for by several threads."""

    @property
    def people(self) -> Sequence[ComparedPerson]:
        """In the order in which they are shown."""
        ...

    def photo(self, person: int) -> bytes:
        """A JPEG or PNG of a person, by place in `people`."""
        ...

    def body(self, person: int, second: bool, view: BodyView) -> bytes:
        """A JPEG or PNG of the first or the second source's body."""
        ...


def serve_comparison(
    source: CompareSource,
    votes: VoteFile,
    *,
    annotator: str = "",
    port: int = 0,
    opened: Callable[[str], None],
) -> None:
    """Serve the page until Ctrl-C and append votes; `opened` is told its address.

    The page asks who votes unless `annotator` says it.
    """
    serve_until_interrupted(CompareServer(source, votes, annotator=annotator, port=port), opened)


def write_comparison(
    source: CompareSource, folder: Path, *, drawn: Callable[[int], None] = lambda count: None
) -> None:
    """Write the page as files: index.html, which opens from the disk or from any web server.

    Votes stay in the voter's browser, who downloads them as a file that `read_votes` takes.

    Args:
        source: whom to show.
        folder: where to. It may hold an earlier comparison, which is replaced.
        drawn: is told how many people's pictures are done.

    ValueError if the folder holds something else.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / _STUDY).is_file():
        raise ValueError(f"{folder} is not empty, and holds no earlier comparison")
    for old in folder.glob("pictures/*.jpg"):
        old.unlink()
    pictures = _Pictures(source)
    for count, person in enumerate(source.people, 1):
        # in the order of names, or the files' times would tell the sources apart
        bodies = [f"{body}-{view}" for body in sorted(person.bodies) for view in BODY_VIEWS]
        names = [f"{person.photo}-photo", *bodies]
        for name in names:
            _write(folder / "pictures" / f"{name}.jpg", pictures.draw(name))
        drawn(count)
    _write(folder / _STUDY, study_script(source.people))
    for name in ("compare.js", "compare.css"):
        _write(folder / name, packaged(f"compare/{name}"))
    _write(folder / _PAGE, packaged("compare/compare.html"))


def study_script(
    people: Sequence[ComparedPerson], *, annotator: str = "", live: bool = False
) -> bytes:
    """The script that tells a page whom it shows, and whether a server takes its votes."""
    pairs = [sorted(person.bodies) for person in people]
    study = {
        "id": hashlib.sha256(json.dumps(pairs).encode()).hexdigest()[:20],
        "live": live,
        "annotator": annotator,
        "people": [
            {"photo": person.photo, "bodies": pair}
            for person, pair in zip(people, pairs, strict=True)
        ],
    }
    return f'"use strict";\nconst STUDY = {json.dumps(study)};\n'.encode()


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


class _Pictures:
    """Pictures by the names that pages know."""

    def __init__(self, source: CompareSource) -> None:
        self._draw: dict[str, Callable[[], bytes]] = {}
        for number, person in enumerate(source.people):
            self._draw[f"{person.photo}-photo"] = lambda n=number: source.photo(n)
            for second, body in enumerate(person.bodies):
                for view in BODY_VIEWS:
                    self._draw[f"{body}-{view}"] = lambda n=number, s=bool(second), v=view: (
                        source.body(n, s, v)
                    )

    def __contains__(self, name: str) -> bool:
        return name in self._draw

    def draw(self, name: str) -> bytes:
        """The picture; KeyError if there is none of this name."""
        return self._draw[name]()


class CompareServer(LocalServer):
    """Serves a comparison; `serve_forever` runs it."""

    def __init__(
        self, source: CompareSource, votes: VoteFile, *, annotator: str = "", port: int = 0
    ) -> None:
        """Listen at `port`, 0 for any free one. OSError in one line if that cannot be."""
        self.votes, self.drawing = votes, _Pictures(source)
        self.study = study_script(source.people, annotator=annotator, live=True)
        self.pairs = {tuple(sorted(person.bodies)) for person in source.people}
        super().__init__(_Handler, name="compare", port=port)


class _Handler(LocalHandler):
    """One request."""

    FILES = MappingProxyType(
        {
            "/": ("compare/compare.html", "text/html; charset=utf-8"),
            "/compare.js": ("compare/compare.js", _SCRIPT),
            "/compare.css": ("compare/compare.css", "text/css; charset=utf-8"),
        }
    )
    TAKES = MappingProxyType({"/votes": "a vote"})

    server: CompareServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def found(self, path: str, options: Options) -> Reply:
        """Whom to show, what this voter said before, or a picture."""
        if path == "/votes":
            annotator = options.text("annotator", "")
            options.check_all_known()
            return json_reply({"votes": self._votes(annotator)})
        options.check_all_known()
        if path == f"/{_STUDY}":
            return self.server.study, _SCRIPT
        name = path.removeprefix("/pictures/").removesuffix(".jpg")
        if path != f"/pictures/{name}.jpg" or name not in self.server.drawing:
            raise no_page(self.path)
        draw = self.server.drawing.draw
        return picture_reply(self.server.pictures.get(name, lambda: draw(name)))

    def _votes(self, annotator: str) -> list[dict[str, Any]]:
        return [
            {"left": vote.left, "right": vote.right, "choice": vote.choice}
            for vote in self.server.votes.votes(annotator)
            if vote.pair in self.server.pairs
        ]

    def taken(self, path: str, asked: Mapping[str, Any]) -> Reply:
        """Save a vote."""
        try:
            vote = vote_from(dict(asked))
        except ValueError as error:
            raise Refused(400, str(error)) from None
        if vote.pair not in self.server.pairs:
            raise Refused(404, "these bodies are not compared here")
        self.server.votes.add(vote)
        return json_reply({"saved": True})
