"""The page of a blind comparison: what it says, what it takes, and that it tells nothing."""

import json
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from exemplar.viewer import local_server
from exemplar.viewer.compare.page import (
    BODY_VIEWS,
    BodyView,
    CompareServer,
    study_script,
    write_comparison,
)
from exemplar.viewer.compare.people import ComparedPerson
from exemplar.viewer.compare.votes import VoteFile, read_votes
from tests.viewer.compare.made_comparison import made_people

JPEG = b"\xff\xd8\xff made up"


class MadeSource:
    """Pictures that say what they are of."""

    def __init__(self) -> None:
        self.people: Sequence[ComparedPerson] = made_people(4)
        self.drawn: list[str] = []

    def photo(self, person: int) -> bytes:
        self.drawn.append(f"{person} photo")
        return JPEG + self.drawn[-1].encode()

    def body(self, person: int, second: bool, view: BodyView) -> bytes:
        self.drawn.append(f"{person} {'ab'[second]} {view}")
        return JPEG + self.drawn[-1].encode()


@pytest.fixture
def source() -> MadeSource:
    return MadeSource()


@pytest.fixture
def server(source: MadeSource, tmp_path: Path) -> Iterator[CompareServer]:
    votes = VoteFile(tmp_path / "votes.jsonl")
    with CompareServer(source, votes, annotator="ann") as running:
        thread = threading.Thread(target=lambda: running.serve_forever(poll_interval=0.01))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def ask(
    server: CompareServer, address: str, body: object = None, headers: Mapping[str, str] = {}
) -> tuple[int, bytes]:
    """Status and content of a reply; a body is posted as the page would."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    given = {"Content-Type": "application/json"} | dict(headers)
    content = None if body is None else json.dumps(body).encode()
    address = f"/{server.token}{address}"
    connection.request("GET" if body is None else "POST", address, content, given)
    reply = connection.getresponse()
    found = reply.status, reply.read()
    connection.close()
    return found


def a_vote(person: ComparedPerson, **changes: Any) -> dict[str, Any]:
    left, right = person.bodies
    return {"annotator": "ann", "left": left, "right": right, "choice": "left"} | changes


def study_of(script: bytes) -> dict[str, Any]:
    found = re.search(rb"const STUDY = (.*);", script)
    assert found
    return json.loads(found[1])


def test_the_page_and_what_it_needs_are_served(server: CompareServer) -> None:
    status, page = ask(server, "/")
    assert status == 200
    for address in re.findall(r'(?:src|href)="([a-z.]+)"', page.decode()):
        assert ask(server, f"/{address}")[0] == 200


def test_a_study_names_bodies_in_an_order_that_tells_nothing(server: CompareServer) -> None:
    study = study_of(ask(server, "/study.js")[1])
    assert (study["live"], study["annotator"]) == (True, "ann")
    assert [set(one["bodies"]) for one in study["people"]] == [
        set(person.bodies) for person in made_people(4)
    ]
    for one in study["people"]:
        assert one["bodies"] == sorted(one["bodies"])
    swapped = [
        ComparedPerson(p.image, p.annotation_id, p.subject, p.bodies[::-1]) for p in made_people(4)
    ]
    assert study_script(swapped) == study_script(made_people(4))


def test_pictures_are_drawn_when_asked_for_and_once(
    server: CompareServer, source: MadeSource
) -> None:
    person = source.people[1]
    first, second = person.bodies
    for _ in range(2):
        assert ask(server, f"/pictures/{first}-plain.jpg") == (200, JPEG + b"1 a plain")
        assert ask(server, f"/pictures/{second}-overlay.jpg") == (200, JPEG + b"1 b overlay")
        assert ask(server, f"/pictures/{person.photo}-photo.jpg") == (200, JPEG + b"1 photo")
    assert source.drawn == ["1 a plain", "1 b overlay", "1 photo"]


def test_votes_are_saved_at_once_and_given_back_to_their_voter(
    server: CompareServer, source: MadeSource, tmp_path: Path
) -> None:
    given = a_vote(source.people[0], overlay=True, seconds=2.5)
    assert ask(server, "/votes", given)[0] == 200
    ask(server, "/votes", a_vote(source.people[1], annotator="ben"))
    ask(server, "/votes", a_vote(source.people[0], choice="none"))
    saved = read_votes(tmp_path / "votes.jsonl")
    assert [(vote.annotator, vote.choice) for vote in saved] == [
        ("ann", "left"), ("ben", "left"), ("ann", "none"),
    ]  # fmt: skip
    assert (saved[0].overlay, saved[0].seconds) == (True, 2.5)
    shown = json.loads(ask(server, "/votes?annotator=ann")[1])["votes"]
    left, right = source.people[0].bodies
    assert shown == [{"left": left, "right": right, "choice": "none"}]
    assert json.loads(ask(server, "/votes?annotator=cem")[1])["votes"] == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"choice": "both"}, 400),
        ({"annotator": ""}, 400),
        ({"source": "a"}, 400),
        ({"left": "someone"}, 404),
        ({"right": "1b1"}, 404),
    ],
)
def test_bad_votes_are_refused_with_a_line(
    server: CompareServer, source: MadeSource, change: dict[str, str], status: int
) -> None:
    found, content = ask(server, "/votes", a_vote(source.people[0], **change))
    assert found == status
    assert json.loads(content)["error"]
    assert server.votes.votes() == []


def test_only_the_own_page_at_this_machine_is_answered(
    server: CompareServer, source: MadeSource
) -> None:
    vote = a_vote(source.people[0])
    assert ask(server, "/votes", vote, {"Origin": "http://evil.example"})[0] == 403
    assert ask(server, "/study.js", headers={"Host": "evil.example"})[0] == 403
    for address in ("/pictures/1a1.jpg", "/pictures/..%2fvotes", "/votes.jsonl", "/decisions"):
        assert ask(server, address)[0] == 404
    assert ask(server, "/pictures/1a1-plain.jpg?source=a")[0] == 400
    assert server.votes.votes() == []


def test_the_written_page_is_whole_and_tells_nothing(source: MadeSource, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    told: list[int] = []
    write_comparison(source, folder, drawn=told.append)
    assert told == [1, 2, 3, 4]
    page = (folder / "index.html").read_text()
    for name in re.findall(r'(?:src|href)="([a-z.]+)"', page):
        assert (folder / name).is_file()
    study = study_of((folder / "study.js").read_bytes())
    assert (study["live"], study["annotator"]) == (False, "")
    names = {f"{one['photo']}-photo" for one in study["people"]}
    names |= {f"{b}-{v}" for one in study["people"] for b in one["bodies"] for v in BODY_VIEWS}
    assert {path.stem for path in (folder / "pictures").iterdir()} == names
    # drawn in the order of names: half the people's second body comes first
    bodies = [what.split()[1] for what in source.drawn if what.endswith("plain")]
    assert bodies == ["a", "b", "b", "a", "a", "b", "b", "a"]


def test_an_earlier_page_is_replaced_and_another_folder_is_left_alone(
    source: MadeSource, tmp_path: Path
) -> None:
    folder = tmp_path / "page"
    write_comparison(source, folder)
    source.people = made_people(1)
    write_comparison(source, folder)
    assert len(list((folder / "pictures").iterdir())) == 1 + 2 * len(BODY_VIEWS)
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        write_comparison(source, tmp_path)


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
def test_sides_are_fair_lasting_and_each_voters_own() -> None:
    """The page's own rule, run as it is: 2000 pairs, three voters."""
    script = local_server.packaged("compare/compare.js").decode()
    rule = re.search(r"^function swapped\(.*?^}", script, re.DOTALL | re.MULTILINE)
    assert rule
    count = 2000
    asked = (
        f"{rule[0]}; const pairs = Array.from({{ length: {count} }}, (_, i) => ["
        f"`${{i}}a`, `${{i}}b`]);"
        "const of = (voter) => pairs.map((pair) => Number(swapped(voter, pair)));"
        "console.log(JSON.stringify(['ann', 'anm', 'ann', 'Zoë'].map(of)));"
    )
    made = subprocess.run(["node", "-e", asked], capture_output=True, check=True, text=True)
    ann, other, again, zoe = json.loads(made.stdout)
    assert ann == again
    near = 6 * (count * 0.25) ** 0.5  # 6 standard deviations of fair coins
    for sides in (ann, other, zoe):
        assert abs(sum(sides) - count / 2) < near
    for sides in (other, zoe):
        same = sum(a == b for a, b in zip(ann, sides, strict=True))
        assert abs(same - count / 2) < near


_VOTER = """
setInterval(() => {
  if (ready < 3 || at >= STUDY.people.length) return;
  const key = ["1", "2", "0", "o"][at];
  document.dispatchEvent(new KeyboardEvent("keydown", { key }));
  if (key === "o") document.dispatchEvent(new KeyboardEvent("keydown", { key: "1" }));
}, 20);
"""
_PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154"
    "789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="needs chromium")
def test_a_browser_votes_with_the_keys(
    server: CompareServer, source: MadeSource, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The page in a real browser, with a script that presses 1, 2, 0, and o before 1."""
    packaged = local_server.packaged
    driven = {"compare/compare.js": packaged("compare/compare.js") + _VOTER.encode()}
    monkeypatch.setattr(local_server, "packaged", lambda name: driven.get(name, packaged(name)))
    monkeypatch.setattr(MadeSource, "photo", lambda *given: _PIXEL)
    monkeypatch.setattr(MadeSource, "body", lambda *given: _PIXEL)
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
        f"--user-data-dir={tmp_path / 'profile'}", server.address,
    ]  # fmt: skip
    browser = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(900):
            if len(server.votes.votes()) == len(source.people):
                break
            threading.Event().wait(0.1)
    finally:
        browser.terminate()
        browser.wait()
    votes = server.votes.votes("ann")
    assert [vote.choice for vote in votes] == ["left", "right", "none", "left"]
    assert [vote.pair for vote in votes] == [tuple(sorted(p.bodies)) for p in source.people]
    assert [vote.overlay for vote in votes] == [False, False, False, True]
