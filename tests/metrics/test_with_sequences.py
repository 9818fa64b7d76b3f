"""The metrics and scorers on this package's own networks for series and text."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.metrics import (
    comprehensiveness,
    comprehensiveness_gap,
    get_interpretability_scorer,
    get_interpretability_scorer_names,
    gini_sparseness,
    make_interpretability_scorer,
    relevance_average_precision,
    removal_curve,
    sufficiency,
    sufficiency_gap,
)
from sgt_sklearn.metrics._resolve import takes_tokens
from sgt_sklearn.preprocessing import TokenEncoder, from_channels_first
from tests.estimators.sequences import SERIES, SMALL, TEXTS

METRICS = [comprehensiveness, comprehensiveness_gap, sufficiency, sufficiency_gap]
NAMES = get_interpretability_scorer_names(relevance=False)
OF_TOKENS = [name for name in NAMES if name.endswith("_gap")]


@pytest.fixture(scope="module")
def series():
    """Series of 5 to 9 steps; the class is the mean of the first feature in steps 1 to 3."""
    rng = np.random.default_rng(0)
    X = [rng.standard_normal((5 + i % 5, 3)).astype(np.float32) for i in range(60)]
    y = np.arange(60) % 2
    for x, label in zip(X, y, strict=True):
        x[1:4, 0] += 4 * label - 2
    return X, y


@pytest.fixture(scope="module")
def texts():
    """Words of two kinds tell the class, among words that do not."""
    rng = np.random.default_rng(0)
    other = ["film", "story", "actor", "scene", "plot", "music", "light"]
    telling = [["awful", "dull"], ["fine", "great"]]
    texts = []
    for i in range(60):
        words = list(rng.choice(other, 2 + i % 4)) + list(rng.choice(telling[i % 2], 2))
        texts.append(" ".join(rng.permutation(words)))
    return texts, np.array(["rotten", "fresh"])[np.arange(60) % 2]


def fitted(module, X, y, device, cls=SaliencyGuidedClassifier, **params):
    params = {"max_epochs": 8, "batch_size": 10} | SMALL[module] | params
    return cls(module, random_state=0, device=device, **params).fit(X, y)


def forms(X, length=12):
    array = np.full((len(X), length, X[0].shape[1]), np.nan, dtype=np.float32)
    for row, x in zip(array, X, strict=True):
        row[: len(x)] = x
    yield array
    yield {"X": np.nan_to_num(array, nan=7.0), "lengths": np.array([len(x) for x in X])}


@pytest.mark.parametrize("module", SERIES)
def test_padded_series_equal_series_in_a_list(series, module, device):
    X, y = series
    net = fitted(module, X, y, device, max_epochs=2)
    for metric in METRICS:
        value = metric(net, X, n_draws=2, random_state=0)
        for form in forms(X):
            assert metric(net, form, n_draws=2, random_state=0) == pytest.approx(value, abs=1e-5)
    zero = {"replacement": lambda X, rng: np.zeros_like(X), "n_draws": 1}
    alone = [comprehensiveness(net, [x], **zero) for x in X[:12]]
    assert comprehensiveness(net, X[:12], **zero) == pytest.approx(np.mean(alone), abs=1e-5)


@pytest.mark.parametrize("module", TEXTS)
def test_padded_tokens_equal_tokens_one_by_one(texts, module, device):
    tokens = TokenEncoder().fit_transform(texts[0])
    net = fitted(module, tokens, texts[1], device, max_epochs=2)
    for metric in METRICS:
        value = metric(net, tokens, n_draws=2, random_state=0)
        wide = np.pad(tokens, ((0, 0), (0, 5)))
        assert metric(net, wide, n_draws=2, random_state=0) == pytest.approx(value, abs=1e-5)
    lengths = (tokens != 0).sum(axis=1)
    rows = range(12)
    alone = [comprehensiveness(net, tokens[i : i + 1, : lengths[i]], n_draws=1) for i in rows]
    together = comprehensiveness(net, tokens[rows], n_draws=1)
    assert together == pytest.approx(np.mean(alone), abs=1e-5)


def test_gaps_of_a_network_that_has_learned_series(series, device):
    X, y = series
    net = fitted("tcn", X, y, device, max_epochs=20, mask_order="sampled")
    assert net.score(X, y) > 0.95
    for groups in (None, "cell", "time", "time_then_feature", "feature"):
        for gap in (comprehensiveness_gap, sufficiency_gap):
            assert gap(net, X, groups=groups, random_state=0) > 0.01
        curve = removal_curve(net, X, y, groups=groups, random_state=0)
        assert curve.scores[0] == pytest.approx(net.score(X, y))
        assert curve.gap > 0.01
    attributions = net.attribute(X, standardized=True)
    relevance = [np.zeros(x.shape, bool) for x in X]
    for mask in relevance:
        mask[1:4, 0] = True
    assert relevance_average_precision(attributions, relevance) > 0.4
    assert gini_sparseness(attributions) == pytest.approx(
        gini_sparseness(net.attribute(next(forms(X)), standardized=True)), abs=1e-5
    )


def test_gaps_of_a_bag_that_has_learned_tokens(texts, device):
    pipeline = make_pipeline(
        TokenEncoder(),
        SaliencyGuidedClassifier("text_bag", max_epochs=30, random_state=0, device=device),
    ).fit(*texts)
    assert pipeline.score(*texts) > 0.95
    for gap in (comprehensiveness_gap, sufficiency_gap):
        for replacement in ("auto", "marginal"):
            options = {"replacement": replacement, "random_state": 0}
            assert gap(pipeline, texts[0], **options) > 0.03
            # the gradients of all tokens of a text have the same length
            assert gap(pipeline, texts[0], method="saliency", **options) == 0
    assert removal_curve(pipeline, *texts, random_state=0).gap > 0.03


def test_regressor(series, device):
    X, _ = series
    y = np.array([x[1:4, 0].sum() for x in X])
    net = fitted("gru", X, y, device, SaliencyGuidedRegressor, max_epochs=15)
    assert comprehensiveness_gap(net, X, random_state=0) > 0.03
    assert sufficiency_gap(net, X, random_state=0) > 0.03
    curve = removal_curve(net, X, y, random_state=0)
    assert curve.scores[0] == pytest.approx(net.score(X, y))


@pytest.mark.parametrize("groups", ["auto", "time", "time_then_feature", "feature"])
def test_groups_of_the_estimator_fit_series_of_any_length(series, groups, device):
    X, y = series
    net = fitted("tcn", X, y, device, feature_groups=groups, max_epochs=1)
    same = "cell" if groups == "auto" else groups
    short = [x[:4] for x in X]
    long = [np.concatenate([x, x]) for x in X]
    for data in (X, short, long, np.stack(short), np.stack([x[:3] for x in X])):
        value = comprehensiveness(net, data, random_state=0)
        assert comprehensiveness(net, data, groups=same, random_state=0) == value
        other = "time" if same == "cell" else "cell"
        assert comprehensiveness(net, data, groups=other, random_state=0) != value


def test_labels_of_the_estimator_fit_shorter_series(series, device):
    X, y = series
    labels = np.arange(27).reshape(9, 3) // 6
    net = fitted("tcn", X, y, device, feature_groups=labels, max_epochs=1)
    short = [x[: 3 + i % 2] for i, x in enumerate(X)]
    value = comprehensiveness(net, short, random_state=0)
    assert comprehensiveness(net, short, groups=labels[:4], random_state=0) == value
    long = [np.concatenate([x, x]) for x in X]
    with pytest.raises(ValueError, match=r"feature_groups_ must hold one label.*\(18, 3\)"):
        comprehensiveness(net, long)


def test_search_over_series_in_a_list(series, device):
    X, y = series
    net = SaliencyGuidedClassifier(
        "gru", max_epochs=6, batch_size=5, random_state=0, device=device, **SMALL["gru"]
    )
    scoring = {name: make_interpretability_scorer(name, n_draws=1) for name in NAMES}
    search = GridSearchCV(
        net,
        {"consistency_weight": [0.0, 1.0]},
        scoring=scoring | {"accuracy": "accuracy"},
        refit="accuracy",
        cv=2,
        error_score="raise",
    ).fit(X, y)
    for name in NAMES:
        assert np.isfinite(search.cv_results_[f"mean_test_{name}"]).all()
        assert (search.cv_results_[f"mean_test_{name}"] != 0).all()
    value = sufficiency_gap(search.best_estimator_, X, random_state=0)
    assert sufficiency_gap(search, X, random_state=0) == value


def test_pipeline_that_makes_series_of_unequal_length(series, device):
    X, y = series
    channels = [np.ascontiguousarray(x.T) for x in X]
    net = SaliencyGuidedClassifier("lstm", max_epochs=1, random_state=0, device=device)
    pipeline = make_pipeline(FunctionTransformer(from_channels_first), net).fit(channels, y)
    value = comprehensiveness(pipeline, channels, random_state=0)
    assert comprehensiveness(pipeline[-1], X, random_state=0) == value


def test_search_over_raw_texts(texts, device):
    net = SaliencyGuidedClassifier("text_bag", max_epochs=10, random_state=0, device=device)
    scoring = {name: get_interpretability_scorer(name) for name in OF_TOKENS}
    pipeline = make_pipeline(TokenEncoder(), net)
    scores = cross_validate(
        pipeline, *texts, scoring=scoring | {"accuracy": "accuracy"}, cv=2, error_score="raise"
    )
    for name in OF_TOKENS:
        assert (scores[f"test_{name}"] > 0).all()
    search = GridSearchCV(
        pipeline,
        {"tokenencoder__min_df": [1, 2]},
        scoring=scoring,
        refit="sufficiency_gap",
        cv=2,
        error_score="raise",
    ).fit(*texts)
    assert search.score(*texts) == sufficiency_gap(search, texts[0], random_state=0)


class MeanOverTime(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.output = torch.nn.Linear(3, 2)

    def forward(self, X, lengths):
        inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
        return self.output((X * inside[:, :, None]).sum(1) / lengths[:, None])


class Bag(torch.nn.Module):
    """Takes rows of one length only."""

    def __init__(self, n_tokens, length):
        super().__init__()
        self.words = torch.nn.Embedding(n_tokens, 4)
        self.output = torch.nn.Linear(4 * length, 2)

    def forward(self, X):
        inside = (X != 0)[:, :, None]
        return self.output((self.words(X) * inside).flatten(1))


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


def test_module_of_ones_own_for_padded_series(series, device):
    X, y = series
    _, as_dict = forms(X)
    as_dict["X"] = as_dict["X"] * (np.arange(12) < as_dict["lengths"][:, None])[:, :, None]
    settings = {"criterion": torch.nn.CrossEntropyLoss, "max_epochs": 10, "verbose": 0, "lr": 0.3}
    net = GuidedNet(MeanOverTime, device=device, random_state=0, **settings).fit(as_dict, y)
    assert comprehensiveness_gap(net, as_dict, random_state=0) > 0.01
    shorter = {"X": as_dict["X"][:, :9], "lengths": as_dict["lengths"]}
    for metric in METRICS:
        value = metric(net, as_dict, random_state=0)
        assert metric(net, shorter, random_state=0) == pytest.approx(value, abs=1e-5)


def test_module_of_ones_own_for_tokens(texts, device):
    tokens = np.pad(TokenEncoder().fit_transform(texts[0]), ((0, 0), (0, 3)))
    net = SaliencyGuidedClassifier(
        Bag,
        module__n_tokens=int(tokens.max()) + 1,
        module__length=tokens.shape[1],
        embedding="words",
        max_epochs=15,
        device=device,
        random_state=0,
    ).fit(tokens, texts[1])
    explicit = {"method": "input_x_gradient", "replacement": "unknown", "groups": "token"}
    for metric in METRICS:
        value = metric(net, tokens, random_state=0)
        assert metric(net, tokens, random_state=0, **explicit) == value
    # the fold is padded wider than its longest text, as the network needs it
    assert comprehensiveness_gap(net, tokens[:20], random_state=0) > 0.01


def test_ensembles_of_nets_for_text_take_tokens(texts):
    X, y = texts
    encoder = TokenEncoder().fit(X)
    tokens = encoder.transform(X)
    net = fitted("text_bag", tokens, y, "cpu")
    calibrated = CalibratedClassifierCV(FrozenEstimator(net)).fit(tokens, y)
    search = GridSearchCV(net, {"lr": [0.01]}, cv=2)
    voting = VotingClassifier([("a", search)], voting="soft").fit(tokens, y)
    for ensemble in (calibrated, voting, make_pipeline(FunctionTransformer(), calibrated)):
        for metric in (comprehensiveness_gap, sufficiency_gap):
            value = metric(ensemble, tokens, random_state=0)
            assert value > 0.01
            options = {"method": "input_x_gradient", "replacement": "unknown"}
            assert value == metric(ensemble, tokens, random_state=0, **options)
    regressor = TransformedTargetRegressor(SaliencyGuidedRegressor("text_bag", max_epochs=1))
    assert takes_tokens(regressor.fit(tokens, np.arange(len(X), dtype=float)))
    # the nets of this one see texts
    of_texts = VotingClassifier([("a", make_pipeline(TokenEncoder(), net))], voting="soft")
    assert not takes_tokens(of_texts.fit(np.array(X), y))
