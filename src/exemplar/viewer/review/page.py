"""The review page: lifted samples for one person at this machine to accept or reject."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from exemplar.viewer.local_server import (
    LocalHandler,
    LocalServer,
    Options,
    Refused,
    Reply,
    json_reply,
    natural,
    no_page,
    picture_reply,
    serve_until_interrupted,
)
from exemplar.viewer.review.source import DECISIONS, SORTS, ReviewRow, ReviewSource

PICTURE_SIZES = (240, 480)
"""Heights of the pictures of the grid and of one sample alone, px."""

LARGEST_PAGE = 500
"""Most samples that are listed at once."""

_UNDECIDED = "undecided"


class ReviewServer(LocalServer):
    """Serves the page of one source; `serve_forever` runs it."""

    def __init__(self, source: ReviewSource, *, title: str, port: int = 0) -> None:
        """Listen at `port`, 0 for any free one. OSError in one line if that cannot be."""
        self.source, self.title = source, title
        super().__init__(_Handler, name="review", port=port)


def serve(
    source: ReviewSource, *, title: str, port: int = 0, opened: Callable[[str], None]
) -> None:
    """Serve the page until Ctrl-C; `opened` is told the address once it can be visited."""
    serve_until_interrupted(ReviewServer(source, title=title, port=port), opened)


class _Handler(LocalHandler):
    """One request."""

    FILES = MappingProxyType(
        {
            "/": ("review/review.html", "text/html; charset=utf-8"),
            "/review.js": ("review/review.js", "text/javascript; charset=utf-8"),
            "/review.css": ("review/review.css", "text/css; charset=utf-8"),
        }
    )
    TAKES = MappingProxyType({"/decisions": '{"id": number, "decision": text}'})

    server: ReviewServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def found(self, path: str, options: Options) -> Reply:
        """The list of samples, or a picture."""
        if path == "/rows":
            return json_reply(_listing(self.server, options))
        if path.startswith("/pictures/"):
            return self._picture(path.removeprefix("/pictures/"), options)
        raise no_page(self.path)

    def _picture(self, name: str, options: Options) -> Reply:
        sizes = tuple(str(size) for size in PICTURE_SIZES)
        size = int(options.one_of("size", sizes, sizes[0]))
        options.check_all_known()
        id = natural("a sample's id", name)
        draw = self.server.source.picture
        with _known_sample(id):
            return picture_reply(self.server.pictures.get((id, size), lambda: draw(id, size)))

    def taken(self, path: str, asked: Mapping[str, Any]) -> Reply:
        """Save a decision."""
        id, decision = asked.get("id"), asked.get("decision")
        if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < 2**63:
            raise Refused(400, f"a sample's id is a whole number, got {str(id)[:40]!r}")
        if decision not in DECISIONS:
            raise Refused(400, f"expected one of {DECISIONS}, got {str(decision)[:40]!r}")
        with _known_sample(id):
            self.server.source.decide(id, decision)
        return json_reply({"counts": self.server.source.counts()})


@contextmanager
def _known_sample(id: int) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise Refused(404, f"there is no sample {id}") from None


def _listing(server: ReviewServer, options: Options) -> dict[str, Any]:
    """One page of samples, whether more follow, and how many there are of each kind."""
    status = options.text("status", "")
    decisions = ("all", _UNDECIDED, *(name for name in DECISIONS if name))
    decision = options.one_of("decision", decisions, "all")
    wanted = {"all": None, _UNDECIDED: DECISIONS[0]}.get(decision, decision)
    sort = options.one_of("sort", SORTS, SORTS[0])
    offset = natural("offset", options.text("offset", "0"))
    limit = natural("limit", options.text("limit", "24"))
    options.check_all_known()
    if not 1 <= limit <= LARGEST_PAGE:
        raise Refused(400, f"limit: expected 1 to {LARGEST_PAGE}, got {limit}")
    rows = server.source.rows(
        status=status or None,
        decision=wanted,  # pyright: ignore[reportArgumentType] - one of DECISIONS
        sort=sort,  # pyright: ignore[reportArgumentType] - one of SORTS
        offset=offset,
        limit=limit + 1,
    )
    return {
        "title": server.title,
        "sizes": PICTURE_SIZES,
        "rows": [_row(row) for row in rows[:limit]],
        "more": len(rows) > limit,
        "counts": server.source.counts(),
    }


def _row(row: ReviewRow) -> dict[str, Any]:
    """For JSON, which has no nan."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in asdict(row).items()
    }
