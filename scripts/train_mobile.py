"""Make the default weights: `features` draws synthetic people and runs the frozen part of the
trunk on them, `train` trains the head and then the later layers, `export` writes the asset.

    python scripts/train_mobile.py features --out data/train --count 100000 --seed 1
    python scripts/train_mobile.py features --out data/val --count 2000 --seed 2
    python scripts/train_mobile.py train --train data/train --val data/val --out runs/mobile
    python scripts/train_mobile.py export --run runs/mobile

Every command resumes: finished blocks and epochs are not repeated.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from exemplar.assets import load_asset_state
from exemplar.bodies import Body, load_open_body
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.rotations import rot6d_to_rotmat, rotmat_to_rot6d
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.regressors.blazepose import TrunkOutput, TrunkSuffix
from exemplar.regressors.checkpoints import RegressorInfo, load_strictly, save_regressor
from exemplar.regressors.mobile import CUT, Mobile, flat_features
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import H36M_17, LSP_14, SMPL_24, SMPL_49, indices

FORWARD_BATCH = 8
"""Images a forward pass: larger batches fall out of the processor's cache."""
EVALUATED = indices(LSP_14, H36M_17)
PELVIS = SMPL_49.index("op_mid_hip")


@dataclass(frozen=True)
class Features:
    """Draw synthetic people and store what crosses the cut, in blocks."""

    out: Path
    """Folder of the blocks."""
    count: int
    """People to draw."""
    seed: int
    """Seed of the drawing; training and validation must differ."""
    start: int = 0
    """First person to draw: workers share the work by ranges."""
    block: int = 1000
    """People in a file."""
    threads: int = 1
    """Torch threads."""


@dataclass(frozen=True)
class Train:
    """Train the head on the frozen trunk, then the head and the later stages."""

    train: Path
    """Folder of training blocks."""
    val: Path
    """Folder of validation blocks."""
    out: Path
    """Run folder: config, log, last state."""
    head_epochs: int = 10
    """Passes over the data with the trunk frozen."""
    later_epochs: int = 8
    """Passes with the later stages free."""
    batch: int = 256
    """People a step."""
    head_rate: float = 6e-4
    """AdamW's peak step for the head."""
    later_rate: float = 2e-4
    """AdamW's peak step for the head in the second phase."""
    trunk_rate: float = 1e-4
    """AdamW's peak step for the later stages."""
    keep_weight: float = 0.02
    """Weight of staying near the original trunk's landmarks (px / 25) while the stages train."""
    dropout: float = 0.1
    """Dropout in the head."""
    limit: int | None = None
    """Use only this many training people."""
    threads: int = 1
    """Torch threads."""
    seed: int = 0
    """Seed of initial weights and order."""


@dataclass(frozen=True)
class Export:
    """Write the shipped asset from a run."""

    run: Path
    """Run folder."""
    out: Path = Path("src/exemplar/assets/mobile.safetensors")
    """The asset."""
    learning_rate: float = 1e-5
    """EFT's step, from `benchmarks.synthetic --sweep`."""
    adapt: Literal["all", "later"] = "later"
    """Which weights EFT moves, from `benchmarks.synthetic --adapt`."""


@dataclass(frozen=True)
class People:
    """Cached activations and truth of many people."""

    activations: Tensor
    """(N, 144, 8, 8) float16: what crosses the cut."""
    truth: Prediction
    """The true body and least-squares weak camera, rotations in 6D form until used."""
    keypoints_2d: Tensor
    """(N, 49, 3) crop units and whether inside the crop."""


def draw_features(config: Features) -> None:
    """Fill the folder with blocks of activations and truth."""
    from exemplar.synth.dataset import draw_samples

    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    config.out.mkdir(parents=True, exist_ok=True)
    body, model = load_open_body(), new_model()
    prefix, _ = model.trunk.split_at(CUT)
    compiled = torch.compile(prefix.to(memory_format=torch.channels_last))
    for first in range(config.start, config.start + config.count, config.block):
        path = config.out / f"{first:08d}.npz"
        if path.exists():
            continue
        began = time.time()
        size = min(config.block, config.start + config.count - first)
        drawn = draw_samples(size, seed=config.seed, start=first, body=body)
        drawn_at = time.time()
        parts = []
        with torch.inference_mode():
            for images in torch.from_numpy(drawn.images).split(FORWARD_BATCH):
                run = compiled if len(images) == FORWARD_BATCH else prefix
                parts.append(run(images.permute(0, 3, 1, 2).float() / 255).half().numpy())
        keypoints = drawn.keypoints_2d.astype(np.float32).copy()
        keypoints[..., :2] = keypoints[..., :2] / (drawn.images.shape[1] / 2) - 1
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            activations=np.concatenate(parts),
            global_orient=drawn.global_orient,
            body_pose=drawn.body_pose,
            betas=drawn.betas,
            camera=drawn.weak_camera,
            keypoints_2d=keypoints,
        )
        part.rename(path)
        rate = size / (time.time() - began)
        print(f"{path} {rate:.1f} people/s ({size / (drawn_at - began):.1f} drawn/s)", flush=True)


def new_model() -> Mobile:
    """The network with the original trunk and a fresh head."""
    model = Mobile()
    load_strictly(model.trunk, load_asset_state("pose_trunk.safetensors"), "pose_trunk")
    return model.eval()


def load_people(folder: Path, limit: int | None = None) -> People:
    """All blocks of a folder."""
    columns: dict[str, list[np.ndarray]] = {}
    total = 0
    for path in sorted(folder.glob("[0-9]*[0-9].npz")):
        with np.load(path) as block:
            for key in block.files:
                columns.setdefault(key, []).append(block[key])
            total += len(block["betas"])
        if limit is not None and total >= limit:
            break
    if not columns:
        raise FileNotFoundError(f"no blocks in {folder}: run the features command first")
    tensors = {
        key: torch.from_numpy(np.concatenate(parts)[:limit]) for key, parts in columns.items()
    }
    truth = Prediction(
        tensors["global_orient"], tensors["body_pose"], tensors["betas"], tensors["camera"]
    )
    return People(tensors["activations"], truth, tensors["keypoints_2d"])


def slice_truth(truth: Prediction, rows: Tensor) -> Prediction:
    """The truth of some people."""
    return Prediction(
        truth.global_orient[rows], truth.body_pose[rows], truth.betas[rows], truth.camera[rows]
    )


def rotations(prediction: Prediction) -> Tensor:
    """All 24 rotations."""
    return torch.cat((prediction.global_orient[:, None], prediction.body_pose), dim=1)


def loss_terms(
    body: Body, predicted: Prediction, truth: Prediction, keypoints_2d: Tensor
) -> dict[str, Tensor]:
    """Weighted supervised terms, each a mean over the batch (HMR and SPIN's, in L1 for points)."""
    ours = body.keypoints(predicted.body_params())
    theirs = body.keypoints(truth.body_params())
    seen = keypoints_2d[..., 2:]
    projected = project_weak(ours, predicted.camera)
    moved = (ours - ours[:, [PELVIS]]) - (theirs - theirs[:, [PELVIS]])
    off = (seen * (projected - keypoints_2d[..., :2])).abs().sum((1, 2)) / (
        seen.sum((1, 2)).clamp_min(1.0)
    )
    return {
        "rotations": 1.0 * (rotations(predicted) - rotations(truth)).square().sum((2, 3)).mean(),
        "joints_3d": 10.0 * moved.abs().sum(2).mean(),
        "keypoints_2d": 5.0 * off.mean(),
        "betas": 0.03 * (predicted.betas - truth.betas).square().mean(),
    }


@torch.no_grad()
def validate(body: Body, average: "Average", people: People) -> dict[str, float]:
    """Mean errors of the averaged weights over validation people: mm, and px of a 224 crop."""
    model = Mobile().eval()
    model.load_state_dict(average.shadow)
    _, suffix = model.trunk.split_at(CUT)
    errors: dict[str, list[Tensor]] = {"pa_mpjpe": [], "mpjpe": [], "px": []}
    for rows in torch.arange(len(people.keypoints_2d)).split(500):
        output = suffix(people.activations[rows].float())
        predicted = model.head(flat_features(output))
        truth = slice_truth(people.truth, rows)
        ours, theirs = (body.keypoints(x.body_params(), "h36m17") for x in (predicted, truth))
        ours, theirs = (x - x[:, :1] for x in (ours, theirs))
        errors["pa_mpjpe"].append(pa_mpjpe(ours[:, EVALUATED], theirs[:, EVALUATED]))
        errors["mpjpe"].append(mpjpe(ours[:, EVALUATED], theirs[:, EVALUATED]))
        target = people.keypoints_2d[rows]
        projected = project_weak(body.keypoints(predicted.body_params()), predicted.camera)
        gap = (projected - target[..., :2]).norm(dim=-1) * target[..., 2]
        errors["px"].append(112 * gap.sum(1) / target[..., 2].sum(1).clamp_min(1))
    return {key: float(torch.cat(parts).mean()) for key, parts in errors.items()}


def set_statistics(model: Mobile, suffix: TrunkSuffix, people: People) -> None:
    """Feature statistics and the mean estimate, from the first few thousand people."""
    rows = torch.arange(min(4000, len(people.keypoints_2d)))
    with torch.no_grad():
        parts = [flat_features(suffix(people.activations[r].float())) for r in rows.split(500)]
    features = torch.cat(parts)
    model.head.feature_mean.copy_(features.mean(0))
    model.head.feature_std.copy_(features.std(0).clamp_min(1e-3))
    mean = rotations(slice_truth(people.truth, rows)).mean(0)
    u, _, vt = torch.linalg.svd(mean)
    start = rot6d_to_rotmat(rotmat_to_rot6d(u @ vt))
    assert start.shape == (len(SMPL_24), 3, 3)
    model.head.set_start(start, people.truth.camera[rows].mean(0))


def batches(count: int, size: int, seed: int) -> Iterator[Tensor]:
    """A shuffled pass over `count` people."""
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return iter(order.split(size)[: count // size])


class Average(nn.Module):
    """Exponential moving average of a model's weights."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        super().__init__()
        self.decay, self.steps = decay, 0
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move the average towards the model; the first steps count for more."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        for key, value in model.state_dict().items():
            self.shadow[key].lerp_(value, 1 - decay)


@dataclass
class Phase:
    """One stretch of training: what learns, and the state that a checkpoint keeps."""

    name: str
    epochs: int
    model: Mobile
    suffix: TrunkSuffix
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.OneCycleLR
    average: Average
    parameters: list[nn.Parameter]

    def save(self, path: Path, epochs_done: int) -> None:
        """Write the state; a half-written file never takes the place of a whole one."""
        part = path.with_suffix(".part")
        torch.save(
            {
                "model": self.model.state_dict(),
                "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(),
                "average": self.average.shadow,
                "steps": self.average.steps,
                "epochs": epochs_done,
            },
            part,
        )
        part.rename(path)

    def resume(self, path: Path) -> int:
        """Take up a saved state; returns the epochs it has seen."""
        if not path.exists():
            return 0
        state = torch.load(path, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.average.shadow, self.average.steps = state["average"], state["steps"]
        return state["epochs"]


def train(config: Train) -> None:
    """Both phases, resuming after the last finished epoch."""
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    body, model = load_open_body(), new_model()
    model.head.dropout.p = config.dropout
    people, val = load_people(config.train, config.limit), load_people(config.val)
    _, suffix = model.trunk.split_at(CUT)
    set_statistics(model, suffix, people)
    original = original_features(suffix, people)
    print(f"{len(original)} people, {len(original) // config.batch} steps an epoch", flush=True)
    for name, epochs in (("head", config.head_epochs), ("later", config.later_epochs)):
        phase = new_phase(name, epochs, model, suffix, config, len(original))
        checkpoint = config.out / f"{name}.pt"
        for epoch in range(phase.resume(checkpoint), epochs):
            began = time.time()
            terms = run_epoch(phase, epoch, body, people, original, config)
            line = {"phase": name, "epoch": epoch + 1, "seconds": round(time.time() - began)}
            line |= validate(body, phase.average, val) | terms
            print(
                " ".join(
                    f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in line.items()
                ),
                flush=True,
            )
            with (config.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            phase.save(checkpoint, epoch + 1)
        model.load_state_dict(phase.average.shadow)


def new_phase(
    name: str, epochs: int, model: Mobile, suffix: TrunkSuffix, config: Train, count: int
) -> Phase:
    """Optimiser, schedule and average of a phase that starts."""
    head, later = list(model.head.parameters()), list(suffix.parameters())
    if name == "head":
        groups = [{"params": head, "lr": config.head_rate}]
    else:
        groups = [
            {"params": head, "lr": config.later_rate},
            {"params": later, "lr": config.trunk_rate},
        ]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2, fused=True)
    steps = max(1, epochs * (count // config.batch))
    rates = [group["lr"] for group in groups]
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rates, total_steps=steps + 1, pct_start=0.15
    )
    parameters = [p for group in groups for p in group["params"]]
    return Phase(
        name, epochs, model, suffix, optimiser, schedule, Average(model, 0.998), parameters
    )


def run_epoch(
    phase: Phase, epoch: int, body: Body, people: People, original: Tensor, config: Train
) -> dict[str, float]:
    """One pass over the people; returns the mean of each loss term."""
    sums: dict[str, float] = {}
    phase.model.head.train()
    steps = len(original) // config.batch
    for rows in batches(len(original), config.batch, config.seed * 1000 + epoch):
        terms = {}
        if phase.name == "head":
            predicted = phase.model.head(original[rows])
        else:
            output = phase.suffix(people.activations[rows].float())
            predicted = phase.model.head(flat_features(output))
            terms["keep"] = config.keep_weight * kept(output, original[rows])
        truth = slice_truth(people.truth, rows)
        terms |= loss_terms(body, predicted, truth, people.keypoints_2d[rows])
        loss = torch.stack(list(terms.values())).sum()
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {float(loss)} in epoch {epoch + 1}")
        phase.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(phase.parameters, 5.0)
        phase.optimiser.step()
        phase.schedule.step()
        phase.average.update(phase.model)
        for key, value in terms.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach()) / steps
    return sums


def kept(output: TrunkOutput, original: Tensor) -> Tensor:
    """How far the trunk's landmarks moved from what BlazePose says, in units of 25 px and 10 cm."""
    numbers = output.landmarks[0].numel()
    before = original[:, :numbers].view_as(output.landmarks)
    world = original[:, numbers : numbers + output.world[0].numel()].view_as(output.world)
    gaps = (
        (output.landmarks[..., :3] - before[..., :3]) / 25,
        (output.world - world) / 0.1,
    )
    smooth = nn.functional.smooth_l1_loss
    return torch.stack([smooth(gap, torch.zeros_like(gap)) for gap in gaps]).sum()


def original_features(suffix: TrunkSuffix, people: People) -> Tensor:
    """The original trunk's flat outputs of everyone, once."""
    rows = torch.arange(len(people.keypoints_2d))
    with torch.no_grad():
        parts = [flat_features(suffix(people.activations[r].float())) for r in rows.split(500)]
    return torch.cat(parts)


def export(config: Export) -> None:
    """The averaged weights of the last phase, as the package loads them."""
    checkpoint = next(p for p in (config.run / "later.pt", config.run / "head.pt") if p.exists())
    model = Mobile()
    model.load_state_dict(torch.load(checkpoint, weights_only=True)["average"])
    info = RegressorInfo(
        "mobile", "open", config.learning_rate, config.adapt, "scripts/train_mobile.py"
    )
    save_regressor(model, info, config.out)
    print(f"{config.out} {config.out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    Command = (
        Annotated[Features, tyro.conf.subcommand("features")]
        | Annotated[Train, tyro.conf.subcommand("train")]
        | Annotated[Export, tyro.conf.subcommand("export")]
    )
    chosen = tyro.cli(Command)  # pyright: ignore
    {Features: draw_features, Train: train, Export: export}[type(chosen)](chosen)
