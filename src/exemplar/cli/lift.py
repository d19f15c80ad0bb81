"""`exemplar lift`: a 2D data set to pseudo ground truth."""

import threading
import time
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from exemplar.cli.options.lift import LiftCommand
from exemplar.cli.options.words import parse_shard
from exemplar.counting import counted
from exemplar.data.formats import table
from exemplar.data.options import with_joints
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.environment import device_name, stopped_by_signals, usable_device
from exemplar.lift.job import export, open_job, settings
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.ray_engine import RayConfig, run_ray
from exemplar.lift.reasons import FAILED, typed
from exemplar.lift.store import Ledger, Selection
from exemplar.results import OK

ASK_SECONDS = 5.0
"""How often the ledger is asked what other processes have done."""

LINE_SECONDS = 30.0
"""Where there is no terminal, a line of progress is printed this often."""


def run(command: LiftCommand) -> None:
    """Lift a 2D data set to 3D: pseudo ground truth by exemplar fine-tuning (EFT)."""
    console = Console(quiet=command.quiet, soft_wrap=True, highlight=False)
    selection = Selection(command.limit, *parse_shard(command.shard), command.where)
    if command.workers is not None and command.workers < 1:
        raise ValueError(f"--workers must be 1 or more, got {command.workers}")
    if "table" in command.export:
        table.require()
    with stopped_by_signals(), _job(command) as ledger:
        if command.retry:
            again = ledger.retry(command.retry, selection)
            console.print(f"taken up again: {counted(again)}", markup=False)
        total, done, _ = ledger.progress(selection)
        console.print(f"{command.output}: {done} of {counted(total)} done", markup=False)
        ledger.join()
        began = time.monotonic()
        try:
            if done < total:
                _work(command, ledger, selection, console)
        except KeyboardInterrupt:
            ledger.release()
            console.print("stopped; run the same command again to go on")
            _tell(ledger, console)
            raise
        seconds = time.monotonic() - began
        made = ledger.progress(selection)[1] - done
        if made:
            rate = made / seconds
            console.print(f"{counted(made)} in {seconds:.0f} s, {rate:.2f} a second", markup=False)
        _tell(ledger, console)
        if ledger.finished():
            for line in export(ledger, command.export):
                console.print(line, markup=False)
        else:
            hint = f"exemplar data convert {command.output} FILE exports what is there"
            console.print(f"the job has more people to do; {hint}", markup=False)
        _check_outcomes(ledger)


def _job(command: LiftCommand) -> Ledger:
    options = with_joints(command.option, command.joints)
    if command.min_keypoints is not None:
        options = (*options, f"min_keypoints={command.min_keypoints}")
    return open_job(
        command.output,
        command.annotations,
        command.images,
        command.config,
        format=command.format,
        options=options,
    )


def _work(command: LiftCommand, ledger: Ledger, selection: Selection, console: Console) -> None:
    config = settings(ledger)
    with Reporter(ledger, selection, console) as reporter:
        if command.engine == "ray":
            cluster = RayConfig(command.ray_address, command.workers)
            # nodes may have devices that this machine lacks: only "auto" is asked here
            device = command.device
            device = str(usable_device(device, float64=True)) if device == "auto" else device
            console.print(f"device {device}", markup=False)
            run_ray(ledger, config, device, selection, reporter.report, cluster, reporter.say)
        else:
            lifter = Lifter(config, command.device, command.workers)
            console.print(f"device {device_name(lifter.device)}", markup=False)
            run_local(ledger, lifter, selection, reporter.report)


class Reporter:
    """Progress of a run: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, ledger: Ledger, selection: Selection, console: Console) -> None:
        self._ledger, self._selection, self._console = ledger, selection, console
        self._lock = threading.Lock()
        self._accepted, self._refused = 0, dict[str, int]()
        self._total, self._before, _ = ledger.progress(selection)
        self._done = self._before
        self._began = self._asked = self._spoke = time.monotonic()
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("loading", total=self._total, completed=self._done)

    def __enter__(self) -> "Reporter":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def report(self, truths: Sequence[PseudoTruth]) -> None:
        """Hear of results."""
        with self._lock:
            self._count(truths)
            now = time.monotonic()
            if now - self._asked > ASK_SECONDS:
                self._asked = now
                self._done = self._total - self._ledger.left(self._selection)[0]
            if self._console.is_terminal:
                self._bar.update(self._task, completed=self._done, description=self._text(now))
            elif now - self._spoke > LINE_SECONDS:
                self._spoke = now
                line = f"{self._done}/{self._total}  {self._text(now)}"
                self._console.print(line, markup=False)

    def say(self, line: str) -> None:
        """Print a line about the work."""
        self._console.print(line, markup=False)

    def _count(self, truths: Sequence[PseudoTruth]) -> None:
        self._done += len(truths)
        for truth in truths:
            if truth.status == OK:
                self._accepted += 1
            else:
                why = f"{truth.status}: {truth.message.partition(':')[0]}".removesuffix(": ")
                self._refused[why] = self._refused.get(why, 0) + 1

    def _text(self, now: float) -> str:
        """Rate and time left, of all processes of the job; this one's results."""
        rate = max(1, self._done - self._before) / max(now - self._began, 1e-9)
        left = max(0, self._total - self._done) / rate
        refused = "".join(f"  {count} {why}" for why, count in self._refused.items())
        return f"{rate:.2f}/s  {_clock(left)} left  {self._accepted} ok{refused}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"


def _tell(ledger: Ledger, console: Console) -> None:
    """What became of everybody so far."""
    outcomes = ledger.outcomes()
    if not outcomes:
        return
    rows = Table("people", "outcome", title_justify="left", show_edge=False, pad_edge=False)
    rows.columns[0].justify = "right"
    for outcome, count in outcomes.items():
        rows.add_row(str(count), outcome)
    console.print(rows)


def _check_outcomes(ledger: Ledger) -> None:
    """ValueError, which ends the command as a failure, if most of the job failed."""
    counts = ledger.counts()["status"]
    failed, everybody = sum(counts.get(status, 0) for status in FAILED), sum(counts.values())
    if 2 * failed <= everybody:
        return
    ways = {way: n for way, n in ledger.outcomes().items() if way.partition(" ")[0] in FAILED}
    way, most = next(iter(ways.items()))
    status, _, reason = way.removesuffix(")").partition(" (")
    raise ValueError(
        f"most of the job failed: {failed} of {counted(everybody)}, {most} of them {way};"
        f" --retry {typed(reason or status)} takes these up again"
    )
