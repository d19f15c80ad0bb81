"""What regressors are called, for those that choose one before any is loaded."""

DEFAULT_REGRESSOR = "large"
"""The better of the two regressors that ship with the package; `mobile` is the faster."""
