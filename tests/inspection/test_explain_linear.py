"""Closed forms on linear models: coefficient times difference, whatever the method."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import FixedThresholdClassifier
from skorch import (
    NeuralNet,
    NeuralNetBinaryClassifier,
    NeuralNetClassifier,
    NeuralNetRegressor,
)
from torch import nn

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
)
from sgt_sklearn.inspection import explain

RNG = np.random.default_rng(1)
X = (RNG.standard_normal((16, 4)) * [1, 3, 0.5, 1] + [0, 1, -2, 5]).astype(np.float32)
COEF = RNG.standard_normal((3, 4)).astype(np.float32)
PER_UNIT = ("saliency", "path_gradient", "smooth_grad")
DIFFERENCES = (
    "integrated_gradients",
    "deep_lift",
    "feature_ablation",
    "occlusion",
    "shapley_value_sampling",
    "kernel_shap",
)
FEW = slice(0, 5)


def linear(n_outputs=3):
    layer = nn.Linear(4, n_outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(COEF[:n_outputs]))
    return layer


def plain(n_outputs=3, cls=NeuralNetClassifier, **params):
    params = {"criterion": nn.CrossEntropyLoss, "verbose": 0} | params
    return cls(linear(n_outputs), **params).initialize()


@pytest.fixture(scope="module")
def net():
    return plain()


@pytest.mark.parametrize("method", PER_UNIT)
def test_gradients_are_coefficients(net, method):
    found = explain(net, X[FEW], method=method, target=1, random_state=0)
    np.testing.assert_allclose(found.values, np.tile(COEF[1], (5, 1)), rtol=1e-4)
    found = explain(net, X, method=method, target=1, random_state=0, standardized=True)
    np.testing.assert_allclose(found.values, np.tile(COEF[1] * X.std(0), (16, 1)), rtol=1e-4)


def test_variance_of_a_constant_gradient_is_zero(net):
    found = explain(net, X[FEW], method="vargrad", target=1, random_state=0, standardized=True)
    np.testing.assert_allclose(found.values, 0, atol=1e-10)


@pytest.mark.parametrize("method", DIFFERENCES)
@pytest.mark.parametrize(
    ("baseline", "at"), [("auto", X.mean(0)), ("mean", X.mean(0)), ("zeros", 0.0), (X[7], X[7])]
)
def test_contributions_are_coefficients_times_differences(net, method, baseline, at):
    found = explain(net, X, method=method, target=2, baseline=baseline, random_state=0)
    np.testing.assert_allclose(found.values, COEF[2] * (X - at), atol=3e-4)
    if found.delta is not None:
        np.testing.assert_allclose(found.delta, 0, atol=3e-4)


def test_a_baseline_for_each_row_and_another_row_of_x(net):
    each = RNG.standard_normal(X.shape).astype(np.float32)
    for method in ("integrated_gradients", "feature_ablation", "deep_lift"):
        found = explain(net, X, method=method, target=0, baseline=each)
        np.testing.assert_allclose(found.values, COEF[0] * (X - each), atol=1e-4)
        found = explain(net, X, method=method, target=0, baseline="marginal", random_state=3)
        donors = X - found.values / COEF[0]
        distance = np.abs(donors[:, None] - X[None]).max(2)
        donor = distance.argmin(1)
        assert distance.min(1).max() < 1e-3
        # every row gives to one other row
        assert sorted(donor) == list(range(16)) and (donor != np.arange(16)).all()


@pytest.mark.parametrize("method", ["gradient_shap", "deep_lift_shap"])
def test_a_set_of_rows_as_baseline(net, method):
    rows = X[10:13]
    options = {"n_samples": 400} if method == "gradient_shap" else {}
    found = explain(net, X[FEW], method=method, target=1, baseline=rows, random_state=0, **options)
    expected = COEF[1] * (X[FEW] - rows.mean(0))
    atol = 1e-4 if method == "deep_lift_shap" else 0.5
    np.testing.assert_allclose(found.values, expected, atol=atol)
    single = explain(net, X[FEW], method=method, target=1, baseline=X[7])
    np.testing.assert_allclose(single.values, COEF[1] * (X[FEW] - X[7]), atol=1e-4)
    # n_baselines rows of X, without repeating one
    drawn = explain(net, X, method="deep_lift_shap", target=1, n_baselines=16, random_state=0)
    np.testing.assert_allclose(drawn.values, COEF[1] * (X - X.mean(0)), atol=1e-4)
    few = explain(net, X, method="deep_lift_shap", target=1, n_baselines=3, random_state=0)
    assert few.baseline.shape == (3, 4)


def test_permutation_exchanges_values_with_other_rows(net):
    found = explain(net, X, method="feature_permutation", target=1, random_state=0)
    given = X - found.values / COEF[1]
    for column in range(4):
        np.testing.assert_allclose(np.sort(given[:, column]), np.sort(X[:, column]), atol=1e-4)
        assert (np.abs(given[:, column] - X[:, column]) > 1e-3).sum() > 5


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "feature_ablation"])
def test_margin_and_a_label_a_row(net, method):
    label = np.array([0, 1, 2, 2, 1])
    found = explain(net, X[FEW], method=method, target=label, output="margin")
    centred = (COEF - COEF.mean(0))[label]
    expected = centred if method == "saliency" else centred * (X[FEW] - X[FEW].mean(0))
    np.testing.assert_allclose(found.values, expected, atol=1e-4)
    np.testing.assert_array_equal(found.target, label)


def test_probabilities_of_a_net(net):
    found = explain(net, X[FEW], method="feature_ablation", output="probability", target="all")
    mean = X[FEW].mean(0)

    def probability(x):
        return net.module_(torch.as_tensor(x)).softmax(1).detach().numpy()

    for column in range(4):
        hidden = X[FEW].copy()
        hidden[:, column] = mean[column]
        expected = probability(X[FEW]) - probability(hidden)
        np.testing.assert_allclose(found.values[:, :, column], expected, atol=1e-6)
    np.testing.assert_allclose(found.explained_output, probability(X[FEW]), rtol=1e-5)
    assert (found.target, found.classes, found.output) == ("all", [0, 1, 2], "probability")


PLAIN = {
    "classifier": (NeuralNetClassifier, {"criterion": nn.CrossEntropyLoss}, 3, 1),
    "probabilities": (NeuralNetClassifier, {"criterion": nn.NLLLoss}, 3, 1),
    "binary": (NeuralNetBinaryClassifier, {"criterion": nn.BCEWithLogitsLoss}, 1, 1.0),
    "regressor": (NeuralNetRegressor, {"criterion": nn.MSELoss}, 1, "predicted"),
    "net": (NeuralNet, {"criterion": nn.CrossEntropyLoss}, 3, 2),
}


@pytest.mark.parametrize("kind", PLAIN)
@pytest.mark.parametrize(
    "method", ["saliency", "integrated_gradients", "smooth_grad", "deep_lift", "feature_ablation"]
)
def test_plain_nets_are_explained_as_guided_ones(kind, method):
    """The mixin adds the method `attribute`, `explain` does the same to any net of skorch."""
    cls, params, n_outputs, target = PLAIN[kind]
    guided = type("Guided", (SaliencyGuidedMixin, cls), {})
    softmax = kind == "probabilities"
    if softmax and method == "deep_lift":
        pytest.skip("the logarithm of probabilities is a function without a rule")
    layers = nn.Sequential(linear(n_outputs), nn.Softmax(1)) if softmax else linear(n_outputs)
    net = cls(layers, verbose=0, **params).initialize()
    other = guided(layers, verbose=0, **params).initialize()
    found = explain(net, X[FEW], method=method, target=target, random_state=0)
    expected = explain(other, X[FEW], method=method, target=target, random_state=0)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-6)
    if method in ("saliency", "smooth_grad", "integrated_gradients"):
        options = {} if method != "integrated_gradients" else {"baseline": X[FEW].mean(0)}
        own = other.attribute(
            X[FEW].astype(np.float64), method=method, target=target, random_state=0, **options
        )
        np.testing.assert_allclose(found.values, own, rtol=1e-4, atol=1e-6)
    if method == "saliency" and not softmax:
        row = 0 if n_outputs == 1 else target
        np.testing.assert_allclose(found.values, np.tile(COEF[row], (5, 1)), rtol=1e-5)
    assert found.output == ("prediction" if kind == "regressor" else "logit")


def test_predicted_labels_of_plain_nets(net):
    labels = net.predict(X)
    found = explain(net, X)
    np.testing.assert_array_equal(found.target, labels)
    np.testing.assert_allclose(found.values, COEF[labels], rtol=1e-5)
    binary = plain(1, NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss)
    found = explain(binary, X)
    np.testing.assert_array_equal(found.target, binary.predict(X))
    signs = np.where(binary.predict(X) > 0, 1, -1)[:, None]
    np.testing.assert_allclose(found.values, signs * COEF[0], rtol=1e-5)


def test_regression_is_in_units_of_y():
    y = 100 * X @ COEF[0] + 1000
    net = SaliencyGuidedRegressor(module__hidden=(), max_epochs=5, random_state=0).fit(X, y)
    change = net.predict(X[FEW]) - net.predict(X.mean(0)[None])
    for method in ("integrated_gradients", "deep_lift", "feature_ablation", "kernel_shap"):
        found = explain(net, X[FEW], method=method, random_state=0)
        assert found.target is None and found.output == "prediction"
        np.testing.assert_allclose(found.values.sum(1), change, rtol=1e-3, atol=0.1)
        if found.explained_output is not None:
            np.testing.assert_allclose(found.explained_output, net.predict(X[FEW]), rtol=1e-5)


def test_any_estimator_by_its_predictions():
    y = X @ COEF[0].astype(np.float64)
    line = LinearRegression().fit(X, y)
    for method in ("feature_ablation", "shapley_value_sampling", "kernel_shap", "occlusion"):
        found = explain(line, X, method=method, random_state=0)
        np.testing.assert_allclose(found.values, COEF[0] * (X - X.mean(0)), atol=1e-3)
        assert found.output == "prediction" and found.target is None
    found = explain(line, X, method="lime", alpha=1e-6, n_samples=100, random_state=0)
    np.testing.assert_allclose(found.values, COEF[0] * (X - X.mean(0)), atol=0.02)

    labels = np.array(["no", "yes"])[(y > np.median(y)).astype(int)]
    forest = RandomForestClassifier(5, random_state=0).fit(X, labels)
    found = explain(forest, X, method="feature_ablation")
    picked = forest.predict_proba(X).argmax(1)
    for column in range(4):
        hidden = X.astype(np.float64)
        hidden[:, column] = X.mean(0, dtype=np.float64)[column]
        change = forest.predict_proba(X) - forest.predict_proba(hidden)
        np.testing.assert_allclose(
            found.values[:, column], change[np.arange(16), picked], atol=1e-6
        )
    assert found.output == "probability"
    np.testing.assert_array_equal(found.target, forest.predict(X))
    every = explain(forest, X, method="feature_ablation", target="all")
    np.testing.assert_allclose(every.values[:, 0], -every.values[:, 1], atol=1e-6)
    assert every.classes == ["no", "yes"]

    trees = RandomForestRegressor(5, random_state=0).fit(X, np.stack([y, -y], axis=1))
    second = explain(trees, X, method="feature_ablation", target=1)
    both = explain(trees, X, method="feature_ablation", target="all")
    np.testing.assert_allclose(second.values, both.values[:, 1])


def test_scores_of_classifiers_without_probabilities():
    y = np.array(["a", "b", "c"])[np.arange(16) % 3]
    ridge = RidgeClassifier().fit(X, y)
    found = explain(ridge, X, method="feature_ablation", target="c")
    assert found.output == "logit"
    np.testing.assert_allclose(found.values, ridge.coef_[2] * (X - X.mean(0)), atol=1e-4)
    logistic = LogisticRegression().fit(X, y == "a")
    found = explain(logistic, X, method="feature_ablation", target=False, output="logit")
    np.testing.assert_allclose(found.values, -logistic.coef_[0] * (X - X.mean(0)), atol=1e-4)
    margin = explain(ridge, X, method="feature_ablation", target="c", output="margin")
    coef = ridge.coef_[2] - ridge.coef_.mean(0)
    np.testing.assert_allclose(margin.values, coef * (X - X.mean(0)), atol=1e-4)
    logs = explain(logistic, X, method="feature_ablation", target=True, output="log_proba")
    hidden = X.astype(np.float64)
    hidden[:, 0] = X[:, 0].astype(np.float64).mean()
    change = logistic.predict_log_proba(X) - logistic.predict_log_proba(hidden)
    np.testing.assert_allclose(logs.values[:, 0], change[:, 1], atol=1e-5)


def test_windows_and_strides():
    """Windows of two columns, moved by two: each value is the change of its window."""
    net = plain()
    options = {"sliding_window_shapes": (2,), "strides": 2, "target": 0, "baseline": "zeros"}
    found = explain(net, X[FEW], method="occlusion", **options)
    parts = COEF[0] * X[FEW]
    expected = np.repeat(parts.reshape(5, 2, 2).sum(2), 2, axis=1)
    np.testing.assert_allclose(found.values, expected, atol=1e-4)


def test_seeds():
    """A seed gives the same values again and leaves the global generators alone."""
    net, state = plain(), torch.get_rng_state()
    small = X[FEW] * [1, 0.3, 1, 0.2]
    numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002
    draws = ("smooth_grad", "vargrad", "gradient_shap", "shapley_value_sampling", "lime")
    for method in draws:
        options = {"method": method, "output": "log_proba"}
        if method == "lime":
            options["alpha"] = 1e-4
        first = explain(net, small, random_state=5, **options).values
        np.testing.assert_array_equal(explain(net, small, random_state=5, **options).values, first)
        other = explain(net, small, random_state=6, **options).values
        assert torch.equal(torch.get_rng_state(), state)
        assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
        # without a seed the global generators are drawn from
        free = [explain(net, small, **options).values for _ in range(2)]
        assert not np.array_equal(other, first) and not np.array_equal(*free)
        torch.set_rng_state(state)
        np.random.seed(0)  # noqa: NPY002
        numpy_state = np.random.get_state()[1].copy()  # noqa: NPY002


def test_known_labels_spare_a_pass():
    """Without them a first pass tells what is predicted, and then the output comes for free."""
    layer, calls = linear(), []
    layer.register_forward_hook(lambda *_: calls.append(1))
    net = NeuralNetClassifier(layer, criterion=nn.CrossEntropyLoss).initialize()
    labels = explain(net, X).target
    assert len(calls) == 2
    known = explain(net, X, target=labels)
    assert len(calls) == 3 and known.explained_output is None
    np.testing.assert_array_equal(known.values, explain(net, X).values)
    free = explain(net, X).explained_output
    expected = layer(torch.as_tensor(X)).detach().numpy()[np.arange(16), labels]
    np.testing.assert_allclose(free, expected, rtol=1e-5)


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "feature_ablation"])
def test_targets_of_one_logit_and_of_several_labels(method):
    names = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
    one = SaliencyGuidedClassifier(
        max_epochs=2, random_state=0, criterion=nn.BCEWithLogitsLoss, lr=0.05
    ).fit(X, names)
    found = explain(one, X, method=method)
    np.testing.assert_array_equal(found.target, one.predict(X))
    against = explain(one, X, method=method, target="no")
    signs = np.where(one.predict(X) == "no", 1, -1)[:, None]
    np.testing.assert_allclose(found.values, signs * against.values, atol=1e-6)

    several = SaliencyGuidedClassifier(max_epochs=2, random_state=0, lr=0.05)
    several.fit(X, np.stack([X[:, 0] > 0, X[:, 1] > 1], axis=1).astype(int))
    found, each = (explain(several, X, method=method, target=t) for t in ("predicted", "all"))
    predicted = several.predict(X)
    expected = np.einsum("nl,nl...->n...", 2 * predicted - 1, each.values)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    words = {(0, 0): "none", (0, 1): "1", (1, 0): "0", (1, 1): "0, 1"}
    assert found.target.tolist() == [words[tuple(row)] for row in predicted]


def test_the_mean_is_that_of_x_where_training_is_not_known():
    net = plain()
    mean = explain(net, X[3:9], method="integrated_gradients", target=0)
    np.testing.assert_allclose(mean.values, COEF[0] * (X[3:9] - X[3:9].mean(0)), atol=1e-4)
    np.testing.assert_allclose(mean.baseline, X[3:9].mean(0), rtol=1e-5)


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "feature_ablation"])
def test_all_of_one_output(method):
    guided = SaliencyGuidedRegressor(max_epochs=1, random_state=0).fit(X, X[:, 0])
    flat = NeuralNetRegressor(nn.Sequential(linear(1), nn.Flatten(0))).initialize()
    voting = VotingRegressor([("a", guided)]).fit(X, X[:, 0])
    for estimator in (guided, flat, voting):
        options = {"method": method, "baseline": "zeros"} if method != "saliency" else {}
        every, one = (explain(estimator, X, target=t, **options) for t in ("all", 0))
        assert every.shape == (16, 1, 4) and every.classes == [0]
        np.testing.assert_allclose(every.values[:, 0], one.values, atol=1e-6)
        predicted = explain(estimator, X, **options)
        np.testing.assert_allclose(every.for_target(0).values, predicted.values, atol=1e-6)
        outputs = np.asarray(estimator.predict(X)).reshape(16, 1)
        np.testing.assert_allclose(every.explained_output, outputs, atol=1e-5)
        if method == "integrated_gradients":
            np.testing.assert_allclose(every.delta, one.delta[:, None], atol=1e-6)


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "feature_ablation"])
def test_what_is_predicted_is_what_predict_says(method):
    """With another threshold than a half."""
    names = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
    own = type("Own", (SaliencyGuidedMixin, NeuralNetBinaryClassifier), {})
    for cls in (NeuralNetBinaryClassifier, own):
        one = plain(1, cls, criterion=nn.BCEWithLogitsLoss, threshold=0.99)
        expected = one.predict(X)
        above_half = one.predict_proba(X)[:, 1] > 0.5
        assert (above_half != expected).any() and expected.any()
        found = explain(one, X, method=method, output="logit")
        np.testing.assert_array_equal(found.target, expected)
        against = explain(one, X, method=method, target=expected.astype(int))
        np.testing.assert_allclose(found.values, against.values, atol=1e-6)
    logistic = FixedThresholdClassifier(LogisticRegression(), threshold=0.9).fit(X, names)
    expected = logistic.predict(X)
    assert (expected != logistic.classes_[logistic.predict_proba(X).argmax(1)]).any()
    found = explain(logistic, X, method="feature_ablation")
    np.testing.assert_array_equal(found.target, expected)
    hidden = X.astype(np.float64)
    hidden[:, 0] = hidden[:, 0].mean()
    change = logistic.predict_proba(X) - logistic.predict_proba(hidden)
    np.testing.assert_allclose(
        found.values[:, 0], change[np.arange(16), (expected == "yes").astype(int)], atol=1e-6
    )


def test_the_target_of_a_label_for_each_step_names_them_all():
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 3)

        def forward(self, x):
            return self.layer(x).transpose(1, 2)

    series = RNG.standard_normal((5, 4, 2)).astype(np.float32)
    y = RNG.integers(0, 3, (5, 4))
    guided = SaliencyGuidedClassifier(
        Steps, criterion=nn.CrossEntropyLoss, max_epochs=1, random_state=0
    ).fit(series, y)
    plain_net = NeuralNetClassifier(Steps, criterion=nn.CrossEntropyLoss).initialize()
    reversed_net = plain(predict_nonlinearity=torch.neg)
    for net in (guided, plain_net):
        labels = net.predict(series)
        assert labels.shape == (5, 4) and (labels == 0).any()
        for method in ("saliency", "feature_ablation"):
            found = explain(net, series, method=method)
            assert found.target.tolist() == [", ".join(map(str, row)) for row in labels]
    found = explain(reversed_net, X)
    np.testing.assert_array_equal(found.target, reversed_net.predict(X))


def test_missing_values_of_estimators_that_take_them():
    """Values by hand, where a missing value is hidden by the mean and may hide others."""
    holes = X.astype(np.float64)
    holes[::3, 0] = holes[1::4, 2] = np.nan
    y = np.isnan(holes[:, 0]) * 3.0 + X[:, 1]
    trees = HistGradientBoostingRegressor(max_iter=5, min_samples_leaf=2).fit(holes, y)
    mean = np.nanmean(holes, axis=0)
    for baseline, at in (
        ("auto", mean),
        ("zeros", np.zeros(4)),
        (np.full(4, np.nan),) * 2,
        (0.5, np.full(4, 0.5)),
    ):
        expected = np.empty_like(holes)
        for column in range(4):
            hidden = holes.copy()
            hidden[:, column] = at[column]
            expected[:, column] = trees.predict(holes) - trees.predict(hidden)
        found = explain(trees, holes, method="feature_ablation", baseline=baseline)
        np.testing.assert_allclose(found.values, expected, atol=1e-5)
        shares = explain(
            trees, holes, method="shapley_value_sampling", baseline=baseline, random_state=0
        )
        np.testing.assert_allclose(shares.delta, 0, atol=1e-5)
    assert np.abs(expected[:, [0, 1]]).max() > 0.1
    for method in ("feature_permutation", "occlusion", "kernel_shap", "lime"):
        assert np.isfinite(explain(trees, holes, method=method, random_state=0).values).all()
