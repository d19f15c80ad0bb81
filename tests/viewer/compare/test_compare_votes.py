"""Votes: written at once, read strictly."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from exemplar.viewer.compare.votes import Vote, VoteFile, last_votes, read_votes, vote_from

VOTE = Vote("ann", left="b1", right="a1", choice="left")
RECORD = {"annotator": "ann", "left": "b1", "right": "a1", "choice": "left"}


def test_a_vote_is_in_the_file_when_it_is_given(tmp_path: Path) -> None:
    path = tmp_path / "new" / "votes.jsonl"
    file = VoteFile(path)
    for number, choice in enumerate(("left", "right", "none")):
        file.add(replace(VOTE, left=f"b{number}", choice=choice, seconds=1.5, overlay=True))
        found = read_votes(path)
        assert len(found) == number + 1
        assert found[-1].choice == choice
        assert found[-1].time.endswith("Z")
        assert (found[-1].seconds, found[-1].overlay) == (1.5, True)


def test_whole_seconds_are_seconds() -> None:
    """JSON of a page does not tell 2.0 from 2."""
    assert vote_from(RECORD | {"seconds": 2}) == replace(VOTE, seconds=2.0)


def test_what_is_there_is_kept_and_a_line_without_an_end_is_ended(tmp_path: Path) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(json.dumps(RECORD))
    file = VoteFile(path)
    file.add(replace(VOTE, annotator="ben"))
    assert [vote.annotator for vote in read_votes(path)] == ["ann", "ben"]
    assert file.votes("ann") == [VOTE]
    assert len(file.votes()) == 2


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    file = VoteFile(tmp_path / "votes.jsonl")

    def give(name: str) -> None:
        for number in range(10):
            file.add(replace(VOTE, annotator=name, left=f"b{number}"))

    threads = [threading.Thread(target=give, args=(name,)) for name in ("ann", "ben", "cem")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = read_votes(file.path)
    assert len({(vote.annotator, vote.left) for vote in found}) == len(found) == 30


def test_the_last_vote_on_a_pair_counts_also_with_sides_swapped() -> None:
    again = Vote("ann", left="a1", right="b1", choice="left")
    other = replace(VOTE, annotator="ben")
    assert last_votes([VOTE, other, again]) == [again, other]
    assert (VOTE.preferred, again.preferred) == ("b1", "a1")
    assert replace(VOTE, choice="none").preferred == ""


def test_a_downloaded_list_is_read_too_and_not_added_to(tmp_path: Path) -> None:
    path = tmp_path / "votes-ann.json"
    path.write_text(json.dumps([RECORD, RECORD | {"left": "b2", "time": "2024-01-01T00:00:00Z"}]))
    assert [vote.left for vote in read_votes(path)] == ["b1", "b2"]
    with pytest.raises(ValueError, match="downloaded"):
        VoteFile(path)


@pytest.mark.parametrize(
    "line",
    ["{", "7", "[1]", "null", '{"annotator": "ann"}', json.dumps(RECORD | {"choice": "both"})],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "votes.jsonl"
    path.write_text(f"{json.dumps(RECORD)}\n\n{line}\n")
    with pytest.raises(ValueError, match=r"votes\.jsonl, line 3: "):
        read_votes(path)
    with pytest.raises(ValueError, match="line 3"):
        VoteFile(path)


def test_other_files_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no votes at"):
        read_votes(tmp_path / "gone")
    (tmp_path / "picture").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(ValueError, match="not text"):
        read_votes(tmp_path / "picture")
    (tmp_path / "list.json").write_text(json.dumps([RECORD, 7]))
    with pytest.raises(ValueError, match=r"list\.json, vote 2: expected a vote"):
        read_votes(tmp_path / "list.json")
    (tmp_path / "cut.json").write_text("[{")
    with pytest.raises(ValueError, match="not a list of votes"):
        read_votes(tmp_path / "cut.json")
    with pytest.raises(OSError, match="cannot write votes"):
        VoteFile(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"annotator": " "}, "name"),
        ({"annotator": "x" * 61}, "name"),
        ({"annotator": "a\nb"}, "name"),
        ({"annotator": 7}, "'annotator'"),
        ({"left": "a1"}, "two bodies"),
        ({"left": ""}, "two bodies"),
        ({"seconds": -1.0}, "seconds"),
        ({"seconds": True}, "'seconds'"),
        ({"overlay": 1}, "'overlay'"),
        ({"winner": "a"}, "'winner'"),
    ],
)
def test_what_is_no_vote_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        vote_from(RECORD | change)
