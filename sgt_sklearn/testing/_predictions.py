"""Shapes and values of predictions."""

import numpy as np

from sgt_sklearn.testing._case import expect, expect_close, rows_of


def check_predictions(case):
    """Predictions have one row a sample, of known labels or finite numbers."""
    estimator = case.fitted()
    predicted = np.asarray(estimator.predict(case.X))
    expect(len(predicted) == len(case.y), f"{len(case.y)} predictions", len(predicted))
    expect(
        np.array_equal(predicted, estimator.predict(case.X)),
        "the same predictions when asked again",
        "others",
    )
    if case.kind_of_target is None:
        return
    expected = rows_of(case.y).shape
    expect(
        rows_of(predicted).shape == expected,
        f"predictions like y, {expected[1]} a sample",
        f"shape {predicted.shape}",
    )
    if case.kind_of_target == "number":
        expect(np.isfinite(predicted).all(), "finite predictions", "NaN or infinity")
        return
    known = np.unique(case.y)
    unknown = np.setdiff1d(predicted, known)
    expect(not len(unknown), f"labels of y, {known.tolist()[:10]}", f"also {unknown.tolist()[:5]}")


def check_probabilities(case):
    """Probabilities are probabilities, in the order of classes_, and agree with predict."""
    estimator = case.fitted()
    probabilities = np.asarray(estimator.predict_proba(case.X))
    classes = np.asarray(estimator.classes_)
    shape = (len(case.y), len(classes))
    expect(probabilities.shape == shape, f"shape {shape}", f"shape {probabilities.shape}")
    inside = (probabilities >= 0).all() and (probabilities <= 1).all()
    expect(inside, "probabilities in [0, 1]", [probabilities.min(), probabilities.max()])
    predicted = np.asarray(estimator.predict(case.X))
    if predicted.ndim > 1:
        return  # one probability a label, which need not add up to 1
    total = probabilities.sum(axis=1)
    expect(np.allclose(total, 1, atol=1e-4), "rows that add up to 1", [total.min(), total.max()])
    chosen = probabilities[np.arange(len(predicted)), _columns(predicted, classes)]
    expect(
        (chosen >= probabilities.max(axis=1) - 1e-6).all(),
        "predict to return the most probable of classes_",
        "another class for some samples",
    )


def _columns(predicted, classes):
    matches = predicted[:, None] == classes[None, :]
    expect(
        matches.any(axis=1).all(), f"predictions among classes_ {classes}", np.unique(predicted)
    )
    return matches.argmax(axis=1)


def check_batch_size(case):
    """A prediction depends on its row alone, not on the batch that it is in."""
    estimator = case.fitted()
    rows = np.arange(len(case.y))[:: max(1, len(case.y) // 7)]
    few = case.samples.take(rows)
    for method in ("predict", "predict_proba"):
        if not hasattr(estimator, method):
            continue
        ask = getattr(estimator, method)
        expected = rows_of(ask(few))
        estimator.set_params(batch_size=3)
        expect_close(rows_of(ask(few)), expected, f"{method} with batch_size=3")
        single = np.concatenate([rows_of(ask(case.samples.alone(row))) for row in rows])
        expect_close(single, expected, f"{method} of one row at a time")
        estimator.set_params(batch_size=case.batch_size)
