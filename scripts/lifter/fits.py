"""Fits of a head on stored readings: the trunk need not run."""

from pathlib import Path

import torch

from exemplar.geometry.crops import Box
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.lifter import LifterConfig, LifterHead
from exemplar.regressors.on_landmarks import packed
from exemplar.samples import Batch
from scripts.lifter.readings import Columns, landmarks_of


def batch_of(columns: Columns) -> Batch:
    """Readings and keypoints as a batch for the fits of an `OnLandmarks`."""
    count = len(columns["points"])
    box = Box(torch.zeros(count, 2), torch.ones(count), torch.zeros(count))
    points = torch.from_numpy(columns["keypoints_2d"]).float()
    return Batch(packed(landmarks_of(columns)), box, points)


def load_head(name: str | Path) -> LifterHead:
    """The averaged weights of a checkpoint of `scripts.lifter.train` (.pt), or the first head of a
    shipped regressor; in eval mode."""
    if Path(name).suffix != ".pt":
        head = load_regressor(name)[0].get_submodule("head")
        assert isinstance(head, LifterHead)
        return head
    state = torch.load(name, map_location="cpu", weights_only=True)
    hidden, blocks, *reads = state["shape"]
    head = LifterHead(LifterConfig(hidden, blocks, reads_keypoints=any(reads)))
    head.load_state_dict(state["average"])
    return head.eval()
