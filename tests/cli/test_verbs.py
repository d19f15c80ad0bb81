"""The verbs of the command line."""

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from exemplar import cli
from exemplar.cli import GROUPS, VERBS, main
from exemplar.cli.options.export import ExportCommand
from exemplar.cli.options.reproduce import ReproduceCommand
from exemplar.cli.options.synth import SynthCommand
from exemplar.cli.options.train import SupervisedCommand
from exemplar.evaluation.reproduce.workbench import ScaleName
from exemplar.export.targets import SUFFIXES
from exemplar.files.file_budget import VARIABLE
from exemplar.files.image_files import OUTSIDE_VARIABLE
from exemplar.fitting.names import TeacherName
from exemplar.fitting.teachers import TEACHERS
from exemplar.lift.config import Recipe
from exemplar.lift.recipes import DUAL_RECIPES, EFT_RECIPES, SMPLIFY_RECIPES
from exemplar.objectives import Norm
from exemplar.synth.domains import DOMAINS
from exemplar.synth.folders import Truth

ASKED = [[verb, *filter(None, [below])] for verb, all_below in VERBS.items() for below in all_below]
"""Every verb as it is typed."""


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_a_verb_says_what_it_does_with_two_examples_in_plain_words(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exited:
        main([*words, "--help"])
    assert exited.value.code == 0
    told = capsys.readouterr().out
    examples = [line for line in told.splitlines() if line.startswith("    exemplar ")]
    assert len(examples) == 2
    assert all(line.split()[1:].index(words[-1]) == len(words) - 1 for line in examples)
    assert "None" not in told
    assert "default: )" not in told
    assert "(default: False)" not in told


@pytest.mark.parametrize("words", ASKED, ids=" ".join)
def test_the_examples_are_commands_that_parse(
    words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = list[tuple[str, Any]]()
    monkeypatch.setattr(cli, "_run", lambda module, command: ran.append((module, command)))
    module, _, options = VERBS[words[0]][words[1] if len(words) > 1 else ""].partition(".")
    kind = getattr(import_module(f"exemplar.cli.options.{module}"), options)
    lines = [line.strip() for line in kind.__doc__.splitlines()]
    for line in lines[lines.index("For example:") + 1 :][:2]:
        main(shlex.split(line)[1:])
    assert [(name, type(command)) for name, command in ran] == 2 * [(module, kind)]
    assert callable(import_module(f"exemplar.cli.{module}").run)


@pytest.mark.parametrize("buffered", [True, False])
def test_a_reader_that_has_had_enough_ends_it_silently(
    buffered: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As `exemplar --help | head -1` does."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", 0) as raw:
        told = io.TextIOWrapper(raw if not buffered else io.BufferedWriter(raw), write_through=True)
        monkeypatch.setattr(sys, "stdout", told)
        with pytest.raises(SystemExit) as exited:
            main(["--help"])
        assert exited.value.code == 141
        assert capsys.readouterr().err == ""
        told.close()


def test_without_a_verb_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"• {verb}" in told for verb in VERBS)
    assert GROUPS.keys() == {verb for verb, below in VERBS.items() if "" not in below}


@pytest.mark.parametrize(
    "words", [(), *(["--version"], ["--help"]), *([*w, "--help"] for w in ASKED)]
)
def test_neither_the_package_nor_its_help_loads_torch(words: Sequence[str]) -> None:
    """With torch a start takes seconds."""
    lines = [
        "import sys, exemplar",
        f"words = {list(words)}",
        "if words:",
        "    from exemplar.cli import main",
        "    try: main(words)",
        "    except SystemExit: pass",
        "slow = {'torch', 'numba', 'cv2', 'trimesh', 'numpy'}",
        "print(slow & sys.modules.keys(), file=sys.stderr)",
    ]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.stderr == "set()\n"
    assert not words or done.stdout


def test_a_fit_does_not_load_torchs_compiler() -> None:
    """It takes longer than all of the rest."""
    lines = (
        "import sys; from exemplar.scene.self_test import small_fit; small_fit('cpu');"
        " print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", lines], capture_output=True, text=True)
    assert done.stdout == "False\n"


def test_there_is_a_file_for_each_verb_and_no_other() -> None:
    named = {each.partition(".")[0] for below in VERBS.values() for each in below.values()}
    files = {path.stem for path in Path(cli.__file__).parent.glob("*.py")}
    assert files - {"__init__", "__main__"} == named


def test_choices_of_a_verb_are_those_that_there_are() -> None:
    assert set(get_args(get_type_hints(ExportCommand)["to"])) == set(SUFFIXES)
    kinds = get_type_hints(SynthCommand)
    assert set(get_args(kinds["domain"])) == set(DOMAINS)
    assert kinds["truth"] == Truth
    assert get_type_hints(ReproduceCommand)["scale"] == ScaleName
    assert get_type_hints(SupervisedCommand)["joint_norm"] == Norm | None
    assert {*EFT_RECIPES, *SMPLIFY_RECIPES, *DUAL_RECIPES} == set(get_args(Recipe))
    assert set(get_args(TeacherName)) == set(TEACHERS)


@pytest.mark.parametrize("words", [("--max-file-gb", "0"), ("--max-file-gb=much",)])
def test_a_limit_that_is_none_is_one_line(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    with pytest.raises(SystemExit) as ended:
        main(["data", "inspect", "x.npz", *words])
    assert ended.value.code == 1
    assert "expected a number of GB above 0" in capsys.readouterr().err


def test_every_verb_takes_the_limits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv(OUTSIDE_VARIABLE, "")
    path = tmp_path / "big.npz"
    np.savez(path, **dict.fromkeys(("imgname", "center", "scale"), np.zeros(10**6)))
    for limit, says in (("0.001", "would take more than 1 MB"), ("8", "expected a name")):
        with pytest.raises(SystemExit):
            main(["--allow-outside", "data", "inspect", str(path), "--max-file-gb", limit])
        assert says in " ".join(capsys.readouterr().err.split())
    assert os.environ[OUTSIDE_VARIABLE] == "1"


def test_a_missing_package_is_told_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(module: str, command: Any) -> None:
        raise ModuleNotFoundError("No module named 'pyarrow.parquet'", name="pyarrow.parquet")

    monkeypatch.setattr(cli, "_run", without)
    with pytest.raises(SystemExit):
        main(["doctor"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: pyarrow is not installed")
    assert line.endswith("pip install 'exemplar-hmr[data]'")


def test_names_that_cannot_be_printed_are_escaped(tmp_path: Path) -> None:
    """Half a character is no UTF-8, and some terminals have ASCII alone."""
    (tmp_path / "a.json").write_text('{"people": ["é", "\\ud800"]}')
    command = [sys.executable, "-m", "exemplar.cli", "data", "inspect", "a.json", "--no-sheet"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 1
    assert "expected a person to be an object, got \\xe9" in done.stderr
    assert "codec" not in done.stderr
