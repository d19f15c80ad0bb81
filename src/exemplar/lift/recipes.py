"""What a lifting job's settings mean for the fits."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from exemplar.fitting.dual import DualConfig
from exemplar.fitting.exemplar import EftConfig
from exemplar.fitting.fits import Acceptance
from exemplar.fitting.smplify import SmplifyConfig
from exemplar.lift.config import LiftConfig, Recipe
from exemplar.regressors.checkpoints import RegressorInfo

EFT_RECIPES: Mapping[Recipe, Callable[[RegressorInfo], EftConfig]] = {
    "eft": lambda info: EftConfig(learning_rate=info.step(shown=True), adapt=info.adapt),
    "eft-paper": lambda info: EftConfig.paper(),
    "eft-released": lambda info: EftConfig.released(),
    "regressor": lambda info: EftConfig(iterations=0),
}
"""EFT: the step stored with the weights, as printed, as released; and the regressor's answer."""

SMPLIFY_RECIPES: Mapping[Recipe, Callable[[], SmplifyConfig]] = {
    "smplify": SmplifyConfig,
    "smplify-paper": SmplifyConfig.paper,
    "smplify-released": SmplifyConfig.released,
}
"""The baseline, from the regressor's answer."""

DUAL_RECIPES: Mapping[Recipe, Callable[[], DualConfig]] = {
    "dual": DualConfig.trained,
    "dual-paper": DualConfig.paper,
    "dual-released": DualConfig.released,
}
"""Dual networks: as `exemplar train exemplar` trains for, as printed, as released."""


SHOW_KEYPOINTS: tuple[Recipe, ...] = ("eft", "dual")
"""Recipes that let the network read the keypoints, if it can; in the others it answers as the
papers have it, from the crop alone."""


def eft_config(config: LiftConfig, info: RegressorInfo) -> EftConfig:
    """EFT's settings for these weights; ValueError for a recipe that is not EFT's."""
    if config.recipe not in EFT_RECIPES:
        raise ValueError(f"{config.recipe} is not a recipe of EFT")
    eft = EFT_RECIPES[config.recipe](info)
    weight = eft.joints_weight if config.joints_weight is None else config.joints_weight
    return replace(
        eft,
        **_moves(config),
        robust_px=config.robust_px,
        joints_weight=weight,
        joints_about=eft.joints_about if config.teacher is None else "mean",
        acceptance=_acceptance(config, eft.acceptance),
    )


def smplify_config(config: LiftConfig) -> SmplifyConfig | None:
    """SMPLify's settings; None for another recipe."""
    if config.recipe not in SMPLIFY_RECIPES:
        return None
    smplify = SMPLIFY_RECIPES[config.recipe]()
    return replace(smplify, acceptance=_acceptance(config, smplify.acceptance))


def dual_config(config: LiftConfig) -> DualConfig | None:
    """The dual networks' settings; None for another recipe."""
    if config.recipe not in DUAL_RECIPES:
        return None
    dual = DUAL_RECIPES[config.recipe]()
    return replace(dual, **_moves(config), acceptance=_acceptance(config, dual.acceptance))


def _moves(config: LiftConfig) -> dict[str, Any]:
    """What is given of updates: how many, of which weights."""
    given = {"iterations": config.iterations, "adapt": config.adapt}
    return {key: x for key, x in given.items() if x is not None}


def _acceptance(config: LiftConfig, usual: Acceptance) -> Acceptance:
    given = {"largest_beta": config.largest_beta, "largest_loss": config.largest_loss}
    return replace(usual, **{key: x for key, x in given.items() if x is not None})
