"""A fit that fails leaves the estimator exactly as it was."""

import copy

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch.callbacks import Callback, EpochScoring, Freezer, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn.parameter import is_lazy

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.modules import MLP
from tests.estimators.bad_input import (
    ESTIMATORS,
    LABELS,
    SizedMLP,
    X,
    assert_same,
    assert_unchanged,
    changed,
    make,
    photograph,
    targets_for,
    tensors_of,
)


class FailsWhenArmed(Callback):
    """Raises in the second epoch of a fit, once armed."""

    def __init__(self, at="on_epoch_end", error=RuntimeError):
        self.at = at
        self.error = error
        self.epochs = None

    def on_train_begin(self, net, **kwargs):
        self.epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        self.epochs += 1

    def check(self, at):
        if self.error is not None and self.epochs == 2 and at == self.at:
            raise self.error("planted")

    def on_epoch_end(self, net, **kwargs):
        self.check("on_epoch_end")

    def on_batch_end(self, net, **kwargs):
        self.check("on_batch_end")

    def on_grad_computed(self, net, **kwargs):
        self.check("on_grad_computed")


class Fragile(MLP):
    """A module with buffers, dropout, and a forward pass that can be made to raise."""

    passes_left = None

    def __init__(self, n_features=4, n_outputs=2):
        super().__init__(n_features, n_outputs, (6,), normalization="batch", dropout=0.3)
        self.register_buffer("n_rows", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.n_rows += len(x)
            if Fragile.passes_left is not None:
                Fragile.passes_left -= 1
                if Fragile.passes_left < 0:
                    raise RuntimeError("planted")
        return super().forward(x)


@pytest.fixture
def fragile_module():
    yield Fragile
    Fragile.passes_left = None


def bad_arguments(estimator):
    y = targets_for(estimator)
    return {
        "nan": ((changed(np.nan), y), {}),
        "y too short": ((X, y[:-1]), {}),
        "five axes": ((X[:, None, None, None], y), {}),
        "parameter": ((X, y), {"mask_order": "lowest"}),
        "groups": ((X, y), {"feature_groups": [0, 1]}),
        "module": ((X, y), {"module__hidden": "many"}),
        "optimizer": ((X, y), {"optimizer__unknown": 1}),
        "first batch": ((X, y), {"mask_fill": lambda x, generator: x[:1]}),
    }


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", bad_arguments(SaliencyGuidedClassifier))
def test_failed_first_fit_leaves_the_estimator_unfitted(estimator, name, device):
    arguments, params = bad_arguments(estimator)[name]
    net = make(estimator, device, callbacks=[EpochScoring(lambda *a: 1.0)], **params)
    before = photograph(net)
    for method in (net.fit, net.partial_fit):
        with pytest.raises((ValueError, TypeError)):
            method(*arguments)
        assert_unchanged(dict(before), net)
        with pytest.raises(NotFittedError):
            net.predict(X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("method", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("name", ["nan", "y too short", "five axes", "parameter", "first batch"])
def test_refused_data_leave_a_fitted_estimator_as_it_was(estimator, method, name, device):
    net = make(estimator, device, warm_start=method == "warm fit")
    net.fit(X, targets_for(estimator))
    arguments, params = bad_arguments(estimator)[name]
    net.set_params(**params)
    before = photograph(net)
    with pytest.raises(ValueError):
        (net.partial_fit if method == "partial_fit" else net.fit)(*arguments)
    assert_unchanged(before, net)


def fallible(estimator, device, failure, module, **params):
    """Return a net whose next fit fails midway once `arm(net)` was called."""
    callback = FailsWhenArmed(at=failure, error=None)
    net = make(
        estimator,
        device,
        module=module,
        max_epochs=3,
        batch_size=16,
        callbacks=[callback, LRScheduler("StepLR", step_size=1, gamma=0.5)],
        train_split=ValidSplit(0.2, random_state=0),
        iterator_train__drop_last=True,
        **params,
    )

    def arm(armed=True):
        if failure == "module":
            Fragile.passes_left = 5 if armed else None
        else:
            callback.error = RuntimeError if armed else None

    return net, arm


def module_parameters(estimator):
    return {} if estimator is SaliencyGuidedClassifier else {"n_outputs": 1}


FAILURES = ["on_epoch_end", "on_batch_end", "on_grad_computed", "module"]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("given", ["class", "instance"])
@pytest.mark.parametrize("failure", FAILURES)
def test_first_fit_that_fails_midway_leaves_no_trace(
    estimator, given, failure, device, fragile_module
):
    kwargs = module_parameters(estimator)
    module = fragile_module(**kwargs) if given == "instance" else fragile_module
    net, arm = fallible(estimator, device, failure, module)
    if given == "class":
        net.set_params(**{f"module__{name}": value for name, value in kwargs.items()})
    y = targets_for(estimator, own_module=True)
    arm()
    before = photograph(net)
    with pytest.raises(RuntimeError, match="planted"):
        net.fit(X, y)
    assert_unchanged(before, net)
    with pytest.raises(NotFittedError):
        net.predict(X)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("method", ["fit", "warm fit", "partial_fit"])
@pytest.mark.parametrize("given", ["class", "instance", "named"])
@pytest.mark.parametrize("failure", FAILURES)
def test_fit_that_fails_midway_leaves_the_estimator_as_it_was_and_its_next_fit(
    estimator, method, given, failure, device, fragile_module
):
    if given == "named" and failure == "module":
        pytest.skip("the named modules do not raise")
    y = targets_for(estimator, own_module=given != "named")
    params = module_parameters(estimator)

    def fit_once(fail):
        torch.manual_seed(0)
        module = {"class": fragile_module, "named": "auto"}.get(given)
        net, arm = fallible(
            estimator,
            device,
            failure,
            module or fragile_module(**params),
            warm_start=method == "warm fit",
        )
        if given == "class":
            net.set_params(**{f"module__{name}": value for name, value in params.items()})
        net.fit(X, y)
        go_on = net.partial_fit if method == "partial_fit" else net.fit
        if fail:
            arm()
            before = photograph(net)
            with pytest.raises(RuntimeError, match="planted"):
                go_on(X, y)
            assert_unchanged(before, net)
            arm(False)
        return go_on(X, y)

    failed, smooth = fit_once(fail=True), fit_once(fail=False)
    assert_same(tensors_of(smooth), tensors_of(failed))
    assert smooth.history[:, "train_loss"] == failed.history[:, "train_loss"]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("seed", [0, np.random.RandomState(0)], ids=["int", "RandomState"])
def test_failed_fit_does_not_change_what_the_next_fit_draws(estimator, seed, device):
    nets = [make(estimator, device, random_state=copy.deepcopy(seed)) for _ in range(2)]
    y = targets_for(estimator)
    with pytest.raises(ValueError):
        nets[0].fit(X, y[:-1])
    for net in nets:
        net.fit(X, y)
    assert_same(*(tensors_of(net) for net in nets))


def test_failed_initialize_leaves_a_fitted_estimator_as_it_was(device):
    net = make(SaliencyGuidedClassifier, device, module=SizedMLP).fit(X, LABELS)
    net.set_params(mask_order="lowest")
    before = photograph(net)
    with pytest.raises(ValueError, match="mask_order"):
        net.initialize()
    assert_unchanged(before, net)


class Counting(nn.Linear):
    """A module with a buffer that its state_dict leaves out."""

    def __init__(self):
        super().__init__(4, 2)
        self.register_buffer("n_rows", torch.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.n_rows += len(x)
        return super().forward(x)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_failed_fit_restores_buffers_that_a_state_dict_leaves_out(method, device):
    module, callback = Counting(), FailsWhenArmed(error=None)
    net = make(SaliencyGuidedClassifier, device, module=module, callbacks=[callback])
    net.fit(X, LABELS)
    callback.error, before = RuntimeError, module.n_rows.item()
    with pytest.raises(RuntimeError, match="planted"):
        getattr(net, method)(X, LABELS)
    assert module.n_rows.item() == before


class Converts(Callback):
    """Does to the module what moving it to a device does: parameters in place, new buffers."""

    def on_train_begin(self, net, **kwargs):
        net.module_.double()


@pytest.mark.parametrize("change", [Converts(), Freezer("0.*")], ids=["converts", "freezes"])
@pytest.mark.parametrize("kind", ["plain", "lazy"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_failed_fit_takes_back_what_became_of_a_module_instance(kind, change, method, device):
    first = nn.Linear(4, 6) if kind == "plain" else nn.LazyLinear(6)
    module = nn.Sequential(first, nn.BatchNorm1d(6), nn.Linear(6, 2))
    last = module[2].weight
    last.grad = torch.ones_like(last)
    handle = module[2].register_forward_hook(lambda *args: None)
    objects = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    values = {k: copy.deepcopy(v) for k, v in objects.items()}
    described = {k: (type(v), v.dtype, v.device, v.requires_grad) for k, v in objects.items()}
    classes = [type(m) for m in module.modules()]

    callbacks = [copy.deepcopy(change), FailsWhenArmed(at="on_epoch_end")]
    net = make(SaliencyGuidedClassifier, device, module=module, callbacks=callbacks)
    with pytest.raises(RuntimeError, match="planted"):
        getattr(net, method)(X, LABELS)

    now = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    assert now.keys() == objects.keys()
    for name, tensor in now.items():
        assert tensor is objects[name]
        assert (type(tensor), tensor.dtype, tensor.device, tensor.requires_grad) == described[name]
        if not is_lazy(tensor):
            assert torch.equal(tensor, values[name])
    assert torch.equal(last.grad, torch.ones_like(last))
    assert module[2].bias.grad is None
    assert [type(m) for m in module.modules()] == classes
    handle.remove()
    assert not module[2]._forward_hooks

    net.set_params(callbacks=None).fit(X, LABELS)
    assert net.predict(X).shape == (len(X),)


def test_failed_fit_leaves_callbacks_and_criterion_instances_as_they_were(device):
    scoring = EpochScoring("accuracy", name="accuracy", on_train=True)
    callbacks = [scoring, FailsWhenArmed()]
    criterion = nn.CrossEntropyLoss(weight=torch.ones(2))
    net = make(SaliencyGuidedClassifier, device, callbacks=callbacks, criterion=criterion)
    before = [dict(vars(c)) for c in callbacks], criterion.weight.clone()
    with pytest.raises(RuntimeError, match="planted"):
        net.fit(X, LABELS)
    assert [dict(vars(c)) for c in callbacks] == before[0]
    assert torch.equal(criterion.weight, before[1])


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_keyboard_interrupt_keeps_what_was_trained_as_in_skorch(estimator, device):
    callback = FailsWhenArmed(error=KeyboardInterrupt)
    net = make(estimator, device, max_epochs=5, callbacks=[callback])
    net.fit(X, targets_for(estimator))
    assert len(net.history) == 2
    assert net.attribute(X).shape == X.shape
