"""Intervals from fewer draws: hand-made scores leave no doubt on which side of zero they are."""

import pytest

from exemplar.evaluation import tables


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of the draws."""
    monkeypatch.setattr(tables, "BOOTSTRAP", 200)
