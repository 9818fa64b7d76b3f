"""Weighted training against formulas: steps in float64, validation, going on, class weights."""

import copy
import functools

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_sample_weight
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset, ValidSplit
from skorch.helper import predefined_split
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn._random import mask_seed
from tests.estimators.by_hand import (
    LR,
    SEED,
    SETTINGS,
    HandTrained,
    X,
    Y,
    assert_same_state,
    make_estimator,
    make_net,
)
from tests.guidance import slow_loop

WEIGHTS = np.random.default_rng(6).uniform(0.1, 3, len(X))
WEIGHTS[[1, 8, 9]] *= 5
RATES = {"mean": LR / 4, "none": LR / 4, "sum": LR / 100}

# "marginal" has a share in what weights decide, in tests of its own
FILLED = SETTINGS | {"drawn": slow_loop.Setting(order="sampled", fill="sample_uniform")}


@pytest.fixture(params=FILLED)
def setting(request):
    return FILLED[request.param]


# one step


def weighted_statistics(X, weights):
    """Statistics of the columns of a table, each row counted as often as it weighs."""
    total = sum(weights)
    statistics = {}
    for j, column in enumerate(X.T.tolist()):
        mean = sum(w * v for w, v in zip(weights, column, strict=True)) / total
        squares = sum(w * (v - mean) ** 2 for w, v in zip(weights, column, strict=True))
        sd = (squares / total) ** 0.5
        statistics[(j,)] = slow_loop.Statistics(min(column), max(column), mean, sd)
    return statistics


def train_slowly(net, X, y, weights, setting, reduction="mean", epochs=3, size=5):
    """Train in place by gradient descent; return (task, consistency) of each step."""
    statistics = weighted_statistics(X.cpu(), weights)
    generator = torch.Generator(X.device).manual_seed(mask_seed(SEED))
    losses = []
    for step in range(epochs * -(-len(X) // size)):
        rows = torch.arange(len(X)).split(size)[step % -(-len(X) // size)].tolist()
        masked_x = slow_loop.masked_batch(net, X[rows], y[rows], setting, statistics, generator)
        net.train()
        task = consistency = total = 0.0
        for i, row in enumerate(rows):
            z, z_masked = net(X[row : row + 1])[0], net(masked_x[i : i + 1])[0]
            outputs = len(z) if reduction == "sum" and setting.likelihood != "categorical" else 1
            task += outputs * weights[row] * slow_loop.task_loss(z, y[row], setting)
            consistency += outputs * weights[row] * slow_loop.divergence(z, z_masked, setting)
            total += weights[row]
        divisor = {"mean": total, "sum": 1, "none": len(rows)}[reduction]
        task, consistency = task / divisor, consistency / divisor
        parameters = list(net.parameters())
        gradients = torch.autograd.grad(task + setting.weight * consistency, parameters)
        with torch.no_grad():
            for w, gradient in zip(parameters, gradients, strict=True):
                w -= RATES[reduction] * gradient
        losses.append((task.item(), consistency.item()))
    return losses


RNG = np.random.default_rng(3)
KINDS = {
    "categorical": (SaliencyGuidedClassifier, nn.CrossEntropyLoss, "categorical_kl", Y),
    "bernoulli": (
        SaliencyGuidedClassifier,
        nn.BCEWithLogitsLoss,
        "bernoulli_kl",
        (X[:, :3] + RNG.normal(size=(len(X), 3)) > 0).astype(np.float64),
    ),
    "gaussian": (
        SaliencyGuidedRegressor,
        nn.MSELoss,
        "squared_difference",
        X[:, :3] * X[:, 3:] + 1,
    ),
}
DRAWN = {
    "absolute, mean": {"fill": "mean"},
    "sampled, sample_uniform": {"order": "sampled", "fill": "sample_uniform"},
    "absolute, feature_uniform": {"fill": "feature_uniform", "output": "log_proba"},
    "random, constant": {"order": "random"},
}


def reduced(cls, reduction):
    """With losses that the user's own `get_loss` has to reduce, for "none"."""
    if reduction != "none":
        return cls

    class Averaging(cls):
        def get_loss(self, *args, **kwargs):
            return super().get_loss(*args, **kwargs).mean()

    return Averaging


# rows of unreduced losses are compared in the next test
STEPS = [(kind, reduction) for kind in KINDS for reduction in ("mean", "sum")]
STEPS += [("categorical", "none")]


@pytest.mark.parametrize("masks", DRAWN)
@pytest.mark.parametrize(("kind", "reduction"), STEPS)
def test_steps_are_those_of_the_weighted_formulas(kind, masks, reduction, device):
    cls, criterion, divergence, y = KINDS[kind]
    setting = slow_loop.Setting(likelihood=kind, divergence=divergence, **DRAWN[masks])
    net = make_net()
    estimator = make_estimator(
        net,
        setting,
        device,
        reduced(cls, reduction),
        criterion=criterion,
        criterion__reduction=reduction,
        batch_size=5,
        lr=RATES[reduction],
    ).fit(X, y, sample_weight=WEIGHTS)
    net, on_device = net.to(device), [torch.from_numpy(a).to(device) for a in (X, y)]
    expected = train_slowly(net, *on_device, WEIGHTS.tolist(), setting, reduction)
    assert_same_state(estimator.module_, net, atol=1e-10)
    names = ["train_task_loss", "train_consistency_loss"]
    recorded = np.array(estimator.history[:, "batches", :, names]).reshape(-1, 2)
    np.testing.assert_allclose(recorded, expected, atol=1e-10, rtol=1e-10)


def test_unreduced_rows_of_losses_are_multiplied_by_the_weights(device):
    *_, y = KINDS["gaussian"]
    seen = []

    class Recording(SaliencyGuidedRegressor):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            loss = super().get_loss(y_pred, y_true, X=X, training=training)
            seen.append((y_pred.detach(), y_true, loss.detach()))
            return loss.mean()

    make_estimator(
        make_net(), None, device, Recording, criterion=nn.MSELoss, criterion__reduction="none"
    ).fit(X, y, sample_weight=WEIGHTS)
    weights = torch.from_numpy(WEIGHTS).split(6)
    for (y_pred, y_true, loss), weight in zip(seen, weights * 3, strict=True):
        expected = weight[:, None].to(device) * (y_pred - y_true.to(device)) ** 2
        torch.testing.assert_close(loss, expected)


def hand_trained(setting, device):
    hand = HandTrained(make_net(), setting, device)
    hand.statistics = weighted_statistics(X, WEIGHTS.tolist())
    hand.weights = torch.from_numpy(WEIGHTS).to(device)
    return hand


def weighted_loss(hand, rows):
    task, consistency = hand.terms(hand.X[rows], hand.y[rows])
    weights = hand.weights[rows]
    return (weights * (task + consistency)).sum() / weights.sum()


def test_lbfgs_minimises_the_weighted_loss(setting, device):
    options = {"max_iter": 4, "line_search_fn": "strong_wolfe"}
    estimator = make_estimator(
        make_net(),
        setting,
        device,
        optimizer=torch.optim.LBFGS,
        lr=0.1,
        **{f"optimizer__{name}": value for name, value in options.items()},
    ).fit(X, Y, sample_weight=WEIGHTS)
    hand = hand_trained(setting, device)
    optimizer = torch.optim.LBFGS(hand.net.parameters(), lr=0.1, **options)
    for rows in hand.batches():

        def closure(rows=rows):
            optimizer.zero_grad()
            loss = weighted_loss(hand, rows)
            loss.backward()
            return loss

        optimizer.step(closure)
    assert_same_state(estimator.module_, hand.net, atol=1e-9)


def test_losses_of_several_outputs_of_a_module_are_weighted(device):
    class Tuple(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = make_net()

        def forward(self, x):
            return self.net(x), "other"

    setting = SETTINGS["fixed"]
    estimator = make_estimator(Tuple, setting, device).fit(X, Y, sample_weight=WEIGHTS)
    expected = make_estimator(make_net(), setting, device).fit(X, Y, sample_weight=WEIGHTS)
    assert_same_state(estimator.module_.net, expected.module_)


# validation

SPLIT = ValidSplit(0.5, random_state=0)


def fit_with_validation(device, **params):
    return make_estimator(
        make_net(),
        SETTINGS["drawn"],
        device,
        **{"train_split": SPLIT, "batch_size": 5, "max_epochs": 4} | params,
    ).fit(X, Y, sample_weight=WEIGHTS)


def test_validation_loss_is_the_weighted_mean_over_all_validation_samples(device):
    estimator = fit_with_validation(device)
    _, valid = SPLIT(Dataset(X, Y))
    rows = np.asarray(valid.indices)
    estimator.module_.eval()
    with torch.no_grad():
        output = estimator.module_(torch.from_numpy(X[rows]).to(device)).cpu()
    losses = nn.functional.cross_entropy(output, torch.from_numpy(Y[rows]), reduction="none")
    expected = np.average(losses, weights=WEIGHTS[rows])
    assert estimator.history[-1, "valid_loss"] == pytest.approx(expected, abs=1e-12)
    # which neither the mean over samples nor that over batches is
    assert abs(expected - losses.mean().item()) > 1e-3
    sizes, of_batches = zip(
        *estimator.history[-1, "batches", :, ["valid_batch_size", "valid_loss"]], strict=True
    )
    assert abs(expected - np.average(of_batches, weights=sizes)) > 1e-3


def test_validation_loss_does_not_depend_on_the_batches(device):
    losses = [
        fit_with_validation(
            device, iterator_train__batch_size=6, iterator_valid__batch_size=size
        ).history[:, "valid_loss"]
        for size in (1, 5, 100)
    ]
    np.testing.assert_allclose(losses, np.broadcast_to(losses[0], (3, 4)), atol=1e-12)


def test_validation_by_integer_weights_is_validation_on_repeated_rows(device):
    weights = np.arange(len(X)) % 4
    rows = np.repeat(np.arange(len(X)), weights)
    kept = weights > 0
    # the same rows validate, and train, in both
    index = np.arange(len(X))[kept]
    halves = [np.flatnonzero(index < 12), np.flatnonzero(index >= 12)]
    repeated = [np.flatnonzero(rows < 12), np.flatnonzero(rows >= 12)]
    fit = functools.partial(
        make_estimator, make_net(), None, device, iterator_train__batch_size=-1
    )
    weighted = fit(train_split=ValidSplit([halves])).fit(X, Y, sample_weight=weights)
    expected = fit(train_split=ValidSplit([repeated])).fit(X[rows], Y[rows])
    for name in ("train_loss", "valid_loss"):
        np.testing.assert_allclose(weighted.history[:, name], expected.history[:, name])


def test_a_validation_set_of_its_own_is_not_weighted(device):
    split = predefined_split(Dataset(X[:7], Y[:7]))
    estimator = fit_with_validation(device, train_split=split)
    estimator.module_.eval()
    with torch.no_grad():
        output = estimator.module_(torch.from_numpy(X[:7]).to(device)).cpu()
    expected = nn.functional.cross_entropy(output, torch.from_numpy(Y[:7])).item()
    assert estimator.history[-1, "valid_loss"] == pytest.approx(expected, abs=1e-12)


def test_early_stopping_watches_the_weighted_loss(device):
    stopping = EarlyStopping(patience=2, load_best=True)
    estimator = fit_with_validation(device, max_epochs=300, callbacks=[stopping], lr=0.5)
    losses = estimator.history[:, "valid_loss"]
    assert len(losses) < 300
    assert int(np.argmin(losses)) == len(losses) - 3


# going on


def parameters_of(net):
    return [p.detach().cpu().numpy() for p in net.module_.parameters()]


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("module", ["auto", "own"])
def test_going_on_with_weights_equals_one_fit(module, device):
    data = X if module == "own" else X.astype(np.float32)
    module = make_net() if module == "own" else "auto"
    make = functools.partial(make_estimator, module, SETTINGS["drawn"], device)
    whole = make(max_epochs=4, iterator_train__shuffle=True).fit(data, Y, sample_weight=WEIGHTS)
    for name in ("partial_fit", "fit"):
        net = make(max_epochs=2, iterator_train__shuffle=True, warm_start=True)
        for _ in range(2):
            getattr(net, name)(data, Y, sample_weight=WEIGHTS)
        np.testing.assert_equal(parameters_of(net), parameters_of(whole))
        assert net.history[:, "train_loss"] == whole.history[:, "train_loss"]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_end_with_the_fit_that_they_were_passed_to(method, device):
    nets = []
    for weight in (None, np.ones(len(X))):
        net = make_estimator(make_net(), SETTINGS["drawn"], device)
        net.fit(X, Y, sample_weight=WEIGHTS)
        getattr(net, method)(X, Y, sample_weight=weight)
        nets.append(net)
    assert_same_state(nets[0].module_, nets[1].module_)
    assert nets[0]._weights_ is None


# batches


def stack(samples):
    inputs, targets = zip(*samples, strict=True)
    return torch.from_numpy(np.stack(inputs)), torch.tensor(np.array(targets))


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("option", [{"num_workers": 0}, {"collate_fn": stack}], ids=str)
def test_batches_of_a_data_loader_are_weighted_like_slices(option, shuffle, device):
    option = {
        f"{iterator}__{k}": v
        for iterator in ("iterator_train", "iterator_valid")
        for k, v in option.items()
    }
    nets = [
        fit_with_validation(device, iterator_train__shuffle=shuffle, **params)
        for params in ({}, option)
    ]
    np.testing.assert_equal(*(parameters_of(net) for net in nets))
    for name in ("train_loss", "valid_loss"):
        assert nets[0].history[:, name] == nets[1].history[:, name]


def test_weights_reach_losses_of_the_users_own(device):
    """The recipe of weights within X, for a class that is put behind the mixin."""
    seen = []

    class Recording(NeuralNetClassifier):
        def get_loss(self, y_pred, y_true, X=None, training=False):
            loss = super().get_loss(y_pred, y_true, X=X, training=training)
            seen.append((X, loss.shape))
            return loss

    class Guided(SaliencyGuidedMixin, Recording):
        pass

    make_estimator(make_net(), None, device, Guided).fit(X, Y, sample_weight=WEIGHTS)
    assert all(isinstance(inputs, torch.Tensor) for inputs, _ in seen)
    assert {shape for _, shape in seen} == {(6,)}


# class weights

WORDS = np.array(["left", "middle", "right"])[Y]
CLASS_WEIGHTS = {
    "dict": {"left": 3.0, "right": 0.25},
    "ints": {"left": 2, "middle": 1, "right": 5},
    "balanced": "balanced",
}


def classifier(device, **params):
    return make_estimator("auto", SETTINGS["drawn"], device, **params)


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("name", CLASS_WEIGHTS)
@pytest.mark.parametrize("module", ["auto", "own"])
def test_class_weights_are_the_sample_weights_of_scikit_learn(name, module, device):
    data = X if module == "own" else X.astype(np.float32)
    module = make_net() if module == "own" else "auto"
    class_weight = CLASS_WEIGHTS[name]
    make = functools.partial(make_estimator, module, SETTINGS["drawn"], device)
    found = make(class_weight=class_weight).fit(data, WORDS)
    passed = compute_sample_weight(class_weight, WORDS)
    expected = make().fit(data, WORDS, sample_weight=passed)
    np.testing.assert_equal(parameters_of(found), parameters_of(expected))
    assert not np.array_equal(parameters_of(found)[0], parameters_of(make().fit(data, WORDS))[0])


def test_class_weights_multiply_with_sample_weights(device):
    class_weight = {"left": 3.0, "right": 0.25}
    found = classifier(device, class_weight=class_weight).fit(X, WORDS, sample_weight=WEIGHTS)
    weights = [w * class_weight.get(word, 1) for w, word in zip(WEIGHTS, WORDS, strict=True)]
    expected = classifier(device).fit(X, WORDS, sample_weight=weights)
    assert_same_state(found.module_, expected.module_, atol=1e-6)


def test_balanced_classes_have_equal_sums_of_weights(device):
    found = classifier(device, class_weight="balanced").fit(X, WORDS, sample_weight=WEIGHTS)
    sums = {word: WEIGHTS[word == WORDS].sum() for word in np.unique(WORDS)}
    weights = [w / sums[word] for w, word in zip(WEIGHTS, WORDS, strict=True)]
    expected = classifier(device).fit(X, WORDS, sample_weight=weights)
    assert_same_state(found.module_, expected.module_, atol=1e-6)


LABELS = {
    "words": (WORDS, {"left": 4, "middle": 0.5}),
    "numbers": (Y * 10, {0: 4, 10: 0.5}),
    "booleans": (Y > 0, {False: 4, True: 0.5}),
    "objects": (WORDS.astype(object), {"left": 4, "middle": 0.5}),
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("criterion", ["auto", nn.BCEWithLogitsLoss])
def test_class_weights_go_by_label(name, criterion, device):
    y, class_weight = LABELS[name]
    if criterion != "auto":
        y = np.where(y == y[Y == 2][0], y[Y == 1][0], y)
        class_weight = {label: class_weight.get(label, 1) for label in np.unique(y).tolist()}
    make = functools.partial(classifier, device, criterion=criterion)
    found = make(class_weight=class_weight).fit(X, y)
    expected = make().fit(X, y, sample_weight=[class_weight.get(label, 1) for label in y.tolist()])
    assert_same_state(found.module_, expected.module_, atol=1e-6)


@pytest.mark.parametrize("own", [False, True])
def test_a_class_of_weight_zero_stays_a_class(own, device):
    y = Y if own else WORDS
    module = copy.deepcopy(make_net()) if own else "auto"
    net = make_estimator(
        module, SETTINGS["drawn"], device, class_weight={np.unique(y).tolist()[2]: 0}
    ).fit(X if own else X.astype(np.float32), y)
    np.testing.assert_array_equal(net.classes_, np.unique(y))
    assert net.predict_proba(X).shape == (len(X), 3)
    assert net.predict_proba(X)[:, 2].mean() < 0.3


@pytest.mark.parametrize("own", [False, True])
def test_class_weights_hold_for_batches_that_lack_a_label(own, device):
    y = Y if own else WORDS
    labels = np.unique(y).tolist()
    class_weight = {labels[0]: 3.0, labels[2]: 0.5}
    module = make_net() if own else "auto"
    nets = [
        make_estimator(module, SETTINGS["fixed"], device, class_weight=weight)
        for weight in (class_weight, None)
    ]
    rows = y != labels[2]
    for part in (slice(None), rows, ~rows):
        nets[0].partial_fit(X[part], y[part])
        weights = [class_weight.get(label, 1) for label in y[part].tolist()]
        nets[1].partial_fit(X[part], y[part], sample_weight=weights)
        np.testing.assert_array_equal(nets[0].classes_, labels)
    assert_same_state(nets[0].module_, nets[1].module_, atol=1e-6)


def test_setting_class_weight_reaches_the_next_fit(device):
    net = classifier(device).fit(X, WORDS)
    params = {"class_weight": {"left": 9}}
    again = net.set_params(**params).fit(X, WORDS)
    expected = classifier(device, **params).fit(X, WORDS)
    assert_same_state(again.module_, expected.module_, atol=0)
