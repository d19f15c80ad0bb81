"""What is done after the regressor: nothing, SMPLify, EFT, EFT with the guard, dual networks."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from exemplar.bodies import Body
from exemplar.environment import usable_device
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars, fitted_weights
from exemplar.fitting.fits import Fits, judged
from exemplar.fitting.guard import GuardConfig, choose
from exemplar.fitting.inputs import checked
from exemplar.fitting.projections import Projection, projection_of, weak_projection
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.fitting.trace import ended_at
from exemplar.fitting.weights import Adapt, moving_names, predict_in_blocks
from exemplar.geometry.cameras import CameraModel, weak_equivalent
from exemplar.priors import load_pose_prior
from exemplar.regressors.checkpoints import (
    DEFAULT_REGRESSOR,
    RegressorInfo,
    body_for,
    load_regressor,
)
from exemplar.regressors.prediction import Prediction
from exemplar.results import BAD_INPUT, OK
from exemplar.samples import Batch

Method = Literal["none", "smplify", "eft", "eft+guard", "dual"]
"""none: the regressor's answer."""

METHODS: tuple[Method, ...] = get_args(Method)

FITTED_TOGETHER: Mapping[str, tuple[Method, ...]] = {
    "none": ("none",),
    "smplify": ("smplify",),
    "eft": ("eft", "eft+guard"),
    "dual": ("dual",),
}
"""Fits by name, and the methods whose bodies each of them gives."""


@dataclass(frozen=True)
class MethodConfig:
    """What decides a method's numbers."""

    regressor: str = DEFAULT_REGRESSOR
    """large, mobile (faster, less accurate), or a checkpoint file."""
    auxiliary: str | None = None
    """Checkpoint of the auxiliary network, for dual."""
    body: str | None = None
    """"open" or an SMPL file; None takes the regressor's."""
    eft: Literal["default", "paper", "released"] = "default"
    """EFT's settings: the step stored with the weights, as printed, as released."""
    smplify: Literal["default", "paper", "released"] = "default"
    """SMPLify's settings."""
    dual: Literal["default", "paper", "released"] = "default"
    """Dual networks' settings; default is the exemplar step of `exemplar train`'s default recipe,
    14 times."""
    adapt: Adapt | None = None
    """Which weights move; None takes the settings'."""
    iterations: int | None = None
    """Most updates of EFT and dual; None takes the settings'."""
    eft_rate: float | None = None
    """Adam's step in EFT; None takes the settings'."""
    robust_px: float | None = None
    """EFT's robust 2D term (`EftConfig.robust_px`); None is the papers'."""
    stop_px: float | None = None
    """2D error at which EFT stops, px of a 224 crop; None takes the settings'."""
    dual_rate: float | None = None
    """Step of gradient descent in dual; None takes the settings'."""
    stop: bool = True
    """Whether EFT and dual may stop early."""
    looks: bool = True
    """Whether fits see other crops where the regressor misses the keypoints (`data.looks`)."""

    def eft_config(self, info: RegressorInfo) -> EftConfig:
        """EFT's settings."""
        config = {
            "default": EftConfig(learning_rate=info.learning_rate, adapt=info.adapt),
            "paper": EftConfig.paper(),
            "released": EftConfig.released(),
        }[self.eft]
        given = {
            "adapt": self.adapt, "iterations": self.iterations, "learning_rate": self.eft_rate,
            "stop_px": self.stop_px,
        }  # fmt: skip
        config = replace(config, robust_px=self.robust_px, **_given(given))
        return config if self.stop else replace(config, stop_px=None, stop_loss=None)

    def smplify_config(self) -> SmplifyConfig:
        """SMPLify's settings."""
        return {
            "default": SmplifyConfig,
            "paper": SmplifyConfig.paper,
            "released": SmplifyConfig.released,
        }[self.smplify]()

    def dual_config(self) -> DualConfig:
        """The dual networks' settings."""
        config = {
            "default": DualConfig.trained(),
            "paper": DualConfig.paper(),
            "released": DualConfig.released(),
        }[self.dual]
        given = {
            "adapt": self.adapt, "iterations": self.iterations, "learning_rate": self.dual_rate,
        }  # fmt: skip
        config = replace(config, **_given(given))
        return config if self.stop else replace(config, stop_change=None)


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
        settings: list[EftConfig | DualConfig] = [self.config.eft_config(self.info)]
        if "dual" in methods:
            settings.append(self.config.dual_config())
        if set(methods) - {"none", "smplify"}:
            for one in settings:
                moving_names(self.regressor, one.adapt)

    def answers(self, fit: str, batch: Batch) -> dict[Method, Answers]:
        """What one of the `FITTED_TOGETHER` makes of people; by method."""
        if fit == "none":
            return {"none": self._regressed(batch)}
        if fit == "smplify":
            return {"smplify": self._smplified(batch)}
        if fit == "dual":
            return {"dual": self._dual(batch)}
        return self._eft(batch)

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
        return fitted_weights(confidence, available, self.config.eft_config(self.info))

    def _smplified(self, batch: Batch) -> Answers:
        began = time.perf_counter()
        clean, broken = checked(batch)
        start = predict_in_blocks(self.regressor, clean.image, clean.box)
        model: CameraModel = getattr(self.regressor, "camera_model", "weak")
        start = replace(start, camera=weak_equivalent(start.camera, model))
        points = clean.keypoints_2d
        fits = fit_smplify(start, points, self.body, self.config.smplify_config())
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
            self.config.dual_config(), history=True,
        )  # fmt: skip
        projection = projection_of(self.regressor, batch.box)
        return _answers(fits, projection, _since(began, batch))

    def _eft(self, batch: Batch) -> dict[Method, Answers]:
        began = time.perf_counter()
        config = self.config.eft_config(self.info)
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
