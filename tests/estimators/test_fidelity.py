"""The estimators against the slow loop of ``tests/guidance/slow_loop.py``."""

import copy
import math

import numpy as np
import pytest
import torch
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
)
from sgt_sklearn._random import mask_seed
from sgt_sklearn.modules import MLP
from tests.estimators.recorders import (
    CountingFill,
    InputRecorder,
    PassCounter,
    RecordingDropout,
)
from tests.guidance import slow_loop
from tests.guidance.fidelity_cases import (
    BATCHES,
    CASES,
    CRITERIA,
    LR,
    OWN_DIVERGENCE,
    SEED,
    TASKS,
    absolute_difference,
    make_data,
    make_net,
)


def make_estimator(net, task, device, **options):
    """Guided training of a float64 module by plain gradient descent on the slow loop's batches."""
    cls = SaliencyGuidedRegressor if task == "targets" else SaliencyGuidedClassifier
    settings = {
        "optimizer": torch.optim.SGD,
        "lr": LR,
        "max_epochs": 1,
        "batch_size": BATCHES[0].stop,
        "iterator_train__shuffle": False,
        "random_state": SEED,
        "device": device,
    }
    return cls(net, **settings | {"criterion": CRITERIA[task]} | options)


def guidance_parameters(setting):
    return {
        "mask_fraction": setting.fraction,
        "mask_schedule": "constant",
        "consistency_weight": setting.weight,
        "mask_order": setting.order,
        "saliency_output": setting.output,
        "mask_fill": setting.fill,
        "mask_value": setting.value,
        "feature_groups": setting.groups,
        "consistency": setting.divergence,
    }


def slow_training(net, X, y, setting, device, *, batches=BATCHES, **options):
    """Train the net in place; the generator of the masks is the private one of the estimators."""
    generator = torch.Generator(device).manual_seed(mask_seed(SEED))
    X, y = torch.from_numpy(X).to(device), torch.from_numpy(y).to(device)
    return slow_loop.train(net, X, y, batches, setting, generator, LR, **options)


def assert_same_state(net, expected, atol=1e-10):
    torch.testing.assert_close(net.state_dict(), expected.state_dict(), atol=atol, rtol=0)


def fitted_state(net, X, y, device, task="classes", **options):
    """Parameters and buffers after a fit of a copy of the net."""
    return make_estimator(copy.deepcopy(net), task, device, **options).fit(X, y).module_


@pytest.mark.parametrize("case", CASES, ids=str)
def test_three_steps_equal_the_slow_loop(case, device):
    net, (X, y) = make_net(case.kind), make_data(case.kind, case.task)
    slow_net = copy.deepcopy(net).to(device)
    parameters = guidance_parameters(case.setting)
    estimator = make_estimator(
        net, case.task, device, saliency_pass=case.saliency_pass, **parameters
    ).fit(X, y)
    expected = slow_training(slow_net, X, y, case.setting, device)
    assert_same_state(estimator.module_, slow_net)
    batches = estimator.history[-1]["batches"]
    losses = [(b["train_task_loss"], b["train_consistency_loss"]) for b in batches]
    torch.testing.assert_close(losses, expected, atol=1e-10, rtol=0)
    total = [task + case.setting.weight * consistency for task, consistency in losses]
    assert [b["train_loss"] for b in batches] == pytest.approx(total, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", ["table", "image"])
def test_auto_is_the_table_of_the_design(kind, task, device):
    net, (X, y) = make_net(kind), make_data(kind, task)
    slow_net = copy.deepcopy(net).to(device)
    setting = slow_loop.Setting(
        order="absolute",
        output="margin",
        fill={"table": "feature_uniform", "image": "sample_uniform"}[kind],
        groups={"table": "cell", "image": "pixel"}[kind],
        divergence=OWN_DIVERGENCE[task],
        likelihood=TASKS[task],
        weight=1.0,
    )
    estimator = make_estimator(net, task, device).fit(X, y)
    slow_training(slow_net, X, y, setting, device)
    assert_same_state(estimator.module_, slow_net)


def test_auto_of_series_draws_the_cells_that_stay(device):
    net, (X, y) = make_net("series"), make_data("series")
    slow_net = copy.deepcopy(net).to(device)
    estimator = make_estimator(net, "classes", device).fit(X, y)
    setting = slow_loop.Setting(order="sampled", output="margin", fill="marginal", weight=1.0)
    slow_training(slow_net, X, y, setting, device)
    assert_same_state(estimator.module_, slow_net)


def test_a_sampled_ramp_on_series_equals_the_slow_loop(device):
    net, (X, y) = make_net("series"), make_data("series")
    slow_net = copy.deepcopy(net).to(device)
    ramp = {"mask_fraction": 0.9, "mask_schedule": "ramp", "mask_order": "sampled"}
    estimator = make_estimator(net, "classes", device, max_epochs=8, batch_size=-1, **ramp)
    estimator.fit(X, y)
    # a quarter of 8 epochs plain, up to .9 over 60 % of the other 6 (3.6 epochs), then held
    fractions = [0, 0, 0, 0.25, 0.5, 0.75, 0.9, 0.9]
    setting = slow_loop.Setting(order="sampled", output="margin", fill="marginal", weight=1.0)
    slow_training(slow_net, X, y, setting, device, batches=[slice(None)] * 8, fractions=fractions)
    assert_same_state(estimator.module_, slow_net)


@pytest.mark.parametrize("kind", ["table", "image"])
@pytest.mark.parametrize("order", ["signed", "sampled", "random"])
def test_three_steps_with_batch_norm_equal_the_slow_loop(kind, order, device):
    net, (X, y) = make_net(kind, normalization="batch"), make_data(kind)
    slow_net = copy.deepcopy(net).to(device)
    setting = slow_loop.Setting(order=order, fill="marginal")
    estimator = make_estimator(net, "classes", device, **guidance_parameters(setting)).fit(X, y)
    slow_training(slow_net, X, y, setting, device)
    assert_same_state(estimator.module_, slow_net)


def test_probabilities_of_a_softmax_module_are_ranked_and_compared_by_their_logarithm(device):
    net, (X, y) = make_net("table"), make_data("table")
    slow_net = copy.deepcopy(net).to(device)
    setting = slow_loop.Setting(fill="marginal", output="log_proba")
    estimator = make_estimator(
        nn.Sequential(net, nn.Softmax(dim=1)),
        "classes",
        device,
        criterion=nn.NLLLoss,
        **guidance_parameters(setting),
    ).fit(X, y)
    slow_training(slow_net, X, y, setting, device)
    assert_same_state(estimator.module_[0], slow_net)


@pytest.mark.parametrize("task", ["indicators", "targets"])
def test_a_summed_criterion_sums_the_divergence_over_samples_and_outputs(task, device):
    net, (X, y) = make_net("table"), make_data("table", task)
    setting = slow_loop.Setting(
        divergence=OWN_DIVERGENCE[task], likelihood=TASKS[task], fill="marginal"
    )
    summed = fitted_state(
        net,
        X,
        y,
        device,
        task,
        criterion__reduction="sum",
        lr=LR / (len(X) * y.shape[1]),
        batch_size=-1,
        **guidance_parameters(setting),
    )
    slow_net = net.to(device)
    slow_training(slow_net, X, y, setting, device, batches=[slice(None)])
    assert_same_state(summed, slow_net)


def test_partial_fits_go_on_with_the_generator_of_the_masks_and_fits_restart_it(device):
    net, (X, y) = make_net("table"), make_data("table")
    slow_net = copy.deepcopy(net).to(device)
    setting = slow_loop.Setting(order="sampled", fill="marginal")
    parameters = guidance_parameters(setting)
    estimator = make_estimator(net, "classes", device, **parameters)
    estimator.partial_fit(X, y).partial_fit(X, y)
    slow_training(slow_net, X, y, setting, device, batches=2 * BATCHES)
    assert_same_state(estimator.module_, slow_net)
    estimator.fit(X, y)
    slow_training(slow_net, X, y, setting, device)
    assert_same_state(estimator.module_, slow_net)


def test_inputs_are_cast_to_the_type_of_the_module(device):
    net, (X, y) = make_net("table"), make_data("table")
    slow_net = copy.deepcopy(net).to(device)
    X, setting = X.astype(np.float32), slow_loop.Setting(order="absolute", fill="feature_uniform")
    estimator = make_estimator(net, "classes", device, **guidance_parameters(setting)).fit(X, y)
    slow_training(slow_net, X.astype(np.float64), y, setting, device)
    assert_same_state(estimator.module_, slow_net)


class GuidedBinaryClassifier(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


@pytest.mark.parametrize("output", ["log_proba", "margin"])
def test_the_mixin_guides_a_skorch_net_with_one_logit(output, device):
    net = nn.Sequential(make_net("table"), nn.Linear(3, 1)).double()
    X, y = make_data("table")
    y = (y > 0).astype(float)
    slow_net = copy.deepcopy(net).to(device)
    setting = slow_loop.Setting(
        fill="feature_uniform", output=output, divergence="bernoulli_kl", likelihood="bernoulli"
    )
    estimator = GuidedBinaryClassifier(
        net,
        lr=LR,
        max_epochs=1,
        batch_size=BATCHES[0].stop,
        train_split=None,
        verbose=0,
        random_state=SEED,
        device=device,
        **guidance_parameters(setting),
    ).fit(X, y)
    slow_training(slow_net, X, y[:, None], setting, device)
    assert_same_state(estimator.module_, slow_net)


# shared and separate passes


@pytest.mark.parametrize("kind", ["table", "series", "image"])
@pytest.mark.parametrize("order", ["signed", "absolute", "sampled"])
def test_shared_and_separate_passes_train_the_same_parameters(kind, order, device):
    net, (X, y) = make_net(kind), make_data(kind)
    options = {"mask_order": order, "mask_schedule": "constant", "max_epochs": 4}
    states = [
        fitted_state(net, X, y, device, saliency_pass=saliency_pass, **options)
        for saliency_pass in ("shared", "separate", "auto")
    ]
    for state in states[1:]:
        assert_same_state(states[0], state, atol=0 if device == "cpu" else 1e-12)


PROBE = [(True, True), (False, True)]
SHARED = [(True, True), (True, True)]
SEPARATE = [(True, True), (False, True), (True, True)]
SEPARATE_BATCH_NORM = [(True, True), (False, True), (True, False)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({}, SHARED, id="plain"),
        pytest.param({"normalization": "layer"}, SHARED, id="layer norm"),
        pytest.param({"dropout": 0.5}, SEPARATE, id="dropout"),
        pytest.param({"normalization": "batch"}, SEPARATE_BATCH_NORM, id="batch norm"),
    ],
)
def test_auto_shares_the_pass_where_training_and_evaluation_mode_agree(options, expected, device):
    net, (X, y) = make_net("table", **options), make_data("table")
    counter = PassCounter(net)
    make_estimator(counter, "classes", device).fit(X, y)
    n_passes = len(PROBE) + len(BATCHES) * len(expected)
    assert counter.passes[:n_passes] == PROBE + len(BATCHES) * expected
    assert all(mode == (False, True) for mode in counter.passes[n_passes:])  # the importances


@pytest.mark.parametrize("kind", ["table", "image"])
def test_random_order_needs_no_saliency_pass(kind, device):
    net, (X, y) = make_net(kind, dropout=0.5), make_data(kind)
    counter = PassCounter(net)
    make_estimator(counter, "classes", device, mask_order="random").fit(X, y)
    n_passes = len(PROBE) + len(BATCHES) * 2
    assert counter.passes[:n_passes] == PROBE + len(BATCHES) * [(True, True), (True, True)]


# batch norm and dropout


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_move_by_the_clean_batches_only(momentum, device):
    X, y = make_data("table")
    first = nn.BatchNorm1d(6, momentum=momentum)
    net = nn.Sequential(first, nn.Linear(6, 3)).double()
    make_estimator(net, "classes", device, mask_fill="constant", mask_value=100.0).fit(X, y)
    mean, variance = np.zeros(6), np.ones(6)
    for step, rows in enumerate(BATCHES, start=1):
        share = 1 / step if momentum is None else momentum
        mean = (1 - share) * mean + share * X[rows].mean(0)
        variance = (1 - share) * variance + share * X[rows].var(0, ddof=1)
    assert first.num_batches_tracked.item() == len(BATCHES)
    np.testing.assert_allclose(first.running_mean.cpu(), mean, atol=1e-12)
    np.testing.assert_allclose(first.running_var.cpu(), variance, atol=1e-12)
    assert first.track_running_stats


def test_running_statistics_of_instance_norm_move_by_the_clean_batches_only(device):
    X, y = make_data("image")
    states = []
    for weight in (0, 1):
        first = nn.InstanceNorm2d(3, track_running_stats=True)
        net = nn.Sequential(first, nn.Flatten(), nn.Linear(60, 3)).double()
        options = {"mask_fill": "constant", "mask_value": 100.0}
        make_estimator(net, "classes", device, consistency_weight=weight, **options).fit(X, y)
        states.append(first.running_mean)
    torch.testing.assert_close(*states)


def recorded_dropout(X, y, device, **options):
    recorder = RecordingDropout()
    net = nn.Sequential(recorder, nn.Linear(6, 3)).double()
    options = {"iterator_train__shuffle": True, "max_epochs": 3} | options
    make_estimator(net, "classes", device, **options).fit(X, y)
    return recorder.calls


@pytest.mark.parametrize("order", ["absolute", "sampled", "random"])
def test_clean_batches_and_their_dropout_are_the_same_with_and_without_guidance(order, device):
    X, y = make_data("table")
    plain = recorded_dropout(X, y, device, consistency_weight=0)
    options = {"mask_order": order, "mask_fill": "constant", "mask_value": 1e3}
    calls = recorded_dropout(X, y, device, **options)
    # the probe of the first batch replays the draws of the first step
    probe, *steps = calls
    clean = [call for call in steps if not (call[0] == 1e3).any()]
    masked = [call for call in steps if (call[0] == 1e3).any()]
    assert len(clean) == len(masked) == len(plain) == 3 * len(BATCHES)
    np.testing.assert_array_equal(probe, plain[0])
    for call, expected in zip(clean, plain, strict=True):
        np.testing.assert_array_equal(call, expected)
    # and the masked pass has draws of its own
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(clean, masked, strict=True))


@pytest.mark.parametrize("order", ["absolute", "random"])
def test_a_negligible_weight_trains_exactly_the_plain_net(order, device):
    X, y = make_data("table")
    options = {
        "module__n_features": 6,
        "module__n_outputs": 3,
        "module__dropout": 0.5,
        "iterator_train__shuffle": True,
        "max_epochs": 3,
    }
    plain, guided = (
        make_estimator(MLP, "classes", device, consistency_weight=weight, mask_order=order)
        .set_params(**options)
        .fit(X, y)
        .module_
        for weight in (0, 1e-300)
    )
    assert_same_state(plain, guided, atol=0)


@pytest.mark.parametrize("task", ["classes", "targets"])
def test_a_seeded_fit_leaves_the_global_generators_alone(task, device):
    net, (X, y) = make_net("table", dropout=0.5), make_data("table", task)
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    make_estimator(net, task, device, iterator_train__shuffle=True).fit(X, y)
    assert torch.equal(torch.get_rng_state(), before[0])
    after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(after, before[1], strict=True))


# schedules and optimizers that evaluate a step several times


@pytest.mark.parametrize("order", ["absolute", "sampled", "random"])
@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
def test_lbfgs_sees_one_masked_batch_in_each_step(order, saliency_pass, device):
    X, y = make_data("table")
    net, fill = InputRecorder(make_net("table")), CountingFill()
    make_estimator(
        net,
        "classes",
        device,
        optimizer=torch.optim.LBFGS,
        optimizer__max_iter=5,
        lr=0.1,
        mask_order=order,
        mask_fill=fill,
        saliency_pass=saliency_pass,
    ).fit(X, y)
    assert len(fill.batches) == len(BATCHES)
    masked = net.masked_inputs()
    assert len(masked) >= 3 * len(BATCHES)
    different = {tuple(x.flatten().tolist()) for x in masked}
    assert len(different) == len(BATCHES)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.LBFGS])
@pytest.mark.parametrize("kind", ["table", "image"])
def test_nothing_hidden_trains_exactly_the_plain_net(optimizer, kind, device):
    net, (X, y) = make_net(kind, dropout=0.5), make_data(kind)
    options = {"optimizer": optimizer, "lr": 0.1, "mask_fill": (fill := CountingFill())}
    plain = fitted_state(net, X, y, device, consistency_weight=0, **options)
    guided = fitted_state(net, X, y, device, mask_fraction=0.01, **options)
    assert_same_state(plain, guided, atol=0)
    assert fill.batches == []


# max_epochs 20, fraction .5 of 6 columns; ramp: 5 epochs plain, then .5 / 9 more an epoch
RAMP_20 = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("schedule", "max_epochs", "expected"),
    [
        ("constant", 3, [3, 3, 3]),
        ("auto", 3, [3, 3, 3]),
        # 1 epoch plain, up to 3 columns over 1.8 epochs: 5/9 of 3 = 1.67 columns on the way
        ("ramp", 4, [0, 0, 1, 3]),
        ("ramp", 20, RAMP_20),
    ],
)
def test_schedules_hide_the_columns_of_the_table(schedule, max_epochs, expected, device):
    X, y = make_data("table")
    net = InputRecorder(make_net("table"))
    estimator = make_estimator(net, "classes", device, batch_size=-1, max_epochs=max_epochs)
    estimator.set_params(mask_schedule=schedule, mask_fill="constant", mask_value=100.0)
    estimator.fit(X, y)
    assert estimator.mask_fraction == "auto"
    _, *inputs = net.inputs  # the probe
    hidden, i = [], 0
    while i < len(inputs):
        masked = i + 1 < len(inputs) and (inputs[i + 1] == 100).any()
        counts = (inputs[i + 1] == 100).sum(1).unique().tolist() if masked else [0]
        assert len(counts) == 1
        hidden += counts
        i += 2 if masked else 1
    assert hidden == expected


def test_divergence_of_a_user_is_called_with_both_outputs(device):
    net, (X, y) = make_net("table"), make_data("table")
    estimator = make_estimator(net, "classes", device, consistency=absolute_difference).fit(X, y)
    assert all(math.isfinite(v) and v > 0 for v in estimator.history[:, "train_consistency_loss"])


@pytest.mark.parametrize("kind", ["table", "series", "image"])
def test_standardized_attributions_are_in_population_standard_deviations(kind, device):
    net, (X, y) = make_net(kind), make_data(kind)
    estimator = make_estimator(net, "classes", device, mask_schedule="constant").fit(X, y)
    statistics = slow_loop.feature_statistics(torch.from_numpy(X))
    scale = np.array([s.sd for s in statistics.values()]).reshape(X.shape[1:])
    expected = estimator.attribute(X) * scale
    np.testing.assert_allclose(estimator.attribute(X, standardized=True), expected, atol=1e-12)
