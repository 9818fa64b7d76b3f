"""The comparison of trainings against loops by hand, on data of every kind."""

import math
import statistics

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.metrics import (
    comprehensiveness_gap,
    get_interpretability_scorer,
    gini_sparseness,
    make_interpretability_scorer,
    relevance_average_precision,
    relevance_mass_accuracy,
    removal_curve,
    sufficiency_gap,
)
from sgt_sklearn.model_selection import compare_training
from tests.model_selection.comparisons import ALL, net

pytest.importorskip("pandas")

DECAYS = (0.0, 3.0)
SEEDS = (4, 5, 6)


# against loops by hand


def three_fits(X, y, seed, device):
    """Accuracy, confidence and gaps of plain, guided and control training, one after the other."""
    split = train_test_split(X, y, test_size=0.25, stratify=y, random_state=seed)
    X_train, X_test, y_train, y_test = split
    scaler = StandardScaler().fit(X_train)
    X_train, X_test = scaler.transform(X_train), scaler.transform(X_test)
    common = {"max_epochs": 3, "random_state": seed, "device": device}
    nets = {
        "plain": SaliencyGuidedClassifier(consistency_weight=0, **common),
        "guided": SaliencyGuidedClassifier(consistency_weight=2.0, **common),
        "random order": SaliencyGuidedClassifier(
            consistency_weight=2.0, mask_order="random", **common
        ),
    }
    scores = {}
    for decay in DECAYS:
        tried = train_test_split(
            X_train, y_train, test_size=0.25, stratify=y_train, random_state=seed
        )
        # the scaler of a pipeline is fitted on what the net is fitted on
        again = StandardScaler().fit(scaler.inverse_transform(tried[0]))
        inner = again.transform(scaler.inverse_transform(tried[0]))
        outer = again.transform(scaler.inverse_transform(tried[1]))
        model = SaliencyGuidedClassifier(
            consistency_weight=0,
            optimizer=torch.optim.AdamW,
            optimizer__weight_decay=decay,
            **common,
        )
        scores[decay] = model.fit(inner, tried[2]).score(outer, tried[3])
    best = max(decay for decay in DECAYS if scores[decay] == max(scores.values()))
    nets["weight decay"] = clone(model).set_params(optimizer__weight_decay=best)
    values = {}
    for training, model in nets.items():
        model.fit(X_train, y_train)
        values[training] = {
            "accuracy": (model.predict(X_test) == y_test).mean(),
            "mean_confidence": model.predict_proba(X_test).max(axis=1).mean(),
            "comprehensiveness_gap": comprehensiveness_gap(model, X_test, random_state=seed),
            "sufficiency_gap": sufficiency_gap(model, X_test, random_state=seed),
            "comprehensiveness_gap_flip": comprehensiveness_gap(
                model, X_test, outcome="flip", random_state=seed
            ),
            "sufficiency_gap_flip": sufficiency_gap(
                model, X_test, outcome="flip", random_state=seed
            ),
        }
    majority = np.mean(y_test == statistics.mode(y_train))
    return values, best, majority


def test_equals_three_fits_by_hand(device):
    X, y = load_breast_cancer(return_X_y=True)
    by_hand = [three_fits(X, y, seed, device) for seed in SEEDS]
    guided = SaliencyGuidedClassifier(max_epochs=3, consistency_weight=2.0, device=device)
    found, runs = compare_training(
        make_pipeline(StandardScaler(), guided),
        X,
        y,
        n_seeds=3,
        random_state=4,
        weight_decays=DECAYS,
        return_runs=True,
        verbose=0,
    )
    assert found.attrs["seeds"] == list(SEEDS)
    assert found.attrs["weight_decay"] == [best for _, best, _ in by_hand]
    metrics = list(by_hand[0][0]["plain"])
    assert [*found["metric"].unique()] == metrics
    assert len(found) == len(metrics) * len(ALL)
    for row in found.itertuples():
        ours = [values[row.training][row.metric] for values, *_ in by_hand]
        plain = [values["plain"][row.metric] for values, *_ in by_hand]
        differences = [a - b for a, b in zip(ours, plain, strict=True)]
        assert row.mean == pytest.approx(statistics.mean(ours), abs=1e-6)
        assert row.sd == pytest.approx(statistics.stdev(ours), abs=1e-6)
        assert row.difference == pytest.approx(statistics.mean(differences), abs=1e-6)
        error = statistics.stdev(differences) / math.sqrt(3)
        assert row.standard_error == pytest.approx(error, abs=1e-6)
        assert row.wins == sum(d > 0 for d in differences)
        assert row.n_seeds == 3
        assert row.method == ("saliency" if "gap" in row.metric else "")
        same = (runs["metric"] == row.metric) & (runs["training"] == row.training)
        assert runs[same].sort_values("seed")["value"].tolist() == pytest.approx(ours, abs=1e-6)
    chance = found.groupby("metric")["chance"].first()
    assert chance["accuracy"] == pytest.approx(statistics.mean(c for *_, c in by_hand))
    assert chance["sufficiency_gap_flip"] == 0
    assert math.isnan(chance["mean_confidence"])
    # the trainings did differ, or nothing would be shown
    assert found.groupby("metric")["mean"].nunique().min() > 2


def test_two_processes_give_the_same(quick):
    options = {"metrics": ["sufficiency_gap"], "metric_params": {"n_draws": 1}}
    X, y = load_iris(return_X_y=True)
    alone, parallel = (quick(X=X[::3], y=y[::3], **options, n_jobs=n) for n in (None, 2))
    assert alone.equals(parallel)
    assert alone.attrs == parallel.attrs


def test_each_method_and_kind_of_metric(tumours, quick):
    X, y = tumours
    relevance = np.arange(30) < 10
    found = quick(
        make_pipeline(StandardScaler(), net()),
        metrics={
            "gini_sparseness": "gini_sparseness",
            "curve": "removal_gap",
            "precision": "relevance_average_precision",
            "mass": "relevance_mass_accuracy",
            "log loss": "neg_log_loss",
            "mine": lambda model, X, y: len(X),
            "scorer": get_interpretability_scorer("sufficiency_gap"),
            "neg_max_sensitivity": "neg_max_sensitivity",
        },
        methods=["saliency", "integrated_gradients"],
        metric_params={"n_draws": 2},
        relevance=relevance,
        test=0.4,
    ).set_index(["training", "metric", "method"])
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, test_size=0.4, stratify=y, random_state=0
    )
    model = make_pipeline(StandardScaler(), net(random_state=0)).fit(X_train, y_train)
    means = found["mean"]["guided"]
    for method in ("saliency", "integrated_gradients"):
        values = model[-1].attribute(
            model[:-1].transform(X_test), method=method, standardized=True
        )
        curve = removal_curve(model, X_test, y_test, method=method, n_draws=2, random_state=0)
        expected = {
            "gini_sparseness": gini_sparseness(values),
            "curve": curve.gap,
            "precision": relevance_average_precision(values, relevance),
            "mass": relevance_mass_accuracy(values, relevance),
            "neg_max_sensitivity": make_interpretability_scorer(
                "neg_max_sensitivity", method=method, n_draws=2, random_state=0
            )(model, X_test, y_test),
        }
        for metric, value in expected.items():
            assert means[metric, method] == pytest.approx(value, abs=1e-6)
    assert means["mine", ""] == len(X_test)
    assert means["scorer", ""] == pytest.approx(sufficiency_gap(model, X_test, random_state=0))
    chance = found["chance"]["guided"].droplevel("method")
    prior = np.bincount(y_train) / len(y_train)
    assert chance["log loss"] == pytest.approx(np.log(prior[y_test]).mean())
    assert chance["mass"].tolist() == pytest.approx([1 / 3] * 2)
    assert chance[["mine", "scorer", "gini_sparseness"]].isna().all()


# data


def test_given_test_data_are_measured_and_all_of_X_is_trained_on(tumours, quick):
    X, y = tumours
    found = quick(X=X[:150], y=y[:150], test=(X[150:], y[150:]), n_seeds=2, random_state=3)
    scores = [net(random_state=s).fit(X[:150], y[:150]).score(X[150:], y[150:]) for s in (3, 4)]
    assert found.set_index("training")["mean"]["guided"] == pytest.approx(np.mean(scores))


@pytest.mark.parametrize("given", [False, True])
def test_relevance_is_split_along_with_X(tumours, quick, given):
    X, y = tumours
    X = StandardScaler().fit_transform(X)
    relevance = np.random.default_rng(0).random(X.shape) < 0.3
    rows = np.arange(len(X))
    train, test = train_test_split(rows, test_size=0.25, stratify=y, random_state=0)
    options = {"relevance": relevance}
    if given:
        options = {"relevance": relevance[test], "test": (X[test], y[test])}
        X, y, held_out, mask = X[train], y[train], X[test], relevance[test]
    else:
        held_out, mask = X[test], relevance[test]
    metrics = ["relevance_average_precision", "relevance_mass_accuracy"]
    found = quick(X=X, y=y, metrics=metrics, **options)
    trained = (X, y) if given else (X[train], y[train])
    model = net(random_state=0).fit(*trained)
    expected = relevance_average_precision(model.attribute(held_out, standardized=True), mask)
    rows = found.set_index(["training", "metric"]).loc["guided"]
    assert rows["mean"][metrics[0]] == pytest.approx(expected, abs=1e-6)
    assert rows["chance"][metrics[1]] == pytest.approx(mask[mask.any(axis=1)].mean(axis=1).mean())


@pytest.mark.parametrize("form", ["list", "dict", "frame", "texts"])
def test_kinds_of_input(quick, form):
    rng = np.random.default_rng(0)
    y = np.arange(40) % 2
    lengths = rng.integers(4, 7, 40)
    series = [rng.normal(size=(n, 2)) + label for n, label in zip(lengths, y, strict=True)]
    estimator, relevance, method = net(max_epochs=2), None, "saliency"
    if form == "list":
        X, relevance = series, [rng.random((n, 2)) < 0.5 for n in lengths]
    elif form == "dict":
        padded = np.zeros((40, 6, 2))
        for row, x in zip(padded, series, strict=True):
            row[: len(x)] = x
        X = {"X": padded, "lengths": lengths}
    elif form == "frame":
        import pandas as pd

        X = pd.DataFrame(rng.normal(size=(40, 3)), columns=list("abc"))
        y = pd.Series(np.array(["no", "yes"])[y])
    else:
        from sgt_sklearn.preprocessing import TokenEncoder

        X = [["a fine film", "a dull film that bores"][label] for label in y]
        text = SaliencyGuidedClassifier("text_bag", max_epochs=1)
        estimator, method = make_pipeline(TokenEncoder(), text), "input_x_gradient"
    metrics = ["sufficiency_gap"]
    if relevance is not None:
        metrics.append("relevance_average_precision")
    found = quick(estimator, X, y, metrics=metrics, relevance=relevance).set_index("metric")
    assert np.isfinite(found["mean"]).all()
    assert (found["method"]["sufficiency_gap"] == method).all()
    if relevance is not None:
        train, test = train_test_split(np.arange(40), test_size=0.25, stratify=y, random_state=0)
        model = net(max_epochs=2, random_state=0).fit([X[i] for i in train], y[train])
        values = model.attribute([X[i] for i in test], standardized=True)
        expected = relevance_average_precision(values, [relevance[i] for i in test])
        assert found["mean"]["relevance_average_precision"].iloc[1] == pytest.approx(expected)


def test_regression(quick):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = X[:, 0] + 0.1 * rng.normal(size=60)
    regressor = SaliencyGuidedRegressor(max_epochs=3)
    found = quick(regressor, X, y, metrics="auto")
    assert list(found["metric"].unique()) == ["r2", "comprehensiveness_gap", "sufficiency_gap"]
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    score = clone(regressor).set_params(random_state=0).fit(X_train, y_train).score(X_test, y_test)
    assert found["mean"][1] == pytest.approx(score)
    assert found["chance"][1] == pytest.approx(
        1 - ((y_test - y_train.mean()) ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()
    )


def test_several_labels(quick):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    Y = (X[:, :2] > 0).astype(int)
    found, runs = quick(X=X, y=Y, metrics=["mean_confidence"], return_runs=True)
    X_train, X_test, Y_train, _ = train_test_split(X, Y, test_size=0.25, random_state=0)
    proba = net(random_state=0).fit(X_train, Y_train).predict_proba(X_test)
    assert runs["value"].iloc[-1] == pytest.approx(np.abs(proba - 0.5).mean() + 0.5)
    assert list(found["metric"].unique()) == ["accuracy", "mean_confidence"]


def test_of_several_best_decays_the_strongest_is_taken(quick):
    X = np.repeat([[-1.0, 0.0], [1.0, 0.0]], 20, axis=0)
    y = np.repeat([0, 1], 20)
    options = {"controls": ["weight decay"], "weight_decays": [0.0, 0.5, 0.1]}
    found = quick(net(max_epochs=20), X, y, **options, n_seeds=2)
    assert (found["mean"] == 1).all()
    assert found.attrs["weight_decay"] == [0.5, 0.5]


def test_scoring(tumours, quick):
    named = quick(scoring="f1")
    scored = quick(scoring=make_scorer(accuracy_score), metrics={"accuracy": "accuracy"})
    assert named["metric"].tolist() == ["f1", "f1"]
    means = scored.set_index(["training", "metric"])["mean"]
    assert means["guided", "score"] == means["guided", "accuracy"]


def test_iris_keeps_its_shares(quick):
    X, y = load_iris(return_X_y=True)
    found = quick(X=X[:110], y=y[:110])
    # 50, 50 and 10 flowers: a quarter of each, and the first of the two largest is predicted
    assert found["chance"][0] == pytest.approx(12.5 / 27.5, abs=0.03)
