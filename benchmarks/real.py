"""Real people: how good a regressor and the fits after it are, and which regressor should ship.

    python -m benchmarks.real --regressor run/regressor.safetensors --output after.json
    python -m benchmarks.real --compare before.json after.json

Three kinds of evidence, means with 95 % intervals (`real_scores`):

- a man in four calibrated cameras, against his triangulated markers, and one view against another;
- the same room with a second person, against points triangulated from the views' own keypoints;
- photographs that nobody trains on (`real_people.is_held_out`), fitted to half of the annotated
  limb joints: how far off the other half is.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from benchmarks.common import write_results
from benchmarks.real_fits import REAL_METHODS, LoadedMethods, RealMethod
from benchmarks.real_people import HeldOut, People, load_held_out, load_sequence
from benchmarks.real_scores import Group, measure
from benchmarks.real_sequences import KeypointKind
from benchmarks.real_tables import as_json, print_comparison, print_group
from exemplar.evaluation.config import MethodConfig
from exemplar.evaluation.methods import Methods
from exemplar.fitting.weights import Adapt
from exemplar.lift.prepare import Shown, shown_to
from exemplar.scene.options import DETECTED_STOP_PX
from exemplar.scene.placing import FIELD_OF_VIEW


@dataclass(frozen=True)
class Config:
    """Settings."""

    compare: tuple[Path, Path] | None = None
    """Two files of --output: print what changed on the fits that both have, and do nothing else."""
    regressor: str = "large"
    """Name of a shipped regressor, or a checkpoint file."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network, for dual."""
    learning_rate: float | None = None
    """EFT's step; None takes the regressor's own."""
    adapt: Adapt | None = None
    """Which weights EFT moves; None takes the regressor's own."""
    stop_px: float | None = None
    """2D error at which EFT stops, px of a 224 crop; None stops as `exemplar fit` does."""
    iterations: int | None = None
    """Most updates of EFT and dual; None takes the settings'."""
    methods: tuple[RealMethod, ...] = REAL_METHODS
    """What to compare; dual is left out without --auxiliary."""
    keypoints: tuple[KeypointKind, ...] = ("built-in", "true")
    """2D keypoints of the sequences."""
    sequences: tuple[str, ...] = ("multiview", "twoperson")
    """Folders of --photos."""
    field_of_view: float = FIELD_OF_VIEW
    """Of the camera with perspective that `placed` takes, degrees along the longer side."""
    every: int = 5
    """Take every n-th frame."""
    people: int = 100
    """Held-out people of each set; 0 leaves them out."""
    held_out: tuple[HeldOut, ...] = ("lspet", "coco")
    """Sets of held-out people."""
    seed: int = 0
    """Decides which held-out people, and which of their joints are given."""
    photos: Path = Path("../shared/photos")
    """Where the sequences are."""
    lspet: Path = Path("../shared/lspet")
    """LSPet: joints.mat and images."""
    coco: Path = Path("../shared/coco")
    """COCO: person_keypoints.json and images."""
    cache: Path | None = None
    """Folder for detected keypoints and crops, which do not depend on a regressor's weights."""
    threads: int = 1
    """Torch's threads."""
    output: Path | None = None
    """JSON file to write."""


def groups_of(config: Config, shown: Shown) -> Iterator[tuple[str, People]]:
    """(name, people) of everything that is asked for, prepared for a regressor."""
    for sequence in config.sequences:
        for kind in config.keypoints:
            folder = config.photos / sequence
            people = load_sequence(folder, kind, config.every, shown, config.cache)
            yield f"{sequence}, {kind} keypoints", people
    if config.people > 0:
        folders: dict[HeldOut, Path] = {"lspet": config.lspet, "coco": config.coco}
        for name in config.held_out:
            people = load_held_out(name, folders[name], config.people, config.seed, shown)
            yield f"{name}, held out", people


def run(config: Config) -> dict[str, Group]:
    """Fit everybody, print a table a group."""
    wanted: list[RealMethod] = [
        m for m in config.methods if m != "dual" or config.auxiliary is not None
    ]
    settings = MethodConfig(
        regressor=config.regressor,
        auxiliary=config.auxiliary,
        adapt=config.adapt,
        iterations=config.iterations,
        eft_rate=config.learning_rate,
        stop_px=config.stop_px,
    )
    loaded = Methods(settings)
    groups = {}
    for name, people in groups_of(config, shown_to(loaded.regressor, use_3d=False)):
        began = time.perf_counter()
        methods = loaded
        if name.endswith("built-in keypoints"):
            stop_px = DETECTED_STOP_PX if config.stop_px is None else config.stop_px
            detected = replace(settings, stop_px=stop_px, looks=False, shown=False)
            methods = LoadedMethods(
                loaded.regressor, loaded.info, loaded.body, detected, loaded.auxiliary
            )
        groups[name] = measure(methods, people, wanted, config.field_of_view)
        print_group(name, groups[name])
        print(f"{time.perf_counter() - began:.0f} s\n", flush=True)
    return groups


def main(config: Config) -> None:
    """Measure or compare."""
    if config.compare is not None:
        print_comparison(*config.compare)
        return
    torch.set_num_threads(config.threads)
    torch.set_flush_denormal(True)
    write_results(config.output, config, as_json(run(config)))


if __name__ == "__main__":
    main(tyro.cli(Config))
