"""`exemplar eval`: what it leaves behind and prints, and one clear line for what can be mended."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exemplar.cli import main
from exemplar.evaluation.records import read_rows
from tests.fixtures.small_set import MISSING, PEOPLE, SmallSet, quick_tools, write_small_set


@pytest.fixture(scope="module", autouse=True)
def _quick() -> Iterator[None]:
    with quick_tools():
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallSet:
    return write_small_set(tmp_path_factory.mktemp("small"))


def command(small: SmallSet, out: Path, *more: object) -> list[str]:
    """An evaluation of one update on the small set; later options go before."""
    usual = ("eval", "--data", small.annotations, "--truth", small.truth, "-o", out)
    usual += ("--regressor", small.regressor, "--iterations", 1)
    return [str(part) for part in (*usual, "--protocol", "open", *more)]


def status_of(arguments: list[str]) -> int:
    try:
        main(arguments)
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


def test_a_run_leaves_its_files_and_prints_its_table(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert status_of(command(small, out)) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    names = {"config.json", "samples.parquet", "summary.json", "report.html", "pictures"}
    assert names <= {path.name for path in out.iterdir()}
    assert list((out / "pictures").iterdir())
    rows = read_rows(out / "samples.parquet")
    assert len(rows) == 4 * PEOPLE
    summary = json.loads((out / "summary.json").read_text())
    lines = shown.out.splitlines()
    expected = "annotations.npz, annotated keypoints, 5 people, protocol open, regressor toy"
    assert any(line.startswith(expected) for line in lines)
    shown_as = {"none": "regressor", "smplify": "smplify", "eft": "eft", "eft+guard": "eft+guard"}
    for method, name in shown_as.items():
        (line,) = (line for line in lines if line.startswith(f"│ {name} "))
        cells = [cell.strip() for cell in line.split("│")[1:-1]]
        assert cells[-1] == str(PEOPLE - 1)
        assert cells[2] == f"{summary['methods'][method]['mpjpe']:.1f}"
    for name in ("samples.parquet", "summary.json", "report.html"):
        assert f"wrote {out / name}" in lines
    assert "Traceback" not in shown.out

    (out / "report.html").unlink()
    assert status_of(command(small, out, "--method", "none", "eft", "--json", "--no-page")) == 0
    shown = capsys.readouterr()
    again = json.loads(shown.out)
    assert again["methods"] == {name: summary["methods"][name] for name in ("none", "eft")}
    assert not (out / "report.html").exists()

    assert status_of(command(small, out, "--quiet", "--no-page")) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_a_folder_moved_elsewhere_goes_on(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The dual networks are added to what another folder had."""
    first = command(small, tmp_path / "a", "--method", "none", "--no-page")
    assert status_of(first) == 0
    (tmp_path / "a").rename(tmp_path / "b")
    more = ("--method", "none", "dual", "--auxiliary", small.auxiliary, "--no-page")
    assert status_of(command(small, tmp_path / "b", *more)) == 0
    assert "│ dual " in capsys.readouterr().out


def test_nobody_with_a_photograph_is_a_table_and_a_page(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    more = ("--images", tmp_path / "empty", "--method", "none", "eft")
    assert status_of(command(small, tmp_path / "run", *more)) == 0
    shown = capsys.readouterr()
    assert (tmp_path / "run" / "report.html").is_file()
    assert shown.err == ""
    assert "│ regressor" in shown.out
    rows = read_rows(tmp_path / "run" / "samples.parquet")
    assert {row["status"] for row in rows} == {"bad_input"}
    assert sum(row["number"] == MISSING for row in rows) == 2


# What can be mended


Bad = Callable[[SmallSet, Path], list[str]]


def options(*more: str) -> Bad:
    """The usual command with more options; {t} is an empty folder."""
    return lambda small, t: command(small, t / "run", *(part.format(t=t) for part in more))


def text_as_annotations(small: SmallSet, t: Path) -> list[str]:
    (t / "a.txt").write_text("no people")
    return command(small, t / "run", "--data", str(t / "a.txt"))


def another_evaluation(small: SmallSet, t: Path) -> list[str]:
    assert status_of(command(small, t / "run", "--method", "none", "--no-page", "--quiet")) == 0
    return command(small, t / "run", "--iterations", "2")


def damaged_settings(small: SmallSet, t: Path) -> list[str]:
    again = another_evaluation(small, t)
    (t / "run" / "config.json").write_text('{"config": ')
    return again


def damaged_block(small: SmallSet, t: Path) -> list[str]:
    another_evaluation(small, t)
    (t / "run" / "blocks" / "none-000000.parquet").write_bytes(b"PAR1")
    return command(small, t / "run", "--method", "none")


def output_is_a_file(small: SmallSet, t: Path) -> list[str]:
    (t / "file").write_text("")
    return command(small, t / "file")


def weights_are_text(small: SmallSet, t: Path) -> list[str]:
    (t / "w.safetensors").write_text("weights")
    return command(small, t / "run", "--regressor", str(t / "w.safetensors"))


BAD: dict[str, tuple[Bad, str]] = {
    "annotations": (options("--data", "{t}/no.npz"), "no.npz"),
    "annotations and their folder": (options("--data", "{t}/no/no.npz"), "no folder of images at"),
    "not annotations": (text_as_annotations, "a.txt"),
    "images": (options("--images", "{t}/no"), "no: give --images"),
    "open set": (options("--data", "open:street"), "no open set 'street', expected one of lab"),
    "open limit": (options("--data", "open:lab", "--limit", "2001"), "lab has 2,000 people"),
    "limit": (options("--limit", "0"), "--limit must be 1 or more, got 0"),
    "protocol": (options("--protocol", "4dpw"), "no protocol '4dpw': expected one of open, 3dpw"),
    "released protocol": (options("--released", "eft"), "no protocol 'open' in eft's program"),
    "format": (options("--format", "spin"), "spin"),
    "option": (options("--option", "colour=red"), "colour"),
    "truth": (options("--truth", "{t}/truth.npz"), "truth.npz"),
    "regressor": (options("--regressor", "no.pt"), "no regressor 'no.pt': expected mobile"),
    "not weights": (weights_are_text, "not a safetensors checkpoint"),
    "auxiliary": (options("--method", "dual"), "dual needs the auxiliary network: give"),
    "auxiliary file": (
        options("--method", "dual", "--auxiliary", "no.pt"), "no regressor 'no.pt'",
    ),
    "body": (options("--body", "{t}/no.npz"), "no.npz"),
    "truth body": (options("--protocol", "3dpw"), "give its file with --truth-body neutral=FILE"),
    "misspelt truth body": (
        options("--truth-body", "man=a.npz"), "'man=a.npz': expected GENDER=FILE, GENDER one of",
    ),
    "truth body without file": (options("--truth-body", "male"), "'male': expected GENDER=FILE"),
    "no file of truth body": (options("--truth-body", "male={t}/no.npz"), "no.npz"),
    "weights to move": (options("--adapt", "nothing"), "adapt='nothing' selects no weight"),
    "rate": (options("--eft-rate", "0"), "learning rate must be positive, got 0"),
    "iterations": (options("--iterations", "-1"), "iterations must be 0 or more, got -1"),
    "device": (options("--device", "warp"), "device 'warp' cannot be used"),
    "another evaluation": (another_evaluation, "an evaluation with another iterations"),
    "damaged settings": (damaged_settings, "config.json: not the settings of an evaluation"),
    "damaged block": (damaged_block, "none-000000.parquet: not a table of an evaluation"),
    "output": (output_is_a_file, "file"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    make, message = BAD[case]
    arguments = make(small, tmp_path)
    capsys.readouterr()
    assert status_of(arguments) == 1
    shown = capsys.readouterr()
    lines = shown.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    assert message in lines[0]
    assert "Traceback" not in shown.out + shown.err
    assert not (tmp_path / "run" / "summary.json").exists() or case in (
        "another evaluation", "damaged settings", "damaged block",
    )  # fmt: skip


@pytest.mark.parametrize(
    "more",
    [
        ("--keypoints", "guessed"),
        ("--method", "hmr"),
        ("--released", "spin"),
        ("--eft", "best"),
        ("--limit", "few"),
    ],
)
def test_wrong_usage_exits_2(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...]
) -> None:
    assert status_of(command(small, tmp_path / "run", *more)) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_mistake_leaves_the_folder_free(
    small: SmallSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After bad input the mended command works in the same folder."""
    wrongs = (
        ("--eft-rate", "0"), ("--adapt", "nothing"), ("--protocol", "3dpw"), ("--limit", "0"),
        ("--method", "none", "dual", "--auxiliary", small.auxiliary, "--dual-rate", "0"),
    )  # fmt: skip
    for wrong in wrongs:
        usual = command(small, tmp_path / "run", "--method", "none", "eft", "--no-page")
        assert status_of([*usual, *map(str, wrong)]) == 1
        assert not list(tmp_path.rglob("*.parquet"))
    mended = command(small, tmp_path / "run", "--method", "none", "--no-page", "--limit", "2")
    assert status_of(mended) == 0
