"""What pages for a person at this machine share: a small HTTP server, and pictures kept in memory.

It answers only to those who were told its address, which has a secret in it, by this machine's own
names; takes what is sent only from its own pages, and gives out nothing but what its pages ask for
by name.
"""

import json
import sys
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from functools import cache
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from secrets import token_urlsafe
from threading import BoundedSemaphore, Lock
from typing import Any, ClassVar
from urllib.parse import parse_qs

from exemplar.files.reading_files import one_line

HOST = "127.0.0.1"
"""The only address that is listened to."""

CACHED_BYTES = 256 * 2**20
"""Pictures are kept in memory up to this many bytes."""

Reply = tuple[bytes, str]
"""What is sent, and its kind (MIME)."""

_LARGEST_BODY = 4096
_DRAWN_AT_ONCE = 2
_OWN_NAMES = ("127.0.0.1", "localhost")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; form-action 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Refused(Exception):
    """A request that gets an error status and one line."""

    def __init__(self, status: int, line: str) -> None:
        super().__init__(line)
        self.status, self.line = status, line


class PictureCache:
    """Pictures by key, as many of the last used ones as fit into a number of bytes."""

    def __init__(self, most_bytes: int = CACHED_BYTES) -> None:
        self._most, self._held = most_bytes, 0
        self._pictures: OrderedDict[Hashable, bytes] = OrderedDict()
        self._lock, self._drawing = Lock(), BoundedSemaphore(_DRAWN_AT_ONCE)

    def get(self, key: Hashable, draw: Callable[[], bytes]) -> bytes:
        """The picture of `key`; `draw` makes it if it is not held."""
        found = self._find(key)
        if found is not None:
            return found
        with self._drawing:
            found = self._find(key)
            return self._keep(key, draw()) if found is None else found

    def _find(self, key: Hashable) -> bytes | None:
        with self._lock:
            if key in self._pictures:
                self._pictures.move_to_end(key)
            return self._pictures.get(key)

    def _keep(self, key: Hashable, picture: bytes) -> bytes:
        with self._lock:
            self._held += len(picture) - len(self._pictures.pop(key, b""))
            self._pictures[key] = picture
            while self._held > self._most:
                _, dropped = self._pictures.popitem(last=False)
                self._held -= len(dropped)
        return picture


class LocalServer(ThreadingHTTPServer):
    """Serves one page to this machine; `serve_forever` runs it."""

    daemon_threads = True

    def __init__(self, handler: type["LocalHandler"], *, name: str, port: int = 0) -> None:
        """Listen at `port`, 0 for any free one. OSError in one line if that cannot be.

        `name` begins the lines about requests that failed.
        """
        self.name, self.pictures, self.token = name, PictureCache(), token_urlsafe(16)
        if not 0 <= port < 2**16:
            raise ValueError(f"expected a port of 0 to 65535, got {port}")
        try:
            super().__init__((HOST, port), handler)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            advice = "--port 0 takes a free one"
            raise OSError(f"cannot listen at port {port}: {reason}; {advice}") from error

    @property
    def address(self) -> str:
        """What to type into a browser: whoever knows it may see and decide."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say what failed in one line; a browser that no longer waits is no failure."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"{self.name}: {type(error).__name__}: {error}", file=sys.stderr)


def serve_until_interrupted(server: LocalServer, opened: Callable[[str], None]) -> None:
    """Serve until Ctrl-C; `opened` is told the address once it can be visited."""
    with server:
        opened(server.address)
        try:
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            return


class LocalHandler(BaseHTTPRequestHandler):
    """One request."""

    FILES: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Files of this package by address: their names and kinds."""
    TAKES: ClassVar[Mapping[str, str]] = {}
    """What each address that takes JSON expects, for a person who reads the refusal."""

    server: LocalServer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "exemplar", ""
    protocol_version = "HTTP/1.1"
    timeout = 60

    @abstractmethod
    def found(self, path: str, options: "Options") -> Reply:
        """What is at an address that is none of `FILES`; `Refused` if nothing is."""

    @abstractmethod
    def taken(self, path: str, asked: Mapping[str, Any]) -> Reply:
        """The answer to what was sent to an address of `TAKES`."""

    def do_GET(self) -> None:
        """The page, or what it asks for."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """What the page sends."""
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: the terminal is for the address."""

    def _answer(self, make: Callable[[], Reply]) -> None:
        status = 200
        try:
            self._check_host()
            self._check_token()
            content, kind = make()
        except Refused as refusal:
            status, (content, kind) = refusal.status, json_reply({"error": refusal.line})
        except Exception as error:  # the page shows it and goes on
            line = one_line(error)
            status, (content, kind) = 500, json_reply({"error": line})
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
        own = [f"{name}:{self.server.server_port}" for name in _OWN_NAMES]
        if host not in own:
            raise Refused(403, f"this page answers to {' and '.join(own)}, not to {host[:80]!r}")

    def _check_token(self) -> None:
        """Refuse whoever was not told the address, and take the secret off the path: other
        processes and users of this machine reach the port, too."""
        token, slash, path = self.path.removeprefix("/").partition("/")
        if not slash or not compare_digest(token.encode(), self.server.token.encode()):
            raise Refused(403, "open the address that was printed: it has a secret in it")
        self.path = f"/{path}"

    def _get(self) -> Reply:
        path, _, query = self.path.partition("?")
        if path in self.FILES:
            name, kind = self.FILES[path]
            return packaged(name), kind
        return self.found(path, Options(query))

    def _post(self) -> Reply:
        if self.path not in self.TAKES:
            raise no_page(self.path)
        self._check_origin()
        asked = _decoded(self.rfile.read(self._body_length()), self.TAKES[self.path])
        return self.taken(self.path, asked)

    def _check_origin(self) -> None:
        """Refuse what another site's page sends: browsers name the page's site in every POST, and
        no page may send JSON to another site without asking first."""
        site = self.headers.get("Sec-Fetch-Site", "same-origin")
        if site != "same-origin":
            raise Refused(403, f"decisions are taken from this page alone, not {site[:40]!r}")
        origin = self.headers.get("Origin")
        if origin is not None and origin != f"http://{self.headers.get('Host')}":
            raise Refused(403, f"decisions are taken from this page alone, not from {origin!r}")
        kind = self.headers.get("Content-Type", "")
        if kind.split(";")[0].strip().lower() != "application/json":
            raise Refused(415, f"expected application/json, got {kind!r}")

    def _body_length(self) -> int:
        length = self.headers.get("Content-Length")
        if length is None:
            raise Refused(411, "expected a Content-Length")
        if natural("a Content-Length", length) > _LARGEST_BODY:
            raise Refused(413, f"expected at most {_LARGEST_BODY} bytes, got {length}")
        return int(length)


class Options:
    """The options of an address, each given once at most."""

    def __init__(self, query: str) -> None:
        try:
            given = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        except ValueError:
            raise Refused(400, f"expected name=value options, got {query[:80]!r}") from None
        self._given, self._asked = given, set[str]()

    def text(self, name: str, otherwise: str) -> str:
        """The option, or what stands for it."""
        self._asked.add(name)
        values = self._given.get(name, [otherwise])
        if len(values) > 1:
            raise Refused(400, f"{name} is given {len(values)} times, expected once")
        return values[0]

    def one_of(self, name: str, known: tuple[str, ...], otherwise: str) -> str:
        """An option with few values."""
        value = self.text(name, otherwise)
        if value not in known:
            raise Refused(400, f"{name}: expected one of {', '.join(known)}, got {value[:40]!r}")
        return value

    def check_all_known(self) -> None:
        """Refuse options that nobody asked for: a typo must not pass for a default."""
        unknown = sorted(self._given.keys() - self._asked)
        if unknown:
            raise Refused(400, f"unknown option {unknown[0][:40]!r}, expected {self._known()}")

    def _known(self) -> str:
        return ", ".join(sorted(self._asked)) or "none"


def no_page(path: str) -> Refused:
    """There is nothing at this address."""
    return Refused(404, f"there is no page {path[:80]!r}")


def picture_reply(content: bytes) -> Reply:
    """A JPEG or PNG."""
    return content, "image/png" if content.startswith(b"\x89PNG") else "image/jpeg"


def json_reply(value: Mapping[str, Any]) -> Reply:
    """A value without infinities or nan, which JSON has not."""
    return json.dumps(value, allow_nan=False).encode(), "application/json"


def natural(what: str, text: str) -> int:
    """A whole number of an address or header."""
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise Refused(400, f"{what} is a whole number, got {text[:40]!r}")
    return int(text)


@cache
def packaged(name: str) -> bytes:
    """A file that belongs to a page."""
    return resources.files("exemplar.viewer").joinpath(name).read_bytes()


def _decoded(body: bytes, expected: str) -> dict[str, Any]:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise Refused(400, f"expected {expected} as JSON")
    return asked
