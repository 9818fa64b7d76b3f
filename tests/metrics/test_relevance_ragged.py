"""Relevance metrics on samples of unequal length: lists, and arrays with trailing NaN."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import UndefinedMetricWarning

from sgt_sklearn.metrics import (
    benchmark_precision_recall,
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)

METRICS = [
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
    lambda attributions, relevance: benchmark_precision_recall(attributions, relevance).aup,
    lambda attributions, relevance: benchmark_precision_recall(attributions, relevance).aur,
]
names = {"ids": ["pointing", "precision", "mass", "rank", "roc", "aup", "aur"]}
LENGTHS = [7, 3, 1, 5, 2]


def draw(cell_shape, decimals, seed=0):
    rng = np.random.default_rng(seed)
    attributions, relevance = [], []
    for length in LENGTHS:
        values = rng.standard_normal((length, *cell_shape)).round(decimals)
        mask = rng.random(values.shape) < 0.4
        mask.ravel()[0] = True
        if mask.size > 1:
            mask.ravel()[1] = False
        values.ravel()[:2] = [3.5, 0.25][: values.size]
        attributions.append(values)
        relevance.append(mask)
    return attributions, relevance


def padded(samples, fill):
    shape = (len(samples), max(map(len, samples)), *samples[0].shape[1:])
    array = np.full(shape, fill)
    for row, sample in zip(array, samples, strict=True):
        row[: len(sample)] = sample
    return array


@pytest.mark.parametrize("metric", METRICS, **names)
@pytest.mark.parametrize("cell_shape", [(3,), (2, 2), ()], ids=["series", "maps", "tokens"])
@pytest.mark.parametrize("decimals", [8, 0], ids=["distinct", "ties"])
def test_padding_is_not_there(metric, cell_shape, decimals):
    attributions, relevance = draw(cell_shape, decimals)
    if cell_shape == ():
        # a single cell is neither ranked nor told apart
        attributions, relevance = ([s for s in p if len(s) > 1] for p in (attributions, relevance))
    expected = np.mean(
        [metric(a[None], r[None]) for a, r in zip(attributions, relevance, strict=True)]
    )
    ended, masks = padded(attributions, np.nan), padded(relevance, False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert metric(attributions, relevance) == pytest.approx(expected)
        assert metric(tuple(attributions), tuple(relevance)) == pytest.approx(expected)
        objects = np.empty(len(attributions), dtype=object)
        objects[:] = attributions
        assert metric(objects, relevance) == pytest.approx(expected)
        assert metric(ended, masks) == pytest.approx(expected)
        assert metric(ended.astype(np.float32), masks.astype(int)) == pytest.approx(
            expected, rel=1e-5
        )
        assert metric(ended.tolist(), masks.tolist()) == pytest.approx(expected)


@pytest.mark.parametrize("metric", METRICS, **names)
def test_masks_of_fewer_cells_repeat(metric):
    attributions, relevance = draw((3,), 8)
    of_steps = [mask.any(axis=1, keepdims=True) for mask in relevance]
    of_steps[2] = np.array([[True]])
    attributions, of_steps = attributions[:2] + attributions[3:], of_steps[:2] + of_steps[3:]
    for mask in of_steps:
        mask[-1] = False
    full = [np.repeat(mask, 3, axis=1) for mask in of_steps]
    assert metric(attributions, of_steps) == metric(attributions, full)
    common = np.array([[True, False, False]])
    ended = padded(attributions, np.nan)
    assert metric(attributions, [common] * 4) == pytest.approx(
        metric(ended, common & ~np.isnan(ended))
    )


@pytest.mark.parametrize("metric", METRICS, **names)
def test_lists_of_equal_length_are_arrays(metric):
    rng = np.random.default_rng(0)
    attributions, relevance = rng.standard_normal((5, 4, 3)), rng.random((5, 4, 3)) < 0.4
    relevance[:, 0] = [True, False, False]
    assert metric(list(attributions), list(relevance)) == metric(attributions, relevance)


@pytest.mark.parametrize("metric", METRICS[:-2], ids=names["ids"][:-2])
def test_samples_without_a_relevant_cell_are_left_out(metric):
    attributions, relevance = draw((3,), 8)
    expected = metric(attributions[1:], relevance[1:])
    relevance[0] = np.zeros_like(relevance[0])
    with pytest.warns(UndefinedMetricWarning, match="1 of 5 samples have no relevant"):
        assert metric(attributions, relevance) == pytest.approx(expected)
    ended, masks = padded(attributions, np.nan), padded(relevance, False)
    with pytest.warns(UndefinedMetricWarning, match="1 of 5 samples have no relevant"):
        assert metric(ended, masks) == pytest.approx(expected)


def with_value(value, step=1, sample=1):
    attributions, relevance = draw((3,), 8)
    array = padded(attributions, np.nan)
    array[sample, step, 1] = value
    return array, padded(relevance, False)


LIST, MASKS = draw((3,), 8)
ENDED, MASK = padded(LIST, np.nan), padded(MASKS, False)
OUTSIDE = MASK.copy()
OUTSIDE[1, 5, 2] = True


@pytest.mark.parametrize("metric", METRICS, **names)
@pytest.mark.parametrize(
    ("attributions", "relevance", "match"),
    [
        (*with_value(np.inf), "attributions must be finite, got 1 NaN or infinite"),
        (*with_value(np.nan), "attributions must be finite, got 1 NaN or infinite"),
        # behind the end of the second series, of length 3, a cell that is not NaN
        (*with_value(1.0, step=5), "attributions must be finite, got 8 NaN"),
        (*with_value(np.inf, step=5), "attributions must be finite, got 9 NaN or infinite"),
        (ENDED, OUTSIDE, r"relevance must be False on padding .* sample 1\. .*isnan"),
        (ENDED, np.ones((1, 3), bool), "relevance must be False on padding .* sample 1"),
        (np.full((2, 4, 3), np.nan), np.zeros((2, 4, 3), bool), "attributions must be finite"),
        (LIST, MASK, r"relevance must be a list of one mask .* 5 arrays .* \(5, 7, 3\)"),
        (LIST, MASKS[:4], "relevance must be a list of one mask .* got 4 masks"),
        (LIST, MASKS[::-1], r"relevance\[0\] must have the shape of .*\(7, 3\).* got \(2, 3\)"),
        (LIST, [m[:, 0] for m in MASKS], r"relevance\[0\] must have the shape .* got \(7,\)"),
        (LIST, [m * 0.5 for m in MASKS], r"relevance\[0\] must be boolean"),
        (LIST, [m * np.nan for m in MASKS], r"relevance\[0\] must be finite"),
        ([LIST[0], LIST[1] * np.nan], MASKS[:2], r"attributions\[1\] must be finite"),
        ([LIST[0], LIST[1][:0]], [MASKS[0], MASKS[1][:0]], r"attributions\[1\] must hold at"),
        ([LIST[0], LIST[1][:, :2]], MASKS[:2], "attributions must be convertible"),
        (LIST, [np.zeros_like(m) for m in MASKS], "at least one relevant cell"),
    ],
)
def test_bad_input(metric, attributions, relevance, match):
    with pytest.raises(ValueError, match=match):
        metric(attributions, relevance)


@pytest.mark.parametrize("metric", METRICS, **names)
def test_values_that_are_no_numbers(metric):
    with pytest.raises(TypeError, match=r"attributions\[0\] must be an array of real numbers"):
        metric([x.astype(str) for x in LIST], MASKS)
    with pytest.raises(TypeError, match=r"relevance\[0\] must be an array of real numbers"):
        metric(LIST, [m.astype(str) for m in MASKS])
