"""Errors on synthetic people: regressor, SMPLify, and EFT by the iterate that is kept.

python -m benchmarks.iterates --seed 5 --count 400 --folder out/design
python -m benchmarks.iterates --seed 3 --count 1000 --folder out/test
python -m benchmarks.guard --design out/design --test out/test

The design people choose the best fixed iteration (and, with --tune, the guard's weights); the test
people give the table. PA-MPJPE and MPJPE (pelvis-centred) are over 14 joints of the open body, PVE
is the mean vertex distance after centring both bodies on the pelvis. Intervals are 95 % of 2,000
bootstrap draws of people.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import torch
import tyro
from jaxtyping import Float, Int
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body, BodyParams, load_body
from exemplar.fitting.exemplar import EftConfig, fitted_weights
from exemplar.fitting.guard import GuardConfig, choose, held_out
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import crop_units_to_pixels
from exemplar.metrics import MILLIMETRES, mpjpe, pa_mpjpe
from exemplar.objectives import mean_error_px
from exemplar.priors import load_pose_prior
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import H36M_17, LSP_14, indices

EVALUATED = indices(LSP_14, H36M_17)
"""The 14 joints among Human3.6M's."""

SMPLIFY = {"SMPLify": SmplifyConfig(), "SMPLify, released": SmplifyConfig.released()}
"""Rows of SMPLify, all with the shipped pose prior."""

CHUNK = 64
"""People whose bodies are posed at once."""

BOOTSTRAP = 2000
"""Draws behind an interval."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    design: Path
    """Folder of `benchmarks.iterates` on which choices are made."""
    test: Path
    """Folder of `benchmarks.iterates` on which they are judged."""
    stop_px: float = 2.0
    """EFT's stop."""
    noise_px: float = 0.0
    """Noise on the held-out keypoints that the guard sees: deviation of x and of y, px."""
    tune: bool = False
    """Also print a grid of the guard's weights on the design people."""
    output: Path | None = None
    """JSON file to write."""


@dataclass(frozen=True)
class People:
    """Fitted people: n of them with k iterates each."""

    iterates: Prediction
    """Axes (n, k, ...)."""
    truth: BodyParams
    """Axes (n, ...)."""
    keypoints_2d: Float[Tensor, "n 49 3"]
    """Crop units and confidence."""
    fitted: Float[Tensor, "n 49"]
    """Weights of the fit's 2D term."""
    error_px: Float[Tensor, "n k"]
    """Mean 2D error over the fitted keypoints."""
    pa: Float[Tensor, "n k"]
    """PA-MPJPE, mm."""
    mpjpe: Float[Tensor, "n k"]
    """MPJPE, mm."""

    def kept(self, choice: Int[Tensor, " n"]) -> BodyParams:
        """The chosen iterates' bodies."""
        every = torch.arange(len(choice))
        x = self.iterates
        return BodyParams(
            x.global_orient[every, choice], x.body_pose[every, choice], x.betas[every, choice]
        )


def load(folder: Path, body: Body) -> People:
    """The people of a folder, with their errors; SystemExit when it has no files."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise SystemExit(f"no .npz in {folder}: run benchmarks.iterates first")
    blocks = [np.load(path) for path in paths]
    data = {
        key: torch.from_numpy(np.concatenate([block[key] for block in blocks])).float()
        for key in blocks[0].files
    }
    rotmats, true = data["rotmats"], data["true_rotmats"]
    iterates = Prediction(rotmats[:, :, 0], rotmats[:, :, 1:], data["betas"], data["camera"])
    truth = BodyParams(true[:, 0], true[:, 1:], data["true_betas"])
    ours, theirs = centred_joints(body, iterates.body_params()), centred_joints(body, truth)
    theirs = theirs[:, None].expand_as(ours)
    fitted = fitted_weights(data["keypoints_2d"][..., 2], body.available(), EftConfig())
    return People(
        iterates,
        truth,
        data["keypoints_2d"],
        fitted,
        data["error_px"],
        pa_mpjpe(ours, theirs),
        mpjpe(ours, theirs),
    )


def centred_joints(body: Body, params: BodyParams) -> Float[Tensor, "*batch 14 3"]:
    """The evaluated joints relative to the pelvis, metres."""
    joints = body.keypoints(params, "h36m17")
    pelvis = H36M_17.index("pelvis")
    return (joints - joints[..., pelvis : pelvis + 1, :])[..., EVALUATED, :]


def pve(body: Body, kept: BodyParams, truth: BodyParams) -> Float[Tensor, " n"]:
    """Mean vertex distance after centring both bodies on the pelvis joint, mm."""
    out = []
    for first in range(0, len(kept.betas), CHUNK):
        some = slice(first, first + CHUNK)
        ours, theirs = (
            body(BodyParams(x.global_orient[some], x.body_pose[some], x.betas[some]))
            for x in (kept, truth)
        )
        ours, theirs = (x.vertices - x.joints[:, :1] for x in (ours, theirs))
        out.append(MILLIMETRES * (ours - theirs).norm(dim=-1).mean(-1))
    return torch.cat(out)


def stopped(people: People, stop_px: float) -> Int[Tensor, " n"]:
    """The first iterate below the stop, or the last."""
    below = people.error_px < stop_px
    last = people.error_px.shape[1] - 1
    return torch.where(below.any(1), below.float().argmax(1), last)


def up_to(people: People, last: Int[Tensor, " n"]) -> Prediction:
    """The iterates with those after `last` replaced by it, as a trace that stopped holds them."""
    steps = torch.arange(people.error_px.shape[1])
    at = torch.minimum(steps[None], last[:, None])
    rows = torch.arange(len(last))[:, None]
    x = people.iterates
    return Prediction(
        x.global_orient[rows, at], x.body_pose[rows, at], x.betas[rows, at], x.camera[rows, at]
    )


def guarded(
    body: Body,
    people: People,
    last: Int[Tensor, " n"],
    noise_px: float,
    guard: GuardConfig | None = None,
) -> Int[Tensor, " n"]:
    """The guard's choice among the iterates up to `last`."""
    iterates = up_to(people, last)
    keypoints = people.keypoints_2d.clone()
    spare = held_out(keypoints[..., 2], people.fitted, body.available())
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(keypoints[..., :2].shape, generator=generator) * noise_px
    keypoints[..., :2] += noise / crop_units_to_pixels() * spare[..., None]
    return choose(body, iterates, keypoints, people.fitted, guard, load_pose_prior())


def choices(
    body: Body, design: People, test: People, config: Config
) -> Iterator[tuple[str, Int[Tensor, " n"]]]:
    """(row, iterate kept of each test person)."""
    count = len(test.pa)
    best = int(design.pa.mean(0).argmin())
    yield "regressor", torch.zeros(count, dtype=torch.long)
    for name, last in (
        ("EFT", stopped(test, config.stop_px)),
        ("EFT, no stop", torch.full((count,), test.pa.shape[1] - 1)),
    ):
        yield name, last
        yield f"{name} + guard", guarded(body, test, last, config.noise_px)
    yield f"iteration {best} for all", torch.full((count,), best)
    yield "oracle", test.pa.argmin(1)


def smplified(body: Body, people: People, config: SmplifyConfig) -> dict[str, Tensor]:
    """Errors of SMPLify from the regressor's answers."""
    x = people.iterates
    start = Prediction(x.global_orient[:, 0], x.body_pose[:, 0], x.betas[:, 0], x.camera[:, 0])
    with torch.enable_grad():
        fits = fit_smplify(start, people.keypoints_2d, body, config, chunk_size=CHUNK)
    params = fits.after.prediction.body_params()
    ours, theirs = centred_joints(body, params), centred_joints(body, people.truth)
    return {
        "pa": pa_mpjpe(ours, theirs),
        "mpjpe": mpjpe(ours, theirs),
        "pve": pve(body, params, people.truth),
        "px": error_px(body, fits.after.prediction, people),
    }


def error_px(body: Body, found: Prediction, people: People) -> Float[Tensor, " n"]:
    """Mean 2D error over the keypoints that EFT fits: SMPLify's own choice has the ankles too."""
    projected = project_weak(body.keypoints(found.body_params()), found.camera)
    return mean_error_px(projected, people.keypoints_2d[..., :2], people.fitted)


def interval(
    values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[float, float]:
    """95 % of the bootstrap draws of a statistic; rows of `values` are people."""
    rng = np.random.default_rng(0)
    draws = [
        statistic(values[rng.integers(len(values), size=len(values))].mean(0))
        for _ in range(BOOTSTRAP)
    ]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def row_of(
    people: People, kept: Mapping[str, Tensor], reference: Mapping[str, Tensor]
) -> dict[str, float]:
    """One row's numbers; `kept` and `reference` (plain EFT) hold pa, mpjpe, pve, px of people."""
    before, best = people.pa[:, 0], people.pa.min(1).values
    change = kept["pa"] - reference["pa"]
    paired = torch.stack((-change, reference["pa"] - best), 1).double().numpy()
    low, high = interval(paired[:, :1], lambda mean: mean[0])
    closed_low, closed_high = interval(paired, lambda mean: mean[0] / max(mean[1], 1e-9))
    worse = kept["pa"] - before
    return {
        "pa_mpjpe": float(kept["pa"].mean()),
        "mpjpe": float(kept["mpjpe"].mean()),
        "pve": float(kept["pve"].mean()),
        "px": float(kept["px"].mean()),
        "worse_percent": 100 * float((worse > 0).float().mean()),
        "worse_by_5mm_percent": 100 * float((worse > 5).float().mean()),
        "gain_mm": float(paired[:, 0].mean()),
        "gain_low": low,
        "gain_high": high,
        "closed": float(paired[:, 0].mean() / max(paired[:, 1].mean(), 1e-9)),
        "closed_low": closed_low,
        "closed_high": closed_high,
    }


def kept_errors(body: Body, people: People, choice: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """Errors of the chosen iterates, one value a person."""
    every = torch.arange(len(choice))
    return {
        "pa": people.pa[every, choice],
        "mpjpe": people.mpjpe[every, choice],
        "pve": pve(body, people.kept(choice), people.truth),
        "px": people.error_px[every, choice],
    }


def tune(body: Body, people: People, config: Config) -> None:
    """The guard's weights over a grid, on the design people."""
    table = Table("held out", "prior", "PA mm", "gain mm", "+-", "worse %", "> 5 mm %")
    every = torch.arange(len(people.pa))
    last = stopped(people, config.stop_px)
    eft = people.pa[every, last]
    for spare, price in product((0.0, 0.5, 1.0, 2.0), (0.0, 0.03, 0.05, 0.1)):
        guard = GuardConfig(held_out_weight=spare, prior_weight=price)
        pa = people.pa[every, guarded(body, people, last, config.noise_px, guard)]
        gain, worse = eft - pa, pa - people.pa[:, 0]
        numbers = (pa.mean(), gain.mean(), gain.std() / len(gain) ** 0.5)
        shares = [100 * (worse > limit).float().mean() for limit in (0, 5)]
        cells = [f"{float(x):.2f}" for x in (*numbers, *shares)]
        table.add_row(f"{spare:g}", f"{price:g}", *cells)
    Console(width=90).print(table)


@torch.no_grad()
def main(config: Config) -> None:
    """Load, choose, print."""
    torch.set_num_threads(1)
    body = load_body("open")
    design = load(config.design, body)
    if config.tune:
        tune(body, design, config)
    test = load(config.test, body)
    kept = {
        name: kept_errors(body, test, choice)
        for name, choice in choices(body, design, test, config)
    }
    for name, settings in SMPLIFY.items():
        kept[name] = smplified(body, test, settings)
    results = {name: row_of(test, errors, kept["EFT"]) for name, errors in kept.items()}
    table = Table("", "PA mm", "MPJPE", "PVE", "2D px", "worse %", "> 5 mm %", "gain mm", "closed")
    for name, x in results.items():
        table.add_row(
            name,
            *(f"{x[key]:.1f}" for key in ("pa_mpjpe", "mpjpe", "pve", "px")),
            *(f"{x[key]:.0f}" for key in ("worse_percent", "worse_by_5mm_percent")),
            f"{x['gain_mm']:.2f} ({x['gain_low']:.2f} to {x['gain_high']:.2f})",
            f"{x['closed']:.2f} ({x['closed_low']:.2f} to {x['closed_high']:.2f})",
        )
    counts = {"design_people": len(design.pa), "test_people": len(test.pa)}
    print(counts)
    Console(width=130).print(table)
    write_results(config.output, replace(config, output=None), {**counts, "rows": results})


if __name__ == "__main__":
    main(tyro.cli(Config))
