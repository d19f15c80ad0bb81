"""What readers share: JSON within its budget, errors in one line."""

import json
from pathlib import Path

import pytest

from exemplar.files.file_budget import VARIABLE
from exemplar.files.reading_files import read_json, reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_json_is_read_in_any_of_its_encodings(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"é": [1]}, ensure_ascii=False), encoding)
    assert read_json(tmp_path / "a.json") == {"é": [1]}


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a":' * 100_000, "[1, 2", "", "\x00\x01", '{"a": 1} {"b": 2}']
)
def test_what_is_no_json_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match=r"a\.json") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_an_error_of_several_lines_that_names_the_file_becomes_one() -> None:
    with (
        pytest.raises(ValueError, match=r"^a\.bin has \[\[1\] \[1\]\]$"),
        reading("a.bin", "a file"),
    ):
        raise ValueError("a.bin has [[1]\n [1]]")


@pytest.mark.parametrize("item", ["[]", "{}", '{"a":1}', "1", '"ab"', "1.5", '"' + "x" * 90 + '"'])
def test_json_has_a_budget(tmp_path: Path, item: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.json").write_text("[" + ",".join([item] * 20_000) + "]")
    assert len(read_json(tmp_path / "a.json")) == 20_000
    monkeypatch.setenv(VARIABLE, str(0.4 / 1024))
    with pytest.raises(ValueError, match=r"a.json: its contents would take more"):
        read_json(tmp_path / "a.json")


def test_a_file_larger_than_the_budget_is_not_even_read(tmp_path: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.truncate(1 << 36)  # a hole, which takes no room
    with pytest.raises(ValueError, match="would take more than 8192 MB"):
        read_json(tmp_path / "a.json")


def test_a_letter_beyond_the_usual_counts_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python then keeps four bytes for each letter of the text."""
    monkeypatch.setenv(VARIABLE, str(1 / 1024))
    (tmp_path / "a.json").write_text('"' + "x" * 250_000 + '"')
    assert len(read_json(tmp_path / "a.json")) == 250_000
    (tmp_path / "b.json").write_text('"' + "x" * 250_000 + "\U0001f600" + '"')
    with pytest.raises(ValueError, match=r"b.json: its contents would take more"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("number", ["9" * 1_000_000, "-" + "1" * 5000])
def test_a_number_of_very_many_digits_is_one_line(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.json").write_text(f'{{"people": [{number}]}}')
    with pytest.raises(ValueError, match=r"a\.json") as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
