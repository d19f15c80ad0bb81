"""The review page: a small HTTP server for one person at this machine.

It answers only to this machine's own names, takes decisions only from its own page, and gives out
nothing but the page and what its `ReviewSource` makes.
"""

import json
import math
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import parse_qs

from exemplar.viewer.review import DECISIONS, SORTS, ReviewRow, ReviewSource

HOST = "127.0.0.1"
"""The only address that is listened to."""

PICTURE_SIZES = (240, 480)
"""Heights of the pictures of the grid and of one sample alone, px."""

LARGEST_PAGE = 500
"""Most samples that are listed at once."""

CACHED_BYTES = 256 * 2**20
"""Pictures are kept in memory up to this many bytes."""

_LARGEST_BODY = 4096
_DRAWN_AT_ONCE = 2
_OWN_NAMES = ("127.0.0.1", "localhost")
_UNDECIDED = "undecided"
_FILES = {
    "/": ("review.html", "text/html; charset=utf-8"),
    "/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/review.css": ("review.css", "text/css; charset=utf-8"),
}
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class _Refused(Exception):
    """A request that gets an error status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class PictureCache:
    """Pictures by key, as many of the last used ones as fit into a number of bytes."""

    def __init__(self, most_bytes: int = CACHED_BYTES) -> None:
        self._most, self._held = most_bytes, 0
        self._pictures: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock, self._drawing = Lock(), BoundedSemaphore(_DRAWN_AT_ONCE)

    def get(self, key: tuple[int, int], draw: Callable[[], bytes]) -> bytes:
        """The picture of `key`; `draw` makes it if it is not held."""
        found = self._find(key)
        if found is not None:
            return found
        with self._drawing:
            found = self._find(key)
            return self._keep(key, draw()) if found is None else found

    def _find(self, key: tuple[int, int]) -> bytes | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def _keep(self, key: tuple[int, int], picture: bytes) -> bytes:
        with self._lock:
            self._held += len(picture) - len(self._pictures.pop(key, b""))
            self._pictures[key] = picture
            while self._held > self._most:
                _, dropped = self._pictures.popitem(last=False)
                self._held -= len(dropped)
        return picture


class ReviewServer(ThreadingHTTPServer):
    """Serves the page of one source; `serve_forever` runs it."""

    daemon_threads = True

    def __init__(self, source: ReviewSource, *, title: str, port: int = 0) -> None:
        """Listen at `port`, 0 for any free one. OSError in one line if that cannot be."""
        self.source, self.title, self.pictures = source, title, PictureCache()
        if not 0 <= port < 2**16:
            raise ValueError(f"expected a port of 0 to 65535, got {port}")
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            advice = "--port 0 takes a free one"
            raise OSError(f"cannot listen at port {port}: {reason}; {advice}") from error

    @property
    def address(self) -> str:
        """What to type into a browser."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what failed in one line; a browser that no longer waits is no failure."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"review: {type(error).__name__}: {error}", file=sys.stderr)


def serve(
    source: ReviewSource, *, title: str, port: int = 0, opened: Callable[[str], None]
) -> None:
    """Serve the page until Ctrl-C; `opened` is told the address once it can be visited."""
    with ReviewServer(source, title=title, port=port) as server:
        opened(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: ReviewServer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "exemplar", ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        """The page, its list of samples, or a picture."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """A decision."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the terminal is for the address."""

    def _answer(self, make: Callable[[], tuple[bytes, str]]) -> None:
        status = 200
        try:
            self._check_host()
            content, kind = make()
        except _Refused as refusal:
            status, (content, kind) = refusal.status, _json({"error": refusal.line})
        except Exception as error:  # the page shows it; the review goes on
            line = " ".join(str(error).split()) or type(error).__name__
            status, (content, kind) = 500, _json({"error": line})
        if status >= 400:
            self.close_connection = True  # a body may not have been read
        self.send_response(status)
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _check_host(self) -> None:
        """Refuse names that are not this machine's: another site's page that had its own name
        changed to this address would send them (DNS rebinding)."""
        host = self.headers.get("Host", "")
        if host.rpartition(":")[0] not in _OWN_NAMES and host not in _OWN_NAMES:
            raise _Refused(403, f"this page answers to {' and '.join(_OWN_NAMES)}, not to {host!r}")

    def _get(self) -> tuple[bytes, str]:
        path, _, query = self.path.partition("?")
        if path in _FILES:
            name, kind = _FILES[path]
            return _static(name), kind
        options = _Options(query)
        if path == "/rows":
            return _json(_listing(self.server, options))
        if path.startswith("/pictures/"):
            return self._picture(path.removeprefix("/pictures/"), options)
        raise _Refused(404, f"there is no page {path[:80]!r}")

    def _picture(self, name: str, options: "_Options") -> tuple[bytes, str]:
        sizes = tuple(str(size) for size in PICTURE_SIZES)
        size = int(options.one_of("size", sizes, sizes[0]))
        options.check_all_known()
        id = _natural("a sample's id", name)
        draw = self.server.source.picture
        with _known_sample(id):
            content = self.server.pictures.get((id, size), lambda: draw(id, size))
        return content, "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"

    def _post(self) -> tuple[bytes, str]:
        if self.path != "/decisions":
            raise _Refused(404, f"there is no page {self.path[:80]!r}")
        self._check_origin()
        asked = _decoded(self.rfile.read(self._body_length()))
        id, decision = asked.get("id"), asked.get("decision")
        if not isinstance(id, int) or isinstance(id, bool) or not 0 <= id < 2**63:
            raise _Refused(400, f"a sample's id is a whole number, got {str(id)[:40]!r}")
        if decision not in DECISIONS:
            raise _Refused(400, f"expected one of {DECISIONS}, got {str(decision)[:40]!r}")
        with _known_sample(id):
            self.server.source.decide(id, decision)
        return _json({"counts": self.server.source.counts()})

    def _check_origin(self) -> None:
        """Refuse what another site's page sends: browsers name the page's site in every POST, and
        no page may send JSON to another site without asking first."""
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers.get('Host')}":
            raise _Refused(403, f"decisions are taken from this page alone, not from {origin!r}")
        kind = self.headers.get("Content-Type", "")
        if kind.split(";")[0].strip().lower() != "application/json":
            raise _Refused(415, f"expected application/json, got {kind!r}")

    def _body_length(self) -> int:
        length = self.headers.get("Content-Length")
        if length is None:
            raise _Refused(411, "expected a Content-Length")
        if _natural("a Content-Length", length) > _LARGEST_BODY:
            raise _Refused(413, f"expected at most {_LARGEST_BODY} bytes, got {length}")
        return int(length)


@contextmanager
def _known_sample(id: int) -> Iterator[None]:
    try:
        yield
    except KeyError:
        raise _Refused(404, f"there is no sample {id}") from None


class _Options:
    """The options of an address, each given once at most."""

    def __init__(self, query: str) -> None:
        try:
            given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise _Refused(400, f"expected name=value options, got {query[:80]!r}") from None
        self._given, self._asked = given, set[str]()

    def text(self, name: str, otherwise: str) -> str:
        """The option, or what stands for it."""
        self._asked.add(name)
        values = self._given.get(name, [otherwise])
        if len(values) > 1:
            raise _Refused(400, f"{name} is given {len(values)} times, expected once")
        return values[0]

    def one_of(self, name: str, known: tuple[str, ...], otherwise: str) -> str:
        """An option with few values."""
        value = self.text(name, otherwise)
        if value not in known:
            raise _Refused(400, f"{name}: expected one of {', '.join(known)}, got {value[:40]!r}")
        return value

    def check_all_known(self) -> None:
        """Refuse options that nobody asked for: a typo must not pass for a default."""
        unknown = sorted(self._given.keys() - self._asked)
        if unknown:
            raise _Refused(400, f"unknown option {unknown[0][:40]!r}, expected {self._known()}")

    def _known(self) -> str:
        return ", ".join(sorted(self._asked))


def _listing(server: ReviewServer, options: _Options) -> dict[str, Any]:
    """One page of samples, whether more follow, and how many there are of each kind."""
    status = options.text("status", "")
    decisions = ("all", _UNDECIDED, *(name for name in DECISIONS if name))
    decision = options.one_of("decision", decisions, "all")
    wanted = {"all": None, _UNDECIDED: DECISIONS[0]}.get(decision, decision)
    sort = options.one_of("sort", SORTS, SORTS[0])
    offset = _natural("offset", options.text("offset", "0"))
    limit = _natural("limit", options.text("limit", "24"))
    options.check_all_known()
    if not 1 <= limit <= LARGEST_PAGE:
        raise _Refused(400, f"limit: expected 1 to {LARGEST_PAGE}, got {limit}")
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


def _json(value: Mapping[str, Any]) -> tuple[bytes, str]:
    return json.dumps(value, allow_nan=False).encode(), "application/json"


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise _Refused(400, 'expected {"id": number, "decision": text} as JSON')
    return asked


def _natural(what: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise _Refused(400, f"{what} is a whole number, got {text[:40]!r}")
    return int(text)


@cache
def _static(name: str) -> bytes:
    return resources.files("exemplar.viewer").joinpath(name).read_bytes()
