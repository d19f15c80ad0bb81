"""What is done after the regressor: nothing, SMPLify, EFT, EFT with the guard, dual networks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.environment import usable_device
from exemplar.evaluation.config import METHODS, Method, MethodConfig
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars, fitted_weights
from exemplar.fitting.fits import Fits, judged
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.fitting.inputs import checked
from exemplar.fitting.projections import Projection, projection_of, weak_projection
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.fitting.trace import ended_at
from exemplar.fitting.weights import moving_names, predict_in_blocks
from exemplar.geometry.cameras import CameraModel, weak_equivalent
from exemplar.priors import load_pose_prior
from exemplar.regressors.checkpoints import (
    RegressorInfo,
    body_for,
    load_regressor,
)
from exemplar.regressors.prediction import Prediction
from exemplar.results import BAD_INPUT, OK
from exemplar.samples import Batch

FITTED_TOGETHER: Mapping[str, tuple[Method, ...]] = {
    "none": ("none",),
    "smplify": ("smplify",),
    "eft": ("eft", "eft+guard"),
    "dual": ("dual",),
}
"""Fits by name, and the methods whose bodies each of them gives."""


def eft_config(config: MethodConfig, info: RegressorInfo) -> EftConfig:
    """EFT's settings."""
    eft = {
        "default": EftConfig(info.step(shown=config.shown), info.adapt),
        "paper": EftConfig.paper(),
        "released": EftConfig.released(),
    }[config.eft]
    given = {
        "adapt": config.adapt, "iterations": config.iterations, "learning_rate": config.eft_rate,
        "stop_px": config.stop_px,
    }  # fmt: skip
    eft = replace(eft, robust_px=config.robust_px, **_given(given))
    return eft if config.stop else replace(eft, stop_px=None, stop_loss=None)


def smplify_config(config: MethodConfig) -> SmplifyConfig:
    """SMPLify's settings."""
    return {
        "default": SmplifyConfig,
        "paper": SmplifyConfig.paper,
        "released": SmplifyConfig.released,
    }[config.smplify]()


def dual_config(config: MethodConfig) -> DualConfig:
    """The dual networks' settings."""
    dual = {
        "default": DualConfig.trained(),
        "paper": DualConfig.paper(),
        "released": DualConfig.released(),
    }[config.dual]
    given = {
        "adapt": config.adapt, "iterations": config.iterations, "learning_rate": config.dual_rate,
    }  # fmt: skip
    dual = replace(dual, **_given(given))
    return dual if config.stop else replace(dual, stop_change=None)


def _given(values: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


@dataclass(frozen=True)
class Answers:
    """A method's bodies of b people, in the frames of their crops."""

    prediction: Prediction
    """The bodies that are kept, axes (b, ...)."""
    iterates: Prediction | None
    """Axes (b, k, ...): the regressor's answer and those after each update, up to the result, which
    is then repeated. None where nothing was updated."""
    projection: Projection
    """How the bodies are seen, in crop units."""
    weights: Float[Tensor, "b 49"]
    """Weight of each keypoint in the fit, for the regressor's answer as EFT has it."""
    updates: Int[Tensor, " b"]
    """Updates that were made."""
    kept: Int[Tensor, " b"]
    """Updates behind the body that is kept."""
    status: tuple[str, ...]
    """`results.OK`, or what was wrong."""
    seconds: float
    """Time a person, on average."""


class Methods:
    """A regressor with all that can be done after it."""

    def __init__(self, config: MethodConfig, device: str = "cpu") -> None:
        """Load everything. ValueError or FileNotFoundError as `load_regressor` raises them."""
        self.device = usable_device(device, float64=True)
        self.config = config
        module, self.info = load_regressor(config.regressor)
        self.regressor: nn.Module = module.to(self.device)
        self.auxiliary: nn.Module | None = None
        if config.auxiliary is not None:
            self.auxiliary = load_regressor(config.auxiliary)[0].to(self.device)
        self.body: Body = body_for(self.info, config.body).to(self.device)

    def check(self, methods: Sequence[str]) -> None:
        """ValueError, in one line, if some of the methods cannot be run."""
        unknown = [method for method in methods if method not in METHODS]
        if unknown or not methods:
            listed = ", ".join(METHODS)
            raise ValueError(f"unknown method {unknown or 'none given'}: expected {listed}")
        if "dual" in methods and self.auxiliary is None:
            raise ValueError("dual needs the auxiliary network: give --auxiliary FILE")
        settings: list[EftConfig | DualConfig] = [eft_config(self.config, self.info)]
        if "dual" in methods:
            settings.append(dual_config(self.config))
        if set(methods) - {"none", "smplify"}:
            for one in settings:
                moving_names(self.regressor, one.adapt)

    def answers(self, fit: str, batch: Batch) -> dict[Method, Answers]:
        """What one of the `FITTED_TOGETHER` makes of people; by method."""
        if fit == "none":
            return {"none": self._regressed(batch)}
        if fit == "smplify":
            return {"smplify": self._smplified(batch)}
        if self.shows(fit):
            batch = batch.with_keypoints_shown()
        if fit == "dual":
            return {"dual": self._dual(batch)}
        return self._eft(batch)

    def shows(self, fit: str) -> bool:
        """Whether the network of a fit reads the keypoints, if it can."""
        settings = {"eft": self.config.eft, "dual": self.config.dual}
        return self.config.shown and settings.get(fit) == "default"

    def _regressed(self, batch: Batch) -> Answers:
        began = time.perf_counter()
        clean, broken = checked(batch)
        found = predict_in_blocks(self.regressor, clean.image, clean.box)
        zero = torch.zeros(len(batch), dtype=torch.long)
        return Answers(
            found,
            None,
            projection_of(self.regressor, clean.box),
            self._weights(clean),
            zero,
            zero,
            tuple(BAD_INPUT if bad else OK for bad in broken.tolist()),
            _since(began, batch),
        )

    def _weights(self, batch: Batch) -> Tensor:
        confidence, available = batch.keypoints_2d[..., 2], self.body.available("smpl49")
        return fitted_weights(confidence, available, eft_config(self.config, self.info))

    def _smplified(self, batch: Batch) -> Answers:
        began = time.perf_counter()
        clean, broken = checked(batch)
        start = predict_in_blocks(self.regressor, clean.image, clean.box)
        model: CameraModel = getattr(self.regressor, "camera_model", "weak")
        start = replace(start, camera=weak_equivalent(start.camera, model))
        points = clean.keypoints_2d
        fits = fit_smplify(start, points, self.body, smplify_config(self.config))
        found = _answers(fits, weak_projection, _since(began, batch), curves=False)
        status = (
            BAD_INPUT if bad else now
            for bad, now in zip(broken.tolist(), found.status, strict=True)
        )
        return replace(found, status=tuple(status))

    def _dual(self, batch: Batch) -> Answers:
        assert self.auxiliary is not None
        began = time.perf_counter()
        fits = fit_dual(
            self.regressor, self.auxiliary, self.body, batch,
            dual_config(self.config), history=True,
        )  # fmt: skip
        projection = projection_of(self.regressor, batch.box)
        return _answers(fits, projection, _since(began, batch))

    def _eft(self, batch: Batch) -> dict[Method, Answers]:
        began = time.perf_counter()
        config = eft_config(self.config, self.info)
        fits = fit_exemplars(self.regressor, self.body, batch, config, history=True)
        projection = projection_of(self.regressor, batch.box)
        plain = _answers(fits, projection, _since(began, batch))
        assert plain.iterates is not None
        clean, broken = checked(batch)
        points, weights = clean.keypoints_2d, plain.weights
        best = choose(
            self.body, plain.iterates, points, weights,
            GuardConfig(), load_pose_prior(), projection,
        )  # fmt: skip
        kept = judged(
            ended_at(fits.trace, best.minimum(fits.trace.updates)),
            self.body, points, weights, projection, broken, config.acceptance,
        )  # fmt: skip
        guarded = replace(
            plain,
            prediction=kept.after.prediction,
            kept=kept.trace.updates,
            status=kept.status,
            seconds=_since(began, batch),
        )
        return {"eft": plain, "eft+guard": guarded}


def _answers(fits: Fits, projection: Projection, seconds: float, *, curves: bool = True) -> Answers:
    return Answers(
        fits.after.prediction,
        fits.trace.iterates.prediction if curves else None,
        projection,
        fits.fitted,
        fits.made,
        fits.trace.updates,
        fits.status,
        seconds,
    )


def _since(began: float, batch: Batch) -> float:
    return (time.perf_counter() - began) / max(1, len(batch))
