"""The prepared GPU run: its runner with small jobs, and a dry run of all of it."""

import json
import subprocess
import sys
import time
import zipfile
from argparse import Namespace
from pathlib import Path

import pytest

from scripts.gpu_run import (
    DONE,
    FAILED,
    KEPT,
    LATE,
    ROOT,
    SKIPPED,
    Job,
    jobs_of,
    main,
    parsed,
    run_jobs,
    surroundings,
)

WRITES = "import json, sys; json.dump({'results': 1}, open(sys.argv[-1], 'w'));"
"""What a job does first: its JSON."""

PLENTY = 60.0


def job(name: str, code: str, limit: float = PLENTY, **rest) -> Job:
    return Job(name, ("-c", WRITES + code), limit, **rest)


def run(output: Path, *jobs: Job, minutes: float = 2.0) -> dict[str, str]:
    options = Namespace(output=output, minutes=minutes, only=None, tiny=False, commit="abc")
    return {one.name: one.status for one in run_jobs(jobs, options, {"PYTHONUNBUFFERED": "1"})}


def kept(output: Path, name: str) -> dict:
    return json.loads((output / f"gpu_{name}.json").read_text())


def test_a_job_that_fails_stops_no_other_and_says_why(tmp_path: Path) -> None:
    found = run(tmp_path, job("bad", "print('first'); sys.exit('no such card')"), job("good", ""))
    assert found == {"bad": FAILED, "good": DONE}
    bad = kept(tmp_path, "bad")
    assert bad["results"] == 1, "what it had written stays"
    assert bad["run"]["why"] == "no such card"
    assert "first" in bad["run"]["log"]
    summary = json.loads((tmp_path / "gpu_run.json").read_text())
    assert [one["status"] for one in summary["jobs"]] == [FAILED, DONE]
    assert summary["commit"] == "abc"


def test_a_job_that_takes_too_long_is_stopped_with_its_children(tmp_path: Path) -> None:
    beat = tmp_path / "beat"
    child = f"import time\nwhile True: open({str(beat)!r}, 'a').write('x'); time.sleep(0.05)"
    code = (
        "import signal, subprocess, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(600)"
    )
    began = time.monotonic()
    found = run(tmp_path, job("late", code, limit=3.0), job("good", ""))
    assert found == {"late": LATE, "good": DONE}
    assert time.monotonic() - began < PLENTY
    assert kept(tmp_path, "late")["results"] == 1
    size = beat.stat().st_size if beat.exists() else 0
    time.sleep(0.5)
    assert size == (beat.stat().st_size if beat.exists() else 0), "the child was stopped, too"


def test_what_is_done_is_not_run_again_and_what_failed_is(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    note = f"open({str(runs)!r}, 'a').write(NAME);"
    jobs = (
        job("good", note.replace("NAME", "'g'")),
        job("bad", note.replace("NAME", "'b'") + "1/0"),
    )
    assert run(tmp_path, *jobs) == {"good": DONE, "bad": FAILED}
    first = kept(tmp_path, "good")
    assert run(tmp_path, *jobs) == {"good": KEPT, "bad": FAILED}
    assert runs.read_text() == "gbb"
    assert kept(tmp_path, "good") == first
    (tmp_path / "gpu_good.json").write_text('{"half": ')
    assert run(tmp_path, *jobs)["good"] == DONE, "half a file is nothing"


def test_a_job_without_its_files_or_its_time_is_skipped(tmp_path: Path) -> None:
    lacking = job("lacking", "", needs=(tmp_path / "people.npz",), hint="pack them")
    hurried = job("hurried", "", least=200.0)
    options = Namespace(output=tmp_path, minutes=2.0, only=None, tiny=False, commit="")
    outcomes = run_jobs([lacking, hurried, job("good", "")], options, {})
    assert [one.status for one in outcomes] == [SKIPPED, SKIPPED, DONE]
    assert "no people.npz" in outcomes[0].why
    assert "pack them" in outcomes[0].why
    assert "it needs 200" in outcomes[1].why
    assert not (tmp_path / "gpu_lacking.json").exists()


def test_all_the_time_is_a_limit_for_every_job(tmp_path: Path) -> None:
    found = run(tmp_path, job("long", "import time; time.sleep(600)"), job("next", ""), minutes=0.4)
    assert found == {"long": LATE, "next": SKIPPED}


def test_wheels_are_installed_offline_and_found(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels" / "carried-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("carried.py", "HERE = 1\n")
        info = "carried-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: carried\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    options = Namespace(wheels=wheel.parent, commit="abc")
    environment = surroundings(options, tmp_path)
    assert environment["EXEMPLAR_COMMIT"] == "abc"
    code = "import carried, benchmarks, scripts; assert carried.HERE"
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, cwd=tmp_path)
    with pytest.raises(SystemExit, match="no wheels"):
        surroundings(Namespace(wheels=tmp_path, commit=""), tmp_path)


def test_bad_options_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--output", str(tmp_path), "--only", "dance"])
    assert "expected tests, fit_sweep, lift" in capsys.readouterr().err
    monkeypatch.delenv("OUT", raising=False)
    with pytest.raises(SystemExit):
        main([])


def test_the_jobs_are_in_order_of_worth_and_their_files_few(tmp_path: Path) -> None:
    jobs = jobs_of(parsed(["--output", str(tmp_path)]), tmp_path)
    names = [one.name for one in jobs]
    assert names == ["tests", "fit_sweep", "lift", "train_speed", "kernels", "network"]
    # a JSON each, that of the run, and the weights: more than 8 files do not come back
    assert len(names) + 2 <= 8
    marked = [word for word in jobs[0].words if word.startswith("tests/")]
    assert "tests/fitting/test_gpu.py" in marked
    assert all((ROOT / word).exists() for word in marked)


def test_a_dry_run_does_everything(tmp_path: Path) -> None:
    """As CI runs it; about a minute."""
    status = main(["--device", "cpu", "--tiny", "--minutes", "30", "--output", str(tmp_path)])
    found = json.loads((tmp_path / "gpu_run.json").read_text())["jobs"]
    assert [one["status"] for one in found] == [DONE] * 6, found
    assert status == 0
    assert kept(tmp_path, "tests")["results"]["failures"] == 0
    (row,) = kept(tmp_path, "fit_sweep")["results"]["rows"]
    assert row["times_plain"] > 0
    assert len(kept(tmp_path, "fit_sweep")["results"]["top_kernels"]) == 10
    assert kept(tmp_path, "lift")["results"]["mobile"]["people"] == 2
    assert kept(tmp_path, "network")["results"]["log"][-1]["step"] == 3
    assert (tmp_path / "gpu_network.pt").stat().st_size < 16 * 2**20
    assert main(["--device", "cpu", "--tiny", "--output", str(tmp_path)]) == 0
