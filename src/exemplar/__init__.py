"""exemplar: 3D human bodies from photos, by fine-tuning a regressor on one exemplar."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from exemplar.bodies import Body, BodyParams, load_body
    from exemplar.data.formats import read as read_dataset
    from exemplar.fit_result import FitResult
    from exemplar.fitting.dual import DualConfig, fit_dual
    from exemplar.fitting.exemplar import EftConfig, fit_exemplars
    from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
    from exemplar.lift.config import LiftConfig
    from exemplar.lift.job import lift_dataset
    from exemplar.regressors.checkpoints import load_regressor
    from exemplar.results import PersonFit
    from exemplar.samples import Sample
    from exemplar.scene import FitOptions, Fitter, fit

__version__ = "0.1.0"

__all__ = [
    "Body",
    "BodyParams",
    "DualConfig",
    "EftConfig",
    "FitOptions",
    "FitResult",
    "Fitter",
    "LiftConfig",
    "PersonFit",
    "Sample",
    "SmplifyConfig",
    "fit",
    "fit_dual",
    "fit_exemplars",
    "fit_smplify",
    "lift_dataset",
    "load_body",
    "load_regressor",
    "read_dataset",
]

_HOMES = {
    "bodies": ("Body", "BodyParams", "load_body"),
    "data.formats": ("read_dataset",),
    "fit_result": ("FitResult",),
    "fitting.dual": ("DualConfig", "fit_dual"),
    "fitting.exemplar": ("EftConfig", "fit_exemplars"),
    "fitting.smplify": ("SmplifyConfig", "fit_smplify"),
    "lift.config": ("LiftConfig",),
    "lift.job": ("lift_dataset",),
    "scene": ("FitOptions", "Fitter", "fit"),
    "regressors.checkpoints": ("load_regressor",),
    "results": ("PersonFit",),
    "samples": ("Sample",),
}
"""Where the public names are from: loaded when first asked for, since torch takes seconds."""

_CALLED = {"read_dataset": "read"}
"""Public names that are others at home."""


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            value = getattr(import_module(f"{__name__}.{home}"), _CALLED.get(name, name))
            globals()[name] = value
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
