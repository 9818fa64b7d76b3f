"""What cannot be explained says so, and names what can."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.inspection import Explanation, explain

RNG = np.random.default_rng(0)
X = RNG.standard_normal((20, 4)).astype(np.float32)
Y = np.array(["a", "b"])[(X[:, 0] > 0).astype(int)]


@pytest.fixture(scope="module")
def net():
    return SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X, Y)


@pytest.fixture(scope="module")
def forest():
    return RandomForestClassifier(2, random_state=0).fit(X, Y)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"method": "shap"}, ValueError, r"method must be one of \['deconvolution', .*got 'shap'"),
        ({"method": None}, ValueError, "method must be one of .* got None"),
        ({"n_step": 3}, TypeError, r"'saliency' got the unknown option n_step: it takes no opt"),
        (
            {"method": "integrated_gradients", "steps": 3, "m": 1},
            TypeError,
            r"unknown options m, steps: it takes \['n_steps'\]",
        ),
        ({"method": "smooth_grad", "n_samples": 0}, ValueError, "n_samples must be an integer of"),
        ({"method": "smooth_grad", "n_samples": 2.5}, TypeError, "n_samples must be .* got 2.5"),
        ({"method": "vargrad", "noise_level": -1}, ValueError, "noise_level must be a number of"),
        ({"method": "kernel_shap", "n_samples": 1}, ValueError, "at least 2 for method='kernel_"),
        ({"method": "lime", "alpha": 0}, ValueError, "alpha must be a number above 0, got 0"),
        ({"output": "score"}, ValueError, r"output must be 'auto' or one of .* got 'score'"),
        (
            {"output": "probability"},
            ValueError,
            "for method='saliency' on a net, got 'probability'. .*method='feature_ablation'",
        ),
        (
            {"method": "deep_lift", "output": "log_proba"},
            ValueError,
            r"\('logit', 'margin'\) for method='deep_lift'.*method='integrated_gradients'",
        ),
        ({"target": "c"}, ValueError, r"labels of classes_ .* got 'c'"),
        ({"target": ["a", "b"]}, ValueError, r"one label a row, shape \(20,\), got shape \(2,\)"),
        ({"baseline": "zeros"}, ValueError, "baseline must be 'auto' for method='saliency', whi"),
        (
            {"method": "deep_lift", "baseline": "median"},
            ValueError,
            r"one of \('auto', 'zeros', 'mean', 'marginal'\) or an array, got 'median'",
        ),
        ({"method": "deep_lift", "baseline": ["a"]}, TypeError, "or an array, got"),
        (
            {"method": "integrated_gradients", "baseline": np.zeros(3)},
            ValueError,
            r"baseline must broadcast to X, with shape \(20, 4\) or \(4,\), got \(3,\)",
        ),
        (
            {"method": "gradient_shap", "baseline": np.zeros((2, 3))},
            ValueError,
            r"a set of rows of X, shape \(n_baselines, 4\).*got shape \(2, 3\)",
        ),
        ({"batch_size": 0}, ValueError, "batch_size must be an int of at least 1, got 0"),
        ({"batch_size": 1.5}, TypeError, "batch_size must be an int of at least 1, got 1.5"),
        (
            {"groups": ["a", "b"]},
            ValueError,
            r"a label for each column .*\(4,\), .*got shape \(2,",
        ),
        ({"groups": [["a"], {}, 1, 2]}, TypeError, "groups must hold labels that can be told"),
        ({"feature_names": ["a", "b"]}, ValueError, "name the 4 columns of X, got 2 names"),
        ({"feature_names": [1, 2, 3, 4]}, TypeError, "feature_names must be a list of str"),
        (
            {"method": "occlusion", "sliding_window_shapes": (5,)},
            ValueError,
            r"sliding_window_shapes must be .* of shape \(4,\).* got \(5,\)",
        ),
        (
            {"method": "occlusion", "sliding_window_shapes": 2},
            TypeError,
            "sliding_window_shapes must be None or a tuple of integers",
        ),
        (
            {"method": "occlusion", "sliding_window_shapes": (2,), "strides": 3},
            ValueError,
            r"strides must be .* size of the window, \(2,\), got \(3,\)",
        ),
        ({"random_state": "a"}, ValueError, "'a' cannot be used to seed"),
        ({"temporal_rescaling": True}, ValueError, "n_timesteps, n_features"),
    ],
)
def test_bad_arguments(net, options, error, match):
    with pytest.raises(error, match=match):
        explain(net, X, **options)


def test_one_row_has_no_other():
    one = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X, Y)
    with pytest.raises(ValueError, match="at least two rows of X, got 1: use 'mean'"):
        explain(one, X[:1], method="integrated_gradients", baseline="marginal")
    with pytest.raises(ValueError, match=r"at least two rows .* Use method='feature_ablation'"):
        explain(one, X[:1], method="feature_permutation")


@pytest.mark.parametrize(
    "method", ["saliency", "integrated_gradients", "vargrad", "deep_lift", "lrp"]
)
def test_estimators_without_gradients(forest, method):
    with pytest.raises(TypeError, match=r"got RandomForestClassifier.*'feature_ablation', which"):
        explain(forest, X, method=method)
    with pytest.raises(TypeError, match="Use method='feature_ablation'"):
        explain(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y), X, method=method)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"output": "logit"}, "'probability' or 'log_proba' for RandomForest.*no decision_functi"),
        ({"output": "score"}, "output must be 'auto' or one of"),
        ({"target": "c"}, r"among \['a', 'b'\], got 'c'"),
        ({"baseline": np.zeros(3)}, r"baseline must broadcast to X, .*got \(3,\)"),
    ],
)
def test_bad_arguments_for_any_estimator(forest, options, match):
    with pytest.raises(ValueError, match=match):
        explain(forest, X, method="feature_ablation", **options)


def test_what_any_estimator_cannot_explain(forest):
    ridge = RidgeClassifier().fit(X, Y)
    with pytest.raises(
        ValueError, match=r"'logit' or 'margin' for RidgeClassifier, .*no predict_p"
    ):
        explain(ridge, X, method="feature_ablation", output="probability")
    several = MultiOutputClassifier(LogisticRegression()).fit(X, np.stack([Y, Y], axis=1))
    with pytest.raises(TypeError, match="one label a row to be explained, got MultiOutput"):
        explain(several, X, method="feature_ablation")
    with pytest.raises(TypeError, match="X must be numeric where the final estimator sees it"):
        explain(forest, np.full((3, 4), "text"), method="feature_ablation")
    logistic = LogisticRegression().fit(X, Y)
    with pytest.raises(ValueError, match=r"X must be finite for Logist.*NaN: put an imputer"):
        explain(logistic, np.where(X > 1, np.nan, X), method="feature_ablation")


def test_groups_of_cells_have_the_shape_of_a_sample():
    options = {"data": X, "kind": "tabular", "method": "kernel_shap", "output": "logit"}
    with pytest.raises(ValueError, match=r"each cell of a sample, shape \(4,\), got shape \(3,\)"):
        Explanation(X, groups=[0, 1, 1], **options)


def test_series_of_unequal_length_in_an_ensemble():
    series = [RNG.standard_normal((n, 2)).astype(np.float32) for n in [2, 3] * 4]
    padded = np.full((8, 3, 2), np.nan, dtype=np.float32)
    for row, x in zip(padded, series, strict=True):
        row[: len(x)] = x
    net = SaliencyGuidedClassifier("tcn", max_epochs=1, random_state=0, module__channels=(4,))
    for form, error in ((series, TypeError), (padded, ValueError)):
        ensemble = CalibratedClassifierCV(net, cv=2).fit(form, np.arange(8) // 2 % 2)
        with pytest.raises(error, match=r"series of one length.*got series.*use output='logit'"):
            explain(ensemble, form, method="feature_ablation")
        found = explain(ensemble, form, method="feature_ablation", output="logit")
        members = [part.estimator for part in ensemble.calibrated_classifiers_]
        each = [
            explain(m, form, method="feature_ablation", target=found.target).values
            for m in members
        ]
        np.testing.assert_allclose(found.values, np.mean(each, axis=0), atol=1e-6)


def test_votes_have_no_probability():
    voting = VotingClassifier([("a", SaliencyGuidedClassifier(max_epochs=1))]).fit(X, Y)
    with pytest.raises(TypeError, match=r"`predict_proba` or .*output='logit' explains"):
        explain(voting, X, method="feature_ablation")
    assert explain(voting, X, method="feature_ablation", output="logit").shape == (20, 4)


def test_entries_that_nobody_named():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, a, b):
            return self.layer(a + b)

    net = NeuralNetClassifier(Sum, criterion=nn.CrossEntropyLoss).initialize()
    for method in ("saliency", "feature_ablation"):
        with pytest.raises(
            ValueError, match=r"must have the entry 'X'.*got \['a', 'b'\].*Saliency"
        ):
            explain(net, {"a": X, "b": X}, method=method)


@pytest.mark.parametrize("method", ["saliency", "smooth_grad", "deep_lift", "gradient_shap"])
def test_the_inference_mode_of_the_caller_changes_nothing(net, method):
    expected = explain(net, X, method=method, random_state=0)
    with torch.inference_mode():
        found = explain(net, X, method=method, random_state=0)
        of_tensor = explain(net, torch.as_tensor(X).clone(), method=method, random_state=0)
    np.testing.assert_array_equal(found.values, expected.values)
    np.testing.assert_array_equal(of_tensor.values, expected.values)


def test_a_class_of_a_regressor():
    net = SaliencyGuidedRegressor(max_epochs=1, random_state=0).fit(X, X[:, 0])
    for method in ("saliency", "deep_lift", "feature_ablation"):
        with pytest.raises(ValueError, match=r"indices of outputs \(this net has no labels"):
            explain(net, X, method=method, target="a")
        with pytest.raises(ValueError, match="target must name one of the 1 outputs, got index 1"):
            explain(net, X, method=method, target=1)
        with pytest.raises(ValueError, match="target must name the outputs, got index -1"):
            explain(net, X, method=method, target=-1)


def test_not_fitted():
    net = SaliencyGuidedClassifier()
    plain = NeuralNetClassifier(nn.Linear(4, 2))
    search = GridSearchCV(net, {"lr": [0.1]})
    for estimator in (net, plain, make_pipeline(StandardScaler(), net), search):
        with pytest.raises(NotFittedError):
            explain(estimator, X)
    with pytest.raises(TypeError, match="not an estimator instance"):
        explain("net", X)


def test_modules_without_a_gradient():
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            return self.layer(x.detach())

    net = NeuralNetClassifier(Detached, criterion=nn.CrossEntropyLoss).initialize()
    for method in ("saliency", "vargrad"):
        with pytest.raises(TypeError, match="no gradient path to its input"):
            explain(net, X, method=method)
    assert np.abs(explain(net, X, method="feature_ablation").values).max() > 0
    whole = NeuralNetClassifier(nn.Linear(4, 2), criterion=nn.CrossEntropyLoss).initialize()
    with pytest.raises(TypeError, match=r"X must be floating point .*torch.int64"):
        explain(whole, np.ones((2, 4), dtype=np.int64))


def test_modules_that_cannot_be_copied():
    class Keeps(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x):
            self.kept = self.layer(x.clone().requires_grad_())
            return self.kept

    net = NeuralNetClassifier(Keeps, criterion=nn.CrossEntropyLoss).initialize()
    net.module_(torch.as_tensor(X))
    with pytest.raises(TypeError, match=r"must be copyable .*Use 'integrated_gradients'"):
        explain(net, X, method="deep_lift")
