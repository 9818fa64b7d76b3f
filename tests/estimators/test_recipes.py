"""What users of skorch do with a training loop, against the same net trained by hand."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Freezer, GradientNormClipping, LRScheduler
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import lr_scheduler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from tests.estimators.by_hand import (
    LR,
    SETTINGS,
    X_VALID,
    Y_VALID,
    HandTrained,
    X,
    Y,
    assert_same_state,
    make_estimator,
    make_net,
)

VALID = predefined_split(Dataset(X_VALID, Y_VALID))


@pytest.fixture(params=SETTINGS)
def setting(request):
    return SETTINGS[request.param]


# optimizers that evaluate a step several times


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("line_search", [None, "strong_wolfe"])
def test_lbfgs_minimises_one_function_in_each_step(setting, line_search, saliency_pass, device):
    options = {"max_iter": 4, "line_search_fn": line_search}
    estimator = make_estimator(
        make_net(),
        setting,
        device,
        optimizer=torch.optim.LBFGS,
        lr=0.1,
        saliency_pass=saliency_pass,
        **{f"optimizer__{name}": value for name, value in options.items()},
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.LBFGS(hand.net.parameters(), lr=0.1, **options)
    losses, n_evaluations = [], 0
    for rows in hand.batches():
        evaluated = []

        def closure(rows=rows, evaluated=evaluated):
            optimizer.zero_grad()
            loss = hand.loss(rows)
            loss.backward()
            evaluated.append(loss.item())
            return loss

        optimizer.step(closure)
        losses.append(evaluated[0])
        n_evaluations += len(evaluated)
    assert n_evaluations > 3 * len(losses)
    assert_same_state(estimator.module_, hand.net, atol=1e-9)
    recorded = [b["train_loss"] for epoch in estimator.history for b in epoch["batches"]]
    np.testing.assert_allclose(recorded, losses, atol=1e-9)


# accumulation of gradients


def accumulating(cls):
    """The recipe of skorch's FAQ, of which no line knows of guidance."""

    class Accumulating(cls):
        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs) / 4

        def train_step(self, batch, **fit_params):
            step = self.train_step_single(batch, **fit_params)
            if len(self.history[-1, "batches"]) % 4 == 0:
                parameters = list(self.get_all_learnable_params())
                self.notify(
                    "on_grad_computed", named_parameters=parameters, batch=batch, training=True
                )
                self.optimizer_.step()
                self.optimizer_.zero_grad()
            return step

    return Accumulating


AccumulatingNet = accumulating(NeuralNetClassifier)
AccumulatingEstimator = accumulating(SaliencyGuidedClassifier)


class MixinOverRecipe(SaliencyGuidedMixin, AccumulatingNet):
    pass


ACCUMULATING = [AccumulatingEstimator, MixinOverRecipe]


@pytest.mark.parametrize("cls", ACCUMULATING)
def test_accumulation_by_four_scales_and_sums_both_terms(cls, setting, device):
    # 5 batches an epoch: the gradient of the last one waits for the next epoch
    estimator = make_estimator(make_net(), setting, device, cls, batch_size=5).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for i, rows in enumerate(hand.batches(size=5)):
        (hand.loss(rows) / 4).backward()
        if i % 5 == 3:
            optimizer.step()
            optimizer.zero_grad()
    assert_same_state(estimator.module_, hand.net)


@pytest.mark.parametrize("cls", ACCUMULATING)
@pytest.mark.parametrize("name", ["off", "fixed"])
def test_four_accumulated_batches_are_one_batch_of_four_times_the_rows(cls, name, device):
    accumulated, whole = (
        make_estimator(make_net(), SETTINGS[name], device, of, batch_size=size).fit(X, Y)
        for of, size in ((cls, 3), (SaliencyGuidedClassifier, 12))
    )
    assert_same_state(accumulated.module_, whole.module_)


# clipping


@pytest.mark.parametrize(("norm_type", "bound"), [(2, 0.6), (float("inf"), 0.3)])
def test_clipping_bounds_the_gradient_of_both_terms_together(norm_type, bound, setting, device):
    clipping = GradientNormClipping(bound, gradient_clip_norm_type=norm_type)
    estimator = make_estimator(make_net(), setting, device, callbacks=[clipping]).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    norms = []
    for rows in hand.batches():
        optimizer.zero_grad()
        hand.loss(rows).backward()
        norms.append(clip_grad_norm_(hand.net.parameters(), bound, norm_type).item())
        optimizer.step()
    assert min(norms) < bound < max(norms), "both kinds of steps must occur"
    assert_same_state(estimator.module_, hand.net)


# learning rates

BY_BATCH = {
    "OneCycleLR": (lr_scheduler.OneCycleLR, {"max_lr": 0.6, "total_steps": 12}),
    "CyclicLR": (lr_scheduler.CyclicLR, {"base_lr": 0.1, "max_lr": 0.4, "step_size_up": 3}),
}
BY_EPOCH = {
    "StepLR": ("StepLR", {"step_size": 1, "gamma": 0.3}),
    "CosineAnnealingLR": (lr_scheduler.CosineAnnealingLR, {"T_max": 3}),
}


@pytest.mark.parametrize("policy", [*BY_BATCH, *BY_EPOCH])
def test_scheduled_rates_are_those_of_torch(policy, setting, device):
    by_batch = policy in BY_BATCH
    named, options = (BY_BATCH | BY_EPOCH)[policy]
    schedule = LRScheduler(named, step_every="batch" if by_batch else "epoch", **options)
    estimator = make_estimator(
        make_net(), setting, device, callbacks=[schedule], optimizer__momentum=0.9
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR, momentum=0.9)
    scheduler = getattr(lr_scheduler, policy)(optimizer, **options)
    rates = []
    for i, rows in enumerate(hand.batches()):
        hand.step(rows, optimizer)
        if by_batch or i % 4 == 3:
            rates += scheduler.get_last_lr()
            scheduler.step()
    assert_same_state(estimator.module_, hand.net)
    history = estimator.history
    recorded = history[:, "batches", :, "event_lr"] if by_batch else history[:, "event_lr"]
    np.testing.assert_allclose(np.ravel(recorded), rates, atol=1e-12)


def test_a_plateau_is_one_of_the_task_loss_of_validation(setting, device):
    options = {"factor": 0.1, "patience": 0, "threshold": 0.05}
    schedule = LRScheduler("ReduceLROnPlateau", monitor="valid_loss", **options)
    estimator = make_estimator(
        make_net(), setting, device, callbacks=[schedule], train_split=VALID, max_epochs=6
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
    losses = []
    for i, rows in enumerate(hand.batches(6)):
        hand.step(rows, optimizer)
        if i % 4 == 3:
            losses.append(hand.task_loss(X_VALID, Y_VALID))
            scheduler.step(losses[-1])
    assert optimizer.param_groups[0]["lr"] < 0.9 * LR
    assert_same_state(estimator.module_, hand.net)
    np.testing.assert_allclose(estimator.history[:, "valid_loss"], losses, atol=1e-10)


RESUMABLE = {
    "none": [],
    "StepLR": [LRScheduler("StepLR", step_size=2, gamma=0.5)],
    "ExponentialLR": [LRScheduler("ExponentialLR", gamma=0.9)],
    "CosineAnnealingLR": [LRScheduler("CosineAnnealingLR", T_max=10)],
    "LambdaLR": [LRScheduler("LambdaLR", lr_lambda=lambda epoch: 0.9**epoch)],
    "WarmRestartLR": [LRScheduler("WarmRestartLR", max_lr=0.2, base_period=3)],
}


@pytest.mark.parametrize("policy", RESUMABLE)
@pytest.mark.parametrize("going_on", ["partial_fit", "warm_start"])
@pytest.mark.parametrize("name", ["off", "drawn"])
def test_five_epochs_and_five_more_are_ten_under_rates_of_the_epoch(
    policy, going_on, name, device
):
    def make(epochs, **options):
        options |= {"iterator_train__shuffle": True, "optimizer__momentum": 0.9}
        callbacks = copy.deepcopy(RESUMABLE[policy])
        return make_estimator(
            make_net(), SETTINGS[name], device, max_epochs=epochs, callbacks=callbacks, **options
        )

    parts = make(5, warm_start=going_on == "warm_start")
    use = parts.fit if going_on == "warm_start" else parts.partial_fit
    use(X, Y)
    use(X, Y)
    whole = make(10).fit(X, Y)
    assert_same_state(parts.module_, whole.module_, atol=0)
    assert parts.history[:, "train_loss"] == whole.history[:, "train_loss"]


def test_rates_of_the_batch_go_on_when_told_how_many_batches_there_were(setting, device):
    # skorch counts epochs where a schedule goes on, also those that count batches
    def make(epochs):
        options = {"max_lr": 0.6, "total_steps": 40, "last_epoch": -1}
        schedule = LRScheduler(lr_scheduler.OneCycleLR, step_every="batch", **options)
        return make_estimator(
            make_net(), setting, device, max_epochs=epochs, callbacks=[("schedule", schedule)]
        )

    whole, parts, untold = make(10).fit(X, Y), make(5).fit(X, Y), make(5).fit(X, Y)
    parts.set_params(callbacks__schedule__last_epoch=5 * 4 - 1)
    assert_same_state(parts.partial_fit(X, Y).module_, whole.module_, atol=0)
    with pytest.raises(AssertionError):
        assert_same_state(untold.partial_fit(X, Y).module_, whole.module_)


def test_other_data_of_a_partial_fit_are_ranked_by_the_spread_of_the_first(setting, device):
    estimator = make_estimator(make_net(), setting, device, max_epochs=1)
    estimator.partial_fit(X, Y).partial_fit(7 * X_VALID, Y_VALID)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for data in (X, Y), (7 * X_VALID, Y_VALID):
        hand.X, hand.y = (torch.from_numpy(a).to(device) for a in data)
        for rows in hand.batches(1):
            hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


def test_a_ramp_runs_over_the_first_max_epochs(device):
    setting = SETTINGS["drawn"]
    estimator = make_estimator(make_net(), setting, device, mask_schedule="ramp", max_epochs=4)
    estimator.partial_fit(X, Y).partial_fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    # a quarter of 4 epochs plain, up to a half over 60 % of the other 3, then held
    fractions = [0, 0, 0.5 / 1.8, 0.5, 0.5, 0.5, 0.5, 0.5]
    for i, rows in enumerate(hand.batches(8)):
        hand.setting = dataclasses.replace(setting, fraction=fractions[i // 4])
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


# groups of parameters


def test_groups_of_parameters_have_rates_and_decay_of_their_own(setting, device):
    groups = [("0.*", {"lr": 0.05, "weight_decay": 0.1}), ("*.bias", {"lr": 0.4})]
    estimator = make_estimator(
        make_net(),
        setting,
        device,
        optimizer=torch.optim.AdamW,
        optimizer__param_groups=groups,
        optimizer__weight_decay=0.02,
        lr=0.01,
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    first, second, third = hand.net[0], hand.net[2], hand.net[4]
    optimizer = torch.optim.AdamW(
        [
            {"params": [first.weight, first.bias], "lr": 0.05, "weight_decay": 0.1},
            {"params": [second.bias, third.bias], "lr": 0.4},
            {"params": [second.weight, third.weight]},
        ],
        lr=0.01,
        weight_decay=0.02,
    )
    for rows in hand.batches():
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)
    assert estimator.set_params(optimizer__param_groups__0__lr=0.3) is estimator
    assert [group["lr"] for group in estimator.optimizer_.param_groups] == [0.3, 0.4, 0.01]


# frozen layers


class FrozenBatchNorm(nn.Sequential):
    """A frozen trunk whose batch norm keeps its statistics, as fine-tuning does it."""

    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


def frozen_net(frozen, batch_norm):
    net = make_net(batch_norm=batch_norm is not None)
    if batch_norm is not None:
        net(torch.from_numpy(X_VALID))  # moves the running statistics
    for i in frozen:
        net[i].requires_grad_(False)
    return FrozenBatchNorm(*net) if batch_norm == "evaluation" else net


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("batch_norm", [None, "training", "evaluation"])
@pytest.mark.parametrize("frozen", ["first", "early", "last"])
def test_frozen_layers_rest_and_the_others_are_guided(
    frozen, batch_norm, saliency_pass, setting, device
):
    if batch_norm == "training" and saliency_pass == "shared":
        pytest.skip("with batch statistics the two passes rank differently")
    last = 4 if batch_norm is None else 5
    layers = {"first": [0], "early": range(last), "last": [last]}[frozen]
    net = frozen_net(layers, batch_norm)
    estimator = make_estimator(
        net, setting, device, saliency_pass=saliency_pass, optimizer__weight_decay=0.1
    ).fit(X, Y)
    hand = HandTrained(net, setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR, weight_decay=0.1)
    for rows in hand.batches():
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)
    before, after = dict(net.named_parameters()), dict(estimator.module_.named_parameters())
    rested = {name for name in before if torch.equal(before[name], after[name].cpu())}
    assert rested == {name for name, value in before.items() if not value.requires_grad}
    if batch_norm is not None:
        moved = not torch.equal(net[1].running_mean, estimator.module_[1].running_mean.cpu())
        assert moved == (batch_norm == "training")


def test_a_trunk_without_a_gradient_path_is_named_as_the_fault(setting, device):
    class Trunk(nn.Sequential):
        def forward(self, x):
            with torch.no_grad():
                hidden = self[1](self[0](x))
            return self[4](self[3](self[2](hidden)))

    estimator = make_estimator(Trunk(*make_net()), setting, device)
    if setting is None:
        estimator.fit(X, Y)
    else:
        with pytest.raises(TypeError, match=r"no gradient path .* no_grad\(\)"):
            estimator.fit(X, Y)


# pre-trained modules


def pretrained_net():
    """A net that plain torch has trained on other labels."""
    net = make_net()
    optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
    for _ in range(10):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.from_numpy(X)), torch.from_numpy(Y_VALID)).backward()
        optimizer.step()
    return net


def fit_instance(net, setting, device, path):
    return make_estimator(net, setting, device).fit(X, Y)


def fit_clone(net, setting, device, path):
    return clone(make_estimator(net, setting, device)).fit(X, Y)


def fit_loaded_state(net, setting, device, path):
    torch.save(net.state_dict(), path / "trained.pt")
    estimator = make_estimator(make_net(), setting, device).initialize()
    estimator.load_params(f_params=path / "trained.pt")
    return estimator.partial_fit(X, Y)


def fit_state_loaded_by_callback(net, setting, device, path):
    class Load(Callback):
        def on_train_begin(self, estimator, **kwargs):
            estimator.module_.load_state_dict(net.state_dict())

    return make_estimator(make_net(), setting, device, callbacks=[Load()]).fit(X, Y)


@pytest.mark.parametrize(
    "use", [fit_instance, fit_clone, fit_loaded_state, fit_state_loaded_by_callback]
)
def test_a_pre_trained_net_is_trained_on(use, setting, device, tmp_path):
    net = pretrained_net()
    estimator = use(net, setting, device, tmp_path)
    hand = HandTrained(net, setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches():
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


def test_a_module_instance_is_trained_in_place_and_a_second_fit_goes_on(setting, device):
    net = pretrained_net()
    estimator = make_estimator(net, setting, device)
    instance = estimator.module
    estimator.fit(X, Y).fit(X, Y)
    assert estimator.module_ is instance
    hand = HandTrained(net, setting, device)
    for _ in range(2):
        # a new optimizer, and the draws of the masks from the start
        hand.generator.manual_seed(hand.generator.initial_seed())
        optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
        for rows in hand.batches():
            hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


# and all of it together


def test_all_recipes_together(setting, device):
    net = pretrained_net()
    estimator = make_estimator(
        net,
        setting,
        device,
        AccumulatingEstimator,
        batch_size=3,
        optimizer__momentum=0.9,
        optimizer__param_groups=[("*.bias", {"weight_decay": 0.1})],
        callbacks=[
            Freezer("0.*"),
            GradientNormClipping(0.3),
            LRScheduler("CosineAnnealingLR", T_max=3),
        ],
    ).fit(X, Y)
    hand = HandTrained(net, setting, device)
    hand.net[0].requires_grad_(False)
    optimizer = torch.optim.SGD(
        [
            {"params": [hand.net[i].bias for i in (0, 2, 4)], "weight_decay": 0.1},
            {"params": [hand.net[i].weight for i in (0, 2, 4)]},
        ],
        lr=LR,
        momentum=0.9,
    )
    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=3)
    for i, rows in enumerate(hand.batches(size=3)):
        (hand.loss(rows) / 4).backward()
        if i % 4 == 3:
            clip_grad_norm_(hand.net.parameters(), 0.3)
            optimizer.step()
            optimizer.zero_grad()
        if i % 8 == 7:
            scheduler.step()
    assert_same_state(estimator.module_, hand.net)
