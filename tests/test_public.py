"""What the package promises to export."""

import pytest

import exemplar


def test_public_names_are_these() -> None:
    assert sorted(exemplar.__all__) == [
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
    assert all(hasattr(exemplar, name) for name in exemplar.__all__)
    assert dir(exemplar) == sorted([*exemplar.__all__, "__version__"])
    with pytest.raises(AttributeError, match="has no attribute 'fitt'"):
        exemplar.__getattr__("fitt")
