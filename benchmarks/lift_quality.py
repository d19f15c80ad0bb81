"""How good lifted bodies are: errors against synthetic truth, by recipe and kind of annotation.

python -m benchmarks.lift_quality --data F --work W --count 300

Each row of the table is a lifting job, resumable: run the same command again to go on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.common import write_results
from exemplar.bodies import Body, BodyParams, load_body
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import open_job
from exemplar.lift.lifter import Lifter
from exemplar.lift.local import run_local
from exemplar.lift.store import Ledger, Selection
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.results import OK
from exemplar.skeletons import H36M_17, LSP_14, indices

RECIPES: Mapping[str, LiftConfig] = {
    "regressor": LiftConfig(recipe="regressor"),
    "eft": LiftConfig(),
    "eft+guard": LiftConfig(guard=True),
    "smplify": LiftConfig(recipe="smplify"),
}
EVALUATED = indices(LSP_14, H36M_17)


@dataclass(frozen=True)
class Config:
    """Settings."""

    data: Path
    """Folder that `benchmarks.lift_data` wrote."""
    work: Path
    """Folder of the jobs."""
    count: int = 300
    """People."""
    annotations: tuple[str, ...] = ("exact", "noisy", "incomplete")
    """Kinds of annotation."""
    recipes: tuple[str, ...] = tuple(RECIPES)
    """Recipes."""
    output: Path | None = None
    """JSON file to write."""


def main(config: Config) -> None:
    """Lift, compare, print."""
    truth = dict(np.load(config.data / "truth.npz"))
    body = load_body("open")
    results: dict[str, dict[str, dict[str, float]]] = {}
    table = Table("annotation", "recipe", "people", "ok", "PA mm", "MPJPE", "PVE", "px", "worse %")
    for kind in config.annotations:
        results[kind] = {}
        start: np.ndarray | None = None
        for recipe in config.recipes:
            rows = lifted(config, kind, recipe)
            found = errors(body, rows, truth)
            start = found["pa_mpjpe"] if start is None else start
            means = {name: float(values.mean()) for name, values in found.items()}
            accepted = np.array([row.status == OK for row in rows])
            means["share_ok"] = float(accepted.mean())
            means["pa_mpjpe_of_ok"] = float(found["pa_mpjpe"][accepted].mean())
            means["share_worse_percent"] = float(100 * (found["pa_mpjpe"] > start).mean())
            results[kind][recipe] = means | {"people": len(rows)}
            table.add_row(
                kind, recipe, str(len(rows)), f"{means['share_ok']:.3f}",
                *(f"{means[key]:.1f}" for key in ("pa_mpjpe", "mpjpe", "pve", "px")),
                f"{means['share_worse_percent']:.0f}",
            )  # fmt: skip
    Console(width=110).print(table)
    write_results(config.output, config, results)


def lifted(config: Config, kind: str, recipe: str) -> list[PseudoTruth]:
    """The job's results, made now or before."""
    folder = config.work / f"{kind}_{recipe}"
    annotation = config.data / f"{kind}.npz"
    with open_job(folder, annotation, config.data, RECIPES[recipe]) as ledger:
        selection = Selection(config.count)
        total, done, _ = ledger.progress(selection)
        if done < total:
            ledger.join()
            run_local(ledger, Lifter(RECIPES[recipe]), selection, lambda made: None)
        print(f"{kind} {recipe}: {ledger.outcomes()}", flush=True)
        return first(ledger, config.count)


def first(ledger: Ledger, count: int) -> list[PseudoTruth]:
    """The results of the first people."""
    rows = [row for row in ledger.truths() if number(row) < count]
    assert len(rows) == count, f"{len(rows)} results of {count} people"
    return rows


def number(row: PseudoTruth) -> int:
    """Which person of the data a row is."""
    return int(Path(row.sample.image).stem)


@torch.no_grad()
def errors(
    body: Body, rows: list[PseudoTruth], truth: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Of each person: PA-MPJPE and MPJPE over 14 joints, PVE (all mm; the latter two after centring
    on the pelvis), and the fit's 2D error."""
    who = [number(row) for row in rows]
    bodies = [row.sample.body for row in rows]
    poses = torch.from_numpy(np.stack([one.pose for one in bodies if one is not None])).float()
    betas = torch.from_numpy(np.stack([one.betas for one in bodies if one is not None])).float()
    ours = BodyParams(poses[:, 0], poses[:, 1:], betas)
    names = ("global_orient", "body_pose", "betas")
    theirs = BodyParams(*(torch.from_numpy(truth[name][who]).float() for name in names))
    joints = [body.keypoints(params, "h36m17") for params in (ours, theirs)]
    centred = [(x - x[:, :1])[:, EVALUATED] for x in joints]
    return {
        "pa_mpjpe": pa_mpjpe(*centred).numpy(),
        "mpjpe": mpjpe(*centred).numpy(),
        "pve": _vertex_errors(body, ours, theirs, joints).numpy(),
        "px": np.array([row.error_px_after for row in rows]),
    }


def _vertex_errors(
    body: Body, ours: BodyParams, theirs: BodyParams, joints: list[Tensor]
) -> Tensor:
    """Mean vertex distance after centring on the pelvis, mm; some people at a time."""
    found = []
    for start in range(0, len(ours.betas), 50):
        part = slice(start, start + 50)
        meshes = [
            body(
                BodyParams(params.global_orient[part], params.body_pose[part], params.betas[part])
            ).vertices
            - pelvis[part, :1]
            for params, pelvis in zip((ours, theirs), joints, strict=True)
        ]
        found.append(1000 * (meshes[0] - meshes[1]).norm(dim=-1).mean(-1))
    return torch.cat(found)


if __name__ == "__main__":
    main(tyro.cli(Config))
