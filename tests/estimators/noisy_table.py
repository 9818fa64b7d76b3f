"""A table whose first three columns tell the target, and nets for it."""

import numpy as np
import pandas as pd

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

ESTIMATORS = [SaliencyGuidedClassifier, SaliencyGuidedRegressor]
RNG = np.random.default_rng(0)
X = RNG.standard_normal((90, 5)).astype(np.float32)
# the last two columns are noise
SCORE = X[:, :3] @ np.array([2.0, -1.0, 1.0])
CODES = np.digitize(SCORE, [-1.0, 1.0])
LABELS = np.array(["low", "middle", "up"])[CODES]
BINARY = np.where(SCORE > 0, "yes", "no")
FRAME = pd.DataFrame(X, columns=["first", "second", "third", "noise", "more noise"])


def make(estimator=SaliencyGuidedClassifier, device="cpu", **params):
    defaults = {"max_epochs": 3, "lr": 0.03, "device": device, "random_state": 0}
    return estimator(**defaults | params)


def targets_for(estimator):
    return SCORE if issubclass(estimator, SaliencyGuidedRegressor) else LABELS


def assert_same_predictions(net, data, other, other_data):
    """Compare up to rounding: the order of sums follows the memory layout of a table."""
    method = "predict" if isinstance(net, SaliencyGuidedRegressor) else "predict_proba"
    predictions = getattr(net, method)(data), getattr(other, method)(other_data)
    np.testing.assert_allclose(*predictions, rtol=1e-3, atol=1e-4)
