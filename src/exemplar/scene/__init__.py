"""From a photo to fitted bodies: who is in it, fitting them, placing them in its camera."""

from exemplar.scene.options import FitOptions
from exemplar.scene.photo import Fitter, fit
from exemplar.scene.placing import on_photo

__all__ = ["FitOptions", "Fitter", "fit", "on_photo"]
