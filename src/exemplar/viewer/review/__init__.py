"""The page on which a person reviews lifted samples."""

from exemplar.viewer.review.page import ReviewServer, serve
from exemplar.viewer.review.source import Decision, ReviewRow, ReviewSource, Sort

__all__ = ["Decision", "ReviewRow", "ReviewServer", "ReviewSource", "Sort", "serve"]
