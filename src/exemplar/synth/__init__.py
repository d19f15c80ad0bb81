"""Synthetic photographs of dressed people with exact truth: all of it procedural."""

from exemplar.synth.config import PoseConfig, SceneConfig, SynthConfig, ViewConfig
from exemplar.synth.dataset import SynthBatch, draw_samples

__all__ = [
    "PoseConfig",
    "SceneConfig",
    "SynthBatch",
    "SynthConfig",
    "ViewConfig",
    "draw_samples",
]
