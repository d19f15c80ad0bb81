"""Lifting on this machine: samples are read while the ones before them are fitted."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.files.image_store_files import open_images
from exemplar.lift.lifter import Lifter
from exemplar.lift.prepare import Prepared, Preparer
from exemplar.lift.store import Ledger, Selection
from exemplar.samples import Sample

Report = Callable[[Sequence[PseudoTruth]], None]
"""Called with results that were committed just now, from any thread."""

SHARE = 4
"""A claim takes at most one part in so many of what waits, so that processes end together."""

LOOKED_FOR = 1000
"""Images that are looked for, spread over the job, where none was found so far ..."""

FEWEST = 8
"""... and how many tell, if none is there, that a place is not the images'."""


def claim_size(ledger: Ledger, selection: Selection, window: int, least: int = 1) -> int:
    """How many samples to claim: a window, less towards the end."""
    return max(least, min(window, ledger.left(selection)[1] // SHARE))


def sees_images(prepare: Preparer, people: Sequence[Prepared], some: Sequence[str]) -> bool:
    """Whether people who lack their image do so by themselves: False where the images' place as a
    whole cannot be read from here. `some`: images spread over the job."""
    if len(some) < FEWEST or not any(one.lacks_image for one in people):
        return True
    return prepare.sees_images(some)


def prepared(prepare: Sequence[Preparer], claimed: Sequence[tuple[int, Sample]]) -> list[Prepared]:
    """The claimed samples made ready, a run of them by each preparer, in a thread of its own."""

    def some(preparer: Preparer, part: Sequence[tuple[int, Sample]]) -> list[Prepared]:
        return [preparer(number, sample) for number, sample in part]

    if len(prepare) == 1:
        return some(prepare[0], claimed)
    size = max(1, -(-len(claimed) // len(prepare)))
    parts = [claimed[i : i + size] for i in range(0, len(claimed), size)]
    # each thread sets its own number of torch's threads
    with ThreadPoolExecutor(len(prepare), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        done = pool.map(some, prepare[: len(parts)], parts)
        return [one for part in done for one in part]


def run_local(ledger: Ledger, lifter: Lifter, selection: Selection, report: Report) -> None:
    """Fit what waits in the ledger, until nothing does; each result is committed as it comes.

    An interrupt (KeyboardInterrupt) lets the fits in work end, and leaves the rest unclaimed.
    OSError, in one line, where the images' place cannot be read: nobody is recorded as lacking an
    image that is there for others.
    """
    images = open_images(ledger.images)
    prepare = [lifter.preparer(images) for _ in range(lifter.readers)]
    some = ledger.some_images(LOOKED_FOR)

    def next_window() -> list[Prepared]:
        ledger.release_dead()
        size = claim_size(ledger, selection, lifter.window, lifter.room.workers)
        people = prepared(prepare, ledger.claim(size, selection))
        if not sees_images(prepare[0], people, some):
            raise OSError(
                f"none of {len(some)} images, such as {some[0]}, can be found in {ledger.images}:"
                " is it the right place, and is it mounted?"
            )
        return people

    def finished(number: int, truth: PseudoTruth) -> None:
        ledger.finish([(number, truth)])
        report([truth])

    with ThreadPoolExecutor(1) as reader:
        people = next_window()
        while people:
            following = reader.submit(next_window)
            lifter.fit(people, finished)
            people = following.result()
