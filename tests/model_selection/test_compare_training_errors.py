"""Seeds, progress and failures of a comparison, and what callers may not pass."""

import sys

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.model_selection._trainings import make_trainings
from tests.model_selection.comparisons import net

pytest.importorskip("pandas")


def test_seeds(quick):
    assert quick(n_seeds=3, random_state=7).attrs["seeds"] == [7, 8, 9]
    drawn = [quick(n_seeds=2, random_state=np.random.RandomState(0)) for _ in range(2)]
    assert drawn[0].attrs["seeds"] == drawn[1].attrs["seeds"]
    assert drawn[0].equals(drawn[1])
    assert len(set(quick(n_seeds=2, random_state=None).attrs["seeds"])) == 2


def test_a_single_seed_has_no_spread(quick):
    found = quick()
    assert found[["sd", "standard_error"]].isna().all(axis=None)
    assert np.isfinite(found["difference"]).all()


def test_every_random_state_gets_the_seed(quick):
    pipeline = make_pipeline(PCA(3, random_state=1), net(random_state=2))
    for name, training in make_trainings(pipeline, ()).items():
        params = training.build(11).get_params()
        assert params["pca__random_state"] == 11, name
        assert params["saliencyguidedclassifier__random_state"] == 11, name


def test_progress(quick, capsys):
    quick(verbose=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    lines = printed.err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[compare_training] 1 of 2: plain, seed 0: accuracy 0.")
    assert lines[1].startswith("[compare_training] 2 of 2: guided, seed 0: accuracy 0.")
    quick(verbose=0)
    assert capsys.readouterr().err == ""


class Breaking(SaliencyGuidedClassifier):
    """Fails for one seed of the control."""

    def fit(self, X, y):
        if self.mask_order == "random" and self.random_state == 1:
            raise FloatingPointError("went wrong")
        return super().fit(X, y)


def test_a_failed_fit_names_training_and_seed(quick):
    match = "fitting the 'random order' training with seed 1 failed: FloatingPointError: went wr"
    with pytest.raises(RuntimeError, match=match):
        quick(Breaking(max_epochs=1), controls=True, n_seeds=2, weight_decays=[1])


def test_a_failed_measurement_names_training_and_seed(quick):
    def fails(model, X, y):
        raise ZeroDivisionError("no")

    with pytest.raises(RuntimeError, match="measuring the 'plain' training with seed 0 failed: Z"):
        quick(metrics={"mine": fails})


class BreakingByDecay(SaliencyGuidedClassifier):
    """Fails with a weight decay, in training or when it is scored."""

    def fit(self, X, y):
        if getattr(self, "optimizer__weight_decay", 0) == 0.5:
            raise FloatingPointError("went wrong")
        return super().fit(X, y)

    def predict(self, X):
        if getattr(self, "optimizer__weight_decay", 0) == 1.0:
            raise FloatingPointError("went wrong")
        return super().predict(X)


@pytest.mark.parametrize(
    ("decay", "match"),
    [
        (0.5, r"fitting .*'weight decay' .*optimizer__weight_decay=0.5 failed"),
        (1.0, r"scoring the 'weight decay' training with seed 0 and decay=1.0 failed"),
    ],
)
def test_a_failed_weight_decay_is_named(quick, decay, match):
    options = {"controls": ["weight decay"], "weight_decays": [decay, 0.0]}
    with pytest.raises(RuntimeError, match=match):
        quick(BreakingByDecay(max_epochs=1), **options)


def test_the_estimator_is_not_changed(tumours, quick):
    estimator = make_pipeline(StandardScaler(), net(random_state=3)).fit(*tumours)
    weights = estimator[-1].module_.state_dict()
    before = {name: value.clone() for name, value in weights.items()}
    given, params = vars(estimator[-1]), dict(vars(estimator[-1]))
    quick(estimator, controls=True, weight_decays=[0.0, 1.0])
    assert given == params
    assert all(torch.equal(weights[name], value) for name, value in before.items())


def test_pandas_is_missing(quick, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="`pip install pandas`"):
        quick()


@pytest.mark.parametrize(
    ("estimator", "error", "match"),
    [
        (SaliencyGuidedClassifier, TypeError, "estimator must be an estimator with a guided net"),
        (3, TypeError, "estimator must be an estimator with a guided net in it, got 3"),
        (LogisticRegression(), ValueError, "exactly one guided net .* got LogisticRegression"),
        (make_pipeline(net(), net()), ValueError, "exactly one guided net .* got 2 of them"),
        (net(consistency_weight=0), ValueError, "must be guided, got consistency_weight=0"),
        (
            GridSearchCV(make_pipeline(net()), {"saliencyguidedclassifier": [net()]}),
            ValueError,
            "got a search over 'estimator__saliencyguidedclassifier', the net itself",
        ),
    ],
)
def test_bad_estimator(quick, estimator, error, match):
    with pytest.raises(error, match=match):
        quick(estimator)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"test": 0}, ValueError, r"test must be a share of X in \(0, 1\), got 0"),
        ({"test": "half"}, TypeError, "test must be None, a share .* got str"),
        ({"test": (1, 2, 3)}, ValueError, "test must be None, .* got 3 values"),
        ({"test": (np.zeros((3, 30)), np.zeros(2))}, ValueError, "inconsistent numbers"),
        ({"y": None}, ValueError, "y must hold the targets of X, got None"),
        ({"relevance": np.ones((3, 30))}, ValueError, "mask for each of the 200 rows of X, .* 3"),
        ({"n_seeds": 0}, ValueError, "n_seeds must be an int of at least 1, got 0"),
        ({"n_seeds": 2.0}, TypeError, "n_seeds must be an int of at least 1, got 2.0"),
        ({"random_state": "a"}, ValueError, "cannot be used to seed"),
        ({"controls": ["noise"]}, ValueError, "controls must be True, False or a list of 'rand"),
        ({"weight_decays": []}, ValueError, "weight_decays must be a non-empty sequence"),
        ({"weight_decays": [-1]}, ValueError, "weight_decays must be a non-empty sequence"),
        ({"weight_decays": 0.1}, ValueError, "weight_decays must be a non-empty sequence"),
        ({"scoring": "best"}, ValueError, "scoring must be a name that scikit-learn .* 'best'"),
        ({"scoring": 3}, TypeError, "scoring must be a name .* got 3 of type int"),
        ({"metrics": "accuracy"}, TypeError, "metrics must be 'auto', a list of names, or a dict"),
        ({"metrics": ["nice"]}, ValueError, "or one of attribution_entropy, .* got 'nice'"),
        ({"metrics": {"a": 3}}, TypeError, "metrics must hold names, .* got 'a': 3"),
        ({"metrics": ["accuracy"]}, ValueError, "metrics must not repeat the score"),
        ({"metrics": ["pointing_game"]}, ValueError, "only where relevance is known"),
        ({"methods": []}, TypeError, "methods must be 'auto', the name"),
        ({"methods": ["magic"]}, ValueError, "method must be one of .* got 'magic'"),
        ({"metric_params": 3}, TypeError, "metric_params must be a dict or None, got 3"),
        (
            {"metrics": ["sufficiency_gap_flip"], "metric_params": {"outcome": "flip"}},
            TypeError,
            "metric_params must hold arguments of 'sufficiency_gap_flip', among .* got outcome",
        ),
    ],
)
def test_bad_input(tumours, quick, options, error, match):
    X, y = tumours
    with pytest.raises(error, match=match):
        quick(**({"X": X, "y": y} | options))


@pytest.mark.parametrize("metric", ["mean_confidence", "sufficiency_gap_flip"])
def test_metrics_for_classifiers_only(quick, metric):
    with pytest.raises(ValueError, match=f"'{metric}' for classifiers only"):
        quick(SaliencyGuidedRegressor(), np.zeros((9, 2)), np.zeros(9), metrics=[metric])


def test_an_estimator_without_kind_needs_a_score(quick):
    from skorch import NeuralNet

    from sgt_sklearn import SaliencyGuidedMixin

    class Net(SaliencyGuidedMixin, NeuralNet):
        pass

    estimator = Net(torch.nn.Identity, torch.nn.MSELoss)
    with pytest.raises(ValueError, match="scoring must be given for an estimator that is neither"):
        quick(estimator)
