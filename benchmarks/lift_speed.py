"""People a second of a lifting job, and what a whole data set would take.

python -m benchmarks.lift_speed --people .gpu/people --device cuda \
    --output benchmarks/results/gpu_lift.json

`--people` is what `scripts.pack_people` wrote. Its people are repeated to make a longer job; each
is read, cropped, fitted and committed to the ledger as `exemplar lift` does it.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro

from benchmarks.common import write_results
from exemplar.data.formats import read
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.environment import usable_device
from exemplar.lift.config import LiftConfig
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Ledger, Selection

COCO_ALL = 79_000
"""People of EFT's COCO-All."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    people: Path = Path(".gpu/people")
    """Folder of `scripts.pack_people`."""
    regressors: tuple[str, ...] = ("large", "mobile")
    """A job each."""
    count: int = 2000
    """People of a job."""
    device: str = "auto"
    """Torch device."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Lift, write after each job."""
    config = replace(config, device=str(usable_device(config.device)))
    results: dict[str, Any] = {}
    for regressor in config.regressors:
        results[regressor] = lifted(config, regressor)
        print(regressor, results[regressor])
        write_results(config.output, config, results)


def lifted(config: Config, regressor: str) -> dict[str, Any]:
    """One job."""
    samples = list(read(config.people / "people.npz"))
    own = [samples[i % len(samples)] for i in range(config.count)]
    settings = LiftConfig(regressor=regressor)
    ends: list[float] = []

    def report(made: Sequence[PseudoTruth]) -> None:
        ends.extend([time.perf_counter()] * len(made))

    with TemporaryDirectory() as folder, Ledger(Path(folder) / "job", create=True) as ledger:
        images = str(config.people / "images.tar")
        ledger.fill(own, {"images": images, "config": asdict(settings)})
        ledger.join()
        began = time.perf_counter()
        lifter = Lifter(settings, config.device)
        loaded = time.perf_counter()
        run_local(ledger, lifter, Selection(), report)
        done = time.perf_counter()
        status = ledger.counts()["status"]
    ends.sort()
    half = len(ends) // 2
    late = (len(ends) - 1 - half) / (ends[-1] - ends[half]) if ends[-1] > ends[half] else None
    rate = len(own) / (done - loaded)
    return {
        "people": len(own),
        "slots": lifter.room.slots,
        "workers": lifter.room.workers,
        "loading_seconds": loaded - began,
        "seconds": done - loaded,
        "people_per_second": rate,
        "people_per_second_of_the_second_half": late,
        "minutes_for_coco_all": COCO_ALL / rate / 60,
        "status": status,
    }


if __name__ == "__main__":
    main(tyro.cli(Config))
