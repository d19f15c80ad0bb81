"""Lifting on this machine: samples are read while the ones before them are fitted."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.lifter import Lifter
from exemplar.lift.prepare import Prepared
from exemplar.lift.store import Ledger, Selection

Report = Callable[[Sequence[PseudoTruth]], None]
"""Called with results that were committed just now, from any thread."""

SHARE = 4
"""A claim takes at most one part in so many of what waits, so that processes end together."""


def claim_size(ledger: Ledger, selection: Selection, window: int, least: int = 1) -> int:
    """How many samples to claim: a window, less towards the end."""
    return max(least, min(window, ledger.left(selection)[1] // SHARE))


def run_local(ledger: Ledger, lifter: Lifter, selection: Selection, report: Report) -> None:
    """Fit what waits in the ledger, until nothing does; each result is committed as it comes.

    An interrupt (KeyboardInterrupt) lets the fits in work end, and leaves the rest unclaimed.
    """
    prepare = lifter.preparer(ledger.images)

    def next_window() -> list[Prepared]:
        ledger.release_dead()
        size = claim_size(ledger, selection, lifter.window, lifter.room.workers)
        return [prepare(number, sample) for number, sample in ledger.claim(size, selection)]

    def finished(number: int, truth: PseudoTruth) -> None:
        ledger.finish([(number, truth)])
        report([truth])

    with ThreadPoolExecutor(1) as reader:
        people = next_window()
        while people:
            following = reader.submit(next_window)
            lifter.fit(people, finished)
            people = following.result()
