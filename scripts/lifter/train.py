"""Train a head on simulated, real and drawn people together; resumable.

    python -m scripts.lifter.train --out runs/round1 --poses POSES.npz --noise W/noise.npz \
        --real W/full/lspet W/full/coco --lifted W/lifted/lspet W/lifted/coco --drawn W/full/drawn

POSES.npz has `poses`, (n, 24, 3) axis-angle of a motion capture. `--real` are folders of
`scripts.lifter.readings`, `--lifted` what `scripts.lifter.lift` made of each.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from exemplar.bodies import Body, load_open_body
from exemplar.environment import usable_device
from exemplar.metrics import pa_mpjpe
from exemplar.regressors.lifter import LifterConfig, LifterHead, frame_of
from exemplar.regressors.prediction import Prediction
from exemplar.skeletons import LIMBS_IN_49
from scripts.lifter.fits import load_head
from scripts.lifter.given import given_to
from scripts.lifter.inner import Inner, stepped
from scripts.lifter.losses import NO_BOX, loss_of, terms_of
from scripts.lifter.noise import NoiseModel, guessed
from scripts.lifter.people import People, mirror_image, simulated, together
from scripts.lifter.poses import PosePool, families, lifted, motion_capture
from scripts.lifter.readings import Columns, landmarks_of, load_columns


@dataclass(frozen=True)
class Train:
    """Settings."""

    out: Path
    """Folder of checkpoint, log and weights."""
    poses: Path
    """Motion capture, .npz."""
    real: tuple[Path, ...] = ()
    """Readings of real people."""
    lifted: tuple[Path, ...] = ()
    """Folders of their bodies."""
    drawn: tuple[Path, ...] = ()
    """Readings of drawn people, with their truth."""
    noise: Path | None = None
    """The noise model; None guesses one about the visibilities of the first of `bank`."""
    bank: Path | None = None
    """Readings whose visibilities a guessed model draws from."""
    families: int = 40_000
    """Poses of joint-limited families."""
    steps: int = 10_000
    """Updates."""
    batch: int = 256
    """People an update."""
    shares: tuple[float, float, float] = (0.6, 0.25, 0.15)
    """Of simulated, real and drawn people in a batch; kinds without people give theirs away."""
    believed: float = 0.3
    """How far lifted bodies are believed; their annotated keypoints always are."""
    rate: float = 1e-3
    """Largest step of AdamW, one cycle."""
    hidden: int = 512
    """Width of the head."""
    blocks: int = 3
    """Its blocks."""
    dropout: float = 0.1
    """In training."""
    keypoints: bool = False
    """Train a head that reads 2D keypoints, too (`scripts.lifter.given`)."""
    start: str | None = None
    """Weights to go on from: a shipped regressor's name, or the .pt of an earlier run."""
    inner: float | None = None
    """Size of the exemplar step inside each update (`scripts.lifter.inner`); None is plain."""
    auxiliary: Path | None = None
    """Checkpoint of the auxiliary head of that step."""
    every: int = 1000
    """Updates between validations and checkpoints."""
    validation: tuple[Path, ...] = ()
    """.npz files with readings of real people and `truth` (n, 12, 3), the limb joints, metres."""
    seed: int = 0
    """Seed of everything random."""
    device: str = "cpu"
    """Torch device of the head; people are made on the CPU."""
    workers: int = 0
    """Threads that make people ahead; 0 makes them between the updates."""
    bfloat16: bool = False
    """Take the head's products in bfloat16."""
    compile: bool = False
    """Compile the head with torch.compile."""
    seconds: float = float("inf")
    """Stop after so long, with a checkpoint; the same command goes on."""
    weights: Path | None = None
    """Write the averaged weights here at the end, as `--start` reads them: a quarter of a
    checkpoint."""

    def shape(self) -> LifterConfig:
        """The head's."""
        return LifterConfig(self.hidden, self.blocks, self.dropout, reads_keypoints=self.keypoints)

    def saved_shape(self) -> list[int]:
        """What `fits.load_head` reads."""
        return [self.hidden, self.blocks, int(self.keypoints)]


def starting_weights(start: str) -> dict[str, Tensor]:
    """A head's weights, by the name of a shipped regressor or from an earlier run's file."""
    if Path(start).suffix == ".pt":
        return torch.load(start, map_location="cpu", weights_only=True)["average"]
    return load_head(start).state_dict()


def widened(weights: dict[str, Tensor], head: LifterHead) -> dict[str, Tensor]:
    """A head's weights for one that may read more: what is new counts nothing at first."""
    missing = head.enter.in_features - weights["enter.weight"].shape[1]
    return weights | {"enter.weight": nn.functional.pad(weights["enter.weight"], (0, missing))}


def main(config: Train) -> None:
    """Train, from the last checkpoint if there is one."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(config.seed)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "config.json").write_text(json.dumps(asdict(config), default=str, indent=1))
    device = usable_device(config.device)
    kinds = Kinds(config, load_open_body())
    body = load_open_body().to(device)
    head = LifterHead(config.shape()).train().to(device)
    if config.start is not None:
        head.load_state_dict(widened(starting_weights(config.start), head))
    average = {key: value.detach().clone() for key, value in head.state_dict().items()}
    optimiser = torch.optim.AdamW(head.parameters(), config.rate, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, config.rate, total_steps=config.steps + 1, pct_start=0.1
    )
    checkpoint = config.out / "head.pt"
    first = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        head.load_state_dict(state["head"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        average, first = state["average"], state["step"]
    auxiliary = None if config.auxiliary is None else load_head(config.auxiliary).to(device)
    inner = None if config.inner is None else Inner(config.inner, auxiliary)

    answers = torch.compile(head) if config.compile else head

    def predict(people: People, step: int) -> Prediction:
        if inner is None:
            box = NO_BOX
            if config.keypoints:
                given = given_to(people, torch.Generator(device).manual_seed(step))
                box = replace(NO_BOX, keypoints=given)
            with torch.autocast(device.type, torch.bfloat16, enabled=config.bfloat16):
                found = answers(people.landmarks, box)
            return Prediction(*(value.float() for value in vars(found).values()))
        return stepped(head, body, people, inner, torch.Generator().manual_seed(step))

    began, sums = time.time(), {}
    for step, made in ahead(kinds.batch, range(first, config.steps), config.workers):
        people = made.to(device)
        terms = terms_of(body, predict(people, step), people)
        loss = loss_of(terms)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss is {float(loss)} at update {step}")
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        decay = min(0.999, (step + 1) / (step + 10))
        for key, value in head.state_dict().items():
            average[key].lerp_(value, 1 - decay)
        for key, term in terms.items():
            sums[key] = sums.get(key, 0.0) + term.detach().mean() / config.every
        late = time.time() - began > config.seconds
        if (step + 1) % config.every == 0 or step + 1 == config.steps or late:
            line: dict[str, float] = {"step": step + 1, "seconds": round(time.time() - began)}
            line |= kinds.validate(average) | {key: float(value) for key, value in sums.items()}
            sums = {}
            print(" ".join(f"{k}={v:.4g}" for k, v in line.items()), flush=True)
            with (config.out / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
            state = {
                "head": head.state_dict(), "average": average, "step": step + 1,
                "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict(),
                "shape": config.saved_shape(),
            }  # fmt: skip
            part = checkpoint.with_suffix(".part")
            torch.save(state, part)
            part.rename(checkpoint)
        if late:
            break
    if config.weights is not None:
        kept = {key: value.cpu() for key, value in average.items()}
        torch.save({"average": kept, "shape": config.saved_shape()}, config.weights)


def ahead(
    make: Callable[[int], People], steps: Sequence[int], workers: int
) -> Iterator[tuple[int, People]]:
    """Steps and their people, of which threads make a few ahead; who they are depends on the step
    alone."""
    if workers == 0:
        yield from ((step, make(step)) for step in steps)
        return
    with ThreadPoolExecutor(workers) as pool:
        waiting: deque[tuple[int, Future[People]]] = deque()
        try:
            for step in steps:
                waiting.append((step, pool.submit(make, step)))
                if len(waiting) > 2 * workers:
                    first, made = waiting.popleft()
                    yield first, made.result()
            while waiting:
                first, made = waiting.popleft()
                yield first, made.result()
        finally:
            pool.shutdown(cancel_futures=True)


class Kinds:
    """The kinds of people, and what a batch takes of each."""

    def __init__(self, config: Train, body: Body) -> None:
        self.config, self.body = config, body
        captured = np.load(config.poses)["poses"]
        kept = np.arange(len(captured)) % 10 != 0
        sources = [
            motion_capture(captured[kept]),
            families(config.families, 1 + config.seed, body),
        ]
        self.real = [
            real_people(load_columns(folder), load_columns(file), config.believed)
            for folder, file in zip(config.real, config.lifted, strict=True)
        ]
        weights = [0.45, 0.55]
        if self.real:
            sources.append(
                lifted(
                    torch.cat([p.global_orient for p in self.real]),
                    torch.cat([p.body_pose for p in self.real]),
                )
            )
            weights = [0.35, 0.4, 0.25]
        self.pool = PosePool(sources, weights)
        self.real = [together(self.real)] if self.real else []
        drawn = [drawn_people(load_columns(folder)) for folder in config.drawn]
        self.drawn = [together(drawn)] if drawn else []
        self.noise = self._noise()
        held_out = PosePool(
            [motion_capture(captured[~kept]), families(1000, 9999, body)], [0.5, 0.5]
        )
        generator = torch.Generator().manual_seed(12345)
        self.held_out = simulated(2000, held_out, self.noise, body, generator)
        self.validation = {path.stem: dict(np.load(path)) for path in config.validation}

    def _noise(self) -> NoiseModel:
        if self.config.noise is not None:
            return NoiseModel.load(self.config.noise)
        if self.config.bank is None:
            raise ValueError("give --noise, or --bank to guess one")
        bank = load_columns(self.config.bank)
        return guessed(torch.from_numpy(bank["visibility"]), torch.from_numpy(bank["spread"]))

    def batch(self, step: int) -> People:
        """The people of an update, from the seed and its number."""
        config = self.config
        generator = torch.Generator().manual_seed(1_000_003 * (config.seed + 1) + step)
        sizes = [int(config.batch * share) for share in config.shares]
        parts = []
        for kind, size in ((self.real, sizes[1]), (self.drawn, sizes[2])):
            if kind:
                rows = torch.randint(len(kind[0]), (size,), generator=generator)
                parts.append(jittered(kind[0][rows], generator))
        rest = config.batch - sum(len(part) for part in parts)
        parts.append(simulated(rest, self.pool, self.noise, self.body, generator))
        return together(parts)

    @torch.no_grad()
    def validate(self, weights: dict[str, Tensor]) -> dict[str, float]:
        """PA-MPJPE (mm, 12 limb joints) of averaged weights: simulated people, then real ones."""
        head = LifterHead(self.config.shape()).eval()
        head.load_state_dict({key: value.cpu() for key, value in weights.items()})
        given = given_to(self.held_out, torch.Generator().manual_seed(0))
        box = replace(NO_BOX, keypoints=given)
        found = self.body.keypoints(head(self.held_out.landmarks, box).body_params())
        truth = self.body.keypoints(self.held_out.params())
        out = {"simulated": float(pa_mpjpe(found[:, LIMBS_IN_49], truth[:, LIMBS_IN_49]).mean())}
        for name, people in self.validation.items():
            box = replace(NO_BOX, keypoints=torch.from_numpy(people["keypoints_2d"]).float())
            found = self.body.keypoints(head(landmarks_of(people), box).body_params())
            measured = torch.from_numpy(people["truth"]).float()
            known = measured.isfinite().all(-1)
            errors = pa_mpjpe(found[:, LIMBS_IN_49], measured.nan_to_num(), known)
            out[name] = float(errors.mean())
        return out


def real_people(columns: Columns, bodies: Columns, believed: float) -> People:
    """Real people whose lifted bodies are accepted, in units of their landmarks' extent."""
    kept = bodies["weight"] > 0
    columns, bodies = ({k: v[kept] for k, v in c.items()} for c in (columns, bodies))
    return _people(columns, bodies, torch.full((len(columns["image"]),), believed))


def drawn_people(columns: Columns) -> People:
    """Drawn people with their truth."""
    return _people(columns, columns, torch.ones(len(columns["betas"])))


def _people(columns: Columns, bodies: Columns, weight: Tensor) -> People:
    landmarks = landmarks_of(columns)
    middle, extent = frame_of(landmarks.points)
    points = torch.from_numpy(columns["keypoints_2d"]).float()
    flat = (points[..., :2] - middle) / extent
    sure = points[..., 2:] * (flat.norm(dim=-1, keepdim=True) < 3.0)
    return People(
        landmarks=landmarks._replace(points=(landmarks.points - middle) / extent),
        global_orient=torch.from_numpy(bodies["global_orient"]).float(),
        body_pose=torch.from_numpy(bodies["body_pose"]).float(),
        betas=torch.from_numpy(bodies["betas"]).float(),
        points=torch.cat((flat, sure), -1),
        weight=weight,
    )


def jittered(people: People, generator: torch.Generator) -> People:
    """The same people, half of them mirrored, with readings a little off: no crop comes twice."""
    half = torch.rand(len(people), generator=generator) < 0.5
    people = together([mirror_image(people[half]), people[~half]])
    read = people.landmarks
    noise = 0.008 * torch.randn(read.points.shape, generator=generator)
    deep = 0.008 * torch.randn(read.world.shape, generator=generator)
    return replace(
        people, landmarks=read._replace(points=read.points + noise, world=read.world + deep)
    )


if __name__ == "__main__":
    main(tyro.cli(Train))
