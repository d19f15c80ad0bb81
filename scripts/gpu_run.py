"""Everything that waits for a GPU, in order of worth, in one command of a few minutes.

    python scripts/gpu_run.py --minutes 8 --output OUT --wheels .whl
    python scripts/gpu_run.py --device cpu --tiny --output OUT       # a dry run, without a GPU

Each job is a process with a time limit, and its JSON lies in OUT as soon as there is a number;
what fails, or takes too long, stops no other. A job that is done is not run again. `docs/gpu.md`
says what is measured. Only the standard library is needed: the rest may come as wheels.
"""

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parent.parent

LOG_CHARACTERS = 6000
"""Of the end of a job's output, in its JSON."""

DONE, FAILED, LATE, SKIPPED, KEPT = "done", "failed", "timed out", "skipped", "done before"


@dataclass(frozen=True)
class Job:
    """A piece of work."""

    name: str
    """Its JSON is gpu_NAME.json."""
    words: tuple[str, ...]
    """Of the command line after `python`."""
    limit: float
    """Seconds that it may take."""
    least: float = 20.0
    """With fewer seconds left it is not begun."""
    needs: tuple[Path, ...] = ()
    """What must be there."""
    hint: str = ""
    """How to make it."""


@dataclass
class Outcome:
    """What became of a job."""

    name: str
    status: str
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the processor, whatever else the machine did."""
    limit: float = 0.0
    why: str = ""
    log: str = ""
    """End of its output."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the jobs; 1 if one failed or was too late."""
    options = parsed(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        environment = surroundings(options, work)
        if options.tiny:
            command = [sys.executable, "-m", "scripts.gpu_run_inputs", str(work)]
            subprocess.run(command, check=True, env=environment, cwd=ROOT)
        outcomes = run_jobs(jobs_of(options, work), options, environment)
    for line in table(outcomes):
        print(line)
    return int(any(outcome.status in (FAILED, LATE) for outcome in outcomes))


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    add = parser.add_argument
    add("--output", type=Path, default=os.environ.get("OUT"), help="folder (default: $OUT)")
    add("--minutes", type=float, default=8.0, help="no job goes on for longer than this in all")
    add("--only", nargs="+", metavar="JOB", help="these jobs alone")
    add("--device", default="cuda", help="cuda, or cpu for a dry run")
    add("--tiny", action="store_true", help="sizes for a dry run")
    add("--wheels", type=Path, help="folder of wheels to install first, offline")
    add("--people", type=Path, default=ROOT / ".gpu/people", help="of scripts.pack_people")
    add(
        "--network", type=Path, default=ROOT / ".gpu/network",
        help="folder with arguments.txt, of scripts.lifter.train, and the files that it names",
    )  # fmt: skip
    add("--commit", default="", help="of this tree, where the copy has no history")
    options = parser.parse_args(arguments)
    if options.output is None:
        parser.error("give --output, or set OUT")
    options.output = Path(options.output).absolute()
    names = [job.name for job in jobs_of(options, Path())]
    unknown = [name for name in options.only or () if name not in names]
    if unknown:
        parser.error(f"--only {' '.join(unknown)}: expected {', '.join(names)}")
    return options


def surroundings(options: argparse.Namespace, work: Path) -> dict[str, str]:
    """The jobs' environment, with the wheels installed; SystemExit if that fails."""
    paths = [str(ROOT / "src"), str(ROOT)]
    if options.wheels is not None:
        wheels = sorted(map(str, options.wheels.glob("*.whl")))
        if not wheels:
            sys.exit(f"no wheels in {options.wheels}")
        site = work / "site"
        flags = ["--quiet", "--no-index", "--no-deps", "--no-compile", "--target", str(site)]
        subprocess.run([sys.executable, "-m", "pip", "install", *flags, *wheels], check=True)
        print(f"installed {len(wheels)} wheels", flush=True)
        paths.insert(0, str(site))
    former = os.environ.get("PYTHONPATH")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*paths, *([former] if former else [])]),
        "PYTHONUNBUFFERED": "1",
        **({"EXEMPLAR_COMMIT": options.commit} if options.commit else {}),
    }


def jobs_of(options: argparse.Namespace, work: Path) -> list[Job]:
    """The jobs in order of worth."""
    on = ("--device", options.device)
    tiny = options.tiny

    def module(name: str, *words: str, small: str = "") -> tuple[str, ...]:
        return ("-m", name, *on, *(small.split() if tiny else words))

    people, network = options.people, options.network
    if tiny:
        people, network = work / "people", work / "network"
    texts = [path.relative_to(ROOT) for path in sorted(ROOT.glob("tests/**/test_*.py"))]
    marked = [str(path) for path in texts if "mark.gpu" in (ROOT / path).read_text()]
    marked = ["tests/fitting/test_gpu.py"] if tiny else marked
    tests = ("-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", "--durations", "10")
    arguments = network / "arguments.txt"
    given = arguments.read_text().split() if arguments.exists() else []
    train = ("-m", "scripts.lifter.train", *on, *given, "--out", str(work / "run"))
    weights = ("--weights", str(options.output / "gpu_network.pt"))
    fast = () if tiny else ("--bfloat16", "--compile", "--workers", "12")
    packed = (people / "people.npz", people / "images.tar")
    return [
        Job("tests", (*tests, f"--junitxml={work / 'tests.xml'}", *marked), 110),
        Job(
            "fit_sweep",
            module(
                "benchmarks.fit_sweep", "--seconds", "130",
                small="--networks mobile --batches 2 --precisions float32 --iterations 1"
                " --rounds 1 --plain-exemplars 1",
            ),
            170,
        ),
        Job(
            "lift",
            (
                *module("benchmarks.lift_speed", small="--regressors mobile --count 2"),
                "--people", str(people),
            ),
            90,
            needs=packed,
            hint="python -m scripts.pack_people",
        ),
        Job(
            "train_speed",
            module(
                "benchmarks.train_speed", "--regressor", "hmr", "--batch-size", "32",
                "--rounds", "3",
                "--kinds", "supervised", "exemplar(head)", "exemplar(all)",
                small="--batch-size 2 --rounds 1 --kinds supervised",
            ),
            70,
        ),
        Job(
            "kernels",
            module(
                "benchmarks.gpu_kernels",
                small="--people 2 --shrink 64 --rounds 1 --precisions float32 --trunk mobile",
            ),
            50,
        ),
        Job(
            "network",
            (*train, *fast, *weights, "--seconds", "REST"),
            600,
            least=45,
            needs=(arguments,),
            hint="the settings and files of scripts.lifter.train",
        ),
    ]  # fmt: skip


def run_jobs(
    jobs: Sequence[Job], options: argparse.Namespace, environment: dict[str, str]
) -> list[Outcome]:
    """Run what is to be run, one after another; each outcome is written at once."""
    began = time.monotonic()
    outcomes: list[Outcome] = []
    for job in jobs:
        if options.only and job.name not in options.only:
            continue
        left = 60 * options.minutes - (time.monotonic() - began)
        outcomes.append(attempt(job, left, options.output, environment, tiny=options.tiny))
        said = outcomes[-1]
        print(f"{said.name}: {said.status}, {said.seconds:.0f} s. {said.why}".rstrip(), flush=True)
        summary = [{**vars(outcome), "log": ""} for outcome in outcomes]
        write_json(options.output / "gpu_run.json", {"jobs": summary, "commit": options.commit})
    return outcomes


def attempt(
    job: Job, left: float, output: Path, environment: dict[str, str], *, tiny: bool = False
) -> Outcome:
    """Run one job, if there is time and it is not done."""
    path = output / f"gpu_{job.name}.json"
    before = read_json(path).get("run", {})
    if before.get("status") == DONE:
        return Outcome(**{**before, "status": KEPT, "log": ""})
    missing = [str(need) for need in job.needs if not need.exists()]
    if missing:
        why = f"no {Path(missing[0]).name} in {Path(missing[0]).parent.name}: {job.hint}"
        return Outcome(job.name, SKIPPED, why=why)
    if left < job.least:
        return Outcome(job.name, SKIPPED, why=f"{left:.0f} s left, it needs {job.least:.0f}")
    limit = left if tiny else min(job.limit, left)  # a dry run may be on a busy machine
    path.unlink(missing_ok=True)
    words = [str(int(0.8 * limit)) if word == "REST" else word for word in job.words]
    if "pytest" not in words and "scripts.lifter.train" not in words:
        words += ["--output", str(path)]
    began, used = time.monotonic(), children_seconds()
    code, log = run_process([sys.executable, *words], limit, environment)
    outcome = Outcome(
        job.name,
        LATE if code is None else FAILED if code else DONE,
        time.monotonic() - began,
        children_seconds() - used,
        limit,
        log=log[-LOG_CHARACTERS:],
    )
    if outcome.status != DONE:
        outcome.why = next((x[:200] for x in reversed(log.splitlines()) if x.strip()), "")
    write_json(path, read_json(path) | {"run": vars(outcome)} | extra_of(words))
    return outcome


def children_seconds() -> float:
    """Processor seconds of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_process(
    command: Sequence[str], limit: float, environment: dict[str, str]
) -> tuple[int | None, str]:
    """Exit status and output of a process and its children; None where it had to be stopped."""
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        code: int | None = None
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if code is None:
                stop(process)
        log.seek(0)
        return code, log.read()


def stop(process: "subprocess.Popen[bytes]") -> None:
    """End a process and its children."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(5)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def extra_of(words: Sequence[str]) -> dict[str, Any]:
    """What a program that writes no JSON left: counts of tests, the training's log."""
    for word in words:
        if word.startswith("--junitxml=") and Path(word.partition("=")[2]).exists():
            suite = ElementTree.parse(word.partition("=")[2]).getroot().find("testsuite")
            assert suite is not None
            counts = {k: int(suite.get(k, 0)) for k in ("tests", "failures", "errors", "skipped")}
            cases = {
                f"{case.get('classname')}.{case.get('name')}": [
                    float(case.get("time", 0)), *(child.tag for child in case),
                ]
                for case in suite.findall("testcase")
            }  # fmt: skip
            return {"results": {**counts, "cases": cases}}
    if "scripts.lifter.train" in words:
        log = Path(words[list(words).index("--out") + 1]) / "log.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return {"results": {"log": [json.loads(line) for line in lines]}}
    return {}


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file's contents; nothing where there is none, or half of one."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole."""
    half = path.with_suffix(".part")
    half.write_text(json.dumps(content, indent=1, default=str) + "\n")
    shutil.move(half, path)


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """A line a job."""
    lines = [f"{'job':12} {'status':12} {'seconds':>8} {'limit':>6} {'CPU s':>7}"]
    for one in outcomes:
        numbers = f"{one.seconds:8.1f} {one.limit:6.0f} {one.cpu_seconds:7.1f}"
        lines.append(f"{one.name:12} {one.status:12} {numbers}  {one.why}".rstrip())
    return [*lines, f"{'in all':25} {sum(one.seconds for one in outcomes):8.1f}"]


if __name__ == "__main__":
    sys.exit(main())
