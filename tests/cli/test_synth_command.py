"""`exemplar synth`: what it prints and writes, one line for bad input."""

from pathlib import Path

import pytest

from exemplar.cli import main
from exemplar.data.formats import read


def run(*arguments: object) -> int:
    """Exit status of `exemplar synth`."""
    try:
        main(["synth", *(str(a) for a in arguments)])
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_data_set_is_written_and_can_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "set"
    assert run("lab", "--out", out, "--count", 2, "--truth", "give") == 0
    assert "drew 2 people" in capsys.readouterr().out
    people = list(read(out / "annotations.npz"))
    assert [p.image for p in people] == ["images/00000000.jpg", "images/00000001.jpg"]
    assert all((out / p.image).is_file() and p.body is not None for p in people)
    assert run("lab", "--out", out, "--count", 2) == 0
    shown = capsys.readouterr().out
    assert "drew 0 people" in shown
    assert "has 2" in shown
    assert all(p.body is None for p in read(out / "annotations.npz"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wild", "--count", 0), "count of 1 or more"),
        (("wild", "--count", 1, "--workers", 0), "1 or more workers"),
        (("wild", "--count", 1, "--start", -5), "start of 0 or more"),
    ],
)
def test_bad_input_is_one_line(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[object, ...],
    said: str,
) -> None:
    assert run(*arguments, "--out", tmp_path / "set") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert said in lines[0]
    assert not (tmp_path / "set").exists()


def test_a_domain_that_is_none_is_wrong_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("moon", "--count", 1, "--out", tmp_path / "set") == 2
    assert "invalid choice 'moon'" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_a_folder_that_cannot_be_made_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("x")
    assert run("wild", "--count", 1, "--out", tmp_path / "file" / "set") == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert "cannot write to" in lines[0]
