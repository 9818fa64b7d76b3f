"""The mixin over net classes of skorch and of users: what works, and what says why not."""

import copy
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from skorch.dataset import Dataset
from skorch.exceptions import SkorchTrainingImpossibleError
from skorch.helper import SliceDataset, predefined_split
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from sgt_sklearn._random import mask_seed
from tests.estimators.by_hand import (
    LR,
    SEED,
    SETTINGS,
    X_VALID,
    Y_VALID,
    HandTrained,
    X,
    Y,
    assert_same_state,
    guidance_parameters,
    make_estimator,
    make_net,
)
from tests.guidance import slow_loop
from tests.guidance.slow_loop import Setting

VALID = predefined_split(Dataset(X_VALID, Y_VALID))


@pytest.fixture(params=SETTINGS)
def setting(request):
    return SETTINGS[request.param]


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


# the net classes of skorch

TARGETS = np.stack([X[:, 0] - X[:, 1], X[:, 2]], axis=1)
SKORCH_NETS = {
    "net": (NeuralNet, Y, "categorical", {"criterion": nn.CrossEntropyLoss}),
    "classifier": (NeuralNetClassifier, Y, "categorical", {"criterion": nn.NLLLoss}),
    "binary": (NeuralNetBinaryClassifier, (Y > 0) * 1.0, "bernoulli", {}),
    "regressor": (NeuralNetRegressor, TARGETS, "gaussian", {}),
}
DIVERGENCES = {
    "categorical": "categorical_kl",
    "bernoulli": "bernoulli_kl",
    "gaussian": "squared_difference",
}


@pytest.mark.parametrize("fill", ["constant", "marginal"])
@pytest.mark.parametrize("name", SKORCH_NETS)
def test_the_mixin_guides_each_net_of_skorch(name, fill, device):
    cls, y, likelihood, options = SKORCH_NETS[name]
    outputs = {"categorical": 3, "bernoulli": 1, "gaussian": 2}[likelihood]
    net = nn.Sequential(make_net(), nn.Linear(3, outputs).double()).to(device)
    setting = Setting(fill=fill, likelihood=likelihood, divergence=DIVERGENCES[likelihood])
    softmax = nn.Softmax(dim=1) if name == "classifier" else nn.Identity()
    parameters = guidance_parameters(setting)
    common = {"lr": LR, "max_epochs": 1, "batch_size": 6, "train_split": None, "verbose": 0}
    common |= {"random_state": SEED, "device": device} | parameters | options
    guided = type("Guided", (SaliencyGuidedMixin, cls), {})
    estimator = guided(nn.Sequential(copy.deepcopy(net), softmax), **common).fit(X, y)
    generator = torch.Generator(device).manual_seed(mask_seed(SEED))
    rows = [slice(start, start + 6) for start in range(0, 24, 6)]
    tensors = [torch.from_numpy(a).to(device) for a in (X, y[:, None] if name == "binary" else y)]
    slow_loop.train(net, *tensors, rows, setting, generator, LR)
    assert_same_state(estimator.module_[0], net)


class ScaledCrossEntropy(nn.CrossEntropyLoss):
    """A criterion that learns."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, output, y):
        return super().forward(self.scale * output, y)


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
def test_parameters_of_a_criterion_are_trained_by_the_task(saliency_pass, setting, device):
    options = {"criterion": ScaledCrossEntropy, "saliency_pass": saliency_pass}
    estimator = make_estimator(make_net(), setting, device, **options).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    criterion = ScaledCrossEntropy().to(device)
    optimizer = torch.optim.SGD([*hand.net.parameters(), *criterion.parameters()], lr=LR)
    for rows in hand.batches():
        optimizer.zero_grad()
        _, consistency = hand.terms(hand.X[rows], hand.y[rows])
        (criterion(hand.net(hand.X[rows]), hand.y[rows]) + consistency.mean()).backward()
        optimizer.step()
    assert_same_state(estimator.module_, hand.net)
    assert estimator.criterion_.scale.item() == pytest.approx(criterion.scale.item(), abs=1e-10)
    assert criterion.scale.item() != 1


# methods of the net that users override to look on


def watching(cls):
    class Watching(cls):
        """Notes which of its methods are called, and whether for training."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self.calls_ = []

    def watch(name):
        def method(self, *args, **kwargs):
            self.calls_.append((name, kwargs.get("training"), kwargs.get("prefix")))
            return getattr(super(Watching, self), name)(*args, **kwargs)

        setattr(Watching, name, method)

    events = [f"on_{thing}_{end}" for thing in ("train", "epoch", "batch") for end in WHEN]
    for name in (*events, *STEPS, "on_grad_computed", "get_dataset", "get_iterator"):
        watch(name)
    return Watching


WHEN = ("begin", "end")
STEPS = ("run_single_epoch", "train_step", "validation_step", "evaluation_step", "check_data")


def test_overridden_methods_are_called_as_in_a_plain_net(setting, device):
    calls = []
    for guided in (True, False):
        common = {"train_split": VALID, "max_epochs": 2}
        if guided:
            net = make_estimator(make_net(), setting, device, watching(GuidedClassifier), **common)
        else:
            common |= {"criterion": nn.CrossEntropyLoss, "batch_size": 6, "device": device}
            net = watching(NeuralNetClassifier)(make_net(), verbose=0, **common)
        net.fit(X, Y).predict(X)
        net.partial_fit(X, Y)
        calls.append(net.calls_)
    assert len(calls[0]) > 100
    # the statistics of the guidance are taken from the array itself
    assert calls[0] == calls[1]


# what is refused with guidance, and why


def without_super_get_loss(cls):
    class Own(cls):
        def get_loss(self, y_pred, y_true, *args, **kwargs):
            return nn.functional.cross_entropy(y_pred, y_true.to(y_pred.device))

    return Own


def without_super_infer(cls):
    class Own(cls):
        def infer(self, x, **fit_params):
            return self.module_(x.to(self.device))

    return Own


def without_infer(cls):
    class Own(cls):
        def train_step_single(self, batch, **fit_params):
            x, y = (part.to(self.device) for part in batch)
            y_pred = self.module_.train()(x)
            loss = nn.functional.cross_entropy(y_pred, y)
            loss.backward()
            return {"loss": loss, "y_pred": y_pred}

    return Own


def changed_after_infer(cls):
    class Own(cls):
        def infer(self, x, **fit_params):
            return 2 * super().infer(x, **fit_params)

    return Own


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (without_super_get_loss, r"in get_loss, which .* Own does not reach: .* super\(\)\.get_"),
        (without_super_infer, r"in infer, which .* Own does not reach: .* super\(\)\.infer"),
        (without_infer, "in infer, which .* Own does not reach: call self.infer"),
        (changed_after_infer, r"Own.infer changes .* class Guided\(SaliencyGuidedMixin"),
    ],
)
@pytest.mark.parametrize("base", [GuidedClassifier, SaliencyGuidedClassifier])
def test_overrides_that_lead_past_the_guidance_are_refused(
    override, message, base, setting, device
):
    net = make_estimator(make_net(), setting, device, override(base))
    if setting is None:
        assert len(net.fit(X, Y).history) == 3
        return
    with pytest.raises(TypeError, match=message):
        net.fit(X, Y)
    assert not net.initialized_


def test_the_mixin_comes_before_every_net_class():
    class Own(NeuralNetClassifier):
        pass

    with pytest.raises(TypeError, match=r"before every skorch net class, got class Wrong\(Own, S"):
        type("Wrong", (Own, SaliencyGuidedMixin, NeuralNetClassifier), {})


# parameters of one's own, and other uses of a net


class Penalised(SaliencyGuidedClassifier):
    def __init__(self, *args, penalty=0.1, **kwargs):
        super().__init__(*args, **kwargs)
        self.penalty = penalty

    def get_loss(self, *args, **kwargs):
        loss = super().get_loss(*args, **kwargs)
        return loss + self.penalty * sum(w.abs().sum() for w in self.module_.parameters())


def test_a_parameter_of_a_subclass_is_one_for_scikit_learn(setting, device):
    net = make_estimator(make_net(), setting, device, Penalised, penalty=0.2, max_epochs=2)
    assert clone(net).get_params()["penalty"] == 0.2
    grid = GridSearchCV(net, {"penalty": [0.0, 10.0]}, cv=2, error_score="raise").fit(X, Y)
    assert len(set(grid.cv_results_["mean_test_score"])) == 2
    assert grid.best_estimator_.penalty == grid.best_params_["penalty"]
    fitted = net.set_params(penalty=0.0).fit(X, Y)
    plain = make_estimator(make_net(), setting, device, max_epochs=2).fit(X, Y)
    assert_same_state(fitted.module_, plain.module_, atol=1e-12)
    loaded = pickle.loads(pickle.dumps(fitted))
    assert loaded.penalty == 0.0
    np.testing.assert_array_equal(loaded.predict_proba(X), fitted.predict_proba(X))


class Sized(nn.Sequential):
    """A module whose first values follow from its size."""

    def __init__(self, width=8):
        super().__init__(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 3))
        for parameter in self.double().parameters():
            values = torch.arange(parameter.numel(), dtype=torch.float64).add(width).sin()
            parameter.data.copy_(values.reshape(parameter.shape))


class Rebuild(Callback):
    """Builds the module anew after the first epoch."""

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 2:
            net.set_params(module__width=5)


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
def test_a_module_that_a_callback_builds_anew_is_trained(saliency_pass, setting, device):
    options = {"callbacks": [Rebuild()], "saliency_pass": saliency_pass}
    estimator = make_estimator(Sized, setting, device, **options).fit(X, Y)
    hand = HandTrained(Sized(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for i, rows in enumerate(hand.batches()):
        if i == 4:
            hand.net = Sized(width=5).to(device)
            optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


def saved_and_loaded(net, path):
    files = {f"f_{name}": path / name for name in ("params", "optimizer", "criterion", "history")}
    net.save_params(**files)
    other = clone(net).initialize()
    other.load_params(**files)
    return other.partial_fit(X, Y).predict_proba(X), len(other.history)


def trimmed(net, path):
    net.trim_for_prediction()
    with pytest.raises(SkorchTrainingImpossibleError):
        net.fit(X, Y)
    return net.predict_proba(X)


def trained_outputs(net, path):
    torch.manual_seed(1)
    return [part.detach().numpy() for part in net.forward_iter(X, training=True)]


def checked_step(net, path):
    batch = torch.from_numpy(X[:5]), torch.from_numpy(Y[:5])
    step = net.train_step(batch)
    step |= {f"valid {key}": value for key, value in net.validation_step(batch).items()}
    step["evaluated"] = net.evaluation_step(batch)
    return {key: value.detach().cpu().numpy() for key, value in step.items()}


USES = {
    "save and load": saved_and_loaded,
    "trim": trimmed,
    "forward in training mode": trained_outputs,
    "steps by hand": checked_step,
    "score": lambda net, path: net.score(X_VALID, Y_VALID),
    "sliced data set": lambda net, path: net.fit(SliceDataset(Dataset(X, Y)), Y).predict_proba(X),
    "data set": lambda net, path: net.fit(Dataset(X, Y), None).predict_proba(Dataset(X)),
    "set_params": lambda net, path: net.set_params(lr=0.01).partial_fit(X, Y).predict_proba(X),
}


@pytest.mark.parametrize("use", USES)
def test_a_guided_net_can_be_used_as_a_plain_one(use, setting, device, tmp_path):
    results = []
    for guided in (True, False):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Dropout(0.2), make_net())
        common = {"optimizer__momentum": 0.9, "max_epochs": 2}
        if guided:
            common["random_state"] = None
            net = make_estimator(module, setting, device, GuidedClassifier, **common)
        else:
            common |= {"criterion": nn.CrossEntropyLoss, "lr": LR, "batch_size": 6}
            common |= {"train_split": None, "verbose": 0, "device": device}
            net = NeuralNetClassifier(module, **common)
        results.append(USES[use](net.fit(X, Y), tmp_path))
    if setting is None:
        np.testing.assert_equal(*results)
