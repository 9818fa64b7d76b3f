"""Ensembles of nets against a mean over their nets, computed by hand."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    RandomForestClassifier,
    VotingClassifier,
    VotingRegressor,
)
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    PowerTransformer,
    QuantileTransformer,
    StandardScaler,
)
from skorch import NeuralNetClassifier

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.inspection import explain

RNG = np.random.default_rng(0)
X = (RNG.standard_normal((60, 5)) * [1, 4, 0.2, 1, 1]).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 3], [-0.5, 0.5])]
TARGETS = 10 * X[:, 0] - X[:, 1]
FEW = X[:6]
METHODS = ("saliency", "integrated_gradients", "deep_lift")


def net(cls=SaliencyGuidedClassifier, seed=0):
    return cls(max_epochs=2, random_state=seed, device="cpu")


def regressor(seed=0):
    return net(SaliencyGuidedRegressor, seed)


@pytest.fixture(scope="module")
def ensembles():
    members = [("one", net()), ("two", net(seed=1))]
    fitted = net().fit(X, LABELS)
    found = {
        "calibrated": CalibratedClassifierCV(net(), cv=2),
        "frozen": CalibratedClassifierCV(FrozenEstimator(fitted), cv=2),
        "bagging": BaggingClassifier(net(), n_estimators=3, max_features=0.6, random_state=0),
        "voting": VotingClassifier(members, voting="soft", weights=[1, 3]),
    }
    return {name: estimator.fit(X, LABELS) for name, estimator in found.items()}


def parts(name, ensemble):
    """Nets, weights and columns, and how a label of the ensemble is called in them."""
    n = X.shape[1]
    codes = {label: i for i, label in enumerate("abc")}
    if name == "calibrated":
        nets = [part.estimator for part in ensemble.calibrated_classifiers_]
        return [(part, 1 / 2, range(n), None) for part in nets]
    if name == "frozen":
        return [(ensemble.calibrated_classifiers_[0].estimator.estimator, 1.0, range(n), None)]
    if name == "voting":
        return [
            (part, weight, range(n), codes)
            for part, weight in zip(ensemble.estimators_, (0.25, 0.75), strict=True)
        ]
    columns = ensemble.estimators_features_
    return [(part, 1 / 3, c, codes) for part, c in zip(ensemble.estimators_, columns, strict=True)]


@pytest.mark.parametrize("name", ["calibrated", "frozen", "bagging", "voting"])
@pytest.mark.parametrize("method", METHODS)
def test_mean_over_the_nets(ensembles, name, method):
    ensemble = ensembles[name]
    labels = ensemble.predict(FEW)
    expected = np.zeros(FEW.shape)
    outputs = np.zeros(6)
    for part, weight, columns, codes in parts(name, ensemble):
        own = labels if codes is None else np.array([codes[label] for label in labels])
        inner = explain(part, FEW[:, columns], method=method, target=own)
        for j, column in enumerate(columns):
            expected[:, column] += weight * inner.values[:, j]
        if method != "saliency":
            outputs += weight * inner.explained_output
    found = explain(ensemble, FEW, method=method)
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    np.testing.assert_array_equal(found.target, labels)
    np.testing.assert_allclose(found.data, FEW)
    if method != "saliency":
        np.testing.assert_allclose(found.explained_output, outputs, rtol=1e-5)
        np.testing.assert_allclose(found.delta, 0, atol=0.02)


def test_all_targets_and_labels(ensembles):
    ensemble = ensembles["bagging"]
    every = explain(ensemble, FEW, method="integrated_gradients", target="all")
    assert every.shape == (6, 3, 5) and every.classes == ["a", "b", "c"]
    for k, label in enumerate("abc"):
        single = explain(ensemble, FEW, method="integrated_gradients", target=label)
        np.testing.assert_allclose(every.values[:, k], single.values, atol=1e-6)
    with pytest.raises(ValueError, match=r"labels of classes_ .*, got.* 'd'"):
        explain(ensemble, FEW, target="d")
    with pytest.raises(ValueError, match=r"one label a row, shape \(6,\), got shape \(2,\)"):
        explain(ensemble, FEW, target=["a", "b"])


def test_perturbation_asks_the_ensemble_itself(ensembles):
    for name in ("calibrated", "bagging"):
        ensemble = ensembles[name]
        found = explain(ensemble, FEW, method="feature_ablation", baseline=X[9])
        hidden = FEW.copy()
        hidden[:, 1] = X[9, 1]
        k = ensemble.predict_proba(FEW).argmax(1)
        change = ensemble.predict_proba(FEW) - ensemble.predict_proba(hidden)
        np.testing.assert_allclose(found.values[:, 1], change[np.arange(6), k], atol=1e-6)
        assert found.output == "probability"
        logs = explain(ensemble, FEW, method="feature_ablation", baseline=X[9], output="log_proba")
        change = np.log(ensemble.predict_proba(FEW)) - np.log(ensemble.predict_proba(hidden))
        np.testing.assert_allclose(logs.values[:, 1], change[np.arange(6), k], atol=1e-5)
    # of logits, the mean over the nets
    ensemble = ensembles["calibrated"]
    found = explain(ensemble, FEW, method="feature_ablation", baseline=X[9], output="logit")
    labels = ensemble.predict(FEW)
    inner = [
        explain(part, FEW, method="feature_ablation", baseline=X[9], target=labels).values
        for part, *_ in parts("calibrated", ensemble)
    ]
    np.testing.assert_allclose(found.values, np.mean(inner, axis=0), atol=1e-6)


def test_arrays_as_baseline_and_seeds(ensembles):
    ensemble = ensembles["bagging"]
    baseline = RNG.standard_normal(5).astype(np.float32)
    found = explain(ensemble, FEW, method="integrated_gradients", baseline=baseline, target="a")
    expected = np.zeros(FEW.shape)
    for part, weight, columns, _ in parts("bagging", ensemble):
        inner = explain(
            part,
            FEW[:, columns],
            method="integrated_gradients",
            baseline=baseline[columns],
            target=0,
        )
        expected[:, columns] += weight * inner.values
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    first, again, other = (
        explain(ensemble, FEW, method="smooth_grad", random_state=seed).values
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_member_that_never_met_a_class_says_nothing_of_it():
    rare = LABELS.copy()
    rare[3:] = np.where(rare[3:] == "c", "a", rare[3:])
    rare[:1] = "c"
    bagging = BaggingClassifier(net(), n_estimators=3, max_samples=0.3, random_state=0)
    bagging.fit(X, rare)
    known = [list(part.classes_) for part in bagging.estimators_]
    assert [0, 1] in known  # codes of a and b alone
    found = explain(bagging, FEW, target="c")
    expected = np.zeros(FEW.shape)
    for part in bagging.estimators_:
        if 2 in part.classes_:
            expected += explain(part, FEW, target=2).values / 3
    np.testing.assert_allclose(found.values, expected, atol=1e-6)
    every = explain(bagging, FEW, target="all")
    np.testing.assert_allclose(every.values[:, 2], expected, atol=1e-6)


def test_regressors():
    bagging = BaggingRegressor(regressor(), n_estimators=2, max_features=0.8, random_state=0)
    voting = VotingRegressor([("one", regressor()), ("two", regressor(1))])
    for ensemble in (bagging.fit(X, TARGETS), voting.fit(X, TARGETS)):
        found = explain(ensemble, FEW, method="integrated_gradients")
        np.testing.assert_allclose(found.explained_output, ensemble.predict(FEW), rtol=1e-4)
        np.testing.assert_allclose(found.delta, 0, atol=0.1)
        assert found.target is None and found.output == "prediction"


def slopes_by_hand(predict, X):
    """Central differences of predictions, in the units of both."""
    found = []
    for j in range(X.shape[1]):
        step = np.zeros(X.shape[1], dtype=np.float32)
        step[j] = 1e-2
        found.append((predict(X + step).astype(float) - predict(X - step).astype(float)) / 0.02)
    return np.stack(found, axis=-1)


@pytest.mark.parametrize("transformer", ["scaler", "function", "pipeline"])
def test_transformed_targets_are_explained_in_units_of_y(transformer):
    options = {
        "scaler": {"transformer": StandardScaler()},
        "function": {"func": halved, "inverse_func": doubled},
        "pipeline": {"transformer": make_pipeline(MinMaxScaler(), StandardScaler())},
    }
    smooth = regressor().set_params(module="mlp", module__activation="tanh")
    fitted = TransformedTargetRegressor(smooth, **options[transformer])
    fitted.fit(X, 1000 * TARGETS + 5000)
    slopes = slopes_by_hand(fitted.predict, FEW)
    found = explain(fitted, FEW)
    np.testing.assert_allclose(found.values, slopes, rtol=0.05, atol=0.02 * np.abs(slopes).max())
    predicted = fitted.predict(FEW)
    for method in ("integrated_gradients", "deep_lift", "shapley_value_sampling"):
        found = explain(fitted, FEW, method=method, random_state=0)
        np.testing.assert_allclose(found.explained_output, predicted, rtol=1e-4)
        np.testing.assert_allclose(found.delta, 0, atol=5e-3 * np.abs(predicted).max())
    variance = explain(fitted, FEW, method="vargrad", random_state=0).values
    inner = explain(fitted.regressor_, FEW, method="vargrad", random_state=0).values
    slope = np.ptp(predicted) / np.ptp(fitted.regressor_.predict(FEW))
    np.testing.assert_allclose(variance, slope**2 * inner, rtol=1e-3)


def halved(y):
    return -y / 2


def doubled(y):
    return -2 * y


def test_transformed_targets_of_a_pipeline():
    steps = make_pipeline(one_hot(), regressor())
    fitted = TransformedTargetRegressor(steps, transformer=StandardScaler()).fit(FRAME, TARGETS)
    few = FRAME[:6]
    with pytest.raises(TypeError, match=r"only scales and shifts y, output='logit' explains"):
        explain(fitted, few, method="feature_ablation")
    for method, output in (("integrated_gradients", "auto"), ("feature_ablation", "logit")):
        found = explain(fitted, few, method=method, output=output)
        inner = explain(fitted.regressor_, few, method=method)
        np.testing.assert_allclose(found.values, TARGETS.std() * inner.values, rtol=1e-5)
        assert found.feature_names == ["age", "sex", "fare"]


def test_transformed_targets_of_several_outputs():
    several = np.stack([1000 * X[:, 0], X[:, 1] - 7], axis=1)
    fitted = TransformedTargetRegressor(regressor(), transformer=StandardScaler()).fit(X, several)
    every = explain(fitted, FEW, method="integrated_gradients", target="all")
    np.testing.assert_allclose(every.explained_output, fitted.predict(FEW), rtol=1e-4)
    for j in range(2):
        found = explain(fitted, FEW, method="integrated_gradients", target=j)
        np.testing.assert_allclose(found.values, every.values[:, j], rtol=1e-5)
        inner = explain(fitted.regressor_, FEW, method="integrated_gradients", target=j)
        np.testing.assert_allclose(found.values, several[:, j].std() * inner.values, rtol=1e-5)
    mixed = explain(fitted, FEW, target=np.array([0, 1, 0, 1, 0, 1]))
    each = explain(fitted, FEW, target="all").values
    np.testing.assert_allclose(mixed.values, each[np.arange(6), [0, 1] * 3], rtol=1e-5)
    with pytest.raises(ValueError, match="index of one of the 2 outputs, or 'all'"):
        explain(fitted, FEW)


def test_targets_that_are_not_scaled_alone_have_no_gradients():
    y = np.exp(TARGETS.astype(float) / 10)
    cases = (
        {"func": np.log, "inverse_func": np.exp},
        {"transformer": PowerTransformer()},
        {"transformer": QuantileTransformer(n_quantiles=10)},
    )
    for options in cases:
        fitted = TransformedTargetRegressor(regressor(), **options).fit(X, y)
        with pytest.raises(
            TypeError, match=r"(?s)scales and shifts .*'saliency'.*'feature_ablation'"
        ):
            explain(fitted, FEW[:1])
    found = explain(fitted, FEW, method="feature_ablation")
    np.testing.assert_allclose(found.explained_output, fitted.predict(FEW), rtol=1e-6)
    of_the_net = explain(fitted, FEW, method="feature_ablation", output="logit")
    np.testing.assert_array_equal(of_the_net.values, found.values)
    mixing = TransformedTargetRegressor(regressor(), transformer=PCA(2))
    mixing.fit(X, np.stack([TARGETS, TARGETS + 9 * X[:, 2]], axis=1))
    with pytest.raises(TypeError, match="scales and shifts each output"):
        explain(mixing, FEW, target=0)


def test_members_that_are_pipelines():
    """Each net has a space of its own; values are summed back to the columns of X."""
    calibrated = CalibratedClassifierCV(make_pipeline(StandardScaler(), net()), cv=2)
    calibrated.fit(X, LABELS)
    found = explain(calibrated, FEW, method="integrated_gradients")
    labels = calibrated.predict(FEW)
    inner = [
        explain(part.estimator, FEW, method="integrated_gradients", target=labels).values
        for part in calibrated.calibrated_classifiers_
    ]
    np.testing.assert_allclose(found.values, np.mean(inner, axis=0), atol=1e-6)
    np.testing.assert_allclose(found.data, FEW)
    with pytest.raises(ValueError, match="baseline must be a name where the members"):
        explain(calibrated, FEW, method="integrated_gradients", baseline=X[0])


def test_pipeline_around_an_ensemble():
    pipeline = make_pipeline(StandardScaler(), CalibratedClassifierCV(net(), cv=2))
    pipeline.fit(X, LABELS)
    found = explain(pipeline, FEW, feature_names=list("vwxyz"))
    inner = explain(pipeline[-1], pipeline[:-1].transform(FEW))
    np.testing.assert_allclose(found.values, inner.values, atol=1e-6)
    assert found.feature_names == list("vwxyz")


def test_a_member_without_gradients():
    voting = VotingClassifier([("net", net()), ("forest", RandomForestClassifier(3))])
    voting.fit(X, LABELS)
    with pytest.raises(TypeError, match=r"got RandomForestClassifier\. Use .*'feature_ablation'"):
        explain(voting, FEW)


FRAME = pd.DataFrame(
    {"age": X[:, 0], "sex": np.array(["f", "m"])[(X[:, 3] > 0).astype(int)], "fare": X[:, 1]}
)
BINARY = np.where((FRAME.sex == "f") ^ (FRAME.age < -1), "yes", "no")


def one_hot():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["sex"]), (StandardScaler(), ["age", "fare"])
    )


def hidden_by_hand(part, columns, together, Z, label):
    """Loss of the logit of a label where columns are hidden together; 0 where a net sees none."""
    hit = np.isin(columns, together)
    seen = Z[:, columns].astype(np.float32)
    hidden = seen.copy()
    hidden[:, hit] = part._statistics_.mean[hit]
    logits = [part.forward(data).numpy()[:, label] for data in (seen, hidden)]
    return logits[0] - logits[1]


@pytest.mark.parametrize("repeated", [False, True])
def test_columns_that_members_see_in_part_are_hidden_as_one(repeated):
    """Each net loses what it sees of the one-hot columns; repeated columns are one, too."""
    bagging = BaggingClassifier(
        net(), n_estimators=4, max_features=0.6, bootstrap_features=repeated, random_state=3
    )
    pipeline = make_pipeline(one_hot(), bagging).fit(FRAME, BINARY)
    seen = [set(columns) & {0, 1} for columns in bagging.estimators_features_]
    assert {1} in seen  # the first of the one-hot columns is not all there is
    few, Z = FRAME[:6], pipeline[:-1].transform(FRAME[:6])
    asked = {"output": "logit", "target": "yes"}
    found = explain(pipeline, few, method="feature_ablation", **asked)
    parts = list(zip(bagging.estimators_, bagging.estimators_features_, strict=True))
    for name, together in {"age": [2], "sex": [0, 1], "fare": [3]}.items():
        expected = np.mean([hidden_by_hand(*part, together, Z, 1) for part in parts], axis=0)
        j = found.feature_names.index(name)
        np.testing.assert_allclose(found.values[:, j], expected, atol=1e-5)
    found = explain(pipeline, few, method="shapley_value_sampling", random_state=0, **asked)
    np.testing.assert_allclose(found.delta, 0, atol=1e-5)
    each = explain(pipeline, few, method="feature_ablation", fold=False, **asked)
    for j in range(4):
        expected = np.mean([hidden_by_hand(*part, [j], Z, 1) for part in parts], axis=0)
        np.testing.assert_allclose(each.values[:, j], expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"must be None for an ensemble.*'feature_ablation'"):
        explain(bagging, Z, method="occlusion", sliding_window_shapes=(2,), output="logit")


def test_members_that_are_pipelines_hide_what_comes_from_one_column():
    parts = [("a", make_pipeline(one_hot(), net())), ("b", make_pipeline(one_hot(), net(seed=1)))]
    voting = VotingClassifier(parts, voting="soft").fit(FRAME, BINARY)
    few, asked = FRAME[:6], {"output": "logit", "method": "feature_ablation"}
    found = explain(voting, few, target="yes", **asked)
    inner = [explain(part, few, target=1, **asked) for part in voting.estimators_]
    np.testing.assert_allclose(found.values, np.mean([e.values for e in inner], axis=0), atol=1e-6)
    assert found.feature_names == ["age", "sex", "fare"]
    groups = ["a", "b", "a"]
    found = explain(voting, few, target="yes", groups=groups, **asked)
    of_the_net = ["b", "b", "a", "a"]
    inner = [
        explain(part, few, target=1, groups=of_the_net, **asked) for part in voting.estimators_
    ]
    assert found.feature_names == ["a", "b"]
    expected = np.mean([[e.values[:, e.feature_names.index(g)] for g in "ab"] for e in inner], 0)
    np.testing.assert_allclose(found.values, expected.T, atol=1e-6)


def test_steps_without_names_must_keep_cells_in_their_places():
    def calibrated(function):
        steps = make_pipeline(FunctionTransformer(function), net())
        return CalibratedClassifierCV(steps, cv=2).fit(X, LABELS)

    found = explain(calibrated(np.arctan), FEW, method="integrated_gradients")
    np.testing.assert_allclose(found.delta, 0, atol=0.02)
    for function in (lambda Z: Z[:, ::-1], lambda Z: Z - Z.mean(axis=1, keepdims=True)):
        with pytest.raises(ValueError, match="steps tell which column theirs come from"):
            explain(calibrated(function), FEW)


def test_labels_that_became_positions():
    fitted = CalibratedClassifierCV(net(), cv=2, method="temperature").fit(X, LABELS)
    assert fitted.calibrated_classifiers_[0].estimator.classes_.tolist() == [0, 1, 2]
    found = explain(fitted, FEW)
    codes = np.searchsorted(["a", "b", "c"], fitted.predict(FEW))
    inner = [
        explain(part.estimator, FEW, target=codes).values
        for part in fitted.calibrated_classifiers_
    ]
    np.testing.assert_allclose(found.values, np.mean(inner, axis=0), atol=1e-6)
    np.testing.assert_array_equal(found.target, fitted.predict(FEW))


@pytest.mark.parametrize("framed", [False, True])
def test_predictions_get_the_type_of_x(framed):
    """A plain module takes float32 alone."""
    plain = NeuralNetClassifier(Linear, max_epochs=1, verbose=0, train_split=None)
    codes = np.searchsorted(["a", "b", "c"], LABELS)
    given = pd.DataFrame(X) if framed else X
    if framed:
        plain = make_pipeline(FunctionTransformer(np.array), plain)
    fitted = CalibratedClassifierCV(plain, cv=2).fit(given, codes)
    for method in ("kernel_shap", "feature_ablation"):
        found = explain(fitted, given[:6], method=method, baseline=X[9], target=1, random_state=0)
        probabilities = fitted.predict_proba(given[:6])[:, 1]
        np.testing.assert_allclose(found.explained_output, probabilities, rtol=1e-6)
    hidden = FEW.copy()
    hidden[:, 2] = X[9, 2]
    hidden = fitted.predict_proba(pd.DataFrame(hidden) if framed else hidden)[:, 1]
    np.testing.assert_allclose(found.values[:, 2], probabilities - hidden, atol=1e-6)


class Linear(torch.nn.Linear):
    def __init__(self):
        super().__init__(5, 3)

    def forward(self, X):
        return super().forward(X).softmax(dim=-1)


@pytest.mark.parametrize("method", ["saliency", "feature_ablation"])
def test_a_seed_leaves_the_global_generators_alone(method):
    module = torch.nn.Sequential(torch.nn.Linear(5, 3), torch.nn.Softmax(dim=1))
    plain = NeuralNetClassifier(module, max_epochs=1, verbose=0, train_split=None)
    ensemble = CalibratedClassifierCV(plain, cv=2).fit(
        X, np.unique(LABELS, return_inverse=True)[1]
    )
    before = torch.get_rng_state()
    explain(ensemble, FEW, method=method, random_state=0)
    assert torch.equal(before, torch.get_rng_state())
    explain(ensemble, FEW, method=method)
    # the batches of skorch draw a seed, which is what a seed has to keep apart
    assert not torch.equal(before, torch.get_rng_state())
