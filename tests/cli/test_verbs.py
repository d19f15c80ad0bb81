"""The verbs of the command line."""

import os
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from exemplar.cli import VERBS, main
from exemplar.file_budget import VARIABLE
from exemplar.image_files import OUTSIDE_VARIABLE


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_found_without_the_others(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module(f"exemplar.cli.{VERBS[verb]}")
    with pytest.raises(SystemExit) as exited:
        main([verb, "--help"])
    assert exited.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    assert f"exemplar {verb}" in told
    assert callable(getattr(module, "run", None)) or module.VERBS


def test_without_a_verb_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert all(f"• {verb}" in told for verb in VERBS)


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
