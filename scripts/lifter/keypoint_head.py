"""A head that is also told the 2D keypoints: it starts as a shipped one, and learns from simulated
people what keypoints say about depth. EFT then moves its weights as it would any head's.

    python -m scripts.lifter.keypoint_head --bank bank --out keypoint_head --steps 2000

Resumable only as a whole (minutes); the weights are kept, and testing them is a second call.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro
from jaxtyping import Float
from torch import Tensor, nn

from benchmarks.common import write_results
from exemplar.bodies import Body, load_open_body
from exemplar.evaluation.reproduce.landmark_bank import LIMBS, Bank, TestSet
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.geometry.cameras import CameraModel
from exemplar.geometry.crops import Box, Framing
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.lifter import LifterHead, frame_of
from exemplar.regressors.on_landmarks import Unpack
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import BLAZEPOSE_33, LIMBS_12, flip_permutation, indices
from scripts.lifter.losses import NO_BOX, loss_of, terms_of
from scripts.lifter.people import People

READ = indices(LIMBS_12, BLAZEPOSE_33)
ACROSS = torch.tensor([-1.0, 1.0, 1.0])
TOLD = 3 * len(LIMBS_12)
"""Numbers that tell of the keypoints: how far each is from the landmark, and its confidence."""


@dataclass(frozen=True)
class KeypointHead:
    """Settings."""

    bank: Path
    """Folder of `scripts.lifter.bank`."""
    out: Path
    """Folder of the weights and the results."""
    regressor: str = "large"
    """Shipped regressor to start from."""
    steps: int = 2000
    """Updates."""
    batch: int = 128
    """People of an update, all simulated."""
    rate: float = 3e-4
    """Largest step of AdamW, one cycle."""
    eft_rate: float = 1e-5
    """EFT's step."""
    people: int = 84
    """Most people of a test set."""
    fitted: tuple[str, ...] = ("multiview-true", "multiview-built-in")
    """Test sets whose people EFT fits, too; of the others its answer is tested alone."""


class WithKeypoints(nn.Module):
    """A lifter's head whose first layer also takes keypoints; its pictures are `shown`."""

    resolution = width = 256
    framing: Framing = "hips"
    camera_model: CameraModel = "weak"

    def __init__(self, head: LifterHead) -> None:
        super().__init__()
        self.head, self.unpack = head, Unpack()
        self.told = nn.Linear(TOLD, head.config.hidden, bias=False)
        nn.init.zeros_(self.told.weight)
        head.enter.register_forward_hook(self._add_told)
        self._now: Tensor | None = None

    def _add_told(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        assert self._now is not None
        now = self._now if output.ndim == 3 else self._now[:, 0]
        return output + self.told(now)

    def forward(self, image: Float[Tensor, "b 3 1 n"], box: Box) -> Prediction:
        """Bodies of landmarks and keypoints; in eval mode the mean with the mirror image's."""
        numbers = image.flatten(1)
        points = numbers[:, -TOLD:].unflatten(1, (-1, 3))
        landmarks = self.unpack(numbers[:, :-TOLD])
        _, extent = frame_of(landmarks.points)
        confidence = points[..., 2:]
        apart = 10 * (points[..., :2] - landmarks.points[:, READ]) / extent * confidence
        # a wrong keypoint must not drown the rest
        apart = apart / (1 + apart.norm(dim=-1, keepdim=True) / 4)
        told = torch.cat((apart, confidence), -1)
        image = told[:, flip_permutation(LIMBS_12)] * ACROSS
        self._now = torch.stack((told.flatten(1), image.flatten(1)), 1)
        return self.head(landmarks, box)


def shown(image: Tensor, points: Float[Tensor, "b 49 3"]) -> Float[Tensor, "b 3 1 n"]:
    """Packed landmarks with the limb joints' keypoints behind them."""
    return torch.cat((image.flatten(1), points[:, LIMBS].flatten(1)), 1).unflatten(1, (3, 1, -1))


def simulated(bank: Bank, config: KeypointHead) -> Iterator[tuple[Tensor, People]]:
    """Pictures and truth of each update: a detector's errors, wrong and missing keypoints."""
    draws = torch.Generator().manual_seed(0)
    for step in range(config.steps):
        people = bank.batch(0, step, config.batch, simulated=1.0)
        assert isinstance(people.inputs, Tensor)
        given = people.keypoints_2d.clone()
        count = (len(given), len(LIMBS))
        rough = torch.where(torch.rand(len(given), 1, 1, generator=draws) < 0.4, 0.02, 0.004)
        wrong = 0.25 * (torch.rand(*count, 1, generator=draws) < 0.01)
        given[:, LIMBS, :2] += (rough + wrong) * torch.randn(*count, 2, generator=draws)
        share = torch.rand(len(given), 1, generator=draws)
        known = torch.rand(*count, generator=draws) < torch.where(share < 0.5, 1.0, share)
        given[:, LIMBS, 2] *= known
        truth = People(
            Landmarks(*[torch.empty(0)] * 4), people.body.global_orient, people.body.body_pose,
            people.body.betas, people.keypoints_2d, torch.ones(len(given)),
        )  # fmt: skip
        yield shown(people.inputs, given), truth


def main(config: KeypointHead) -> None:
    """Train if there are no weights, then test."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    bank, body = Bank(config.bank), load_open_body()
    head = load_regressor(config.regressor)[0].get_submodule("head")
    assert isinstance(head, LifterHead)
    network, path = WithKeypoints(head), config.out / "weights.pt"
    if not path.exists():
        config.out.mkdir(parents=True, exist_ok=True)
        torch.save(_trained(network, body, bank, config), path)
    network.load_state_dict(torch.load(path, weights_only=True))
    results = {}
    for name, test in sorted(bank.tests.items(), key=lambda pair: pair[0] in config.fitted):
        few, rate = test.first(config.people), config.eft_rate if name in config.fitted else None
        results[name] = tested(network.eval(), body, few, rate)
        print(name, results[name], flush=True)
        write_results(config.out / "results.json", config, results)


def _trained(
    network: WithKeypoints, body: Body, bank: Bank, config: KeypointHead
) -> dict[str, Tensor]:
    """Averaged weights."""
    network.train()
    adam = torch.optim.AdamW(network.parameters(), config.rate, weight_decay=1e-4)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        adam, config.rate, total_steps=config.steps + 1, pct_start=0.1
    )
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    for step, (image, truth) in enumerate(simulated(bank, config)):
        loss = loss_of(terms_of(body, network(image, NO_BOX), truth))
        adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        adam.step()
        cycle.step()
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - min(0.998, (step + 1) / (step + 10)))
        if step % 100 == 99:
            print(step + 1, float(loss.detach()), flush=True)
    return average


def tested(network: WithKeypoints, body: Body, test: TestSet, rate: float | None) -> dict[str, Any]:
    """Mean errors of its answer, and after EFT with this step."""
    batch = test.batch
    own = Batch(shown(batch.image, batch.keypoints_2d), batch.box, batch.keypoints_2d)
    with torch.no_grad():
        found = {"answer": network(own.image, own.box)}
    if rate is not None:
        eft = EftConfig(learning_rate=rate, stop_px=None)
        found["EFT"] = fit_exemplars(network, body, own, eft, workers=1).after.prediction
    return {
        name: {k: round(float(v.nanmean()), 2) for k, v in test.errors(body, one).items()}
        for name, one in found.items()
    }


if __name__ == "__main__":
    main(tyro.cli(KeypointHead))
