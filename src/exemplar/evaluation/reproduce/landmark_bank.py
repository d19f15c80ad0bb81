"""People of whom a trunk's landmarks were read before, to train heads on and to test them.

`python -m scripts.lifter.bank` makes the folder; its text says what is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from exemplar.bodies import Body, BodyParams
from exemplar.files.npy_files import read_npz
from exemplar.geometry.cameras import project_weak
from exemplar.geometry.crops import Box
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.objectives import mean_error_px
from exemplar.regressors.landmark_reader import Landmarks
from exemplar.regressors.on_landmarks import packed
from exemplar.regressors.prediction import Prediction
from exemplar.samples import Batch
from exemplar.skeletons import LIMBS_12, LIMBS_IN_49
from exemplar.training.batches import TrainingBatch

_HIPS = [LIMBS_12.index(f"{side}_hip") for side in ("left", "right")]

SHAKE = 0.008
"""How far landmarks are moved whenever somebody is trained on, crop units and metres: nobody comes
twice."""

SIMULATED = 0.6
"""Share of simulated people in training."""


@dataclass(frozen=True)
class TestSet:
    """People to test on."""

    batch: Batch
    """Landmarks and the 2D keypoints that a fit is given."""
    truth: Float[Tensor, "b 12 3"] | None
    """Where the limb joints are, metres, along the crop's axes; NaN where unknown."""
    left_out: Float[Tensor, "b 49 3"] | None
    """Annotated joints that a fit is not given."""

    def __len__(self) -> int:
        return len(self.batch)

    def first(self, count: int) -> "TestSet":
        """At most so many of the people."""
        rows = slice(count)
        batch = Batch(self.batch.image[rows], self.batch.box[rows], self.batch.keypoints_2d[rows])
        kept = (None if x is None else x[rows] for x in (self.truth, self.left_out))
        return TestSet(batch, *kept)

    @torch.no_grad()
    def errors(self, body: Body, found: Prediction) -> dict[str, Float[Tensor, " b"]]:
        """What is known of: pa and mpjpe (about the hips), mm; px of what was given, and of what
        was left out (left_out_px), px of a 224 crop."""
        joints = body.keypoints(found.body_params())
        flat = project_weak(joints, found.camera)
        given = self.batch.keypoints_2d
        out = {"px": mean_error_px(flat, given[..., :2], _annotated(given))}
        if self.left_out is not None:
            marked = self.left_out
            out["left_out_px"] = mean_error_px(flat, marked[..., :2], _annotated(marked))
        if self.truth is not None:
            known = self.truth.isfinite().all(-1)
            truth, ours = self.truth.nan_to_num(), joints[:, LIMBS_IN_49]
            out["pa"] = pa_mpjpe(ours, truth, known)
            out["mpjpe"] = mpjpe(_on_hips(ours), _on_hips(truth), known)
        return out


class Bank:
    """The folder: people to train on, and test sets by name."""

    def __init__(self, folder: Path) -> None:
        """FileNotFoundError without people."""
        path = folder / "people.npz"
        if not path.exists():
            raise FileNotFoundError(
                f"no {path}: `python -m scripts.lifter.bank` makes it; --people names its folder"
            )
        columns = read_npz(path)
        self._simulated = int(columns["simulated"])
        self._landmarks = landmarks_of(columns)
        count = len(columns["betas"])
        joints = torch.from_numpy(columns["joints"])
        everyone = torch.ones(count, dtype=torch.bool)
        params = (torch.from_numpy(columns[x]) for x in ("global_orient", "body_pose", "betas"))
        self._people = TrainingBatch(
            torch.zeros(count, 0),
            no_box(count),
            torch.from_numpy(columns["keypoints_2d"]),
            torch.cat((joints, torch.ones_like(joints[..., :1])), -1),
            everyone,
            BodyParams(*params),
            everyone,
        )
        paths = sorted((folder / "tests").glob("*.npz"))
        self.tests: Mapping[str, TestSet] = {path.stem: _test_set(read_npz(path)) for path in paths}

    def batch(
        self, seed: int, step: int, count: int, *, simulated: float = SIMULATED
    ) -> TrainingBatch:
        """The people of an update, that share of them simulated."""
        draws = torch.Generator().manual_seed(1_000_003 * (seed + 1) + step)
        made, total = self._simulated, len(self._people)
        first = count if made == total else round(simulated * count)
        rows = torch.cat(
            (
                torch.randint(0, made, (first,), generator=draws),
                torch.randint(min(made, total - 1), total, (count - first,), generator=draws),
            )
        )
        read = Landmarks(*(x[rows] for x in self._landmarks))
        points, world = (
            x + SHAKE * torch.randn(x.shape, generator=draws) for x in (read.points, read.world)
        )
        own = self._people[rows]
        return TrainingBatch(
            **{**vars(own), "inputs": packed(read._replace(points=points, world=world))}
        )


def landmarks_of(columns: Mapping[str, np.ndarray]) -> Landmarks:
    """Stored readings as a head takes them."""
    return Landmarks(*(torch.from_numpy(columns[name]).float() for name in Landmarks._fields))


def no_box(count: int) -> Box:
    """Boxes for heads, which do not look at them."""
    return Box(torch.zeros(count, 2), torch.ones(count), torch.zeros(count))


def _test_set(columns: Mapping[str, np.ndarray]) -> TestSet:
    def known(name: str) -> Tensor | None:
        return torch.from_numpy(columns[name]).float() if name in columns else None

    points = torch.from_numpy(columns["keypoints_2d"]).float()
    batch = Batch(packed(landmarks_of(columns)), no_box(len(points)), points)
    return TestSet(batch, known("truth"), known("left_out"))


def _on_hips(limbs: Float[Tensor, "b 12 3"]) -> Float[Tensor, "b 12 3"]:
    return limbs - limbs[:, _HIPS].mean(1, keepdim=True)


def _annotated(points: Float[Tensor, "b 49 3"]) -> Float[Tensor, "b 49"]:
    weights = torch.zeros_like(points[..., 2])
    weights[:, LIMBS_IN_49] = points[:, LIMBS_IN_49, 2]
    return weights
