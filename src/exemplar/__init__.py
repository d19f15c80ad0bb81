"""exemplar: 3D human bodies from photos, by fine-tuning a regressor on one exemplar."""

from exemplar.bodies import Body, BodyParams, load_body
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.photo import FitOptions, Fitter, fit
from exemplar.regressors.checkpoints import load_regressor
from exemplar.results import FitResult, PersonFit

__version__ = "0.1.0"

__all__ = [
    "Body",
    "BodyParams",
    "DualConfig",
    "EftConfig",
    "FitOptions",
    "FitResult",
    "Fitter",
    "PersonFit",
    "SmplifyConfig",
    "fit",
    "fit_dual",
    "fit_exemplars",
    "fit_smplify",
    "load_body",
    "load_regressor",
]
