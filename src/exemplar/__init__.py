"""exemplar: 3D human bodies from photos, by fine-tuning a regressor on one exemplar."""

from exemplar.bodies import Body, BodyParams, load_body
from exemplar.data.formats import read as read_dataset
from exemplar.fitting.dual import DualConfig, fit_dual
from exemplar.fitting.exemplar import EftConfig, fit_exemplars
from exemplar.fitting.smplify import SmplifyConfig, fit_smplify
from exemplar.lift.config import LiftConfig
from exemplar.lift.job import lift_dataset
from exemplar.regressors.checkpoints import load_regressor
from exemplar.results import FitResult, PersonFit
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
