"""What decides the numbers of a lifting job."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from exemplar.fitting.dual import DualConfig
from exemplar.fitting.exemplar import EftConfig
from exemplar.fitting.fits import Acceptance
from exemplar.fitting.smplify import SmplifyConfig
from exemplar.fitting.teachers import teacher_sizes
from exemplar.regressors.checkpoints import DEFAULT_REGRESSOR, RegressorInfo

EFT_RECIPES: Mapping[str, Callable[[RegressorInfo], EftConfig]] = {
    "eft": lambda info: EftConfig(learning_rate=info.learning_rate, adapt=info.adapt),
    "eft-paper": lambda info: EftConfig.paper(),
    "eft-released": lambda info: EftConfig.released(),
    "regressor": lambda info: EftConfig(iterations=0),
}
"""EFT: the step stored with the weights, as printed, as released; and the regressor's answer."""

SMPLIFY_RECIPES: Mapping[str, Callable[[], SmplifyConfig]] = {
    "smplify": SmplifyConfig,
    "smplify-paper": SmplifyConfig.paper,
    "smplify-released": SmplifyConfig.released,
}
"""The baseline, from the regressor's answer."""

DUAL_RECIPES: Mapping[str, Callable[[], DualConfig]] = {
    "dual": DualConfig.trained,
    "dual-paper": DualConfig.paper,
    "dual-released": DualConfig.released,
}
"""Dual networks: as `exemplar train exemplar` trains for, as printed, as released."""

_OF_EFT = "guard, robust_px, teacher and joints_weight"


@dataclass(frozen=True)
class LiftConfig:
    """How samples are fitted."""

    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    recipe: str = "eft"
    """eft, eft-paper, eft-released, smplify, smplify-paper, smplify-released, dual, dual-paper,
    dual-released, or regressor."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network, for dual."""
    guard: bool = False
    """Keep the most plausible iterate of EFT instead of the last."""
    iterations: int | None = None
    """Most weight updates of EFT or dual; None takes the recipe's."""
    adapt: str | None = None
    """Which weights they move (all, later, last_stage, head, words); None takes the recipe's."""
    robust_px: float | None = None
    """Let keypoints count little that EFT's body misses by more px of a 224 crop than this, such as
    80, or 30 for many outliers (`EftConfig.robust_px`); None believes all alike."""
    use_3d: bool = True
    """Fit 3D keypoints, too, where the set has them with a nose (EFT's Eq. 4)."""
    teacher: str | None = None
    """landmarks, landmarks-heavy or landmarks-both: let BlazePose's landmarks be the 3D keypoints
    where none of the set's are fitted, and doubt annotations that they contradict."""
    joints_weight: float | None = None
    """Weight of 3D keypoints in EFT; None takes the recipe's 5."""
    largest_beta: float | None = None
    """Reject a fit with a larger |beta|; None takes the recipe's."""
    largest_loss: float | None = None
    """Reject a fit with a larger 2D loss, crop units squared; None takes the recipe's."""

    def __post_init__(self) -> None:
        known = [*EFT_RECIPES, *SMPLIFY_RECIPES, *DUAL_RECIPES]
        if self.recipe not in known:
            raise ValueError(f"unknown recipe {self.recipe!r}: expected {', '.join(known)}")
        if (self.recipe in DUAL_RECIPES) != (self.auxiliary is not None):
            raise ValueError("dual needs the auxiliary network, and no other recipe takes one")
        options = (self.robust_px, self.teacher, self.joints_weight)
        of_eft = self.guard or any(x is not None for x in options)
        moved = of_eft or self.adapt is not None or self.iterations is not None
        if self.recipe in SMPLIFY_RECIPES and moved:
            raise ValueError(f"adapt, iterations, {_OF_EFT} are EFT's: SMPLify has none")
        if self.recipe in DUAL_RECIPES and of_eft:
            raise ValueError(f"{_OF_EFT} are EFT's: dual networks have none")
        if self.teacher is not None:
            teacher_sizes(self.teacher)
        weight = self.joints_weight
        if weight is not None and not 0 <= weight < float("inf"):
            raise ValueError(f"joints_weight must be 0 or more, got {weight}")

    def eft(self, info: RegressorInfo) -> EftConfig:
        """EFT's settings for these weights; ValueError for a recipe that is not EFT's."""
        if self.recipe not in EFT_RECIPES:
            raise ValueError(f"{self.recipe} is not a recipe of EFT")
        config = EFT_RECIPES[self.recipe](info)
        acceptance = self._acceptance(config.acceptance)
        weight = config.joints_weight if self.joints_weight is None else self.joints_weight
        return replace(
            config,
            **self._moves(),
            robust_px=self.robust_px,
            joints_weight=weight,
            joints_about=config.joints_about if self.teacher is None else "mean",
            acceptance=acceptance,
        )

    def smplify(self) -> SmplifyConfig | None:
        """SMPLify's settings; None for a recipe that is EFT's."""
        if self.recipe not in SMPLIFY_RECIPES:
            return None
        config = SMPLIFY_RECIPES[self.recipe]()
        return replace(config, acceptance=self._acceptance(config.acceptance))

    def dual(self) -> DualConfig | None:
        """The dual networks' settings; None for another recipe."""
        if self.recipe not in DUAL_RECIPES:
            return None
        config = DUAL_RECIPES[self.recipe]()
        return replace(config, **self._moves(), acceptance=self._acceptance(config.acceptance))

    def _moves(self) -> dict[str, Any]:
        """What is given of updates: how many, of which weights."""
        given = {"iterations": self.iterations, "adapt": self.adapt}
        return {key: x for key, x in given.items() if x is not None}

    def _acceptance(self, usual: Acceptance) -> Acceptance:
        given = {"largest_beta": self.largest_beta, "largest_loss": self.largest_loss}
        return replace(usual, **{key: x for key, x in given.items() if x is not None})
