"""What is measured on what: splits, targets, masks of relevance, and levels of chance."""

import itertools

import numpy as np
import pytest
from scipy.sparse import coo_matrix, csr_array
from sklearn.datasets import load_iris
from sklearn.decomposition import TruncatedSVD
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score, average_precision_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.metrics import relevance_average_precision
from sgt_sklearn.model_selection import compare_training
from sgt_sklearn.model_selection._relevance_masks import chance_of_relevance
from sgt_sklearn.preprocessing import TokenEncoder

pd = pytest.importorskip("pandas")

PRECISION = "relevance_average_precision"


def net(*module, **params):
    return SaliencyGuidedClassifier(*module, **({"max_epochs": 1} | params))


def compare(estimator, X, y, **options):
    options = {"metrics": [], "n_seeds": 1, "controls": False, "verbose": 0} | options
    return compare_training(estimator, X, y, **options)


def chances(table):
    return table.groupby("metric")["chance"].first().to_dict()


def slow_chance(mask):
    """Mean average precision over all orders of the cells."""
    n = np.size(mask)
    orders = itertools.permutations(range(n))
    return np.mean([average_precision_score(np.ravel(mask), order) for order in orders])


# chance


def test_chance_of_relevance_is_that_of_all_orders():
    masks = [np.array([1, 0, 0, 1]), np.array([0, 1, 0]), np.array([0, 0]), np.array([0, 1, 1, 1])]
    found = chance_of_relevance([np.arange(len(mask)) + 1.0 for mask in masks], masks)
    scored = [mask for mask in masks if mask.any()]
    assert found[PRECISION] == pytest.approx(np.mean([slow_chance(mask) for mask in scored]))
    share = np.mean([mask.mean() for mask in scored])
    for name in ("pointing_game", "relevance_mass_accuracy", "relevance_rank_accuracy"):
        assert found[name] == pytest.approx(share)
    assert found["relevance_roc_auc"] == 0.5
    # one cell has one order
    assert chance_of_relevance([[1.0], [1.0, 2.0]], [[1], [1, 0]])[PRECISION] == 0.875


@pytest.fixture(scope="module")
def series():
    """Series of 2 features and 2 to 6 steps, and the masks of what is relevant."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 7, 24)
    y = np.arange(24) % 2
    X = [rng.normal(size=(n, 2)) + label for n, label in zip(lengths, y, strict=True)]
    return X, y, lengths, [rng.random((n, 2)) < 0.4 for n in lengths]


def padded(samples, fill):
    whole = np.full((len(samples), max(map(len, samples)), *np.shape(samples[0])[1:]), fill)
    for row, sample in zip(whole, samples, strict=True):
        row[: len(sample)] = sample
    return whole


@pytest.mark.parametrize("masks", ["list", "array"])
@pytest.mark.parametrize("form", ["list", "nan", "dict"])
def test_padding_is_no_chance(series, form, masks):
    X, y, lengths, relevance = series
    inputs = {
        "list": X,
        "nan": padded(X, np.nan),
        "dict": {"X": padded(X, 0.0), "lengths": lengths},
    }
    given = relevance if masks == "list" else padded(relevance, False)
    metrics = [PRECISION, "relevance_mass_accuracy"]
    table = compare(net("gru"), inputs[form], y, relevance=given, metrics=metrics)
    train, test = train_test_split(np.arange(24), stratify=y, random_state=0)
    held_out = [relevance[i] for i in test if relevance[i].any()]
    share = np.mean([mask.mean() for mask in held_out])
    assert chances(table)["relevance_mass_accuracy"] == pytest.approx(share)
    model = net("gru", random_state=0).fit([X[i] for i in train], y[train])
    found = model.attribute([X[i] for i in test], standardized=True)
    expected = relevance_average_precision(found, [relevance[i] for i in test])
    mean = table.set_index(["training", "metric"])["mean"]["guided", PRECISION]
    assert mean == pytest.approx(expected, abs=1e-5)


def test_chance_of_a_score_is_of_the_real_X():
    X, y = load_iris(return_X_y=True)

    def of_short_petals(model, X, y):
        rows = X[:, 0] <= 5.8
        return accuracy_score(y[rows], model.predict(X)[rows])

    table = compare(net(), X, y, scoring=of_short_petals)
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)
    majority = np.bincount(y).argmax()
    assert chances(table) == {
        "score": pytest.approx(np.mean(y_test[X_test[:, 0] <= 5.8] == majority))
    }


def test_chance_of_a_score_of_other_input(series):
    X, y, lengths, _ = series
    form = {"X": padded(X, 0.0), "lengths": lengths}
    assert chances(compare(net("gru"), form, y, scoring="neg_log_loss")) == {
        "neg_log_loss": pytest.approx(np.log(0.5))
    }
    # a score that needs a net has no such level
    scored = compare(net("gru"), X, y, scoring=lambda model, X, y: model.history[-1, "epoch"])
    assert scored["chance"].isna().all()


# texts


@pytest.fixture(scope="module")
def texts():
    X = ["good film " * (1 + i % 3) + "yes" if i % 2 else "bad show then" for i in range(24)]
    X[3] = "good " * 9
    masks = [np.isin(text.split(), ("good", "bad")) for text in X]
    return X, np.array(["no", "yes"])[np.arange(24) % 2], masks


@pytest.mark.parametrize("form", ["list", "padded", "series"])
@pytest.mark.parametrize("seed", [0, 1])
def test_relevance_of_texts(texts, form, seed):
    X, y, masks = texts
    options = {"metrics": [PRECISION, "pointing_game"], "random_state": seed}
    given = masks if form == "list" else padded(masks, False)
    samples = pd.Series(X, index=range(100, 124)) if form == "series" else X
    pipeline = make_pipeline(TokenEncoder(), net("text_bag"))
    table = compare(pipeline, samples, y, relevance=given, **options)
    train, test = train_test_split(np.arange(24), stratify=y, random_state=seed)
    model = make_pipeline(TokenEncoder(), net("text_bag", random_state=seed))
    model.fit([X[i] for i in train], y[train])
    ids = model[:-1].transform([X[i] for i in test])
    values = model[-1].attribute(ids, method="input_x_gradient", standardized=True)
    values = [row[: len(masks[i])] for row, i in zip(values, test, strict=True)]
    expected = relevance_average_precision(values, [masks[i] for i in test])
    mean = table.set_index(["training", "metric"])["mean"]["guided", PRECISION]
    assert mean == pytest.approx(expected, abs=1e-6)
    share = np.mean([masks[i].mean() for i in test])
    assert chances(table)["pointing_game"] == pytest.approx(share)


def test_relevance_that_does_not_fit_the_texts(texts):
    X, y, masks = texts
    pipeline = make_pipeline(TokenEncoder(max_length=4), net("text_bag"))
    match = r"relevance must have a value for each of the 4 steps or tokens .* relevant cells beyo"
    with pytest.raises(RuntimeError, match=match):
        compare(pipeline, X, y, relevance=masks, metrics=[PRECISION])
    with pytest.raises(RuntimeError, match=r"got a mask of shape \(1,\)\."):
        compare(pipeline, X, y, relevance=[m[:1] for m in masks], metrics=[PRECISION])


def test_one_mask_where_steps_change_the_axes():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(24, 12)), np.arange(24) % 2
    fold = FunctionTransformer(lambda X: X.reshape(len(X), 6, 2))
    mask = rng.random((6, 2)) < 0.3
    tables = [
        compare(make_pipeline(fold, net("gru")), X, y, relevance=given, metrics=[PRECISION])
        for given in (mask, np.broadcast_to(mask, (24, 6, 2)))
    ]
    assert tables[0].equals(tables[1])
    with pytest.raises(ValueError, match="a mask for each of the 24 rows of X"):
        compare(net(), X, y, relevance=mask, metrics=[PRECISION])


def test_one_mask_serves_series_of_unequal_length(series):
    X, y, _, _ = series
    mask = np.zeros((6, 2), dtype=bool)
    mask[:2, 0] = True
    each = [mask[: len(x)] for x in X]
    one, many = (
        compare(net("gru"), samples, y, relevance=given, metrics=[PRECISION])
        for samples, given in ((padded(X, np.nan), mask), (X, each))
    )
    pd.testing.assert_frame_equal(one, many, rtol=1e-5)


# targets and splits


@pytest.mark.parametrize("frame", [False, True])
def test_a_column_of_labels_is_labels(frame):
    X, y = load_iris(return_X_y=True)
    column = pd.DataFrame({"kind": y}) if frame else y[:, None]
    wanted = compare(net(), X, y, metrics=["mean_confidence"])
    with pytest.warns(DataConversionWarning):
        found = compare(net(), X, column, metrics=["mean_confidence"])
    assert found.equals(wanted)


@pytest.mark.parametrize(("n_classes", "n_each"), [(20, 4), (6, 2)])
def test_many_classes_are_split_without_shares(n_classes, n_each):
    y = np.repeat(np.arange(n_classes), n_each)
    X = np.random.default_rng(0).normal(size=(len(y), 3))
    found = compare(net(), X, y, controls=["weight decay"], weight_decays=[0.1, 1.0])
    assert list(found["training"]) == ["plain", "guided", "weight decay"]


@pytest.mark.parametrize("kind", [csr_array, coo_matrix])
def test_sparse_X(kind):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(TruncatedSVD(3), net())
    dense = compare(pipeline, X, y)
    pd.testing.assert_frame_equal(compare(pipeline, kind(X), y), dense, atol=0.1)


def test_sparse_targets_are_refused():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(TypeError, match=r"y must be dense, got a sparse csr_array, .*toarray"):
        compare(net(), X, csr_array(np.eye(3)[y]))
    with pytest.raises(TypeError, match=r"y_test must be dense"):
        compare(net(), X, y, test=(X, csr_array(np.eye(3)[y])))
