"""Ensembles that read tokens."""

import numpy as np
import pytest
from sklearn.ensemble import (
    VotingClassifier,
)
from sklearn.pipeline import make_pipeline

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain
from sgt_sklearn.preprocessing import TokenEncoder

TEXTS = ["good fine film", "bad film", "good good", "awful bad bad film", "fine", "bad dull plot"]
MOODS = np.array(["+", "-", "+", "-", "+", "-"])
ONE_BY_ONE = ("feature_ablation", "occlusion")


@pytest.fixture(scope="module")
def readers():
    texts = [("one", bag(0)), ("two", bag(1))]
    return make_pipeline(TokenEncoder(), VotingClassifier(texts, voting="soft")).fit(TEXTS, MOODS)


def bag(seed):
    return SaliencyGuidedClassifier("text_bag", max_epochs=5, random_state=seed, device="cpu")


@pytest.mark.parametrize("method", [*ONE_BY_ONE, "shapley_value_sampling", "kernel_shap"])
@pytest.mark.parametrize("target", ["predicted", "all"])
def test_predictions_of_ensembles_that_read_tokens(readers, method, target):
    """Whole tokens become unknown ones, whatever numbers they have."""
    found = explain(readers, TEXTS, method=method, target=target, random_state=0)
    ids = readers[:-1].transform(TEXTS)
    assert found.kind == "tokens" and found.data[0].tolist() == ["good", "fine", "film", ""]
    np.testing.assert_array_equal(found.lengths, (ids != 0).sum(axis=1))
    assert found.output == "probability"
    k = np.searchsorted(["+", "-"], readers.predict(TEXTS))
    of_each = readers[-1].predict_proba(ids)
    if target == "all":
        found = found.for_target("-")
        k = np.ones(6, dtype=int)
    np.testing.assert_allclose(found.explained_output, of_each[np.arange(6), k], rtol=1e-5)
    if method not in ONE_BY_ONE:
        hidden = readers[-1].predict_proba(np.where(ids == 0, 0, 1))[np.arange(6), k]
        np.testing.assert_allclose(found.baseline_output, hidden, rtol=1e-5)
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)
        return
    for j in range(4):
        hidden = ids.copy()
        hidden[:, j] = np.where(ids[:, j] == 0, 0, 1)
        expected = (of_each - readers[-1].predict_proba(hidden))[np.arange(6), k]
        inside = ids[:, j] != 0
        np.testing.assert_allclose(found.values[inside, j], expected[inside], atol=1e-6)
        assert np.isnan(found.values[~inside, j]).all()


def test_baselines_of_tokens_in_front_of_an_ensemble(readers):
    ids = readers[:-1].transform(TEXTS)
    other = np.full(4, 3)
    found = explain(readers, TEXTS, method="shapley_value_sampling", baseline=other, target="+")
    hidden = readers[-1].predict_proba(np.where(ids == 0, 0, 3))[:, 0]
    np.testing.assert_allclose(found.baseline_output, hidden, rtol=1e-5)
    marginal = explain(
        readers, TEXTS, method="feature_ablation", baseline="marginal", random_state=0
    )
    exchanged = explain(readers, TEXTS, method="feature_permutation", random_state=0)
    for values in (marginal.values, exchanged.values):
        np.testing.assert_array_equal(np.isnan(values), ids == 0)
    for wrong in ("mean", np.full(4, 0.5)):
        with pytest.raises(
            ValueError, match=r"'auto' .the unknown token., 'marginal' or an array"
        ):
            explain(readers, TEXTS, method="feature_ablation", baseline=wrong)
    with pytest.raises(ValueError, match=r"broadcast to X, with shape \(6, 4\) or \(4,\), got"):
        explain(readers, TEXTS, method="feature_ablation", baseline=np.ones(3, dtype=int))
