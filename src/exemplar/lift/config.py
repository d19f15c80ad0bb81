"""What decides the numbers of a lifting job."""

from dataclasses import dataclass
from typing import Literal, get_args

from exemplar.fitting.names import TeacherName, checked_teacher
from exemplar.regressors.names import DEFAULT_REGRESSOR

Recipe = Literal[
    "eft",
    "eft-paper",
    "eft-released",
    "regressor",
    "smplify",
    "smplify-paper",
    "smplify-released",
    "dual",
    "dual-paper",
    "dual-released",
]
"""How people are fitted: by EFT, SMPLify or dual networks with our settings, as printed in the
paper or as in its program; or not at all (`recipes`)."""

_OF_EFT = "guard, robust_px, teacher and joints_weight"


@dataclass(frozen=True)
class LiftConfig:
    """How samples are fitted."""

    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    body: str | None = None
    """"open" or an SMPL file; the regressor's unless given."""
    recipe: Recipe = "eft"
    """EFT, SMPLify or dual networks: with our settings, as printed in the paper (-paper) or as in
    its program (-released); regressor keeps the network's answer."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network, for dual."""
    guard: bool = False
    """Keep the most plausible iteration of EFT instead of the last."""
    iterations: int | None = None
    """Most weight updates of EFT or dual; the recipe's unless given."""
    adapt: str | None = None
    """Which weights they move (all, later, last_stage, head, words); the recipe's unless given."""
    robust_px: float | None = None
    """Let keypoints count little that EFT's body misses by more px of a 224 crop than this, such as
    80, or 30 for many outliers; all count alike unless given."""
    use_3d: bool = True
    """Fit 3D keypoints, too, where the set has them with a nose (EFT's Eq. 4)."""
    teacher: TeacherName | None = None
    """Let BlazePose's landmarks be the 3D keypoints where none of the set's are fitted, and doubt
    annotations that they contradict."""
    joints_weight: float | None = None
    """Weight of 3D keypoints in EFT; the recipe's 5 unless given."""
    perspective: bool = False
    """Turn joints of each body to suit its image's camera, which has perspective: nearer to the
    truth in 3D where people are near, and some px off in the weak camera. An unknown focal length
    is taken to be the image's diagonal. The loss and the statuses are those of the fit before."""
    largest_beta: float | None = None
    """Reject a fit with a larger |beta|; the recipe's unless given."""
    largest_loss: float | None = None
    """Reject a fit with a larger 2D loss, crop units squared; the recipe's unless given."""

    def __post_init__(self) -> None:
        known = get_args(Recipe)
        if self.recipe not in known:
            raise ValueError(f"unknown recipe {self.recipe!r}: expected {', '.join(known)}")
        of_smplify, of_dual = (self.recipe.startswith(name) for name in ("smplify", "dual"))
        if of_dual != (self.auxiliary is not None):
            raise ValueError("dual needs the auxiliary network, and no other recipe takes one")
        options = (self.robust_px, self.teacher, self.joints_weight)
        of_eft = self.guard or any(x is not None for x in options)
        moved = of_eft or self.adapt is not None or self.iterations is not None
        if of_smplify and moved:
            raise ValueError(f"adapt, iterations, {_OF_EFT} are EFT's: SMPLify has none")
        if of_dual and of_eft:
            raise ValueError(f"{_OF_EFT} are EFT's: dual networks have none")
        if self.teacher is not None:
            checked_teacher(self.teacher)
        weight = self.joints_weight
        if weight is not None and not 0 <= weight < float("inf"):
            raise ValueError(f"joints_weight must be 0 or more, got {weight}")
