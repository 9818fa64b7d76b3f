"""A search over a table of mixed types: scored, chosen and explained by its original columns."""

import numpy as np
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain
from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer,
    sufficiency_gap,
)
from sgt_sklearn.model_selection import one_standard_error_refit
from sgt_sklearn.preprocessing import feature_groups

pd = pytest.importorskip("pandas")

NET = "saliencyguidedclassifier__"
GRID = {f"{NET}consistency_weight": [0, 1.0, 3.0]}


@pytest.fixture(scope="module")
def passengers():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "deck": rng.choice(["A", "B", "C", "D"], 150),
            "age": rng.normal(40, 10, 150),
            "sex": rng.choice(["female", "male"], 150),
            "fare": rng.lognormal(size=150),
        },
        index=np.arange(150) + 1000,
    )
    noise = rng.normal(size=150)
    return X, np.where((X["sex"] == "female") * 3 - X["age"] / 20 + noise > -0.5, "yes", "no")


@pytest.fixture(scope="module")
def search(passengers):
    X, y = passengers
    words = ["deck", "sex"]
    categories = [sorted(X[name].unique()) for name in words]
    encoder = ColumnTransformer(
        [
            (
                "words",
                OneHotEncoder(categories=categories),
                words,
            ),
            ("numbers", StandardScaler(), ["age", "fare"]),
        ],
        sparse_threshold=0,
    )
    groups = feature_groups(encoder.fit(X))
    net = SaliencyGuidedClassifier(
        feature_groups=groups, mask_fill="marginal", max_epochs=6, random_state=0
    )
    names = ("comprehensiveness_gap", "sufficiency_gap")
    search = GridSearchCV(
        make_pipeline(encoder, net),
        GRID,
        scoring={"accuracy": "accuracy"} | {n: get_interpretability_scorer(n) for n in names},
        refit=one_standard_error_refit,
        cv=StratifiedKFold(3),
        n_jobs=2,
        error_score="raise",
    )
    return search.fit(X, y)


def test_two_processes_score_as_a_loop_does(search, passengers):
    X, y = passengers
    model = search.estimator
    for i, weight in enumerate(GRID[f"{NET}consistency_weight"]):
        for fold, (train, test) in enumerate(StratifiedKFold(3).split(X, y)):
            model.set_params(**{f"{NET}consistency_weight": weight}).fit(X.iloc[train], y[train])
            X_test, y_test = X.iloc[test], y[test]
            expected = {
                "accuracy": np.mean(model.predict(X_test) == y_test),
                "comprehensiveness_gap": comprehensiveness_gap(model, X_test, random_state=0),
                "sufficiency_gap": sufficiency_gap(model, X_test, random_state=0),
            }
            for name, value in expected.items():
                found = search.cv_results_[f"split{fold}_test_{name}"][i]
                assert found == pytest.approx(value, abs=1e-6), (name, weight, fold)


def test_the_choice_keeps_the_accuracy_and_has_the_best_gaps(search):
    found = search.cv_results_
    accuracy = np.array([found[f"split{i}_test_accuracy"] for i in range(3)])
    best = accuracy.mean(axis=0).argmax()
    bar = accuracy[:, best].mean() - accuracy[:, best].std(ddof=1) / np.sqrt(3)
    within = np.flatnonzero(accuracy.mean(axis=0) >= bar - 1e-12)
    gaps = [found[f"mean_test_{name}"] for name in ("comprehensiveness_gap", "sufficiency_gap")]
    ranks = {i: sum((gap[within] > gap[i]).sum() for gap in gaps) for i in within}
    assert search.best_index_ in within
    assert ranks[search.best_index_] == min(ranks.values())


def test_explanations_name_the_columns_and_add_up(search, passengers):
    X, _ = passengers
    explanation = explain(search, X, method="integrated_gradients", target="yes", n_steps=500)
    frame = explanation.to_frame()
    assert set(frame) == set(X)
    assert list(frame.index) == list(X.index)
    pipeline = search.best_estimator_
    encoded = pipeline[:-1].transform(X).astype(np.float32)
    with torch.no_grad():
        logits = pipeline[-1].forward(encoded)[:, 1].numpy()
        baseline = pipeline[-1].forward(encoded.mean(axis=0, keepdims=True))[:, 1].numpy()
    np.testing.assert_allclose(frame.sum(axis=1), logits - baseline, atol=2e-3)
    assert frame["sex"].abs().mean() > frame["fare"].abs().mean()
