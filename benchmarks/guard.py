"""How the guard's numbers were chosen: EFT's iterates for validation people, by guards.

python -m benchmarks.guard --data wild=W --data odd=O --data wild-crop=C --count 40 --folder F

Each folder is one of `exemplar synth` with truth.npz, of a seed that no test uses. The fits are
written a block at a time and are not made again; judging them is quick. What the chosen numbers
are worth is for other people to say: `exemplar reproduce guard`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body
from exemplar.data.crops import batch_of
from exemplar.data.formats import read
from exemplar.evaluation.config import KeypointSource, MethodConfig
from exemplar.evaluation.judge import Judge
from exemplar.evaluation.keypoint_sources import keypoints_from, with_exact
from exemplar.evaluation.methods import Methods
from exemplar.evaluation.protocols import protocol_named
from exemplar.evaluation.records import turned_back
from exemplar.files.atomic_files import replacing
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.lift.prepare import Preparer, shown_to
from exemplar.priors import PosePrior, load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Sample

BLOCK = 10
"""People in a file."""

SOURCES: tuple[KeypointSource, ...] = ("true", "detected", "outliers")
"""Keypoints, the first exact."""

TRIED: dict[str, tuple[float, ...]] = {
    "robust_px": (30.0, 50.0, 80.0, 1e6),
    "held_out_weight": (0.0, 0.3, 1.0, 2.0),
    "prior_weight": (0.0, 0.03, 0.06, 0.1, 0.15),
    "doubt_px": (20.0, 30.0, 40.0),
    "doubt_share": (0.08, 0.15, 0.25, 1.0),
    "doubt_gain": (0.0, 2.0, 3.0, 4.0, 6.0),
}
"""Other numbers for a guard; 1e6 is a mean square, and a share of 1 is never in doubt."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: tyro.conf.UseAppendAction[tuple[str, ...]]
    """NAME=FOLDER of a synthetic set with truth.npz; may be repeated."""
    folder: Path
    """Where the fits go."""
    count: int = 40
    """People of each set."""
    sources: tuple[KeypointSource, ...] = SOURCES
    """Where their keypoints come from."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class Fits:
    """n people's k iterates."""

    iterates: Prediction
    """Axes (n, k, ...), in the frame of the crop."""
    keypoints_2d: Float[Tensor, "n 49 3"]
    """Crop units and confidence."""
    weights: Float[Tensor, "n 49"]
    """Weights of the fit's 2D term."""
    pa: Float[Tensor, "n k"]
    """PA-MPJPE, mm."""


def fitted(config: Config, methods: Methods) -> Iterator[tuple[str, Fits]]:
    """(name of the set and source, its fits), from files where they are there."""
    judge = Judge(protocol_named("open"), methods.body)
    for text in config.data:
        name, _, folder = text.partition("=")
        place = Path(folder)
        prepare = Preparer(place, shown_to(methods.regressor, use_3d=False))
        people = with_exact(read(place / "annotations.npz"), read(place / "truth.npz"))
        for source in config.sources:
            blocks = []
            for first in range(0, config.count, BLOCK):
                path = config.folder / f"{name}-{source}-{first:04}.npz"
                if not path.exists():
                    some = people[first : min(first + BLOCK, config.count)]
                    _write(path, _fit(methods, judge, prepare, source, some))
                    print(path.name, flush=True)
                blocks.append(_read(path))
            yield f"{name}, {source}", _joined(blocks)


def _fit(
    methods: Methods,
    judge: Judge,
    prepare: Preparer,
    source: KeypointSource,
    people: Sequence[Sample],
) -> Fits:
    ready = [prepare(i, keypoints_from(one, source, 0)) for i, one in enumerate(people)]
    batch = batch_of([one.person for one in ready if one.person is not None], methods.device)
    answers = methods.answers("eft", batch)["eft"]
    assert answers.iterates is not None
    found = turned_back(answers.iterates, batch.box).body_params()
    truth = judge.truth([people[one.number] for one in ready if one.person is not None])
    pa = judge.scores(found, truth, vertices=False)["pa_mpjpe"]
    return Fits(answers.iterates, batch.keypoints_2d, answers.weights, pa)


def _write(path: Path, fits: Fits) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {**vars(fits.iterates), **{k: v for k, v in vars(fits).items() if k != "iterates"}}
    with replacing(path) as half, half.open("wb") as file:
        np.savez(file, allow_pickle=False, **{k: np.asarray(x) for k, x in arrays.items()})


def _read(path: Path) -> Fits:
    with np.load(path) as file:
        x = {name: torch.from_numpy(file[name]) for name in file.files}
    iterates = Prediction(x["global_orient"], x["body_pose"], x["betas"], x["camera"])
    return Fits(iterates, x["keypoints_2d"], x["weights"], x["pa"])


def _joined(blocks: Sequence[Fits]) -> Fits:
    def joined(of: Sequence[object], name: str) -> Tensor:
        return torch.cat([getattr(one, name) for one in of])

    iterates = [one.iterates for one in blocks]
    parts = (joined(iterates, name) for name in vars(iterates[0]))
    return Fits(
        Prediction(*parts), *(joined(blocks, name) for name in ("keypoints_2d", "weights", "pa"))
    )


def kept(body: Body, prior: PosePrior, fits: Fits, guard: GuardConfig) -> Float[Tensor, " n"]:
    """PA-MPJPE of the iterates that a guard keeps, mm."""
    best = choose(body, fits.iterates, fits.keypoints_2d, fits.weights, guard, prior)
    return fits.pa[torch.arange(len(best)), best]


def numbers_of(found: dict[str, Fits], pa: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Of each set and source, and of all: mean of what is kept, and who is worse than at first."""
    first = {name: fits.pa[:, 0] for name, fits in found.items()}
    pa, first = (x | {"all": torch.cat(list(x.values()))} for x in (pa, first))
    return {
        name: {
            "pa_mpjpe": float(values.mean()),
            "worse_percent": 100 * float((values > first[name]).double().mean()),
        }
        for name, values in pa.items()
    }


def guards() -> Iterator[tuple[str, GuardConfig]]:
    """The guard, and with each of its numbers changed alone."""
    usual = GuardConfig()
    yield "as it is", usual
    for name, values in TRIED.items():
        for value in values:
            if value != getattr(usual, name):
                yield f"{name} {value:g}", replace(usual, **{name: value})


def main(config: Config) -> None:
    """Fit, judge, print."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    methods, prior = Methods(MethodConfig()), load_pose_prior()
    found = dict(fitted(config, methods))
    rows = {
        "regressor": {name: fits.pa[:, 0] for name, fits in found.items()},
        "EFT": {name: fits.pa[:, -1] for name, fits in found.items()},
    }
    for label, guard in guards():
        rows[label] = {n: kept(methods.body, prior, fits, guard) for n, fits in found.items()}
    rows["oracle"] = {name: fits.pa.min(1).values for name, fits in found.items()}
    results = {label: numbers_of(found, pa) for label, pa in rows.items()}
    table = Table("PA mm, worse %", *next(iter(results.values())))
    for label, row in results.items():
        cells = (f"{x['pa_mpjpe']:.1f}, {x['worse_percent']:.0f}" for x in row.values())
        table.add_row(label, *cells)
    Console(width=200).print(table)
    write_results(config.output, config, {"people": config.count, "rows": results})


if __name__ == "__main__":
    main(tyro.cli(Config))
