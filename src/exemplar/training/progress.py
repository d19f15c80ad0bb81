"""What a training run tells while it runs, and how it is asked to stop."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

LINE_SECONDS = 30.0
"""Where there is no terminal, a line of progress is printed this often."""

REMEMBERED = 0.95
"""How much of the rate is kept at each step: the rate is that of the last twenty or so."""


class TrainingProgress:
    """A bar on a terminal, a line now and then elsewhere."""

    def __init__(self, console: Console, total: int, done: int) -> None:
        self._console, self._total = console, total
        self._seconds: float | None = None
        self._stepped = self._spoke = time.monotonic()
        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("starting", total=total, completed=done)

    def __enter__(self) -> "TrainingProgress":
        if self._console.is_terminal:
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._console.is_terminal:  # elsewhere it would print an empty line
            self._bar.stop()

    def resting(self) -> None:
        """What happened since the last step (a validation) does not count as training."""
        self._stepped = time.monotonic()

    def stepped(self, done: int, people: int, loss: float) -> None:
        """Hear of a step."""
        now = time.monotonic()
        took, self._stepped = now - self._stepped, now
        former = took if self._seconds is None else self._seconds
        self._seconds = REMEMBERED * former + (1 - REMEMBERED) * took
        if self._console.is_terminal:
            self._bar.update(self._task, completed=done, description=self._text(done, people, loss))
        elif now - self._spoke > LINE_SECONDS:
            self._spoke = now
            line = f"step {done}/{self._total}  {self._text(done, people, loss)}"
            self._console.print(line, markup=False)

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self._console.print(line, markup=False)

    def _text(self, done: int, people: int, loss: float) -> str:
        rate = 1 / max(self._seconds or 0.0, 1e-9)
        minutes, seconds = divmod(int((self._total - done) / rate), 60)
        left = f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"
        return f"loss {loss:.4g}  {rate:.2f} it/s  {rate * people:.0f} people/s  {left}"


@contextmanager
def stop_asked() -> Iterator[Callable[[], bool]]:
    """Ctrl-C and a request to terminate (as a cluster sends it), to be looked at between steps.

    A second Ctrl-C does what it did before. A signal that is being ignored stays ignored.
    """
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        asked = True
        signal.signal(number, former[number])

    former: dict[int, signal.Handlers | Callable[..., object] | int | None] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                former[number] = signal.signal(number, ask)
    try:
        yield lambda: asked
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
