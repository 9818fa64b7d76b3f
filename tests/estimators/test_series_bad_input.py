"""Malformed series and tokens: one error that names the parameter, and nothing has changed."""

import copy
import re

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.preprocessing import pad_series
from tests.estimators.sequences import (
    LABELS,
    LENGTHS,
    LONGEST,
    N_FEATURES,
    RAGGED,
    SERIES,
    TARGETS,
    TEXTS,
    TOKENS,
    VOCABULARY,
    N,
    as_dict,
    filled,
    make,
)

ESTIMATORS = {SaliencyGuidedClassifier: LABELS, SaliencyGuidedRegressor: TARGETS}
LIST = r"list of arrays of shape \(n_timesteps_i, n_features\)"


def with_series(position, x):
    return [*RAGGED[:position], x, *RAGGED[position + 1 :]]


def with_value(value, position=3, step=1, features=0):
    series = [x.copy() for x in RAGGED]
    series[position][step, features] = value
    return series


def with_lengths(lengths):
    return {"X": filled(RAGGED, 0.0), "lengths": lengths}


def changed_lengths(value, position=4):
    lengths = np.array(LENGTHS)
    lengths[position] = value
    return with_lengths(lengths)


NO_STEPS = np.zeros((0, N_FEATURES))
MISSING = np.where(np.arange(N)[:, None, None] == 6, np.nan, filled(RAGGED, np.nan))
NOT_LENGTHS = r'X\["lengths"\] must be one integer a series, 1 to 9, got '
BAD_SERIES = {
    "no steps": (with_series(2, NO_STEPS), ["X", "at least one step", "position 2", "leave"]),
    "no steps in an array": (MISSING, ["X", "at least one step", "position 6", "leave"]),
    "length 0": (changed_lengths(0), ["X", "at least one step", "position 4", "leave"]),
    "nan inside": (with_value(np.nan), ["X", "NaN", "series 3", "impute"]),
    "nan inside an array": (
        filled(with_value(np.nan), np.nan),
        ["X", "NaN", "series 3", "impute"],
    ),
    "nan step inside": (
        with_value(np.nan, features=slice(None)),
        ["X", "NaN", "series 3", "impute"],
    ),
    "nan step at the end of a list": (
        with_value(np.nan, step=-1, features=slice(None)),
        ["X", "NaN", "series 3", "impute"],
    ),
    "infinity": (with_value(-np.inf), ["X", "infinity", "series 3"]),
    "nan within the length": (
        {"X": filled(with_value(np.nan), np.nan), "lengths": np.array(LENGTHS)},
        ["X", "NaN", "series 3"],
    ),
    "lengths beyond the array": (changed_lengths(10), [NOT_LENGTHS + "1 to 10"]),
    "negative length": (changed_lengths(-1), [NOT_LENGTHS + "-1 to 9"]),
    "float lengths": (with_lengths(np.array(LENGTHS, float)), [NOT_LENGTHS, "float64"]),
    "boolean lengths": (with_lengths(np.ones(N, bool)), [NOT_LENGTHS, "bool"]),
    "too few lengths": (with_lengths(np.array(LENGTHS[:-1])), [NOT_LENGTHS, r"shape \(13,\)"]),
    "column of lengths": (
        with_lengths(np.array(LENGTHS)[:, None]),
        [NOT_LENGTHS, r"shape \(14, 1\)"],
    ),
    "other keys": ({"X": filled(RAGGED, 0.0), "length": LENGTHS}, ["X", '"lengths"', "length"]),
    "numbers of features": (
        with_series(5, np.zeros((4, 2))),
        ["X", r"\(5, 3\) at position 0", r"\(4, 2\) at position 5"],
    ),
    "a table among series": (with_series(5, np.zeros(4)), ["X", "at position 5"]),
    "no features": ([x[:, :0] for x in RAGGED], ["X", "number of features"]),
    "empty list": ([], ["X", "at least one series", "empty list"]),
    "one axis": (RAGGED[0][:, 0], ["X", LIST, r"shape \(5,\)"]),
    "two axes": (filled(RAGGED, 0.0)[:, :, 0], [r"X\[:, :, None\]", r"\(14, 9\)", r"X\[None\]"]),
    "four axes": (filled(RAGGED, 0.0)[:, None], ["X", LIST, r"\(14, 1, 9, 3\)"]),
    "strings": (["a series", "of", "words"], ["X", "real numbers", LIST]),
    "string numbers": (filled(RAGGED, 0.0).astype(str), ["X", "real numbers", "<U"]),
    "complex": (with_series(5, RAGGED[5] * 1j), ["X", "real numbers", "complex"]),
    "nested lists": ([[[1.0, 2], [3]]] * N, [r"X\[0\]", LIST]),
    "nothing": (None, ["X", "real numbers"]),
}
# what is told from the array by itself is an error for "auto" too
NOT_AUTO = ("one axis", "two axes", "four axes", "strings", "nothing", "empty list")


def assert_names(error, *fragments):
    for fragment in fragments:
        assert re.search(fragment, str(error.value)), f"{fragment!r} is not in: {error.value}"


def state_of(net):
    state = {}
    for name, value in vars(net).items():
        if isinstance(value, nn.Module):
            value = {k: hash(v.cpu().numpy().tobytes()) for k, v in value.state_dict().items()}
        elif isinstance(value, torch.optim.Optimizer):
            value = copy.deepcopy(value.state_dict())
        state[name] = repr(value)
    return state


def assert_refused(net, call, *fragments, error=ValueError):
    before, generator = state_of(net), torch.get_rng_state()
    with pytest.raises(error) as caught:
        call(net)
    assert_names(caught, *fragments)
    assert state_of(net) == before
    assert torch.equal(torch.get_rng_state(), generator)


# series


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("name", BAD_SERIES)
def test_fit_refuses_bad_series(name, cls, device):
    X, fragments = BAD_SERIES[name]
    for method in ("fit", "partial_fit"):
        net = make("lstm", device, cls)
        assert_refused(net, lambda n, m=method: getattr(n, m)(X, ESTIMATORS[cls]), *fragments)
        assert not net.initialized_
        with pytest.raises(NotFittedError):
            net.predict(RAGGED)
    if name not in NOT_AUTO:
        net = make("auto", device, cls)
        with pytest.raises((ValueError, TypeError)) as caught:
            net.fit(X, ESTIMATORS[cls])
        assert_names(caught, "X", '"lengths"' if name == "other keys" else "X")
        assert not net.initialized_


FITTED = {}


def fitted(module, device, cls=SaliencyGuidedClassifier):
    """One net for many calls, none of which may change it."""
    key = module, device, cls
    if key not in FITTED:
        X = RAGGED if module == "auto" or module in SERIES else TOKENS
        small = {"module__channels": (6, 6)} if module == "auto" else {}
        FITTED[key] = make(module, device, cls, max_epochs=1, **small).fit(X, ESTIMATORS[cls])
    return FITTED[key]


# what a series must be is the same for all networks that are named: each meets one of the cases
ALL_OR_ONE = [(module, name) for module in ("auto", "gru") for name in BAD_SERIES]
ALL_OR_ONE += [(module, "nan inside") for module in SERIES if module != "gru"]


@pytest.mark.parametrize(("module", "name"), ALL_OR_ONE)
def test_fitted_net_refuses_bad_series_and_stays_as_it_was(name, module, device):
    X, fragments = BAD_SERIES[name]
    fragments = ["X"] if module == "auto" else fragments
    net = fitted(module, device)
    for method in ("predict", "predict_proba", "attribute"):
        assert_refused(net, lambda n, m=method: getattr(n, m)(X), *fragments)
    assert_refused(net, lambda n: n.partial_fit(X, LABELS), *fragments)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_other_number_of_features_is_refused(cls, device):
    net = fitted("gru", device, cls)
    narrow = [x[:, :2] for x in RAGGED]
    fragments = "X has 2 features", cls.__name__, "3 features"
    for X in (narrow, filled(narrow, np.nan), as_dict(narrow)):
        for method in ("predict", "attribute"):
            assert_refused(net, lambda n, m=method, X=X: getattr(n, m)(X), *fragments)
        assert_refused(net, lambda n, X=X: n.partial_fit(X, ESTIMATORS[cls]), *fragments)


def test_number_of_targets(device):
    net = make("lstm", device)
    assert_refused(net, lambda n: n.fit(RAGGED, LABELS[:-1]), "y", "inconsistent", "14", "13")
    assert_refused(
        net,
        lambda n: n.fit(RAGGED, LABELS, sample_weight=np.ones(N - 1)),
        "sample_weight",
        r"\(14,\)",
    )


@pytest.mark.parametrize("module", ["mlp", "cnn"])
def test_networks_for_other_input(module, device):
    """Also where all series are equally long, and so are one array."""
    square = [np.zeros((4, 3))] * N
    assert_refused(make(module, device), lambda n: n.fit(RAGGED, LABELS), "X")
    assert_refused(
        make(module, device),
        lambda n: n.fit(square, LABELS),
        f"module='{module}'",
        r"\(14, 4, 3\)",
    )
    with pytest.raises((ValueError, TypeError), match=r"X must be .*dict"):
        make(module, device).fit(as_dict(RAGGED), LABELS)


@pytest.mark.parametrize("method", ["predict", "attribute", "partial_fit"])
def test_net_of_tables_refuses_series_and_the_other_way_round(method, device):
    table = np.zeros((N, N_FEATURES)) + np.arange(N)[:, None]
    net = make("auto", device, max_epochs=1).fit(table, LABELS)
    y = (LABELS,) if method == "partial_fit" else ()
    for X in (RAGGED, as_dict(RAGGED), filled(RAGGED, 0.0)):
        assert_refused(net, lambda n, X=X: getattr(n, method)(X, *y), "X must hold", r"\(3,\)")
    net = fitted("auto", device)
    for X in (table, table[:, None, None]):
        assert_refused(net, lambda n, X=X: getattr(n, method)(X, *y), "X must hold", r"\(9, 3\)")


@pytest.mark.parametrize("fill", ["unknown", "previous"])
def test_fills_of_tokens_on_series(fill, device):
    net = make("tcn", device, mask_fill=fill)
    assert_refused(net, lambda n: n.fit(RAGGED, LABELS), "mask_fill", fill, "tokens", "marginal")


@pytest.mark.parametrize("groups", ["pixel", "token"])
def test_groups_that_series_do_not_have(groups, device):
    net = make("tcn", device, feature_groups=groups)
    assert_refused(net, lambda n: n.fit(RAGGED, LABELS), "feature_groups", groups, "'time'")


def test_labels_of_groups_have_the_shape_of_the_padded_series(device):
    net = make("tcn", device, feature_groups=np.zeros((LONGEST - 1, N_FEATURES), int))
    assert_refused(
        net, lambda n: n.fit(RAGGED, LABELS), "feature_groups", r"\(9, 3\)", r"\(8, 3\)"
    )


def test_embedding_with_series(device):
    net = make("lstm", device, embedding="emb")
    assert_refused(net, lambda n: n.fit(RAGGED, LABELS), "embedding", "'auto'", "float")


def test_list_of_unequal_series_for_a_module_of_ones_own(device):
    net = make(nn.LSTM, device)
    assert_refused(net, lambda n: n.fit(RAGGED, LABELS), "X", "pad_series", "lengths")


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(N_FEATURES, 3)

    def forward(self, X, lengths):
        return self.output(X.mean(1))


def test_lengths_of_a_module_of_ones_own(device):
    X = pad_series(RAGGED)
    X["lengths"][3] = 0
    assert_refused(make(Mean, device), lambda n: n.fit(X, LABELS), "lengths", "got 0 to", "leave")


# tokens


def changed_tokens(value, position=(3, 0), X=TOKENS):
    X = X.copy()
    X[position] = value
    return X


IDS = r"X must hold integer token ids of shape \(n_samples, n_tokens\).*TokenEncoder"
BAD_TOKENS = {
    "floats": (TOKENS.astype(float), ["float64"]),
    "booleans": (TOKENS.astype(bool), ["bool"]),
    "strings": (["a text", "of words"] * 7, ["<U"]),
    "array of strings": (np.array([["a", "b"]] * N, dtype=object), ["object"]),
    "one axis": (TOKENS[0], [r"shape \(9,\)"]),
    "three axes": (TOKENS[:, :, None], [r"\(14, 9, 1\)"]),
    "series": (RAGGED, []),
    "lists of unequal length": ([[2, 3], [4]] * 7, []),
    "no rows": (TOKENS[:0], [r"\(0, 9\)"]),
    "no columns": (TOKENS[:, :0], [r"\(14, 0\)"]),
    "negative": (changed_tokens(-2), ["negative id -2"]),
    "padding inside": (changed_tokens(0), ["padding between", "row 3"]),
    "empty row": (changed_tokens(0, 6), ["no token in row 6", "leave"]),
    "dict": (as_dict(RAGGED), []),
    "nothing": (None, ["object"]),
}


# what tokens must be is the same for all networks that are named: each meets one of the cases
CASES_OF_TOKENS = [("text_cnn", name) for name in BAD_TOKENS]
CASES_OF_TOKENS += [(module, "floats") for module in TEXTS if module != "text_cnn"]


@pytest.mark.parametrize(("module", "name"), CASES_OF_TOKENS)
def test_bad_tokens_are_refused(name, module, device):
    X, fragments = BAD_TOKENS[name]
    net = make(module, device)
    assert_refused(net, lambda n: n.fit(X, LABELS), IDS, f"module='{module}'", *fragments)
    with pytest.raises(NotFittedError):
        net.predict(TOKENS)
    net = fitted(module, device)
    for method in ("predict", "predict_proba", "attribute"):
        assert_refused(net, lambda n, m=method: getattr(n, m)(X), IDS, *fragments)
    assert_refused(net, lambda n: n.partial_fit(X, LABELS), IDS, *fragments)


@pytest.mark.parametrize("module", TEXTS)
def test_ids_beyond_the_vocabulary(module, device):
    beyond = changed_tokens(VOCABULARY)
    fragments = IDS, "vocabulary_size=12", "got 12", "module__vocabulary_size", "one more"
    net = fitted(module, device)
    for method in ("predict", "attribute"):
        assert_refused(net, lambda n, m=method: getattr(n, m)(beyond), *fragments)
    assert_refused(net, lambda n: n.partial_fit(beyond, LABELS), *fragments)
    # the size that the user has set counts, in fit and afterwards
    net = make(module, device, module__vocabulary_size=VOCABULARY)
    assert_refused(net, lambda n: n.fit(beyond, LABELS), *fragments)
    net = make(module, device, module__vocabulary_size=20).fit(TOKENS, LABELS)
    assert net.predict(changed_tokens(19)).shape == (N,)
    with pytest.raises(ValueError, match="vocabulary_size=20, got 20"):
        net.predict(changed_tokens(20))


@pytest.mark.parametrize("fill", ["sample_uniform", "feature_uniform", "mean"])
def test_fills_of_numbers_on_tokens(fill, device):
    net = make("text_cnn", device, mask_fill=fill)
    assert_refused(net, lambda n: n.fit(TOKENS, LABELS), "mask_fill", "'unknown'", fill)


@pytest.mark.parametrize("value", [1.5, VOCABULARY, -1])
def test_constant_that_is_no_token(value, device):
    net = make("text_cnn", device, mask_fill="constant", mask_value=value)
    assert_refused(net, lambda n: n.fit(TOKENS, LABELS), "mask_value", str(value))


@pytest.mark.parametrize("groups", ["pixel", "time", "time_then_feature"])
def test_groups_that_tokens_do_not_have(groups, device):
    net = make("text_cnn", device, feature_groups=groups)
    assert_refused(net, lambda n: n.fit(TOKENS, LABELS), "feature_groups", groups)


def test_gradient_that_is_the_same_for_all_tokens(device):
    net = make("text_bag", device, mask_order="signed")
    assert_refused(net, lambda n: n.fit(TOKENS, LABELS), "mask_order='signed'", '"absolute"')


def test_compiled_module_of_tokens(device):
    net = make("text_cnn", device, compile=True, compile__backend="eager")
    assert_refused(net, lambda n: n.fit(TOKENS, LABELS), "compile must be False", "tokens")


def test_baselines_of_tokens(device):
    net = fitted("text_cnn", device)
    for baseline, fragment in ((0.5, "float"), (VOCABULARY, "0 to 11"), (-1, "0 to 11")):
        assert_refused(
            net,
            lambda n, b=baseline: n.attribute(TOKENS, method="path_gradient", baseline=b),
            "baseline",
            fragment,
        )


# tokens for modules of the user's own


class Own(nn.Module):
    def __init__(self, twice=False, tokens_first=False):
        super().__init__()
        self.tokens_first = tokens_first
        self.emb, self.output = nn.Embedding(VOCABULARY, 4, 0), nn.Linear(4, 3)
        self.twice = twice

    def forward(self, X):
        if self.tokens_first:
            return self.output(torch.tanh(self.emb(X.T)).sum(0))
        vectors = self.emb(X.long())
        return self.output(torch.tanh(vectors + self.emb(X) if self.twice else vectors).sum(1))


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


def own(cls, device, **params):
    settings = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0, "lr": 0.1}
    return make(Own, device, cls, **settings | params)


@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, GuidedNet])
def test_embedding_of_a_module_of_ones_own(cls, device):
    y = np.arange(N) % 3

    def refused(error, *fragments, X=TOKENS, **params):
        net = own(cls, device, **params)
        assert_refused(net, lambda n: n.fit(X, y), *fragments, error=error)

    refused(TypeError, "integers?|int64", "embedding='embedding'", "consistency_weight=0")
    refused(ValueError, "embedding", r"\['emb'\]", "'nothing'", embedding="nothing")
    refused(ValueError, "embedding", "'auto'", X=TOKENS.astype(np.float32), embedding="emb")
    refused(ValueError, "embedding", "once", "more than once", embedding="emb", module__twice=True)
    refused(ValueError, "embedding", "vector", embedding="output")
    for saliency_pass in ("shared", "separate"):
        params = {"module__tokens_first": True, "saliency_pass": saliency_pass}
        refused(ValueError, "embedding must", "samples first", embedding="emb", **params)
    refused(TypeError, "embedding", "'auto'", "3", embedding=3)
    refused(ValueError, "mask_fill", "mean", embedding="emb", mask_fill="mean")


@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, GuidedNet])
def test_explanation_without_an_embedding(cls, device):
    net = own(cls, device, consistency_weight=0).fit(TOKENS, np.arange(N) % 3)
    with pytest.raises(TypeError) as caught:
        net.attribute(TOKENS)
    assert_names(caught, "X", "floating point|embedding")
    net.set_params(embedding="nothing")
    with pytest.raises(ValueError) as caught:
        net.attribute(TOKENS)
    assert_names(caught, "embedding", r"\['emb'\]", "'nothing'")
    net.set_params(embedding="emb")
    assert np.isfinite(net.attribute(TOKENS)[TOKENS != 0]).all()
    assert net.attribute(np.pad(TOKENS, ((0, 0), (0, 2)))).shape == (N, LONGEST + 2)
    # as many texts as tokens, whose exchange no shape gives away
    exchanged = own(cls, device, consistency_weight=0, module__tokens_first=True)
    exchanged.fit(TOKENS, np.arange(N) % 3).set_params(embedding="emb")
    for X in (TOKENS, TOKENS[:LONGEST]):
        with pytest.raises(ValueError, match="samples first"):
            exchanged.attribute(X)
