"""The verbs of the command line."""

from importlib import import_module

import pytest

from exemplar.cli import VERBS, main


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
