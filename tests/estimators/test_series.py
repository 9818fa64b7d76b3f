"""Series of unequal length: what is behind their ends takes part in nothing."""

import functools

import numpy as np
import pytest
import torch

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from tests.estimators.sequences import (
    FORMS,
    LABELS,
    LENGTHS,
    LONGEST,
    N_FEATURES,
    RAGGED,
    SERIES,
    TARGETS,
    N,
    as_dict,
    assert_same_parameters,
    cell_scores,
    filled,
    make,
    module_of,
    outputs,
)

ESTIMATORS = {SaliencyGuidedClassifier: LABELS, SaliencyGuidedRegressor: TARGETS}
# smooth_grad draws noise, which is another one for each batch
METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient")


def parametrize_estimators(function):
    return pytest.mark.parametrize("cls", ESTIMATORS)(function)


def parametrize_networks(function):
    """All networks, one of them as a regressor too: what differs then lies behind the networks."""
    cases = [(module, SaliencyGuidedClassifier) for module in SERIES]
    cases += [("gru", SaliencyGuidedRegressor)]
    return pytest.mark.parametrize(("module", "cls"), cases)(function)


@functools.cache
def classifier(module, device):
    """Trained on the series, for tests that only ask it."""
    return make(module, device).fit(RAGGED, LABELS)


# forms


@parametrize_networks
def test_forms_are_one_input(module, cls, device, deterministic_cuda):
    y = ESTIMATORS[cls]
    net = make(module, device, cls).fit(RAGGED, y)
    expected, values = outputs(net, RAGGED), net.attribute(RAGGED)
    assert isinstance(values, list)
    assert [v.shape for v in values] == [x.shape for x in RAGGED]
    for name, form in FORMS.items():
        other = make(module, device, cls).fit(form(RAGGED), y)
        assert_same_parameters(other, net)
        np.testing.assert_array_equal(outputs(net, form(RAGGED)), expected)
        np.testing.assert_array_equal(net.predict(form(RAGGED)), net.predict(RAGGED))
        np.testing.assert_array_equal(other.feature_importances_, net.feature_importances_)
        found = net.attribute(form(RAGGED))
        assert isinstance(found, list) == (name in ("list", "object array"))
        for row, value, length in zip(found, values, LENGTHS, strict=True):
            np.testing.assert_array_equal(row[:length], value)
            assert np.isnan(row[length:]).all()
    assert net.n_features_in_ == N_FEATURES
    assert net.score(RAGGED, y) == net.score(filled(RAGGED, np.nan), y)


@pytest.mark.parametrize("module", SERIES)
def test_dict_may_be_wider_than_its_series(module, device):
    net = make(module, device).fit(as_dict(RAGGED, np.nan, length=LONGEST + 4), LABELS)
    wide = as_dict(RAGGED, 7.0, length=LONGEST + 4)
    values = net.attribute(wide)
    assert values.shape == wide["X"].shape
    np.testing.assert_allclose(net.predict_proba(wide), net.predict_proba(RAGGED), atol=1e-5)
    for row, value, length in zip(values, net.attribute(RAGGED), LENGTHS, strict=True):
        np.testing.assert_allclose(row[:length], value, atol=1e-5)
        assert np.isnan(row[length:]).all()


def test_series_of_one_length(device):
    square = [x[:5] for x in RAGGED if len(x) >= 5]
    y = LABELS[[len(x) >= 5 for x in RAGGED]]
    nets = [make("tcn", device).fit(X, y) for X in (square, np.array(square))]
    assert_same_parameters(*nets)
    values = nets[0].attribute(square)
    assert isinstance(values, list)
    np.testing.assert_array_equal(np.array(values), nets[0].attribute(np.array(square)))
    assert make("auto", device).fit(square, y).module_.module.__class__.__name__ == "TCN"


@pytest.mark.parametrize("module", SERIES)
@pytest.mark.parametrize("form", FORMS)
def test_all_outputs_are_explained(module, form, device):
    net = classifier(module, device)
    X = FORMS[form](RAGGED)
    values = net.attribute(X, target="all")
    if form in ("list", "object array"):
        assert [v.shape for v in values] == [(3, *x.shape) for x in RAGGED]
    else:
        assert values.shape == (N, 3, LONGEST, N_FEATURES)
        padding = np.arange(LONGEST) >= np.array(LENGTHS)[:, None]
        np.testing.assert_array_equal(np.isnan(values).all(axis=(1, 3)), padding)
        np.testing.assert_array_equal(np.isnan(values).any(axis=(1, 3)), padding)
    for label, column in zip("abc", range(3), strict=True):
        for row, single in zip(values, net.attribute(X, target=label), strict=True):
            np.testing.assert_array_equal(row[column], single)


@pytest.mark.parametrize("module", SERIES)
def test_longer_series_at_prediction(module, device):
    net = classifier(module, device)
    longer = [np.concatenate([x] * 3) for x in RAGGED]
    together, alone = (
        net.predict_proba(longer),
        np.concatenate([net.predict_proba([x]) for x in longer]),
    )
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert [v.shape for v in net.attribute(longer)] == [x.shape for x in longer]
    assert net.predict(np.stack(longer[1:2])).shape == (1,)


# padding


@parametrize_networks
def test_padded_batch_is_its_series_one_by_one(module, cls, device):
    net = make(module, device, cls, batch_size=N).fit(RAGGED, ESTIMATORS[cls])
    together = outputs(net, RAGGED)
    alone = np.concatenate([outputs(net, [x]) for x in RAGGED])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)
    # a regressor has one output only
    kinds = ("logit", "log_proba") if cls is SaliencyGuidedClassifier else ("logit",)
    for method in METHODS:
        for output in kinds:
            options = {"method": method, "output": output, "n_steps": 4, "standardized": True}
            together = net.attribute(RAGGED, **options)
            for x, values in zip(RAGGED, together, strict=True):
                (own,) = net.attribute([x], **options)
                np.testing.assert_allclose(values, own, rtol=1e-4, atol=1e-5)


@parametrize_networks
def test_what_padding_holds_changes_nothing(module, cls, device, deterministic_cuda):
    X, y = as_dict(RAGGED), ESTIMATORS[cls]
    net = make(module, device, cls).fit(X, y)
    few = {"n_steps": 4, "n_samples": 4, "random_state": 0}
    expected = {name: net.attribute(X, method=name, **few) for name in (*METHODS, "smooth_grad")}
    for value in (1e6, -np.inf, np.nan):
        garbage = as_dict(RAGGED, value)
        other = make(module, device, cls).fit(garbage, y)
        assert_same_parameters(net, other)
        assert net.history[:, "train_loss"] == other.history[:, "train_loss"]
        np.testing.assert_array_equal(outputs(net, X), outputs(net, garbage))
        for method, values in expected.items():
            found = net.attribute(garbage, method=method, **few)
            np.testing.assert_array_equal(values, found)
        # the user's arrays are left alone
        np.testing.assert_array_equal(garbage["X"], filled(RAGGED, value))


def log_softmax(z):
    return z - z.logsumexp(-1, keepdim=True)


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("module", SERIES)
def test_training_step_of_padded_batch_by_hand(module, saliency_pass, device, masked_batches):
    # without a learning rate, the module of the step is that of the end
    fixed = {"lr": 0.0, "max_epochs": 1, "batch_size": N, "iterator_train__shuffle": False}
    hide = {"mask_order": "absolute", "mask_fill": "constant", "mask_value": -1.0}
    net = make(module, device, saliency_pass=saliency_pass, **fixed, **hide).fit(RAGGED, LABELS)
    module = module_of(net)
    sd = np.concatenate(RAGGED).astype(np.float64).std(axis=0)
    ((_, masked, codes),) = masked_batches
    task, consistency = [], []
    for i, x in enumerate(RAGGED):
        row, length = masked[i], len(x)
        assert torch.equal(row[length:], torch.zeros(LONGEST - length, N_FEATURES))
        hidden = row[:length] == -1
        assert torch.equal(row[:length][~hidden], torch.from_numpy(x)[~hidden])
        # the lowest of the series alone, as far as rounding tells them apart
        scores = cell_scores(module, x, codes[i], sd)
        assert hidden.sum() == int(0.5 * x.size + 1e-9)
        if hidden.any():
            assert scores[hidden].max() <= scores[~hidden].min() + 1e-6 * scores.max()
        with torch.no_grad():
            z, z_masked = (
                log_softmax(module(data[None])[0]) for data in (torch.from_numpy(x), row[:length])
            )
        task.append(-z[codes[i]].item())
        consistency.append((z.exp() * (z - z_masked)).sum().item())
    assert consistency[2] > 0 and LENGTHS[2] == 1
    assert net.history[0, "train_task_loss"] == pytest.approx(np.mean(task), abs=1e-5)
    assert net.history[0, "train_consistency_loss"] == pytest.approx(
        np.mean(consistency), rel=1e-4, abs=1e-7
    )


@pytest.mark.parametrize("order", ["absolute", "sampled", "random"])
@pytest.mark.parametrize(
    "fill", ["marginal", "sample_uniform", "feature_uniform", "mean", "constant"]
)
def test_fills_come_from_series_and_never_from_padding(fill, order, device, masked_batches):
    make("tcn", device, mask_order=order, mask_fill=fill, mask_value=9.0, mask_fraction=0.9).fit(
        as_dict(RAGGED, np.inf), LABELS
    )
    steps = np.concatenate(RAGGED)
    low, high, mean = (torch.from_numpy(f(steps, axis=0)) for f in (np.min, np.max, np.mean))
    n_changed = 0
    for batch, masked, _ in masked_batches:
        padding = (batch == 0).all(2)
        assert (masked[padding] == 0).all()
        for i, row in enumerate(masked):
            inside = ~padding[i]
            own, new = batch[i][inside], row[inside]
            changed = own != new
            n_changed += int(changed.sum())
            assert changed.sum() <= int(0.9 * own.numel() + 1e-9)
            if fill == "constant":
                expected = changed & (new != 9)
            elif fill == "mean":
                expected = changed & ~torch.isclose(new, mean.expand_as(new))
            elif fill == "feature_uniform":
                expected = (new < low - 1e-4) | (new > high + 1e-4)
            elif fill == "sample_uniform":
                expected = (new < own.amin(0) - 1e-4) | (new > own.amax(0) + 1e-4)
            else:
                # the same cell of another series of the batch that has this step
                donors = torch.where(padding[:, inside, None], torch.nan, batch[:, inside])
                expected = ~(new == donors).any(0)
            assert not expected.any()
    assert n_changed > 100


# statistics


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_statistics_are_those_of_the_steps(form, weighted, device):
    weight = np.linspace(0.5, 3, N) if weighted else None
    X = as_dict(RAGGED, np.nan, LONGEST + 2) if form == "dict" else FORMS[form](RAGGED)
    net = make("gru", device, max_epochs=1).fit(X, LABELS, sample_weight=weight)
    steps = np.concatenate(RAGGED).astype(np.float64)
    by_step = np.repeat(np.ones(N) if weight is None else weight, LENGTHS)
    mean = (by_step[:, None] * steps).sum(0) / by_step.sum()
    variance = (by_step[:, None] * (steps - mean) ** 2).sum(0) / by_step.sum()
    found = net._statistics_
    np.testing.assert_allclose(found.minimum, steps.min(0))
    np.testing.assert_allclose(found.maximum, steps.max(0))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.scale, np.sqrt(variance))
    np.testing.assert_allclose(net.module_.mean.cpu(), mean, rtol=1e-6)
    np.testing.assert_allclose(net.module_.factor.cpu(), 1 / np.sqrt(variance), rtol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("module", SERIES)
def test_feature_importances_by_hand(module, weighted, device):
    weight = np.linspace(0.5, 3, N) if weighted else np.ones(N)
    net = make(module, device).fit(
        as_dict(RAGGED, length=LONGEST + 1), LABELS, sample_weight=weight if weighted else None
    )
    found, scale, module = net.feature_importances_, net._statistics_.scale, module_of(net)
    total, count = np.zeros((LONGEST + 1, N_FEATURES)), np.zeros((LONGEST + 1, 1))
    for x, w in zip(RAGGED, weight, strict=True):
        leaf = torch.from_numpy(x)[None].requires_grad_(True)
        z = module(leaf)[0]
        (gradient,) = torch.autograd.grad(z.max() - z.mean(), leaf)
        total[: len(x)] += w * np.abs(gradient[0].numpy()) * scale
        count[: len(x)] += w
    # a mean over the series that have the step; no series has the last one
    expected = total / np.where(count == 0, 1, count)
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-3, atol=1e-6)
    assert (found[-1] == 0).all()


# weights


@parametrize_estimators
@pytest.mark.parametrize("form", FORMS)
def test_samples_of_weight_0_have_no_influence(form, cls, device, deterministic_cuda):
    weight = np.linspace(0.5, 3, N + 2)
    weight[[0, 5]] = 0
    # the longest, and the one with the largest values
    outlier = np.full((LONGEST + 6, N_FEATURES), 1e4, dtype=np.float32)
    series = [outlier, *RAGGED[:4], outlier[:2] * -2, *RAGGED[4:]]
    y = np.insert(ESTIMATORS[cls], [0, 4], ESTIMATORS[cls][:2])
    kept = np.flatnonzero(weight)
    X, X_kept = FORMS[form](series), FORMS[form](RAGGED)
    if form in ("nan", "dict"):  # the array is as wide, whichever rows count
        X_kept = filled(RAGGED, np.nan, LONGEST + 6)
    net = make("lstm", device, cls).fit(X, y, sample_weight=weight)
    expected = make("lstm", device, cls).fit(X_kept, y[kept], sample_weight=weight[kept])
    assert_same_parameters(net, expected)
    assert net.history[:, "train_loss"] == expected.history[:, "train_loss"]
    np.testing.assert_array_equal(net.feature_importances_, expected.feature_importances_)
    # of one length, what is left is no different from an array
    square = [x[:5] for x in RAGGED if len(x) >= 5]
    y = y[kept][[len(x) >= 5 for x in RAGGED]]
    weight = np.ones(len(square) + 1)
    weight[0] = 0
    X, y_all = FORMS[form]([outlier[:4], *square]), np.insert(y, 0, y[0])
    net = make("transformer", device, cls).fit(X, y_all, sample_weight=weight)
    assert_same_parameters(net, make("transformer", device, cls).fit(np.array(square), y))


@pytest.mark.parametrize("by", ["sample", "class"])
def test_weighted_loss_by_hand(by, device):
    weight = np.linspace(0.5, 3, N)
    params = {"lr": 0.0, "max_epochs": 1, "batch_size": N}
    if by == "class":
        params["class_weight"] = {"a": 0.5, "b": 2.0, "c": 0.0}
        weight = np.array([params["class_weight"][label] for label in LABELS])
    net = make("gru", device, **params).fit(
        RAGGED, LABELS, sample_weight=weight if by == "sample" else None
    )
    probabilities = net.predict_proba(RAGGED)
    loss = -np.log(probabilities[np.arange(N), np.searchsorted(net.classes_, LABELS)])
    assert net.history[0, "train_task_loss"] == pytest.approx(
        np.average(loss, weights=weight), abs=1e-5
    )
