"""A workbench that makes nothing: runs and kept numbers are given by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from exemplar.evaluation.reproduce.findings import Claim, Finding
from exemplar.evaluation.reproduce.workbench import Network, Run, Workbench
from exemplar.evaluation.tables import CURVES, NUMBERS, summary_of
from exemplar.training.sources import SourceConfig

Scores = Mapping[str, Sequence[float | Sequence[float]]]
"""By method: each person's PA-MPJPE, or its course over updates, the last of which counts."""


def run_of(people: Scores, **others: Scores) -> Run:
    """A run with these scores; MPJPE and 2D error are the same numbers unless given."""
    empty = dict.fromkeys((*NUMBERS, *(f"{name}_by_update" for name in CURVES)))
    rows = []
    for method, everyone in people.items():
        for number in range(len(everyone)):
            row: dict[str, Any] = {**empty, "method": method, "number": number, "status": "ok"}
            for name in ("pa_mpjpe", "mpjpe", "px", "pve"):
                value = others.get(name, people)[method][number]
                if isinstance(value, Sequence):
                    row[f"{name}_by_update"] = [float(x) for x in value]
                    row[name] = float(value[-1])
                else:
                    row[name] = float(value)
            rows.append(row)
    return Run(summary_of(rows)["methods"], rows, Path("nowhere"))


def around(mean: float, people: int = 10) -> list[float]:
    """People about a mean; the same spread whatever the mean, so that differences are exact."""
    return [mean + 4 * (i - (people - 1) / 2) for i in range(people)]


def scattered(mean: float, people: int = 10) -> list[float]:
    """The same people, each off by 30 mm up or down: a small difference is lost in it."""
    return [x + (30 if i % 2 else -30) for i, x in enumerate(around(mean, people))]


class FakeBench(Workbench):
    """Gives what it was given, and notes what tables ask for."""

    def __init__(
        self,
        folder: Path,
        runs: Callable[[str], Run] | Mapping[str, Run] | None = None,
        kept: Mapping[str, Any] | None = None,
        seeds: tuple[int, ...] = (0,),
    ) -> None:
        super().__init__(folder, "smoke", open_folder=folder / "open")
        self.scale = replace(self.scale, seeds=seeds)
        self.runs, self.known = runs or {}, kept or {}
        self.asked: dict[str, dict[str, Any]] = {}
        """Settings of the runs that were asked for, by name."""
        self.trained: dict[str, dict[str, Any]] = {}
        """Settings of the networks that were asked for, by name."""

    def source(self, domain: str) -> SourceConfig:
        return SourceConfig("lab" if domain == "lab" else "wild-2d", Path(domain), Path(domain))

    def lifted(self, recipe: str, count: int) -> SourceConfig:
        return SourceConfig(f"{recipe}-{count}", Path(recipe), Path("wild"))

    def outcomes(self, recipe: str, count: int) -> dict[str, int]:
        return {"ok": count - 3, "rejected (2D error)": 2, "rejected (shape)": 1}

    def network(
        self, name: str, sources: Sequence[SourceConfig], *, seed: int = 0, **settings: Any
    ) -> Network:
        inner = settings.get("inner")
        self.trained[f"{name}-{seed}"] = {"sources": [s.name for s in sources], **settings}
        two = inner is not None and inner.teacher == "auxiliary"
        return Network(f"{name}-{seed}", Path(f"{name}-{seed}"), Path("second") if two else None)

    def run(self, name: str, data: str, methods: Sequence[str], limit: int, **settings: Any) -> Run:
        self.asked[name] = {"data": data, "methods": tuple(methods), "limit": limit, **settings}
        return self.runs[name] if isinstance(self.runs, Mapping) else self.runs(name)

    def kept(self, file: str, name: str, make: Callable[[], Any]) -> Any:
        return json.loads(json.dumps(self.known[file]))


def verdict(finding: Finding, words: str) -> bool:
    """Whether the claim that has these words was reproduced."""
    (found,) = [x for x in finding.claims if words in x.text]
    assert found.verdict != "cannot be tested here"
    return found.verdict == "reproduced"


def judged(finding: Finding) -> list[Claim]:
    """The claims that are not left open."""
    return [x for x in finding.claims if x.verdict != "cannot be tested here"]
