import pytest
from sklearn.datasets import load_breast_cancer

from sgt_sklearn.model_selection import compare_training
from tests.model_selection.comparisons import net


@pytest.fixture(scope="session")
def tumours():
    """Measurements of 200 tumours and the columns that are relevant, as far as we pretend."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:200], y[:200]


@pytest.fixture(scope="session")
def quick(tumours):
    """A comparison that trains next to nothing, with further arguments."""

    def compare(estimator=None, X=None, y=None, **options):
        X, y = tumours if X is None else (X, y)
        options = {"metrics": [], "n_seeds": 1, "controls": False, "verbose": 0} | options
        return compare_training(net() if estimator is None else estimator, X, y, **options)

    return compare
