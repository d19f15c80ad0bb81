"""Fits of a head on stored readings: the trunk need not run."""

from pathlib import Path

import torch

from exemplar.geometry.crops import Box
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


def load_head(path: Path) -> LifterHead:
    """The averaged weights of a checkpoint of `scripts.lifter.train`, in eval mode."""
    state = torch.load(path, weights_only=True)
    hidden, blocks, *reads = state["shape"]
    head = LifterHead(LifterConfig(hidden, blocks, reads_keypoints=any(reads)))
    head.load_state_dict(state["average"])
    return head.eval()
