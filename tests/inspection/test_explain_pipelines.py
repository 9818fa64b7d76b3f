"""Explanations in the names of the columns that went into a pipeline, and sums over them."""

import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from skorch import NeuralNetClassifier

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain
from sgt_sklearn.inspection._wording import value_name

RNG = np.random.default_rng(0)
N = 60
FRAME = pd.DataFrame(
    {
        "age": RNG.normal(40, 10, N),
        "sex": RNG.choice(["f", "m"], N),
        "class": RNG.choice([1, 2, 3], N),
        "fare": RNG.exponential(10, N),
    },
    index=np.arange(N) + 100,
)
LABELS = np.where((FRAME.sex == "f") & (FRAME["class"] < 3) | (FRAME.age < 30), "yes", "no")
NAMES = ["age", "sex", "class", "fare"]
FEW = FRAME[:5]
# columns of the transformer: sex_f sex_m class_1 class_2 class_3 age fare
COLUMNS = {"sex": [0, 1], "class": [2, 3, 4], "age": [5], "fare": [6]}
# those of one original column are hidden as one
JOINT = ("feature_ablation", "occlusion", "shapley_value_sampling", "kernel_shap")


def transformer():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["sex", "class"]), (StandardScaler(), ["age", "fare"])
    )


def net(**params):
    return SaliencyGuidedClassifier(max_epochs=4, random_state=0, device="cpu", **params)


@pytest.fixture(scope="module")
def pipeline():
    return make_pipeline(transformer(), net()).fit(FRAME, LABELS)


@contextmanager
def warns_of_sums(names):
    """One warning that gradients of these columns are sums, or none at all."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    texts = [str(warning.message) for warning in caught]
    assert len(texts) == bool(names)
    if names:
        assert f"make of {', '.join(map(repr, names))}:" in texts[0]
        assert "method='integrated_gradients'" in texts[0]
        assert caught[0].filename == __file__  # where `explain` is called


def sums(values):
    return np.stack([values[:, COLUMNS[name]].sum(1) for name in NAMES], axis=1)


@pytest.mark.parametrize(
    "method", ["saliency", "integrated_gradients", "deep_lift", "input_x_gradient", "lrp"]
)
def test_values_are_sums_over_the_columns_of_the_net(pipeline, method):
    with warns_of_sums(["sex", "class"] if method == "saliency" else []):
        found = explain(pipeline, FEW, method=method)
    inner = explain(pipeline[-1], pipeline[:-1].transform(FEW), method=method)
    np.testing.assert_allclose(found.values, sums(inner.values), rtol=1e-5, atol=1e-7)
    assert found.feature_names == NAMES and found.kind == "tabular"
    np.testing.assert_array_equal(found.data, FEW.to_numpy(dtype=object))
    np.testing.assert_array_equal(found.target, pipeline.predict(FEW))
    np.testing.assert_array_equal(found.index, FEW.index)
    each = explain(pipeline, FEW, method=method, fold=False)
    np.testing.assert_array_equal(each.values, inner.values)
    assert each.feature_names == list(pipeline[:-1].get_feature_names_out())


def test_folded_values_add_up_to_the_difference_of_logits(pipeline):
    Z = pipeline[:-1].transform(FEW)
    mean = pipeline[:-1].transform(FRAME).mean(0, keepdims=True)
    logits = pipeline[-1].decision_function
    signs = np.where(pipeline.predict(FEW) == "yes", 1, -1)
    for method in ("integrated_gradients", "shapley_value_sampling", "deep_lift", "kernel_shap"):
        found = explain(pipeline, FEW, method=method, random_state=0)
        other = np.where(pipeline.predict(FEW) == "yes", "no", "yes")
        against = explain(pipeline, FEW, method=method, target=other, random_state=0)
        # the log odds of two classes are the difference of their logits
        change = found.values.sum(1) - against.values.sum(1)
        np.testing.assert_allclose(change, signs * (logits(Z) - logits(mean)), atol=0.02)
        np.testing.assert_allclose(found.delta, 0, atol=0.02)


@pytest.mark.parametrize("method", JOINT)
def test_columns_of_one_original_are_hidden_as_one(pipeline, method):
    """Against a loop that hides all of them at once: values of the whole, counted once."""
    found = explain(pipeline, FEW, method=method, random_state=0)
    assert found.shape == (5, 4)
    if method in ("feature_ablation", "occlusion"):
        Z = pipeline[:-1].transform(FEW).astype(np.float32)
        mean = pipeline[-1]._statistics_.mean
        for j, name in enumerate(NAMES):
            hidden = Z.copy()
            hidden[:, COLUMNS[name]] = mean[COLUMNS[name]]
            for i, label in enumerate(pipeline.predict(FEW)):
                k = list(pipeline.classes_).index(label)
                z = [pipeline[-1].forward(data[i : i + 1])[0, k].item() for data in (Z, hidden)]
                assert found.values[i, j] == pytest.approx(z[0] - z[1], abs=1e-5)
    else:
        np.testing.assert_allclose(found.delta, 0, atol=1e-4)
    each = explain(pipeline, FEW, method=method, fold=False, random_state=0)
    assert each.shape == (5, 7)


def test_windows_slide_over_the_columns_of_the_net(pipeline):
    for options in ({"sliding_window_shapes": (2,)}, {"strides": 1}):
        with pytest.raises(ValueError, match=r"must be None where .* Use fold=False"):
            explain(pipeline, FEW, method="occlusion", **options)
    found = explain(pipeline, FEW, method="occlusion", fold=False, sliding_window_shapes=(2,))
    inner = explain(
        pipeline[-1], pipeline[:-1].transform(FEW), method="occlusion", sliding_window_shapes=(2,)
    )
    np.testing.assert_array_equal(found.values, inner.values)
    # where each column is one of its own, all of them are neighbours
    numbers = FRAME[["age", "fare"]]
    scaled = make_pipeline(StandardScaler(), net()).fit(numbers, LABELS)
    found = explain(scaled, numbers[:5], method="occlusion", sliding_window_shapes=(2,))
    assert found.feature_names == ["age", "fare"]
    np.testing.assert_allclose(found.values[:, 0], found.values[:, 1], rtol=1e-5)


def test_a_search_and_nested_pipelines_equal_the_net_inside(pipeline):
    expected = explain(pipeline, FEW, method="integrated_gradients").values
    search = GridSearchCV(pipeline, {"saliencyguidedclassifier__max_epochs": [4]}, cv=2)
    nested = make_pipeline(transformer(), make_pipeline("passthrough", net()))
    frozen = FrozenEstimator(make_pipeline(transformer(), net()).fit(FRAME, LABELS))
    for estimator in (search, nested, frozen):
        estimator.fit(FRAME, LABELS)
        found = explain(estimator, FEW, method="integrated_gradients")
        np.testing.assert_allclose(found.values, expected, atol=1e-6)
        assert found.feature_names == NAMES


def test_targets_all_and_one_label_a_row(pipeline):
    every = explain(pipeline, FEW, method="integrated_gradients", target="all")
    assert every.shape == (5, 2, 4) and every.classes == ["no", "yes"]
    labels = np.array(["no", "yes", "yes", "no", "no"])
    found = explain(pipeline, FEW, method="integrated_gradients", target=labels)
    picked = every.values[np.arange(5), (labels == "yes").astype(int)]
    np.testing.assert_allclose(found.values, picked, atol=1e-6)
    np.testing.assert_allclose(every.delta, 0, atol=0.01)


def test_any_estimator_in_a_pipeline():
    forest = make_pipeline(transformer(), RandomForestClassifier(5, random_state=0))
    forest.fit(FRAME, LABELS)
    found = explain(forest, FEW, method="feature_ablation")
    Z = forest[:-1].transform(FEW)
    hidden = Z.copy()
    hidden[:, :2] = Z[:, :2].mean(0)
    k = forest.predict_proba(FEW).argmax(1)
    change = forest[-1].predict_proba(Z) - forest[-1].predict_proba(hidden)
    np.testing.assert_allclose(found.values[:, 1], change[np.arange(5), k], atol=1e-6)
    assert found.feature_names == NAMES and found.output == "probability"
    with pytest.raises(
        TypeError, match=r"gradients, got RandomForest.* method='feature_ablation'"
    ):
        explain(forest, FEW, method="integrated_gradients")


def test_names_of_the_callers_own(pipeline):
    array = FEW.to_numpy()
    fitted = make_pipeline(
        make_column_transformer(
            (OneHotEncoder(sparse_output=False), [1, 2]), (StandardScaler(), [0, 3])
        ),
        net(),
    ).fit(FRAME.to_numpy(), LABELS)
    found = explain(fitted, array, method="input_x_gradient")
    assert found.feature_names == ["x0", "x1", "x2", "x3"] and found.index is None
    names = ["a", "b", "c", "d"]
    found = explain(fitted, array, method="input_x_gradient", feature_names=names)
    assert found.feature_names == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(found.data, array)
    inner = pipeline[:-1].transform(FEW)
    found = explain(pipeline[-1], inner, feature_names=list("abcdefg"))
    assert found.feature_names == list("abcdefg")


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    "columns",
    [
        ["fare", "class", "age", "sex"],
        ["spare", "fare", "sex", "class", "age", "more"],
        ["sex", "age"],  # what the steps drop may be missing
    ],
)
def test_columns_of_a_frame_are_found_by_name(pipeline, wrapped, columns):
    if len(columns) == 2:
        steps = make_column_transformer(
            (OneHotEncoder(sparse_output=False), ["sex"]), (StandardScaler(), ["age"])
        )
        pipeline = make_pipeline(steps, net())
    if wrapped:
        pipeline = CalibratedClassifierCV(pipeline, cv=2)
    if wrapped or len(columns) == 2:
        pipeline.fit(FRAME, LABELS)
    given = FEW.assign(spare=0.5, more="text")[columns]
    method = "input_x_gradient"
    expected = explain(pipeline, FEW, method=method)
    found = explain(pipeline, given, method=method)
    names = [name for name in columns if name in found.feature_names]
    assert found.feature_names == names and set(names) - {"spare", "more"} <= set(NAMES)
    for name in ("age", "sex"):
        i, j = found.feature_names.index(name), expected.feature_names.index(name)
        np.testing.assert_array_equal(found.values[:, i], expected.values[:, j])
        np.testing.assert_array_equal(found.data[:, i], FEW[name].to_numpy(dtype=object))
    upper = [name.upper() for name in columns]
    renamed = explain(pipeline, given, method=method, feature_names=upper)
    assert renamed.feature_names == [name.upper() for name in names]
    np.testing.assert_array_equal(renamed.values, found.values)


def test_groups_of_the_callers_own(pipeline):
    inner = pipeline[:-1].transform(FEW)
    labels = ["person", "person", "ticket", "ticket", "ticket", "person", "ticket"]
    each = explain(pipeline[-1], inner, method="integrated_gradients")
    for estimator, X in ((pipeline, FEW), (pipeline[-1], inner)):
        found = explain(estimator, X, method="integrated_gradients", groups=labels)
        expected = [each.values[:, [0, 1, 5]].sum(1), each.values[:, [2, 3, 4, 6]].sum(1)]
        np.testing.assert_allclose(found.values, np.stack(expected, axis=1), atol=1e-6)
        assert found.feature_names == ["person", "ticket"]
        joint = explain(estimator, X, method="shapley_value_sampling", groups=labels)
        np.testing.assert_allclose(joint.values.sum(1), found.values.sum(1), atol=0.01)
    # hidden together, and shown column by column
    apart = explain(pipeline, FEW, method="feature_ablation", groups=labels, fold=False)
    together = explain(pipeline, FEW, method="feature_ablation", groups=labels)
    np.testing.assert_array_equal(apart.values, together.values[:, [0, 0, 1, 1, 1, 0, 1]])


def test_steps_that_combine_columns():
    numbers = FRAME[["age", "fare"]]
    fitted = make_pipeline(StandardScaler(), PCA(2), net()).fit(numbers, LABELS)
    found = explain(fitted, numbers[:5], method="integrated_gradients")
    assert found.feature_names == ["pca0", "pca1"]
    np.testing.assert_allclose(found.data, fitted[:-1].transform(numbers[:5]))
    # a step that tells nothing: columns of the net, without names
    silent = FunctionTransformer(lambda X: np.asarray(X)[:, ::-1] * 1.0)
    fitted = make_pipeline(silent, net()).fit(numbers, LABELS)
    found = explain(fitted, numbers[:5])
    assert found.feature_names is None
    np.testing.assert_allclose(found.data, numbers[:5].to_numpy()[:, ::-1], rtol=1e-5)


def test_frames_inside_the_pipeline_keep_their_names():
    numbers = FRAME[["age", "fare"]]
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(3, random_state=0))
    forest.set_output(transform="pandas").fit(numbers, LABELS)
    # the forest warns, an error here, when it is asked without the names it was fitted with
    found = explain(forest, numbers[:5], method="feature_ablation")
    assert found.feature_names == ["age", "fare"]
    np.testing.assert_allclose(found.data, numbers[:5])


# ---- sums of gradients, and their unit


@pytest.mark.parametrize("method", ["smooth_grad", "vargrad", "guided_backprop"])
def test_sums_of_gradients_are_warned_of(pipeline, method):
    with warns_of_sums(["sex", "class"]):
        explain(pipeline, FEW, method=method, random_state=0)


def test_sums_of_gradients_inside_an_ensemble_are_warned_of(pipeline):
    calibrated = CalibratedClassifierCV(pipeline, cv=2).fit(FRAME, LABELS)
    with warns_of_sums(["sex", "class"]):
        explain(calibrated, FEW)
    with warns_of_sums([]):
        explain(calibrated, FEW, method="integrated_gradients")


def test_gradients_that_are_no_sums_are_not_warned_of(pipeline):
    steps = make_column_transformer(
        (OneHotEncoder(drop="if_binary", sparse_output=False), ["sex"]),
        (StandardScaler(), ["age", "fare"]),
    )
    one_each = make_pipeline(steps, net()).fit(FRAME, LABELS)
    labels = ["person", "person", "ticket", "ticket", "ticket", "person", "ticket"]
    with warns_of_sums([]):
        explain(one_each, FEW)
        explain(pipeline, FEW, fold=False)
        explain(pipeline, FEW, groups=labels)  # of the caller's own
        explain(pipeline[-1], pipeline[:-1].transform(FEW))


def test_a_sum_of_gradients_is_the_slope_of_no_row(pipeline):
    """As the warning says: all columns of a category grow, where a row can only exchange them."""
    with pytest.warns(UserWarning, match="slope in a direction in which no row moves"):
        found = explain(pipeline, FEW[:1], target="yes")
    Z = pipeline[:-1].transform(FEW[:1]).astype(np.float32)
    step = np.zeros_like(Z)
    step[:, COLUMNS["class"]] = 1e-3
    high, low = (pipeline[-1].forward(Z + sign * step)[0, 1].item() for sign in (1, -1))
    assert found.values[0, NAMES.index("class")] == pytest.approx((high - low) / 2e-3, abs=0.01)


def test_gradients_behind_steps_say_so(pipeline):
    numbers = FRAME[["age", "fare"]]
    scaled = make_pipeline(StandardScaler(), net()).fit(numbers, LABELS)
    bare = net().fit(numbers, LABELS)
    search = GridSearchCV(scaled, {"saliencyguidedclassifier__max_epochs": [1]}, cv=2)
    behind = [scaled, FrozenEstimator(scaled), search.fit(numbers, LABELS)]
    behind.append(CalibratedClassifierCV(scaled, cv=2).fit(numbers, LABELS))
    for estimator in behind:
        explanation = explain(estimator, numbers[:5], target="yes")
        assert explanation.transformed and explanation[1:3].transformed
        assert value_name(explanation) == "logit of 'yes' per unit of the network's input"
    calibrated = CalibratedClassifierCV(bare, cv=2).fit(numbers, LABELS)
    passed = make_pipeline("passthrough", net()).fit(numbers, LABELS)
    for estimator in (bare, calibrated, passed):
        explanation = explain(estimator, numbers[:5], target="yes")
        assert not explanation.transformed
        assert value_name(explanation) == "logit of 'yes' per unit of the feature"
    contribution = explain(scaled, numbers[:5], method="integrated_gradients", target="yes")
    assert value_name(contribution) == "contribution to the logit of 'yes'"


def test_standardized_auto_is_for_gradients_of_tables_by_nets_that_know_deviations():
    numbers = FRAME[["age", "fare"]].astype(np.float32)
    ours = net().fit(numbers, LABELS)
    for method in ("saliency", "smooth_grad"):
        options = {"method": method, "target": "yes", "random_state": 0}
        raw = explain(ours, numbers[:5], **options)
        auto = explain(ours, numbers[:5], standardized="auto", **options)
        expected = raw.values * numbers.to_numpy(np.float64).std(0)
        np.testing.assert_allclose(auto.values, expected, rtol=1e-4)
        assert auto.standardized and not raw.standardized
        assert value_name(auto) == "logit of 'yes' per standard deviation"
    listed = numbers.to_numpy().tolist()
    of_lists = net().fit(listed, LABELS)
    assert explain(of_lists, listed[:5], standardized="auto").standardized
    contributions = explain(ours, numbers[:5], method="integrated_gradients", standardized="auto")
    assert not contributions.standardized
    calibrated = CalibratedClassifierCV(ours, cv=2).fit(numbers, LABELS)
    assert explain(calibrated, numbers[:5], standardized="auto").standardized
    # series have one unit a feature as well, but are drawn as maps
    series = RNG.standard_normal((12, 4, 2)).astype(np.float32)
    of_series = net().fit(series, LABELS[:12])
    for data in (series, list(series), {"X": series, "lengths": np.full(12, 4)}):
        assert not explain(of_series, data, standardized="auto").standardized
    # one row has no deviation, and this net knows none of training
    torch.manual_seed(0)
    plain = NeuralNetClassifier(
        torch.nn.Linear, module__in_features=2, module__out_features=2, train_split=None, verbose=0
    ).fit(numbers.to_numpy().copy(), (LABELS == "yes").astype(int))
    one = numbers[:1].to_numpy().copy()
    found = explain(plain, one, target=1, standardized="auto")
    np.testing.assert_array_equal(found.values, explain(plain, one, target=1).values)
    assert np.all(found.values) and not found.standardized


@pytest.mark.parametrize("standardized", ["yes", None, 2])
def test_standardized_of_another_kind(pipeline, standardized):
    with pytest.raises(ValueError, match="standardized must be True, False or 'auto', got"):
        explain(pipeline, FEW, method="integrated_gradients", standardized=standardized)
