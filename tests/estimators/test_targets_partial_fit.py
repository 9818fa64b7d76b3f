"""Going on with other batches of the same kind of target, and refusing others."""

import numpy as np
import pytest
import torch
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier

RNG = np.random.default_rng(7)
N = 30
X = RNG.standard_normal((N, 4)).astype(np.float32)
CODES = np.arange(N) % 3
WORDS = np.array(["bird", "cat", "mouse"])[CODES]
INDICATOR = (X[:, :3] > 0).astype(np.int64)
SOFT = RNG.dirichlet(np.ones(3), N).astype(np.float32)
ONE = {"criterion": nn.BCEWithLogitsLoss}
SOFTLY = {"criterion": nn.CrossEntropyLoss}
OWN = {"module": nn.Linear, "module__in_features": 4, "module__out_features": 3}
OWN_ONE = OWN | ONE | {"module__out_features": 1}


def make(device, **params):
    return SaliencyGuidedClassifier(
        **{"max_epochs": 2, "random_state": 0, "device": device} | params
    )


# (parameters, first targets, later targets that lack something, their rows)
RARE = {
    "labels": ({}, WORDS, WORDS == "cat"),
    "one logit": (ONE, WORDS == "cat", CODES != 1),
    "indicator, no label": ({}, INDICATOR, INDICATOR.sum(1) == 0),
    "indicator, one row": ({}, INDICATOR, np.arange(N) == 4),
    "soft labels, one row": (SOFTLY, SOFT, np.arange(N) == 4),
    "own, ints": (OWN | SOFTLY, CODES, CODES == 0),
    "own, words": (OWN | SOFTLY, WORDS, CODES == 0),
    "own, one logit": (OWN_ONE, WORDS == "cat", CODES != 1),
    "own, floats for one logit": (OWN_ONE, (CODES == 1).astype(np.float32)[:, None], CODES != 1),
    "own, indicator": (OWN | ONE, INDICATOR.astype(np.float32), INDICATOR.sum(1) == 0),
    "own, soft labels": (OWN | SOFTLY, SOFT, np.arange(N) == 4),
}


@pytest.mark.parametrize("name", RARE)
def test_a_batch_may_lack_labels(name, device):
    params, y, rows = RARE[name]
    net = make(device, **params).partial_fit(X, y)
    classes, proba = net.classes_, net.predict_proba(X)
    assert 0 < rows.sum() < N
    net.partial_fit(X[rows], y[rows])
    np.testing.assert_array_equal(net.classes_, classes)
    assert net.predict_proba(X).shape == proba.shape
    assert len(net.history) == 4
    assert not np.array_equal(net.predict_proba(X), proba)


@pytest.mark.parametrize("params", [{}, ONE, OWN, OWN_ONE], ids=str)
def test_labels_may_be_named_before_they_are_seen(params, device):
    words = ["bird", "cat"] if "criterion" in params else ["bird", "cat", "mouse"]
    known = np.isin(WORDS, words)
    first = known & (CODES == 0)
    net = make(device, **params).partial_fit(X[first], WORDS[first], classes=words[::-1])
    np.testing.assert_array_equal(net.classes_, words)
    assert net.predict_proba(X).shape == (N, len(words))
    net.partial_fit(X[known], WORDS[known])
    np.testing.assert_array_equal(net.classes_, words)
    assert set(net.predict(X)) <= set(words)


def test_ints_of_own_modules_join_those_seen_before(device):
    net = make(device, **OWN, **SOFTLY)
    for codes, known in (([0], [0]), ([2], [0, 2]), ([0, 1], [0, 1, 2])):
        rows = np.isin(CODES, codes)
        net.partial_fit(X[rows], CODES[rows])
        np.testing.assert_array_equal(net.classes_, known)
    # and a fit starts anew
    np.testing.assert_array_equal(net.fit(X, CODES % 2).classes_, [0, 1])


def test_classes_in_any_order_are_labels_in_order(device):
    given = make(device, classes=["mouse", "cat", "bird", "dog"], max_epochs=40, lr=0.02)
    given.fit(X, WORDS)
    np.testing.assert_array_equal(given.classes_, ["bird", "cat", "dog", "mouse"])
    found = make(device, max_epochs=40, lr=0.02).fit(X, WORDS)
    agree = given.predict(X) == found.predict(X)
    assert agree.mean() > 0.8
    assert given.predict_proba(X)[:, 2].mean() < 0.2


def test_columns_may_be_named_as_scikit_learns_network_wants_them(device):
    net = make(device).partial_fit(X, INDICATOR, classes=[0, 1, 2])
    np.testing.assert_array_equal(net.classes_, [0, 1, 2])


REFUSED = {
    "new word": ({}, WORDS[CODES < 2], WORDS, [r"new labels \['mouse'\]", "classes=..."]),
    "new word for one logit": (
        ONE,
        WORDS[CODES < 2],
        WORDS,
        [r"new labels \['mouse'\]", "classes=..."],
    ),
    "new word, own": (OWN, WORDS[CODES < 2], WORDS, [r"new labels \['mouse'\]", "classes=..."]),
    "more columns": ({}, INDICATOR[:, :2], INDICATOR, ["2 columns", "got 3"]),
    "fewer columns": ({}, INDICATOR, INDICATOR[:, :2], ["3 columns", "got 2"]),
    "fewer probabilities": (SOFTLY, SOFT, np.repeat([[0.25, 0.75]], N, 0), ["3 columns", "got 2"]),
    "labels after columns": ({}, INDICATOR, CODES, ["first fit", "indicator", "labels"]),
    "columns after labels": ({}, CODES, INDICATOR, ["first fit", "labels", "indicator"]),
    "columns after one logit": (ONE, WORDS == "cat", INDICATOR, ["one_logit", "indicator"]),
    "other columns, own": (
        OWN | ONE,
        INDICATOR.astype(np.float32),
        INDICATOR[:, :2].astype(np.float32),
        ["BCEWithLogitsLoss", r"\(30, 3\)", r"\(30, 2\)"],
    ),
    "labels after probabilities, own": (OWN | SOFTLY, SOFT, CODES, ["first fit", "soft"]),
    "numbers after words, own": (OWN | SOFTLY, WORDS, CODES, ["first fit", "labels"]),
}


@pytest.mark.parametrize("method", ["partial_fit", "warm fit"])
@pytest.mark.parametrize("name", REFUSED)
def test_other_targets_than_in_the_first_fit_are_refused(name, method, device):
    params, first, later, fragments = REFUSED[name]
    net = make(device, warm_start=True, **params).partial_fit(X[: len(first)], first)
    proba, n_epochs = net.predict_proba(X), len(net.history)
    with pytest.raises(ValueError) as caught:
        (net.partial_fit if method == "partial_fit" else net.fit)(X, later)
    for fragment in fragments:
        caught.match(fragment)
    np.testing.assert_array_equal(net.predict_proba(X), proba)
    assert len(net.history) == n_epochs


def test_numbers_that_were_not_named_are_refused_for_own_modules(device):
    net = make(device, **OWN).partial_fit(X[CODES < 2], CODES[CODES < 2], classes=[0, 1])
    with pytest.raises(ValueError, match=r"new labels \[2\]"):
        net.partial_fit(X, CODES)


@pytest.mark.parametrize("classes", [[0, 1], ["a", "b", "c"], [1, 2, 3]], ids=str)
def test_columns_have_no_other_names(classes, device):
    with pytest.raises(
        ValueError, match=r"classes must be the numbers of the columns .* 0 \.\. 2"
    ):
        make(device).partial_fit(X, INDICATOR, classes=classes)


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("name", ["labels", "one logit", "indicator, no label", "own, one logit"])
def test_two_halves_are_one_fit_for_every_kind(name, device):
    params, y, _ = RARE[name]
    whole = make(device, max_epochs=4, **params).fit(X, y)
    halves = make(device, **params).partial_fit(X, y).partial_fit(X, y)
    assert torch.equal(
        *(torch.cat([p.flatten() for p in n.module_.parameters()]) for n in (whole, halves))
    )


@pytest.mark.parametrize("params", [{}, OWN, OWN | SOFTLY], ids=str)
@pytest.mark.parametrize("named", [True, False])
def test_other_classes_in_a_later_call_are_refused(params, named, device):
    for labels in (CODES, WORDS):
        classes = np.unique(labels).tolist()
        net = make(device, **params).partial_fit(X, labels, classes=classes if named else None)
        before = net.predict_proba(X)
        other = 9 if labels is CODES else "yak"
        for wrong in ([*classes, other], classes[:2], [other, *classes[1:]]):
            with pytest.raises(ValueError, match=r"classes must be those of the first call, \["):
                net.partial_fit(X, labels, classes=wrong)
        np.testing.assert_array_equal(net.predict_proba(X), before)
        net.partial_fit(X, labels, classes=classes[::-1]).partial_fit(X, labels)
        assert len(net.history) == 6
