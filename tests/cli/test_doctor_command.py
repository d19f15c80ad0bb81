"""`exemplar doctor`: what is well, what is absent, and what is broken."""

from importlib import resources
from pathlib import Path

import pytest

from exemplar import assets
from exemplar.assets import SUMS, checked_assets
from exemplar.cli import doctor, main


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without extras that take seconds to import."""
    (tmp_path / "faulty_module.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    extras = {
        "none": ("nothing", ("no_such_module", "json")),
        "some": ("texts", ("json",)),
        "odd": ("oddities", ("faulty_module",)),
    }
    monkeypatch.setattr(doctor, "EXTRAS", extras)


def test_a_good_installation_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--device", "cpu"])
    told = capsys.readouterr().out
    assert "all is well" in told
    assert "broken" not in told
    assert "-       none (nothing): not installed; pip install 'exemplar-hmr[none]' adds it" in told
    assert "ok      some (texts): json" in told
    assert "faulty  odd (oddities): No module named 'no_such_dependency'" in told
    assert "px after 2 iterations" in told


def test_what_is_broken_is_named_and_the_rest_is_checked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "small_fit", lambda device: 1 / 0)
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--device", "cuda:77"])
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert "error: broken: device, a small fit" in said.err
    assert "division by zero" in said.out
    assert "shipped files: " in said.out


def test_the_checksums_are_those_of_all_shipped_files() -> None:
    here = {entry.name for entry in resources.files(assets).iterdir()}
    shipped = {name for name in here if name.endswith((".npz", ".safetensors", ".jpg", ".mp4"))}
    assert set(checked_assets()) == shipped


def test_another_file_in_place_of_a_shipped_one_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / SUMS).write_text(f"{'0' * 64}  demo.png\n")
    (tmp_path / "demo.png").write_bytes(b"another")
    monkeypatch.setattr(assets, "files", lambda package: tmp_path)
    with pytest.raises(ValueError, match=r"assets/demo\.png is not the released file"):
        checked_assets()
