"""Metrics of models on tokens: loops over single rows, hand values, fills, errors."""

import math

import numpy as np
import pytest

from sgt_sklearn.metrics import (
    comprehensiveness,
    comprehensiveness_gap,
    make_interpretability_scorer,
    removal_curve,
    sufficiency,
    sufficiency_gap,
)
from tests.metrics.sequences import TokenClassifier

LENGTHS = (3, 8, 1, 5, 8, 2, 6)
VOCABULARY = 12
METRICS = [comprehensiveness, comprehensiveness_gap, sufficiency, sufficiency_gap]
FRACTIONS = (0.1, 0.3, 0.5, 0.8)


@pytest.fixture
def texts():
    """Rows of token ids without padding."""
    rng = np.random.default_rng(0)
    return [rng.permutation(np.arange(2, VOCABULARY))[:n] for n in LENGTHS]


@pytest.fixture
def vectors():
    return 2 * np.random.default_rng(1).standard_normal((VOCABULARY, 3))


@pytest.fixture
def model(vectors):
    return TokenClassifier(vectors).fit(None, [0, 1, 2])


def filled(texts, length=8):
    X = np.zeros((len(texts), length), dtype=np.int64)
    for row, x in zip(X, texts, strict=True):
        row[: len(x)] = x
    return X


def slow_value(metric, vectors, texts, *, seed, n_draws, outcome):
    """The metric by a loop over rows without padding, hidden tokens becoming unknown."""

    def probabilities(x):
        odds = np.exp(np.mean([vectors[token] for token in x], axis=0))
        return odds / odds.sum()

    keep = metric in (sufficiency, sufficiency_gap)
    rng = np.random.RandomState(seed)
    changes = {"attribution": [], "random": []}
    for _ in range(n_draws):
        keys = rng.random_sample((len(texts), max(LENGTHS)))
        for i, x in enumerate(texts):
            before = probabilities(x)
            best = before.argmax()
            orders = {
                "attribution": sorted(range(len(x)), key=lambda t: -abs(vectors[x[t], best])),
                "random": sorted(range(len(x)), key=lambda t: keys[i, t]),
            }
            for kind, order in orders.items():
                for fraction in FRACTIONS:
                    k = max(1, math.floor(fraction * len(x) + 1e-9))
                    perturbed = x.copy()
                    perturbed[order[k:] if keep else order[:k]] = 1
                    after = probabilities(perturbed)
                    if outcome == "flip":
                        changes[kind].append(float(after.argmax() != best))
                    else:
                        changes[kind].append(before[best] - after[best])
    ordered, at_random = np.mean(changes["attribution"]), np.mean(changes["random"])
    return {
        comprehensiveness: ordered,
        sufficiency: ordered,
        comprehensiveness_gap: ordered - at_random,
        sufficiency_gap: at_random - ordered,
    }[metric]


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("metric", METRICS)
def test_equals_a_loop_over_single_rows(model, vectors, texts, metric, outcome):
    options = {"fractions": FRACTIONS, "outcome": outcome, "n_draws": 3, "random_state": 5}
    value = metric(model, filled(texts), **options)
    expected = slow_value(metric, vectors, texts, seed=5, n_draws=3, outcome=outcome)
    assert value == pytest.approx(expected, abs=1e-12)
    assert value != 0
    # explicit and default settings are the same
    explicit = {"method": "input_x_gradient", "replacement": "unknown", "groups": "token"}
    assert metric(model, filled(texts), **explicit, **options) == value


@pytest.mark.parametrize("replacement", ["unknown", "marginal", lambda X, rng: X % 9 + 2])
@pytest.mark.parametrize("metric", METRICS)
def test_padding_does_not_matter(model, texts, metric, replacement):
    options = {"replacement": replacement, "random_state": 2}
    values = [metric(model, filled(texts, length), **options) for length in (8, 9, 30)]
    assert values == values[:1] * 3
    assert values[0] != 0


@pytest.mark.parametrize("metric", [comprehensiveness, sufficiency])
def test_a_batch_is_the_mean_of_its_rows_one_by_one(model, texts, metric):
    options = {"fractions": FRACTIONS, "n_draws": 1}
    alone = [metric(model, x[None], **options) for x in texts]
    together = metric(model, filled(texts), **options)
    assert together == pytest.approx(np.mean(alone), abs=1e-12)


def test_by_hand():
    """Two classes; the log-odds of a text are the mean of its tokens' numbers."""
    vectors = np.zeros((5, 2))
    vectors[:, 1] = [99, 0, 4, 1, -3]
    model = TokenClassifier(vectors).fit(None, [0, 1])
    X = np.array([[2, 3, 3, 0], [4, 0, 0, 0]])

    def probability(odds):
        return 1 / (1 + np.exp(-odds))

    # half of three tokens is one: the 4. The only token of the second text is unknown
    value = comprehensiveness(model, X, fractions=[0.5])
    drops = [probability(2) - probability(2 / 3), probability(3) - 0.5]
    assert value == pytest.approx(np.mean(drops))
    value = sufficiency(model, X, fractions=[0.5])
    assert value == pytest.approx((probability(2) - probability(4 / 3)) / 2)


def test_saliency_orders_nothing_behind_a_mean(model, texts):
    X = filled(texts)
    for gap in (comprehensiveness_gap, sufficiency_gap):
        assert gap(model, X, method="saliency", random_state=0) == 0
        assert gap(model, X, random_state=0) != 0
    assert set(model.methods_) == {"saliency", "input_x_gradient"}


def test_the_default_of_other_inputs_is_saliency_and_marginal(softmax, table):
    X, _ = table
    explicit = {"method": "saliency", "replacement": "marginal"}
    value = comprehensiveness(softmax, X, random_state=0)
    assert comprehensiveness(softmax, X, **explicit, random_state=0) == value


@pytest.fixture
def replaced(vectors):
    """Return a function from token ids and options to ids with all groups replaced."""

    def replace(X, fraction=1.0, **options):
        model = TokenClassifier(vectors).fit(None, [0, 1])
        seen = []

        def scorer(net, X, y):
            seen.append(X)
            return 0.0

        removal_curve(model, X, range(len(X)), fractions=[fraction], scoring=scorer, **options)
        return seen[::2]

    return replace


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("fraction", [0, 0.3, 0.5, 1])
def test_each_row_has_its_own_k_under_ties(replaced, texts, fraction, dtype):
    X = filled(texts, 10).astype(dtype)
    for draw in replaced(X, fraction, attributions=np.ones(X.shape), n_draws=2):
        assert draw.dtype == dtype
        hidden = draw == 1
        assert ((draw == X) | hidden).all()
        assert hidden.sum(axis=1).tolist() == [math.floor(fraction * n + 1e-9) for n in LENGTHS]


def test_marginal_takes_any_token_of_the_other_rows(replaced):
    X = np.array([[2, 3, 4, 0], [5, 5, 6, 0], [7, 0, 0, 0]])
    draws = np.stack(replaced(X, replacement="marginal", n_draws=600, random_state=0))
    assert (draws[:, X == 0] == 0).all()
    for i, others in enumerate(([5, 5, 6, 7], [2, 3, 4, 7], [2, 3, 4, 5, 5, 6])):
        drawn = draws[:, i][:, X[i] != 0]
        for column in drawn.T:
            for token in set(others):
                expected = others.count(token) / len(others)
                spread = 4 * np.sqrt(expected * (1 - expected) / 600)
                assert abs(np.mean(column == token) - expected) < spread
            assert set(column) == set(others)
    # places of a text are drawn one by one
    assert abs(np.mean(draws[:, 0, 0] == draws[:, 0, 1]) - (4 + 1 + 1) / 16) < 0.1


def test_padding_between_tokens_is_never_replaced(replaced, vectors):
    X = np.array([[2, 0, 4, 0], [5, 6, 7, 0]])
    for groups in ("token", [0, 0, 1, 1]):
        (draw,) = replaced(X, n_draws=1, groups=groups)
        assert draw.tolist() == [[1, 0, 1, 0], [1, 1, 1, 0]]
    seen = []
    model = TokenClassifier(vectors, seen=seen).fit(None, [0, 1])
    attributions = np.array([[1, 9, 2, 9], [1, 2, 3, 9]])
    sufficiency(model, X, attributions=attributions, fractions=[0.5], n_draws=1)
    assert seen[-1].tolist() == [[1, 0, 4, 0], [1, 1, 7, 0]]


def test_labels_of_positions(replaced):
    X = np.array([[2, 3, 4, 5, 0], [6, 7, 8, 0, 0]])
    attributions = np.array([[0, 9, 1, 1, np.nan], [0, 3, 2, np.nan, np.nan]])
    for groups in ([0, 0, 1, 1, 1], [0, 0, 1, 1]):
        (draw,) = replaced(X, 0.5, attributions=attributions, groups=groups, n_draws=1)
        # means 4.5 and 1; 1.5 and 2
        assert draw.tolist() == [[1, 1, 4, 5, 0], [6, 7, 1, 0, 0]]


def test_integers_are_tokens_for_estimators_of_tokens_only(vectors, texts):
    X = filled(texts)
    bare = TokenClassifier(vectors, embedding=None).fit(None, [0, 1, 2])
    attributions = (
        TokenClassifier(vectors).fit(None, [0, 1, 2]).attribute(X, method="input_x_gradient")
    )
    # replacement="unknown" says it of any estimator
    options = {"attributions": attributions, "random_state": 0}
    known = TokenClassifier(vectors).fit(None, [0, 1, 2])
    value = comprehensiveness(known, X, **options)
    assert comprehensiveness(bare, X, replacement="unknown", **options) == value
    with pytest.raises(ValueError, match="attributions must be finite"):
        comprehensiveness(bare, X, **options)


@pytest.mark.parametrize("name", ["comprehensiveness_gap", "removal_gap", "sufficiency_gap"])
def test_scorers(model, texts, name):
    X = filled(texts)
    y = model.predict(X)
    value = make_interpretability_scorer(name)(model, X, y)
    if name != "removal_gap":
        metric = {f.__name__: f for f in METRICS}[name]
        assert value == metric(model, X, random_state=0)
    else:
        assert value == removal_curve(model, X, y, random_state=0).gap
    assert value != 0


@pytest.mark.parametrize(
    ("X", "options", "match"),
    [
        ([[2, 3], [-1, 2]], {}, "got the negative id -1 in row 1"),
        ([[2, 3], [0, 0]], {}, "got no token in row 1"),
        ([[2, 3]], {"replacement": "marginal"}, 'at least 2 samples.*Use replacement="unknown"'),
        ([[2, 3]], {"replacement": "mean"}, 'must be "unknown", "marginal" or a callable for tok'),
        ([[2, 3]], {"replacement": lambda X, rng: X - 2}, "integers of 1 or more, got 0"),
        ([[2, 3]], {"replacement": lambda X, rng: X * 1.5}, "integers of 1 or more, got float64"),
        ([[2, 3]], {"groups": "time"}, r"groups 'time' does not fit samples of shape \(2,\)"),
    ],
)
def test_bad_input(model, X, options, match):
    with pytest.raises(ValueError, match=match):
        comprehensiveness(model, np.array(X), **options)
