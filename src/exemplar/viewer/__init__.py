"""Pages that show results in a browser: `serve` lets a person review lifted samples."""

from exemplar.viewer.review import Decision, ReviewRow, ReviewSource, Sort
from exemplar.viewer.review_page import ReviewServer, serve

__all__ = ["Decision", "ReviewRow", "ReviewServer", "ReviewSource", "Sort", "serve"]
