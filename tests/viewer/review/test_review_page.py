"""The review page's server, spoken to as a browser would."""

import json
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection, HTTPResponse
from typing import Any

import pytest

from exemplar.viewer.local_server import PictureCache
from exemplar.viewer.review import Decision, ReviewRow, ReviewServer, Sort
from exemplar.viewer.review.page import LARGEST_PAGE, PICTURE_SIZES
from exemplar.viewer.review.source import SORTS

PNG = b"\x89PNG made up"
JPEG = b"\xff\xd8\xff made up"


class MadeSource:
    """Three samples in memory; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.drawn: list[tuple[int, int]] = []
        self.samples = {
            7: ReviewRow(7, "a.jpg", "ok", error_before=14.0, error_after=3.5, annotation_id=785),
            8: ReviewRow(8, "b é <b>.jpg", "rejected", "a beta of 6.1"),
            9: ReviewRow(9, "c.jpg", "ok", decision="accepted"),
        }

    def rows(
        self, *, status: str | None, decision: Decision | None, sort: Sort, offset: int, limit: int
    ) -> Sequence[ReviewRow]:
        self.asked.append(
            {"status": status, "decision": decision, "sort": sort, "offset": offset, "limit": limit}
        )
        return list(self.samples.values())[offset : offset + limit]

    def counts(self) -> Mapping[str, Mapping[str, int]]:
        rows = self.samples.values()
        return {
            "status": Counter(row.status for row in rows),
            "decision": Counter(row.decision for row in rows),
        }

    def picture(self, id: int, size: int) -> bytes:
        self.drawn.append((id, size))
        if id == 9:
            raise ValueError("no image at /data/c.jpg")
        return {7: PNG, 8: JPEG}[id]

    def decide(self, id: int, decision: Decision) -> None:
        row = self.samples[id]
        self.samples[id] = ReviewRow(**{**vars(row), "decision": decision})


@pytest.fixture
def source() -> MadeSource:
    return MadeSource()


@pytest.fixture
def server(source: MadeSource) -> Iterator[ReviewServer]:
    with ReviewServer(source, title="out") as running:
        thread = threading.Thread(target=lambda: running.serve_forever(poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(
    server: ReviewServer,
    address: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[HTTPResponse, bytes]:
    """A reply and its content. `headers` stand for, or beside, the ones that a client sends."""
    return ask_at(server, f"/{server.token}{address}", method=method, body=body, headers=headers)


def ask_at(
    server: ReviewServer,
    address: str,
    *,
    method: str = "GET",
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[HTTPResponse, bytes]:
    """Like `ask`, without the address's secret."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    given = dict(headers or {})
    connection.putrequest(method, address, skip_host="Host" in given)
    if body is not None and "Content-Length" not in given:
        given["Content-Length"] = str(len(body))
    for name, value in given.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    return reply, content


def refusal(reply: tuple[HTTPResponse, bytes], status: int) -> str:
    """The one line of a refused request."""
    assert reply[0].status == status
    line = json.loads(reply[1])["error"]
    assert line
    assert "\n" not in line
    return line


def decide(
    server: ReviewServer, asked: object, headers: Mapping[str, str] | None = None
) -> tuple[HTTPResponse, bytes]:
    body = asked if isinstance(asked, bytes) else json.dumps(asked).encode()
    given = {"Content-Type": "application/json", **(headers or {})}
    return ask(server, "/decisions", method="POST", body=body, headers=given)


@pytest.mark.parametrize(
    ("path", "kind"), [("/", "html"), ("/review.js", "javascript"), ("/review.css", "css")]
)
def test_the_page_and_its_files_are_served(server: ReviewServer, path: str, kind: str) -> None:
    reply, content = ask(server, path)
    assert reply.status == 200
    assert kind in str(reply.getheader("Content-Type"))
    assert len(content) > 500


def test_the_page_asks_nothing_of_other_machines(server: ReviewServer) -> None:
    for path in ("/", "/review.js", "/review.css"):
        reply, content = ask(server, path)
        assert b"://" not in content
        assert "default-src 'self'" in str(reply.getheader("Content-Security-Policy"))


def test_samples_are_listed_with_counts(server: ReviewServer) -> None:
    reply, content = ask(server, "/rows")
    assert reply.status == 200
    listed = json.loads(content)
    assert [row["id"] for row in listed["rows"]] == [7, 8, 9]
    first, second, _ = listed["rows"]
    assert first["error_after"] == 3.5
    assert first["annotation_id"] == 785
    assert second["error_after"] is None  # JSON has no nan
    assert second["image"] == "b é <b>.jpg"
    assert second["message"] == "a beta of 6.1"
    assert listed["title"] == "out"
    assert listed["more"] is False
    assert listed["counts"] == {
        "status": {"ok": 2, "rejected": 1},
        "decision": {"": 2, "accepted": 1},
    }


def test_a_page_says_whether_more_follow(server: ReviewServer) -> None:
    for offset, limit, ids, more in (
        (0, 2, [7, 8], True),
        (0, 3, [7, 8, 9], False),
        (2, 2, [9], False),
    ):
        listed = json.loads(ask(server, f"/rows?offset={offset}&limit={limit}")[1])
        assert [row["id"] for row in listed["rows"]] == ids
        assert listed["more"] is more


@pytest.mark.parametrize("sort", SORTS)
def test_every_order_reaches_the_source(
    server: ReviewServer, source: MadeSource, sort: str
) -> None:
    ask(server, f"/rows?sort={sort}")
    assert source.asked[-1]["sort"] == sort


@pytest.mark.parametrize(
    ("text", "decision"),
    [("all", None), ("undecided", ""), ("accepted", "accepted"), ("rejected", "rejected")],
)
def test_every_filter_reaches_the_source(
    server: ReviewServer, source: MadeSource, text: str, decision: str | None
) -> None:
    ask(server, f"/rows?decision={text}&status=bad_input&offset=2&limit=5")
    (asked,) = source.asked
    assert (asked["status"], asked["decision"]) == ("bad_input", decision)
    assert (asked["offset"], asked["limit"]) == (2, 6)  # one more, to see if more follow


def test_worst_first_and_everything_is_the_beginning(
    server: ReviewServer, source: MadeSource
) -> None:
    ask(server, "/rows?status=")
    assert source.asked == [
        {"status": None, "decision": None, "sort": "error_after", "offset": 0, "limit": 25}
    ]


def test_decisions_arrive_and_are_counted(server: ReviewServer, source: MadeSource) -> None:
    steps: tuple[tuple[Decision, int], ...] = (("accepted", 2), ("rejected", 1), ("", 2))
    for decision, count in steps:
        reply, content = decide(server, {"id": 8, "decision": decision})
        assert reply.status == 200
        assert source.samples[8].decision == decision
        assert json.loads(content)["counts"]["decision"][decision] == count


def test_pictures_keep_their_format_and_are_drawn_once(
    server: ReviewServer, source: MadeSource
) -> None:
    small, large = PICTURE_SIZES
    for _ in range(2):
        reply, content = ask(server, f"/pictures/7?size={large}")
        assert (reply.getheader("Content-Type"), content) == ("image/png", PNG)
        reply, content = ask(server, "/pictures/8")
        assert (reply.getheader("Content-Type"), content) == ("image/jpeg", JPEG)
    assert source.drawn == [(7, large), (8, small)]


def test_a_picture_that_cannot_be_drawn_says_why_and_is_tried_again(
    server: ReviewServer, source: MadeSource
) -> None:
    for _ in range(2):
        assert "no image at" in refusal(ask(server, "/pictures/9"), 500)
    assert len(source.drawn) == 2


def test_unknown_samples_and_pages_are_not_found(server: ReviewServer, source: MadeSource) -> None:
    assert "no sample 10" in refusal(ask(server, "/pictures/10"), 404)
    assert "no sample 10" in refusal(decide(server, {"id": 10, "decision": "accepted"}), 404)
    paths = ("/etc/passwd", "/../review_page.py", "/review_page.py", "/pictures", "/%2e")
    for path in paths:
        refusal(ask(server, path), 404)
    refusal(ask(server, "/", method="POST", body=b""), 404)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/rows?sort=beauty", "error_after"),
        ("/rows?decision=maybe", "undecided"),
        ("/rows?offset=-1", "offset"),
        ("/rows?limit=0", "1 to"),
        (f"/rows?limit={LARGEST_PAGE + 1}", "1 to"),
        ("/rows?limit=1e9", "limit"),
        ("/rows?sorted=id", "sorted"),
        ("/rows?sort=id&sort=loss", "2 times"),
        ("/rows?sort", "name=value"),
        ("/pictures/7?size=90000", "expected one of"),
        ("/pictures/7?id=8", "id"),
        ("/pictures/..", "whole number"),
        ("/pictures/7/8", "whole number"),
        ("/pictures/-7", "whole number"),
        ("/pictures/%37", "whole number"),
        ("/pictures/99999999999999999999", "whole number"),
    ],
)
def test_bad_addresses_are_refused_with_a_line(
    server: ReviewServer, source: MadeSource, address: str, said: str
) -> None:
    assert said in refusal(ask(server, address), 400)
    assert not source.asked
    assert not source.drawn


@pytest.mark.parametrize(
    "asked",
    [
        b"",
        b"{",
        b"[" * 4000,
        b"\xff",
        [7, "accepted"],
        {"decision": "accepted"},
        {"id": "7", "decision": "accepted"},
        {"id": 7.0, "decision": "accepted"},
        {"id": True, "decision": "accepted"},
        {"id": -7, "decision": "accepted"},
        {"id": 7},
        {"id": 7, "decision": "perhaps"},
        {"id": 7, "decision": ["accepted"]},
    ],
)
def test_bad_decisions_are_refused_with_a_line(
    server: ReviewServer, source: MadeSource, asked: object
) -> None:
    refusal(decide(server, asked), 400)
    assert source.samples[7].decision == ""


def test_a_body_must_be_json_of_a_known_small_length(
    server: ReviewServer, source: MadeSource
) -> None:
    good = {"id": 7, "decision": "accepted"}
    refusal(decide(server, good, {"Content-Type": "text/plain"}), 415)
    refusal(decide(server, good, {"Content-Length": "100000000"}), 413)
    refusal(decide(server, good, {"Content-Length": "-1"}), 400)
    headers = {"Content-Type": "application/json"}
    refusal(ask(server, "/decisions", method="POST", headers=headers), 411)
    assert source.samples[7].decision == ""


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_a_decision_from_another_page_is_refused(
    server: ReviewServer, source: MadeSource, origin: str
) -> None:
    origin = origin.format(port=server.server_port)
    refusal(decide(server, {"id": 7, "decision": "accepted"}, {"Origin": origin}), 403)
    assert source.samples[7].decision == ""


@pytest.mark.parametrize(
    "address", ["/", "/rows", "/pictures/7", "/review.js", "//rows", "/{}x/", "/{}"]
)
def test_who_was_not_told_the_address_gets_nothing(
    server: ReviewServer, source: MadeSource, address: str
) -> None:
    refusal(ask_at(server, address.format(server.token)), 403)
    body = b'{"id": 7, "decision": "accepted"}'
    headers = {"Content-Type": "application/json"}
    refusal(ask_at(server, "/decisions", method="POST", body=body, headers=headers), 403)
    assert not source.asked
    assert source.samples[7].decision == ""


def test_every_server_has_another_secret(server: ReviewServer, source: MadeSource) -> None:
    with ReviewServer(source, title="other") as other:
        assert other.token != server.token
        assert len(other.token) > 20


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_what_a_browser_sends_for_another_site_is_refused(
    server: ReviewServer, source: MadeSource, site: str
) -> None:
    refusal(decide(server, {"id": 7, "decision": "accepted"}, {"Sec-Fetch-Site": site}), 403)
    assert source.samples[7].decision == ""


def test_a_decision_from_the_own_page_is_taken(server: ReviewServer, source: MadeSource) -> None:
    for host in (f"127.0.0.1:{server.server_port}", f"localhost:{server.server_port}"):
        source.decide(7, "")
        headers = {"Host": host, "Origin": f"http://{host}"}
        assert decide(server, {"id": 7, "decision": "accepted"}, headers)[0].status == 200
        assert source.samples[7].decision == "accepted"


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example:80", "", "[", "0.0.0.0", "localhost", "127.0.0.1:1"],
)
@pytest.mark.parametrize("address", ["/", "/rows", "/pictures/7"])
def test_names_that_are_not_this_machine_get_nothing(
    server: ReviewServer, source: MadeSource, host: str, address: str
) -> None:
    """What a page whose name was changed to this address (DNS rebinding) would send."""
    refusal(ask(server, address, headers={"Host": host}), 403)
    assert not source.asked
    assert not source.drawn


def test_only_this_machine_is_listened_to(server: ReviewServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.address == f"http://127.0.0.1:{server.server_port}/{server.token}/"


def test_a_taken_port_is_one_clear_line(server: ReviewServer, source: MadeSource) -> None:
    with pytest.raises(OSError, match=f"port {server.server_port}: .*in use; --port 0"):
        ReviewServer(source, title="other", port=server.server_port)
    with pytest.raises(ValueError, match="65535"):
        ReviewServer(source, title="other", port=70000)


def test_pictures_are_forgotten_oldest_first_within_the_bytes() -> None:
    held = PictureCache(most_bytes=25)
    made: list[int] = []

    def get(id: int) -> bytes:
        return held.get((id, 200), lambda: made.append(id) or bytes(10))

    for id in (1, 2, 1, 3, 1, 2):  # 3 pushes 2 out, as 1 was used after it
        assert get(id) == bytes(10)
    assert made == [1, 2, 3, 2]


def test_a_picture_larger_than_the_cache_is_still_given() -> None:
    assert PictureCache(most_bytes=5).get((1, 200), lambda: bytes(10)) == bytes(10)
