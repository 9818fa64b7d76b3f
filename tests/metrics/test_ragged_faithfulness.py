"""Metrics of models on series of unequal length: loops over single series, forms, hand values."""

import math

import numpy as np
import pytest

from sgt_sklearn.metrics import (
    _perturbation,
    comprehensiveness,
    comprehensiveness_gap,
    removal_curve,
    sufficiency,
    sufficiency_gap,
)
from tests.metrics.sequences import SeriesClassifier, SeriesRegressor

LENGTHS = (4, 7, 1, 5, 7, 2, 6, 3, 5)
LONGEST, N_FEATURES = 7, 3
METRICS = [comprehensiveness, comprehensiveness_gap, sufficiency, sufficiency_gap]
FRACTIONS = (0.1, 0.3, 0.5, 0.8)


@pytest.fixture
def series():
    rng = np.random.default_rng(0)
    return [rng.standard_normal((n, N_FEATURES)) + 3 for n in LENGTHS]


@pytest.fixture
def model(series):
    coef = np.random.default_rng(1).standard_normal((3, LONGEST, N_FEATURES))
    return SeriesClassifier(coef).fit(series, [0, 1, 2] * 3)


def filled(series, value, length):
    array = np.full((len(series), length, series[0].shape[1]), value)
    for row, x in zip(array, series, strict=True):
        row[: len(x)] = x
    return array


def lengths_of(series):
    return np.array([len(x) for x in series])


FORMS = {
    "list": list,
    "objects": lambda series: np.array([*series, None], dtype=object)[:-1],
    "dict": lambda series: {"X": filled(series, 0.0, LONGEST), "lengths": lengths_of(series)},
    "dict, long": lambda series: {"X": filled(series, 1e9, 12), "lengths": lengths_of(series)},
    "dict, NaN": lambda series: {"X": filled(series, np.nan, 9), "lengths": lengths_of(series)},
    "NaN": lambda series: filled(series, np.nan, LONGEST),
    "NaN, long": lambda series: filled(series, np.nan, 11),
}

# name: label of each cell of a sample, by step and feature
LABELS = {
    "cell": lambda t, f: (t, f),
    "time": lambda t, f: t,
    "feature": lambda t, f: f,
    "labels": lambda t, f: (t // 2, f == 0),
}


def group_argument(name):
    if name != "labels":
        return name
    return [[f"{t // 2} {f == 0}" for f in range(N_FEATURES)] for t in range(LONGEST)]


def slow_value(metric, model, series, label, replace, *, n_draws, seed, outcome):
    """The metric by a loop over single series, groups as sets of (step, feature).

    `replace(i, rng)` returns what replaces the cells of series i, for each draw of all of them.
    """
    keep = metric in (sufficiency, sufficiency_gap)
    rng = np.random.RandomState(seed)
    every = {label(t, f) for t in range(LONGEST) for f in range(N_FEATURES)}
    names = sorted(every)
    changes = {"attribution": [], "random": []}
    for _ in range(n_draws):
        keys = rng.random_sample((len(series), len(names)))
        values = replace(series, rng)
        for i, x in enumerate(series):
            before = model.predict_proba([x])[0]
            attribution = model.attribute([x])[0]
            members = {
                name: [
                    (t, f) for t in range(len(x)) for f in range(N_FEATURES) if label(t, f) == name
                ]
                for name in names
            }
            valid = [g for g, name in enumerate(names) if members[name]]
            score = {
                g: sum(abs(attribution[c]) for c in members[names[g]]) / len(members[names[g]])
                for g in valid
            }
            orders = {
                "attribution": sorted(valid, key=lambda g: (-score[g], keys[i, g])),
                "random": sorted(valid, key=lambda g: keys[i, g]),
            }
            for kind, order in orders.items():
                for fraction in FRACTIONS:
                    k = max(1, math.floor(fraction * len(valid) + 1e-9))
                    perturbed = x.copy()
                    for g in order[k:] if keep else order[:k]:
                        for cell in members[names[g]]:
                            perturbed[cell] = values[i][cell]
                    after = model.predict_proba([perturbed])[0]
                    if outcome == "flip":
                        changes[kind].append(float(after.argmax() != before.argmax()))
                    else:
                        changes[kind].append((before - after)[before.argmax()])
    ordered, at_random = np.mean(changes["attribution"]), np.mean(changes["random"])
    return {
        comprehensiveness: ordered,
        sufficiency: ordered,
        comprehensiveness_gap: ordered - at_random,
        sufficiency_gap: at_random - ordered,
    }[metric]


def means(series, rng):
    mean = np.concatenate(series).mean(axis=0)
    return [np.broadcast_to(mean, x.shape) for x in series]


def noise(series, rng):
    return list(rng.standard_normal((len(series), LONGEST, N_FEATURES)))


REPLACEMENTS = {
    "mean": ("mean", means),
    "callable": (lambda X, rng: rng.standard_normal(X.shape), noise),
}


@pytest.mark.parametrize("outcome", ["probability", "flip"])
@pytest.mark.parametrize("replacement", REPLACEMENTS)
@pytest.mark.parametrize("groups", LABELS)
@pytest.mark.parametrize("metric", METRICS)
def test_equals_a_loop_over_single_series(model, series, metric, groups, replacement, outcome):
    argument, slow = REPLACEMENTS[replacement]
    value = metric(
        model,
        series,
        fractions=FRACTIONS,
        groups=group_argument(groups),
        replacement=argument,
        outcome=outcome,
        n_draws=2,
        random_state=4,
    )
    expected = slow_value(
        metric, model, series, LABELS[groups], slow, n_draws=2, seed=4, outcome=outcome
    )
    assert value == pytest.approx(expected, abs=1e-12)
    assert value != 0


@pytest.mark.parametrize("replacement", ["marginal", "mean", lambda X, rng: 2 * X + rng.rand()])
@pytest.mark.parametrize("groups", [*LABELS, "time_then_feature"])
@pytest.mark.parametrize("metric", [comprehensiveness_gap, sufficiency])
def test_the_form_of_the_padding_does_not_matter(model, series, metric, groups, replacement):
    values = [
        metric(
            model,
            form(series),
            groups=group_argument(groups),
            replacement=replacement,
            random_state=3,
        )
        for form in FORMS.values()
    ]
    assert values == values[:1] * len(values)
    assert values[0] != 0


def test_the_form_of_the_padding_does_not_matter_to_the_curve(model, series):
    y = model.predict(series)
    first, *others = (
        removal_curve(model, form(series), y, random_state=3) for form in FORMS.values()
    )
    for curve in others:
        assert (curve.scores == first.scores).all()
        assert (curve.random_scores == first.random_scores).all()
    assert first.scores[0] == 1
    assert first.gap != 0


@pytest.mark.parametrize("form", ["list", "dict, long", "NaN, long"])
def test_series_of_equal_length_are_a_plain_array(model, series, form):
    equal = [x[:4] for x in series if len(x) >= 4]
    plain = comprehensiveness_gap(model, np.stack(equal), random_state=0)
    assert comprehensiveness_gap(model, FORMS[form](equal), random_state=0) == plain != 0


@pytest.mark.parametrize("groups", [*LABELS, "time_then_feature"])
@pytest.mark.parametrize("metric", [comprehensiveness, sufficiency])
def test_a_batch_is_the_mean_of_its_series_one_by_one(model, series, metric, groups):
    # nothing here is drawn: no ties, and a replacement without donors
    options = {"replacement": lambda X, rng: np.zeros_like(X), "fractions": FRACTIONS}
    together = metric(model, series, groups=group_argument(groups), n_draws=1, **options)
    labels = np.array(group_argument(groups)) if groups == "labels" else None
    alone = [
        metric(
            model,
            [x],
            groups=groups if labels is None else labels[: len(x)],
            n_draws=1,
            **options,
        )
        for x in series
    ]
    assert together == pytest.approx(np.mean(alone), abs=1e-12)


def test_by_hand():
    """Scores are means over the steps: 1 and 3 for the long series, 8 for the short one."""
    series = [np.array([[1.0], [3.0]]), np.array([[8.0]])]
    model = SeriesRegressor([[[1.0], [2.0]]]).fit(series, None)
    # the step with the larger weight is the second, the short series has the first alone
    options = {"replacement": lambda X, rng: np.zeros_like(X), "n_draws": 1}
    # 2 * 3 / 2 of the long one and 8 of the short one, in units of 2
    value = comprehensiveness(model, series, fractions=[0.5], **options)
    assert value == pytest.approx((3 + 8) / 2 / 2)
    # of one step the first half is that step: nothing is left to replace
    value = sufficiency(model, series, fractions=[0.5], **options)
    assert value == pytest.approx((1 * 1 / 2 + 0) / 2 / 2)
    # the only donor: of the first steps the other series; none reaches the second step
    value = comprehensiveness(model, series, fractions=[1.0])
    assert value == pytest.approx(((8 - 1) / 2 + (8 - 1)) / 2 / 2)


@pytest.fixture
def replaced(series):
    """Return a function from options to lists of series with all groups replaced."""

    def replace(series=series, fraction=1.0, **options):
        model = SeriesRegressor(np.ones((1, LONGEST, series[0].shape[1]))).fit(series, None)
        seen = []

        def scorer(net, X, y):
            seen.append(X)
            return 0.0

        removal_curve(
            model, series, range(len(series)), fractions=[fraction], scoring=scorer, **options
        )
        return seen[::2]

    return replace


def row_numbers():
    return [np.full((n, N_FEATURES), float(i)) for i, n in enumerate(LENGTHS)]


@pytest.mark.parametrize(
    ("groups", "reach"),
    [
        ("cell", lambda t, n: t + 1),
        ("time_then_feature", lambda t, n: t + 1),
        ("time", lambda t, n: t + 1),
        # steps 2 and 3 are one group, of which a series of length 3 has one
        ("labels", lambda t, n: min(t + 1 + (t % 2 == 0), n)),
        ("feature", lambda t, n: n),
    ],
)
def test_marginal_takes_cells_of_other_series_that_are_long_enough(replaced, groups, reach):
    rows, n_draws = row_numbers(), 60
    draws = replaced(rows, groups=group_argument(groups), n_draws=n_draws, random_state=0)
    assert len(draws) == n_draws
    for i, n in enumerate(LENGTHS):
        for t in range(n):
            able = {j for j, m in enumerate(LENGTHS) if m >= reach(t, n) and j != i} or {i}
            donors = np.stack([draw[i][t] for draw in draws])
            assert set(donors.ravel()) == able
            if len(able) > 1:
                expected = donors.size / len(able)
                independent = 1 if groups not in ("cell", "time_then_feature") else N_FEATURES
                counts = np.bincount(donors.astype(int).ravel(), minlength=9)[sorted(able)]
                spread = np.sqrt(expected * N_FEATURES / independent)
                assert np.abs(counts - expected).max() < 5 * spread
            if groups in ("time", "labels"):
                assert (donors[:, 1] == donors[:, 2]).all()


def test_marginal_keeps_step_and_feature(replaced):
    place = np.arange(LONGEST)[:, None] * 10 + np.arange(N_FEATURES)
    rows = [place[:n] + i / 16 for i, n in enumerate(LENGTHS)]
    for draw in replaced(rows, random_state=0):
        for x in draw:
            assert (x // 1 == place[: len(x)]).all()


@pytest.mark.parametrize("fraction", [0, 0.1, 0.3, 0.5, 0.75, 1])
@pytest.mark.parametrize("groups", ["cell", "time", "feature", "time_then_feature"])
def test_each_series_has_its_own_k_under_ties(replaced, series, fraction, groups):
    options = {"attributions": [np.ones_like(x) for x in series], "n_draws": 2}
    draws = replaced(fraction=fraction, groups=groups, replacement=lambda X, rng: X + 1, **options)
    for draw in draws:
        assert [x.shape for x in draw] == [x.shape for x in series]
        for x, y in zip(series, draw, strict=True):
            changed = y != x
            n_groups = {"time": len(x), "feature": N_FEATURES}.get(groups, x.size)
            k = math.floor(fraction * n_groups + 1e-9)
            assert changed.sum() == k * x.size // n_groups
            if groups in ("time", "feature"):
                axis = 1 if groups == "time" else 0
                assert (changed.any(axis=axis) == changed.all(axis=axis)).all()


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.75, 0.9, 1])
@pytest.mark.parametrize("padded", [False, True])
def test_time_then_feature(replaced, fraction, padded):
    rng = np.random.default_rng(0)
    lengths = LENGTHS if padded else (5,) * 6
    rows = [rng.standard_normal((n, N_FEATURES)) for n in lengths]
    attributions = [rng.standard_normal(x.shape) for x in rows]
    (draw,) = replaced(
        rows,
        fraction=fraction,
        attributions=attributions,
        groups="time_then_feature",
        replacement=lambda X, rng: X + 1,
        n_draws=1,
    )
    for x, y, a in zip(rows, draw, attributions, strict=True):
        a = np.abs(a)
        k = math.floor(fraction * x.size + 1e-9)
        n_whole = math.floor((1 - math.sqrt(1 - fraction)) * len(x) + 1e-9)
        steps = sorted(range(len(x)), key=lambda t: -a[t].mean())[:n_whole]
        others = [(t, f) for t in range(len(x)) for f in range(N_FEATURES) if t not in steps]
        others.sort(key=lambda cell: -a[cell])
        expected = np.zeros(x.shape, bool)
        expected[steps] = True
        for cell in others[: k - n_whole * N_FEATURES]:
            expected[cell] = True
        assert ((y != x) == expected).all()


def test_random_order_of_time_then_feature_is_random(series, model):
    noise = [np.ones_like(x) for x in series]
    options = {"groups": "time_then_feature", "random_state": 0}
    # equal attributions are ordered as the random order, at both levels
    assert comprehensiveness_gap(model, series, attributions=noise, **options) == 0
    values = [
        comprehensiveness(model, series, attributions=noise, groups=g, random_state=s)
        for g in ("time", "time_then_feature")
        for s in (0, 1)
    ]
    assert len(set(values)) == 4


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", ["list", "NaN", "NaN, long", "garbage"])
def test_attributions_in_any_form(model, series, form, given):
    rng = np.random.default_rng(0)
    attributions = [rng.standard_normal(x.shape) for x in series]
    X = FORMS[form](series)
    expected = sufficiency(model, series, attributions=attributions, random_state=0)
    array = X["X"] if isinstance(X, dict) else X
    length = LONGEST if form in ("list", "objects") else array.shape[1]
    passed = {
        "list": lambda: attributions,
        "NaN": lambda: filled(attributions, np.nan, LONGEST),
        "NaN, long": lambda: filled(attributions, np.nan, length),
        "garbage": lambda: filled(attributions, 1e9, length),
    }[given]()
    assert sufficiency(model, X, attributions=passed, random_state=0) == expected


def test_the_container_and_the_numbers_are_those_that_were_passed(series):
    single = [x.astype(np.float32) for x in series]
    coef = np.ones((1, LONGEST, N_FEATURES))
    for name, form in FORMS.items():
        X, seen = form(single), []
        if "NaN" in name and isinstance(X, np.ndarray):
            X = X.astype(np.float32)
        comprehensiveness(SeriesRegressor(coef, seen).fit(X, None), X, n_draws=1, random_state=0)
        base, after = seen[0], seen[1]
        if "list" in name or name == "objects":
            assert isinstance(base, list)
            assert all((a == b).all() for a, b in zip(base, single, strict=True))
            assert [x.shape for x in after] == [x.shape for x in single] * 5
            assert {x.dtype for x in after} == {np.dtype(np.float32)}
        elif name.startswith("dict"):
            assert base["X"].shape == X["X"].shape
            assert (base["lengths"] == X["lengths"]).all()
            assert after["lengths"].tolist() == list(LENGTHS) * 5
            behind = np.arange(after["X"].shape[1]) >= after["lengths"][:, None]
            assert (after["X"][behind] == 0).all()
        else:
            np.testing.assert_array_equal(base, X)
            assert after.dtype == np.float32
            missing = np.tile(np.isnan(X), (5, 1, 1))
            assert (np.isnan(after) == missing).all()


def test_callables_get_padding_as_nan_and_need_not_fill_it(model, series):
    shown = []

    def replacement(X, rng):
        shown.append(X)
        return np.nan_to_num(X, nan=np.nan) * 0.5

    halves = comprehensiveness(
        model, FORMS["dict, long"](series), replacement=replacement, n_draws=1
    )
    np.testing.assert_array_equal(shown[0], filled(series, np.nan, LONGEST))
    direct = comprehensiveness(model, series, replacement=lambda X, rng: X / 2, n_draws=1)
    assert halves == direct


def test_mean_is_over_the_steps_of_the_series(replaced, series):
    (draw,) = replaced(replacement="mean", n_draws=1)
    mean = np.concatenate(series).mean(axis=0)
    for x in draw:
        np.testing.assert_allclose(x, np.broadcast_to(mean, x.shape), rtol=1e-12)


def test_constant_predictor_and_attributions_without_order_have_no_gap(series, model):
    constant = SeriesClassifier(np.zeros((3, LONGEST, N_FEATURES))).fit(series, [0, 1, 2] * 3)
    ones = [np.ones_like(x) for x in series]
    for gap in (comprehensiveness_gap, sufficiency_gap):
        assert gap(constant, series, random_state=0) == 0
        assert gap(model, series, attributions=ones, random_state=0) == 0
        assert gap(model, series, random_state=0) != 0


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            lambda s: [s[0][:0], *s[1:]],
            ValueError,
            "at least one step, got length 0 at position 0",
        ),
        (lambda s: [np.full((4, 3), np.nan), *s[1:]], ValueError, "NaN or infinity in series 0"),
        (lambda s: [s[0][:, :2], *s[1:]], ValueError, "the same number of features"),
        (lambda s: FORMS["dict"](s) | {"lengths": [8] * 9}, ValueError, "one integer a series, 1"),
        (lambda s: FORMS["dict"](s) | {"other": 1}, TypeError, "got a dict of .*'other'"),
        (lambda s: s[:1], ValueError, "at least 2 samples"),
        (lambda s: FORMS["NaN"](s)[:, ::-1], ValueError, "finite inside each series"),
    ],
)
def test_bad_series(model, series, change, error, match):
    with pytest.raises(error, match=match):
        comprehensiveness(model, change(series))


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"attributions": [np.ones((4, 3))]}, "must be a list of 9 arrays.*got 1"),
        (
            {"attributions": [np.ones((2, 3))] * 9},
            r"attributions\[0\] must have the shape of sample 0 of X, \(4, 3\), got \(2, 3\)",
        ),
        (
            {"attributions": [np.full((n, 3), np.nan) for n in LENGTHS]},
            r"attributions\[0\] must be finite",
        ),
        ({"attributions": np.full((9, 7, 3), np.nan)}, "attributions must be finite"),
        ({"attributions": np.ones((9, 5, 3))}, r"\(9, 7, 3\), got \(9, 5, 3\)"),
        ({"groups": "pixel"}, r"groups 'pixel' does not fit samples of shape \(7, 3\)"),
        ({"groups": "times"}, r"groups must be one of \('cell', .* got 'times'"),
        ({"groups": np.zeros((5, 3), int)}, r"= \(7, 3\) .* got shape \(5, 3\)"),
        ({"replacement": "unknown"}, '"unknown" is for tokens.*Use "marginal"'),
        ({"replacement": lambda X, rng: X[:, :2]}, r"\(9, 7, 3\), got \(9, 2, 3\)"),
        ({"replacement": lambda X, rng: X * np.nan}, "replacement must be finite"),
    ],
)
def test_bad_options(model, series, options, match):
    with pytest.raises(ValueError, match=match):
        comprehensiveness(model, series, **options)


@pytest.mark.parametrize("groups", ["cell", "time_then_feature"])
def test_batches_of_predictions_do_not_matter(series, groups, monkeypatch):
    coef = np.random.default_rng(1).standard_normal((1, LONGEST, N_FEATURES))
    seen = []
    model = SeriesRegressor(coef, seen).fit(series, None)
    value = comprehensiveness_gap(model, series, groups=groups, random_state=0)
    seen.clear()
    monkeypatch.setattr(_perturbation, "MAX_BYTES", 5 * LONGEST * N_FEATURES * 8)
    assert comprehensiveness_gap(model, series, groups=groups, random_state=0) == value
    assert max(map(len, seen)) == 5
