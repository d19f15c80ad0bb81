"""What decides an evaluation's numbers; without torch, so that the command line is quick."""

from dataclasses import dataclass, field
from typing import Literal, get_args

from exemplar.fitting.names import Adapt
from exemplar.regressors.names import DEFAULT_REGRESSOR

Method = Literal["none", "smplify", "eft", "eft+guard", "dual"]
"""none: the regressor's answer."""

METHODS: tuple[Method, ...] = get_args(Method)

KeypointSource = Literal["annotated", "true", "detected", "outliers"]
"""annotated: as the set's file has them; true: exact; detected: with a detector's errors;
outliers: detected, and a fifth anywhere in the box."""


@dataclass(frozen=True)
class MethodConfig:
    """What decides a method's numbers."""

    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network, for dual."""
    body: str | None = None
    """"open" or an SMPL file; the regressor's unless given."""
    eft: Literal["default", "paper", "released"] = "default"
    """EFT's settings: the step stored with the weights, as printed, as released."""
    smplify: Literal["default", "paper", "released"] = "default"
    """SMPLify's settings."""
    dual: Literal["default", "paper", "released"] = "default"
    """Dual networks' settings; default is the exemplar step of `exemplar train`'s default recipe,
    14 times."""
    adapt: Adapt | None = None
    """Which weights move: those, or words of weight names; the settings' unless given."""
    iterations: int | None = None
    """Most updates of EFT and dual; the settings' unless given."""
    eft_rate: float | None = None
    """Adam's step in EFT; the settings' unless given."""
    robust_px: float | None = None
    """Let keypoints count little that EFT's body misses by more px of a 224 crop than this; all
    count alike unless given."""
    stop_px: float | None = None
    """2D error at which EFT stops, px of a 224 crop; the settings' unless given."""
    dual_rate: float | None = None
    """Step of gradient descent in dual; the settings' unless given."""
    stop: bool = True
    """Whether EFT and dual may stop early."""
    looks: bool = True
    """Whether fits see other crops where the regressor misses the keypoints."""
    shown: bool = True
    """Whether the network of EFT and dual reads the keypoints, if it can; not with the papers'
    settings."""


@dataclass(frozen=True)
class EvalConfig:
    """What decides the numbers of an evaluation."""

    data: str
    """open:lab, open:wild, open:wild-crop, open:odd, or an annotation file or folder."""
    images: str | None = None
    """Folder that the annotation's image names are relative to; the open sets have their own."""
    truth: str | None = None
    """truth.npz of a synthetic set, for keypoints other than the annotated ones; the open sets have
    their own."""
    open_folder: str = "open"
    """Where the open sets are, or are drawn."""
    methods: MethodConfig = field(default_factory=MethodConfig)
    """The network and the settings of what follows it."""
    protocol: str | None = None
    """Which joints of which truth are compared: open, 3dpw, h36m-p1, h36m-p2, mpi-inf-3dhp, coco,
    lspet or ochuman; the data set's own unless given."""
    released: Literal["eft", "dual"] | None = None
    """eft or dual: with the quirks of that paper's program."""
    keypoints: KeypointSource = "annotated"
    """Which 2D keypoints are fitted."""
    limit: int | None = None
    """Only the first so many people; all unless given."""
    format: str | None = None
    """Format of the annotation, where it cannot be told."""
    option: tuple[str, ...] = ()
    """NAME=VALUE for the format's reader."""
    truth_body: tuple[str, ...] = ()
    """GENDER=FILE: the SMPL body of a gender, for sets with gendered truth."""
    use_3d: bool = False
    """Fit annotated 3D keypoints, too (EFT's Eq. 4)."""
    seed: int = 0
    """Of the keypoints' noise."""
