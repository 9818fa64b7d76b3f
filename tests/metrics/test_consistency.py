"""masking_consistency against loops over samples, the training loss and closed forms."""

import numpy as np
import pytest
import torch
from scipy.special import rel_entr

from sgt_sklearn.guidance import Masking, make_divergence, masked_input
from sgt_sklearn.metrics import masking_consistency


def mean_fill(X, rng):
    return np.broadcast_to(X.mean(axis=0), X.shape)


def lowest_masked(X, attributions, fraction, fill):
    """Replace the floor(fraction * d) cells of least absolute attribution, one by one."""
    masked = X.copy()
    for row, values, new in zip(masked, np.abs(attributions), fill, strict=True):
        for j in sorted(range(len(row)), key=lambda j: values[j])[: int(fraction * len(row))]:
            row[j] = new[j]
    return masked


def test_classifier_equals_a_loop(softmax, table):
    X, _ = table
    attributions = softmax.attribute(X, standardized=True)
    fractions = (0.34, 0.5, 1.0)
    fill = mean_fill(X, None)
    divergence, agreement = [], []
    for fraction in fractions:
        masked = lowest_masked(X, attributions, fraction, fill)
        before, after = softmax.predict_proba(X), softmax.predict_proba(masked)
        divergence.append(rel_entr(before, after).sum(axis=1).mean())
        agreement.append(np.mean(softmax.predict(X) == softmax.predict(masked)))
    options = {"fractions": fractions, "replacement": mean_fill, "random_state": 0}
    value = masking_consistency(softmax, X, **options)
    assert value == pytest.approx(np.mean(divergence), rel=1e-9)
    value = masking_consistency(softmax, X, outcome="agreement", **options)
    assert value == pytest.approx(np.mean(agreement), abs=1e-12)
    assert 0 < value < 1


@pytest.mark.parametrize("shape", [(6,), (4, 3)])
def test_equals_the_consistency_term_of_training(doubles, shape):
    rng = np.random.default_rng(3)
    X = rng.standard_normal((20, *shape))
    coef = rng.standard_normal((3, *shape))
    model = doubles.LinearSoftmax(coef.reshape(3, -1)).fit(X, np.arange(20) % 3)
    weights = torch.from_numpy(coef)

    def forward(x):
        return torch.einsum("n...,c...->nc", x, weights)

    nested = len(shape) == 2
    masking = Masking(
        order="absolute",
        output="logit",
        fill="mean",
        mean=torch.from_numpy(X).mean((0, 1) if nested else 0),
        scale=torch.from_numpy(X).std(0, correction=0),
        groups=torch.arange(4)[:, None].expand(shape) if nested else None,
        nested=nested,
    )
    x, labels = torch.from_numpy(X), torch.from_numpy(model.predict(X))
    hidden = masked_input(forward, x, labels, masking)
    divergence = make_divergence("categorical_kl")(forward(x), forward(hidden))
    value = masking_consistency(
        model,
        X,
        fractions=(0.5,),
        replacement="mean",
        groups="time_then_feature" if nested else None,
        random_state=0,
    )
    assert value == pytest.approx(divergence.mean().item(), rel=1e-9)
    assert value > 0


def test_regressor_equals_a_loop(doubles):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((11, 5)) * [1, 10, 0.1, 3, 1]
    coef = rng.standard_normal((2, 5))
    y = X @ coef.T + rng.standard_normal((11, 2))
    for keep_scale in (True, False):
        model = doubles.LinearRegressor(coef, keep_scale).fit(X, y)
        masked = lowest_masked(X, model.attribute(X), 0.4, mean_fill(X, None))
        expected = np.mean(((masked - X) @ coef.T / y.std(axis=0)) ** 2)
        options = {"fractions": (0.4,), "replacement": "mean", "random_state": 0}
        assert masking_consistency(model, X, y, **options) == pytest.approx(expected, rel=1e-9)


def test_several_labels_are_compared_one_by_one(doubles, table):
    X, _ = table

    class Multilabel(doubles.LinearSoftmax):
        def predict_proba(self, X):
            return 1 / (1 + np.exp(-np.asarray(X) @ self.coef_.T))

        def predict(self, X):
            return (self.predict_proba(X) > 0.5).astype(int)

        def attribute(self, X, **options):
            return np.broadcast_to(self.coef_[0], X.shape)

    coef = np.random.default_rng(0).standard_normal((3, 6))
    model = Multilabel(coef).fit(X, np.arange(60) % 3)
    masked = lowest_masked(X, model.attribute(X), 0.5, mean_fill(X, None))
    p, q = model.predict_proba(X), model.predict_proba(masked)
    expected = np.mean(rel_entr(p, q) + rel_entr(1 - p, 1 - q))
    options = {"fractions": (0.5,), "replacement": "mean", "random_state": 0}
    assert masking_consistency(model, X, **options) == pytest.approx(expected, rel=1e-9)


def test_lowest_groups_count_less_than_the_highest(softmax, table):
    X, _ = table
    attributions = softmax.attribute(X)
    low = masking_consistency(softmax, X, attributions=attributions, random_state=0)
    high = masking_consistency(softmax, X, attributions=1 / attributions, random_state=0)
    assert low < 0.5 * high


def test_constant_predictor(doubles, table):
    X, y = table
    constant = doubles.LinearSoftmax(np.zeros((3, 6))).fit(X, y)
    assert masking_consistency(constant, X, random_state=0) == 0.0
    assert masking_consistency(constant, X, outcome="agreement", random_state=0) == 1.0


def test_certain_predictions_stay_finite(doubles, table):
    X, y = table
    certain = doubles.LinearSoftmax(1e4 * np.eye(3, 6)).fit(X, y)
    assert 0 < masking_consistency(certain, X, random_state=0) < 40


def test_bad_input(doubles, softmax, table):
    X, y = table
    with pytest.raises(ValueError, match=r"outcome must be one of 'divergence', 'agreement', got"):
        masking_consistency(softmax, X, outcome="probability")
    with pytest.raises(ValueError, match=r"fractions must be .* in \(0, 1\]"):
        masking_consistency(softmax, X, fractions=(0.0,))
    regressor = doubles.LinearRegressor(np.ones(6)).fit(X, y)
    with pytest.raises(ValueError, match='outcome must be "divergence" for a regressor'):
        masking_consistency(regressor, X, outcome="agreement")
