"""Randomly built malformed input: a documented error, and nothing of the estimator changes."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.base import clone

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

N, D = 24, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D))
LABELS = np.arange(N) % 3
TARGETS = X[:, 0] + 0.1 * RNG.normal(size=N)
# texts that are no name of anything, and values of types that no parameter takes
WORDS = st.text("qxzj", min_size=1, max_size=6)
ODD = st.one_of(WORDS, st.none(), st.just([1.5]), st.just({"a": 1}), st.just(object()))
OUTSIDE = st.one_of(st.floats(max_value=-1e-6), st.floats(min_value=1 + 1e-6), st.just(np.nan))
NEGATIVE = st.one_of(st.floats(max_value=-1e-6), st.just(np.nan), st.just(np.inf))
NOT_COUNTS = st.one_of(st.integers(-9, 0).filter(lambda i: i != -1), st.floats(0.1, 9.9), WORDS)
NAMES = st.one_of(WORDS, st.none(), st.integers(), st.just(["auto"]))
BAD_PARAMETERS = {
    "mask_fraction": st.one_of(OUTSIDE, ODD, st.booleans()),
    "consistency_weight": st.one_of(NEGATIVE, ODD),
    "mask_value": st.one_of(st.just(np.nan), st.just(-np.inf), ODD),
    "mask_order": NAMES,
    "mask_schedule": NAMES,
    "saliency_output": NAMES,
    "saliency_pass": NAMES,
    "mask_fill": NAMES,
    "consistency": NAMES,
    "feature_groups": st.one_of(
        WORDS,
        st.none(),
        st.integers(),
        st.lists(st.integers(0, 3), max_size=9).filter(lambda groups: len(groups) != D),
    ),
    "guided_input": st.one_of(WORDS, st.none(), st.floats(), st.just([])),
    "random_state": st.one_of(st.integers(max_value=-1), st.floats(), WORDS, st.just(2**33)),
    "module": st.one_of(WORDS, st.none(), st.integers()),
    "criterion": st.one_of(WORDS, st.none(), st.integers()),
    "optimizer": st.one_of(WORDS, st.none(), st.integers()),
    "train_split": st.one_of(WORDS, st.integers(1, 9)),
    "callbacks": st.one_of(WORDS, st.integers(), st.just({"a": 1}), st.just([()])),
    "lr": st.one_of(WORDS, st.none(), st.floats(max_value=-1e-6)),
    "max_epochs": NOT_COUNTS,
    "batch_size": NOT_COUNTS,
    "device": WORDS,
}


def spoiled(draw, array, values=(np.nan, np.inf, -np.inf)):
    array = np.array(array, dtype=float)
    cells = draw(st.lists(st.integers(0, array.size - 1), min_size=1, max_size=5))
    array.flat[cells] = draw(st.sampled_from(values))
    return array


@st.composite
def bad_X(draw):
    kind = draw(st.sampled_from(["cell", "shape", "width", "empty", "type", "ragged"]))
    if kind == "cell":
        return spoiled(draw, X)
    if kind == "shape":
        return X.reshape(draw(st.sampled_from([(N * D,), (N, D, 1), (N, 1, 1, D, 1), (1, N, D)])))
    if kind == "width":
        return X[:, : draw(st.sampled_from([0, 1, D - 1]))]
    if kind == "empty":
        return X[:0]
    if kind == "type":
        return draw(st.sampled_from([X + 1j, X.astype(str).astype(object) + "q", None, "X", 3]))
    return [row[: draw(st.integers(0, D - 1))].tolist() for row in X[:-1]] + [X[-1].tolist()]


@st.composite
def bad_y(draw, classifier):
    kinds = ["length", "cell", "axes", "none", "complex"]
    kind = draw(st.sampled_from(kinds + (["continuous", "one class"] if classifier else ["text"])))
    y = LABELS if classifier else TARGETS
    if kind == "length":
        return np.resize(y, draw(st.integers(0, 3 * N).filter(lambda n: n != N)))
    if kind == "cell":
        return spoiled(draw, y)
    if kind == "axes":
        return np.stack([y] * 4).reshape(N, 2, 2)
    if kind == "continuous":
        return y + draw(st.floats(0.01, 0.4))
    if kind == "one class":
        return np.full(N, draw(st.one_of(st.integers(), st.text(max_size=3), st.booleans())))
    return {"none": None, "complex": y + 1j, "text": np.full(N, "word")}[kind]


@st.composite
def bad_weights(draw):
    weight = RNG.random(N)
    kind = draw(st.sampled_from(["cell", "negative", "length", "axes", "zero", "text"]))
    if kind in ("cell", "negative"):
        values = (np.nan, np.inf) if kind == "cell" else (-1.0, -1e-9)
        return spoiled(draw, weight, values)
    if kind == "length":
        return np.resize(weight, draw(st.integers(0, 2 * N).filter(lambda n: n != N)))
    return {"axes": weight[:, None], "zero": 0 * weight, "text": ["heavy"] * N}[kind]


def fits_anew(data):
    """Whether it is a table of fewer columns, or series of one feature."""
    if not isinstance(data, np.ndarray) or data.dtype.kind != "f" or not np.isfinite(data).all():
        return False
    narrow = data.ndim == 2 and len(data) == N and 0 < data.shape[1] < D
    return narrow or data.shape == (N, D, 1)


def net_for(classifier, **params):
    estimator = SaliencyGuidedClassifier if classifier else SaliencyGuidedRegressor
    return estimator(max_epochs=1, random_state=0, **params)


def good_y(classifier):
    return LABELS if classifier else TARGETS


def state_of(net):
    """Everything that a call could change, in a form that can be compared."""
    state = {}
    for name, value in vars(net).items():
        if isinstance(value, torch.nn.Module):
            value = [t.detach().numpy().tobytes() for t in value.state_dict().values()]
        elif isinstance(value, torch.optim.Optimizer):
            value = copy.deepcopy(value.state_dict())
        state[name] = repr(value)
    return state


FITTED = {c: net_for(c).fit(X, good_y(c)) for c in (True, False)}


def assert_refused(net, call, *names):
    before, generators = state_of(net), (torch.get_rng_state(), np.random.get_state())  # noqa: NPY002
    with pytest.raises((ValueError, TypeError)) as caught:
        call(net)
    message = str(caught.value)
    assert len(message) > 20
    assert any(name in message for name in names), (names, message)
    assert state_of(net) == before
    assert torch.equal(torch.get_rng_state(), generators[0])
    assert np.array_equal(np.random.get_state()[1], generators[1][1])  # noqa: NPY002


many = settings(max_examples=100, deadline=None, derandomize=True)


@pytest.mark.parametrize("classifier", [True, False], ids=["classifier", "regressor"])
@many
@given(data=st.data())
def test_fit_refuses_malformed_data_and_stays_as_it_was(classifier, data):
    fitted = data.draw(st.booleans())
    net = FITTED[classifier] if fitted else net_for(classifier)
    method = data.draw(st.sampled_from(["fit", "partial_fit"]))
    spoil = data.draw(st.sampled_from(["X", "y", "sample_weight"]))
    arguments = {"X": X, "y": good_y(classifier)}
    arguments[spoil] = data.draw(
        {"X": bad_X(), "y": bad_y(classifier), "sample_weight": bad_weights()}[spoil]
    )
    goes_on = fitted and method == "partial_fit"
    if spoil == "y" and goes_on:  # a batch may hold one of the known classes alone
        y = np.asarray(arguments["y"])
        assume(y.shape != (N,) or not np.isin(y, LABELS).all())
    if spoil == "X" and not goes_on:
        assume(not fits_anew(arguments["X"]))  # which are no fault of a first fit
    names = {"X": ["X", "sample", "shape"], "y": ["y", "classes"], "sample_weight": ["weight"]}
    assert_refused(net, lambda n: getattr(n, method)(**arguments), *names[spoil])


@pytest.mark.parametrize("classifier", [True, False], ids=["classifier", "regressor"])
@many
@given(data=st.data())
def test_fit_refuses_malformed_parameters_by_name(classifier, data):
    name = data.draw(st.sampled_from(sorted(BAD_PARAMETERS)))
    value = data.draw(BAD_PARAMETERS[name])
    net = net_for(classifier)
    net.set_params(**{name: value})
    assert_refused(net, lambda n: n.fit(X, good_y(classifier)), name, name.split("_")[-1])
    fitted = copy.deepcopy(FITTED[classifier])
    setattr(fitted, name, value)
    assert_refused(fitted, lambda n: n.fit(X, good_y(classifier)), name, name.split("_")[-1])


@pytest.mark.parametrize("classifier", [True, False], ids=["classifier", "regressor"])
@many
@given(data=st.data())
def test_predictions_and_explanations_refuse_malformed_input(classifier, data):
    methods = ["predict", "attribute", *(["predict_proba", "decision_function"] * classifier)]
    method = data.draw(st.sampled_from(methods))
    wrong = data.draw(bad_X())
    assert_refused(
        FITTED[classifier], lambda n: getattr(n, method)(wrong), "X", "shape", "features"
    )


@many
@given(
    class_weight=st.one_of(
        WORDS,
        st.integers(),
        st.just([1, 2, 3]),
        st.dictionaries(st.integers(3, 9), st.floats(0, 5), min_size=1),
        st.dictionaries(st.integers(0, 2), NEGATIVE, min_size=1),
        st.dictionaries(st.integers(0, 2), WORDS, min_size=1),
        st.just({0: 0, 1: 0, 2: 0}),
    )
)
def test_fit_refuses_malformed_class_weights(class_weight):
    net = net_for(True, class_weight=class_weight)
    assert_refused(net, lambda n: n.fit(X, LABELS), "class_weight")


def test_the_malformed_input_is_what_makes_the_difference():
    for classifier, fitted in FITTED.items():
        again = clone(fitted).fit(X, good_y(classifier), sample_weight=np.ones(N))
        np.testing.assert_allclose(again.predict(X), fitted.predict(X), rtol=1e-4, atol=1e-5)
