"""`exemplar train`: what can be asked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro


@dataclass(frozen=True)
class SupervisedCommand:
    """Train a regressor on data sets and pseudo ground truth.

    A data set is NAME=PATH[:IMAGES][@RATIO][#USE], of any format that `exemplar data inspect`
    knows; several give a mixture. Settings that are not given are the preset's. Stop a run at any
    moment, and go on with --resume and the same settings: the numbers are those of a run that was
    never stopped.

    For example:
        exemplar train supervised --data coco=lifted/train.npz:train2017 -o run
        exemplar train supervised --data wild=drawn/truth.npz:drawn --steps 1000 -o run
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder of the run: settings, log, checkpoints, pictures, weights."""
    data: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="NAME=PATH")
    ] = ()
    """A data set, as above, or a .json file of data sets; may be given several times."""
    preset: str = "default"
    """default, spin, eft, paper or released."""
    mixture: str | None = None
    """Shares of the data sets by the name of a paper's mixture, such as dual or eft-coco-h36m."""
    validation: str | None = None
    """A data set with bodies to validate on; the best weights are those that do best on it."""
    validation_people: int | None = 500
    """How many of its people at most."""
    regressor: str = "mobile"
    """Where to start: a shipped regressor, a checkpoint, blazepose (mobile's front part
    with a fresh head), or an architecture (hmr, cliff, ...), whose weights are then random."""
    fresh_head: bool = False
    """Draw the head's weights anew."""
    backbone: Path | None = None
    """A torch file with the backbone's weights, such as an ImageNet or pose network's."""
    body: str | None = None
    """"open" or your SMPL file; the regressor's unless given."""
    freeze: int = 0
    """How many parts of the network, from the first, stay as they are."""
    cache: Path | None = None
    """Folder in which the frozen parts' features are kept: then they are computed only once."""
    variants: int = 4
    """Augmented variants of each person in the cache."""
    steps: int | None = None
    """Updates of the weights; the preset's unless given, as with all that has no default here."""
    loss: Annotated[
        tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="TERM=WEIGHT")
    ] = ()
    """Weight of a term of the training loss, such as pose=30; may be given several times. The inner
    loss of exemplar training stays the preset's."""
    joint_norm: Literal["l1", "l2"] | None = None
    """Whether errors of 2D keypoints and 3D joints count as they are (l1) or squared (l2)."""
    batch_size: int | None = None
    """People of a step, of all devices together."""
    learning_rate: float | None = None
    """The optimiser's highest rate."""
    schedule: Literal["constant", "cosine", "one_cycle"] | None = None
    """Course of the rate."""
    ema: float | None = None
    """Decay of the averaged weights."""
    augment: Literal["none", "spin", "eft", "dual", "default"] | None = None
    """Augmentation: nothing, or SPIN's, EFT's (with extreme crops), the dual networks', ours."""
    extreme_crop: float | None = None
    """Share of people cut to the upper body or to face and shoulders."""
    occlusion: float | None = None
    """Share of people behind made-up objects."""
    dropout: float | None = None
    """Dropout in the heads."""
    batch_norm: Literal["train", "frozen"] | None = None
    """Whether batch norm follows the batches or keeps its statistics."""
    precision: Literal["32", "bf16-mixed", "16-mixed"] | None = None
    """Numbers of the forward pass."""
    device: str = "auto"
    """cpu, cuda, mps, or auto (CUDA, else the CPU)."""
    devices: int = 1
    """How many of them on this machine; -1 is all."""
    nodes: int = 1
    """How many machines, started by their launcher."""
    compile: bool = False
    """Compile the step with torch.compile."""
    log_every: int | None = None
    """Steps between rows of the log."""
    validate_every: int | None = None
    """Steps between validations."""
    checkpoint_every: int | None = None
    """Steps between checkpoints."""
    workers: int = 1
    """Processes that prepare batches; 0 prepares them between the steps."""
    seed: int = 0
    """Of fresh weights, draws, augmentation and dropout."""
    resume: bool = False
    """Go on with the run in the output folder."""


@dataclass(frozen=True)
class ExemplarCommand(SupervisedCommand):
    """Train a regressor with an exemplar step inside each iteration (dual networks paper).

    Each person's weights first make a step down the loss of a test-time fit; the training loss is
    then applied to what they predict. With the auxiliary teacher a second network learns beside
    the first, and its body makes both losses of one form; it is saved, too, for such fits. All
    else is as in `exemplar train supervised`.

    For example:
        exemplar train exemplar --data coco=lifted/train.npz:train2017 -o run
        exemplar train exemplar --data wild=drawn/truth.npz:drawn --steps 1000 -o run
    """

    preset: str = "default"
    """default, paper or released."""
    auxiliary: str | None = None
    """Where the auxiliary network starts; as the main one, with a fresh head, unless given."""
    teacher: Literal["auxiliary", "none"] | None = None
    """What the inner loss compares with besides 2D keypoints: the auxiliary network, or nothing."""
    inner_steps: int | None = None
    """Inner steps."""
    inner_rate: float | None = None
    """Their size."""
    adapt: str | None = None
    """Which weights they move: head, last_stage, later, all, or words of weight names."""
    group_size: int | None = None
    """People who share a copy of the weights; 1 is the paper, 0 the whole batch."""
    second_order: bool | None = None
    """Differentiate through the inner gradients."""
