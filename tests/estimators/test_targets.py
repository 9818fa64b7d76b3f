"""Kinds of classification targets, against scikit-learn, torch alone, and formulas."""

import copy
import functools
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.metrics import average_precision_score, get_scorer, roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neural_network import MLPClassifier
from skorch.dataset import ValidSplit
from torch import nn
from torch.nn import functional as F

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

RNG = np.random.default_rng(5)
N, D = 48, 5
X = RNG.standard_normal((N, D)).astype(np.float32)
CODES = np.digitize(X[:, 0] - X[:, 1], [-0.7, 0.7])
TWO = (X[:, 2] > 0.1).astype(np.int64)
INDICATOR = (X[:, :3] + 0.5 * RNG.standard_normal((N, 3)) > 0).astype(np.int64)
SOFT = RNG.dirichlet(np.ones(3), N)
WORDS = np.array(["bird", "cat", "mouse"])
TARGETS = {
    "words": WORDS[CODES],
    "two words": WORDS[TWO],
    "ints": CODES * 7 - 3,
    "floats": CODES + 1.0,
    "booleans": TWO.astype(bool),
    "objects": WORDS[CODES].astype(object),
    "indicator": INDICATOR,
    "indicator of booleans": INDICATOR.astype(bool),
    "indicator of floats": INDICATOR.astype(float),
    "indicator of two": INDICATOR[:, :2],
    "indicator that lacks a label": INDICATOR * [1, 0, 1],
}


class Net(nn.Sequential):
    """A small net with a last layer of the user's choice."""

    def __init__(self, n_outputs=3, end="logits", squeeze=False):
        ends = {"logits": nn.Identity(), "softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid()}
        last = nn.Flatten(0) if squeeze else nn.Identity()
        super().__init__(nn.Linear(D, 6), nn.Tanh(), nn.Linear(6, n_outputs), ends[end], last)


def make(device="cpu", cls=SaliencyGuidedClassifier, **params):
    return cls(**{"max_epochs": 3, "lr": 0.02, "random_state": 0, "device": device} | params)


# like scikit-learn's own network


@pytest.fixture(scope="module")
def of_sklearn():
    fitted = {}
    for name, y in TARGETS.items():
        fitted[name] = MLPClassifier((4,), max_iter=400, tol=1, random_state=0).fit(X, y)
    return fitted


@pytest.mark.parametrize("name", TARGETS)
def test_predictions_look_like_those_of_scikit_learns_network(name, of_sklearn, device):
    expected, net = of_sklearn[name], make(device).fit(X, TARGETS[name])
    np.testing.assert_array_equal(net.classes_, expected.classes_)
    for method in ("predict", "predict_proba"):
        found, like = getattr(net, method)(X), getattr(expected, method)(X)
        assert found.shape == like.shape
        assert found.dtype.kind == like.dtype.kind or name == "objects"
    assert set(np.unique(net.predict(X))) <= set(np.unique(TARGETS[name])) | {0, 1}
    hits = net.predict(X) == TARGETS[name]
    assert net.score(X, TARGETS[name]) == (hits if hits.ndim == 1 else hits.all(1)).mean()


@pytest.mark.parametrize("name", TARGETS)
def test_every_kind_of_target_is_learned(name, device):
    y = TARGETS[name]
    net = make(device, max_epochs=60).fit(X, y)
    chance = np.mean(y == np.median(y, axis=0)) if y.ndim == 2 else 1 / len(net.classes_)
    assert np.mean(net.predict(X) == y) > chance + (1 - chance) / 2


# against torch alone

CRITERIA = {
    "labels": ("auto", CODES, lambda z, y: F.cross_entropy(z, y)),
    "one logit": (
        nn.BCEWithLogitsLoss,
        TWO,
        lambda z, y: F.cross_entropy(torch.cat([torch.zeros_like(z), z], 1), y),
    ),
    "indicator": (
        "auto",
        INDICATOR,
        lambda z, y: -(y * z.sigmoid().log() + (1 - y) * (-z).sigmoid().log()).mean(),
    ),
    "indicator, weighted positives": (
        functools.partial(nn.BCEWithLogitsLoss, pos_weight=torch.tensor([2.0, 1, 3])),
        INDICATOR,
        lambda z, y: (
            -(
                y * torch.tensor([2.0, 1, 3], device=z.device) * F.logsigmoid(z)
                + (1 - y) * F.logsigmoid(-z)
            ).mean()
        ),
    ),
    "soft labels": (
        nn.CrossEntropyLoss,
        SOFT,
        lambda z, y: -(y * z.log_softmax(1)).sum(1).mean(),
    ),
}


def train_by_hand(module, data, y, loss, epochs=3, size=16, lr=0.1):
    """Gradient descent in place, batches in the order of the rows."""
    module.train()
    for _ in range(epochs):
        for rows in torch.arange(len(data)).split(size):
            gradients = torch.autograd.grad(
                loss(module(data[rows]), y[rows]), list(module.parameters())
            )
            with torch.no_grad():
                for p, gradient in zip(module.parameters(), gradients, strict=True):
                    p -= lr * gradient
    return module.eval()


def plain(device, **params):
    """An estimator without guidance, as the loop above trains."""
    options = {"consistency_weight": 0, "optimizer": torch.optim.SGD, "lr": 0.1, "batch_size": 16}
    return make(device, **options | {"iterator_train__shuffle": False} | params)


def start_of(estimator, y):
    """The module before its first step."""
    return copy.deepcopy(clone(estimator).set_params(lr=0.0, max_epochs=1).fit(X, y).module_)


@pytest.mark.parametrize("name", CRITERIA)
def test_nets_are_those_that_torch_alone_trains(name, device):
    criterion, y, loss = CRITERIA[name]
    estimator = plain(device, criterion=criterion)
    module = start_of(estimator, y)
    estimator.fit(X, y)
    on_device = [torch.from_numpy(a).to(device) for a in (X, np.asarray(y))]
    train_by_hand(module, *on_device, loss)
    with torch.no_grad():
        z = module(on_device[0]).cpu().numpy()
    output = np.concatenate([o.cpu().numpy() for o in estimator.forward_iter(X)])
    np.testing.assert_allclose(output, z, atol=1e-6)
    if "indicator" in name:
        proba = 1 / (1 + np.exp(-z))
        np.testing.assert_array_equal(estimator.predict(X), z > 0)
    elif name == "one logit":
        positive = 1 / (1 + np.exp(-z))
        proba = np.hstack([1 - positive, positive])
        np.testing.assert_array_equal(estimator.predict(X), (z > 0)[:, 0])
    else:
        proba = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        np.testing.assert_array_equal(estimator.predict(X), z.argmax(1))
    np.testing.assert_allclose(estimator.predict_proba(X), proba, atol=1e-6)


@pytest.mark.parametrize("n_outputs", [2, 3])
def test_several_outputs_of_regression_are_standardised_one_by_one(n_outputs, device):
    y = (X[:, :n_outputs] ** 2 * 10.0 ** np.arange(n_outputs) - 5).astype(np.float64)
    estimator = plain(device, cls=SaliencyGuidedRegressor)
    module = start_of(estimator, y)
    estimator.fit(X, y)
    mean, sd = y.mean(0), y.std(0)
    standardised = torch.from_numpy(((y - mean) / sd).astype(np.float32)).to(device)
    data = torch.from_numpy(X).to(device)
    train_by_hand(module, data, standardised, lambda z, y: ((z - y) ** 2).mean())
    with torch.no_grad():
        expected = module(data).cpu().double().numpy() * sd + mean
    np.testing.assert_allclose(estimator.predict(X), expected, rtol=1e-5, atol=1e-5 * sd.max())
    np.testing.assert_allclose(estimator.target_scale_, sd, rtol=1e-12)


# decision_function


def softmax(z):
    return torch.from_numpy(z).softmax(1).numpy()


LOGITS = {
    "words": ({}, TARGETS["words"], 3),
    "two words": ({}, TARGETS["two words"], 2),
    "one logit": ({"criterion": nn.BCEWithLogitsLoss}, TARGETS["two words"], 1),
    "indicator": ({}, INDICATOR, "each"),
    "indicator of two": ({}, INDICATOR[:, :2], "each"),
    "soft labels": ({"criterion": nn.CrossEntropyLoss}, SOFT, 3),
    "own": ({"module": Net}, CODES, 3),
    "own, two": ({"module": Net, "module__n_outputs": 2}, TWO, 2),
    "own, NLL": (
        {"module": Net, "module__end": "softmax", "criterion": nn.NLLLoss},
        TARGETS["words"],
        3,
    ),
    "own, BCE": (
        {"module": Net, "module__end": "sigmoid", "criterion": nn.BCELoss},
        INDICATOR.astype(np.float32),
        "each",
    ),
    "own, one logit": (
        {"module": Net, "module__n_outputs": 1, "criterion": nn.BCEWithLogitsLoss},
        TARGETS["two words"],
        1,
    ),
    "own, one probability": (
        {
            "module": Net,
            "module__n_outputs": 1,
            "module__end": "sigmoid",
            "criterion": nn.BCELoss,
        },
        TARGETS["booleans"],
        1,
    ),
}


@pytest.mark.parametrize("name", LOGITS)
def test_decisions_probabilities_and_predictions_agree(name, device):
    params, y, kind = LOGITS[name]
    net = make(device, **params).fit(X, y)
    decision, proba, predicted = net.decision_function(X), net.predict_proba(X), net.predict(X)
    if kind == "each":
        assert decision.shape == proba.shape == predicted.shape == y.shape
        np.testing.assert_allclose(proba, 1 / (1 + np.exp(-decision)), atol=1e-6)
        np.testing.assert_array_equal(predicted, decision > 0)
        return
    assert proba.shape == (N, max(kind, 2))
    np.testing.assert_allclose(proba.sum(1), 1, atol=1e-6)
    if kind < 3:
        assert decision.shape == (N,)
        np.testing.assert_allclose(proba[:, 1], 1 / (1 + np.exp(-decision)), atol=1e-6)
        np.testing.assert_array_equal(predicted, net.classes_[(decision > 0).astype(int)])
    else:
        assert decision.shape == (N, 3)
        np.testing.assert_allclose(proba, softmax(decision), atol=1e-6)
        np.testing.assert_array_equal(predicted, net.classes_[decision.argmax(1)])
    assert len(np.unique(predicted)) > 1


def test_decision_function_is_offered_where_there_are_logits():
    assert hasattr(make(), "decision_function")
    assert hasattr(make(criterion=nn.NLLLoss), "decision_function")
    assert not hasattr(make(criterion=nn.MultiMarginLoss), "decision_function")
    assert not hasattr(make(cls=SaliencyGuidedRegressor), "decision_function")


# one logit of the user's own modules


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("squeeze", [False, True], ids=["(n, 1)", "(n,)"])
@pytest.mark.parametrize(
    ("criterion", "end"), [(nn.BCEWithLogitsLoss, "logits"), (nn.BCELoss, "sigmoid")]
)
def test_labels_for_one_logit_are_encoded_to_the_shape_of_the_output(
    criterion, end, squeeze, device
):
    own = functools.partial(
        make,
        device,
        module=Net,
        module__n_outputs=1,
        module__end=end,
        module__squeeze=squeeze,
        criterion=criterion,
    )
    passed = TWO.astype(np.float32).reshape((-1,) if squeeze else (-1, 1))
    expected = own().fit(X, passed)
    assert expected.predict(X).shape == (N,)
    assert expected.predict_proba(X).shape == (N, 2)
    np.testing.assert_array_equal(expected.predict(X), expected.predict_proba(X).argmax(1))
    for labels in (WORDS[:2], np.array([False, True]), np.array([3, 8])):
        net = own().fit(X, labels[TWO])
        np.testing.assert_array_equal(net.classes_, labels)
        np.testing.assert_allclose(net.predict_proba(X), expected.predict_proba(X), atol=1e-6)
        np.testing.assert_array_equal(net.predict(X), labels[expected.predict(X)])


# attributions

EXPLAINED = {name: LOGITS[name] for name in LOGITS if LOGITS[name][2] in (1, "each")}


def logits_of(net, x):
    z = net.module_.eval()(x)
    if isinstance(net.criterion_, nn.BCELoss):
        z = (z.double() / (1 - z.double())).log()
    return z


@pytest.mark.parametrize("output", ["logit", "log_proba", "margin"])
@pytest.mark.parametrize("name", EXPLAINED)
def test_attributions_of_labels_are_gradients_of_their_logits(name, output, device):
    params, y, kind = EXPLAINED[name]
    net = make(device, **params).fit(X, y)
    x = torch.from_numpy(X).to(device).requires_grad_(True)
    z = logits_of(net, x)
    if kind == 1:
        z = torch.cat([-z, z], 1)  # of either label
    scalars = F.logsigmoid(z) if output == "log_proba" else z
    expected = [
        torch.autograd.grad(scalar.sum(), x, retain_graph=True)[0].cpu().numpy()
        for scalar in scalars.T
    ]
    everything = net.attribute(X, target="all", output=output)
    np.testing.assert_allclose(everything, np.stack(expected, 1), atol=1e-5)
    for j, label in enumerate(net.classes_.tolist()):
        found = net.attribute(X, target=label, output=output)
        np.testing.assert_allclose(found, expected[j], atol=1e-5)
    labels = np.random.default_rng(0).integers(0, len(net.classes_), N)
    each = net.attribute(X, target=net.classes_[labels], output=output)
    np.testing.assert_allclose(each, np.stack(expected)[labels, np.arange(N)], atol=1e-5)


@pytest.mark.parametrize("name", EXPLAINED)
def test_predicted_labels_are_explained_together(name, device):
    params, y, kind = EXPLAINED[name]
    net = make(device, **params).fit(X, y)
    everything = net.attribute(X, target="all")
    if kind == 1:
        positive = net.decision_function(X) > 0
        expected = np.where(positive[:, None], everything[:, 1], everything[:, 0])
    else:
        signs = np.where(net.decision_function(X) > 0, 1, -1)
        expected = np.einsum("nl,nld->nd", signs, everything)
    np.testing.assert_allclose(net.attribute(X), expected, atol=1e-5)


# scikit-learn's tools


@pytest.mark.parametrize("n_labels", [2, 3])
def test_scorers_take_the_columns_of_an_indicator(n_labels, device):
    y = INDICATOR[:, :n_labels]
    net = make(device).fit(X, y)
    proba = net.predict_proba(X)
    assert get_scorer("roc_auc")(net, X, y) == pytest.approx(roc_auc_score(y, proba))
    assert get_scorer("average_precision")(net, X, y) == pytest.approx(
        average_precision_score(y, proba)
    )


def test_scorers_of_two_classes_take_the_decision(device):
    y = TARGETS["two words"]
    for params in ({}, {"criterion": nn.BCEWithLogitsLoss}):
        net = make(device, **params).fit(X, y)
        expected = roc_auc_score(TWO, net.predict_proba(X)[:, 1])
        assert get_scorer("roc_auc")(net, X, y) == pytest.approx(expected)
        assert expected > 0.6


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("name", ["words", "two words", "indicator", "indicator of two"])
def test_cross_val_predict_is_a_fit_a_fold(name, method, device):
    y, folds = TARGETS[name], KFold(3)
    found = cross_val_predict(make(device), X, y, cv=folds, method=method)
    for train, test in folds.split(X):
        expected = getattr(make(device).fit(X[train], y[train]), method)(X[test])
        if method == "predict":
            np.testing.assert_array_equal(found[test], expected)
        else:
            np.testing.assert_allclose(found[test], expected, atol=1e-6)


def test_search_over_a_multilabel_net(device):
    search = GridSearchCV(make(device), {"lr": [1e-6, 0.05]}, cv=KFold(3), scoring="roc_auc")
    search.fit(X, INDICATOR)
    assert search.best_params_ == {"lr": 0.05}
    assert search.predict(X).shape == INDICATOR.shape


def test_a_net_for_each_label(device):
    many = MultiOutputClassifier(make(device)).fit(X, INDICATOR)
    chain = ClassifierChain(make(device), order=[0, 1, 2]).fit(X, INDICATOR)
    one = make(device).fit(X, INDICATOR[:, 0])
    for first in (many.estimators_[0], chain.estimators_[0]):
        np.testing.assert_allclose(first.predict_proba(X), one.predict_proba(X), atol=1e-6)
    after = make(device).fit(np.column_stack([X, INDICATOR[:, 0]]), INDICATOR[:, 1])
    columns = np.column_stack([X, INDICATOR[:, 0]])
    np.testing.assert_allclose(
        chain.estimators_[1].predict_proba(columns), after.predict_proba(columns), atol=1e-6
    )


@pytest.mark.parametrize("name", LOGITS)
def test_copies_predict_alike(name, tmp_path, device):
    params, y, _ = LOGITS[name]
    net = make(device, **params).fit(X, y)
    net.save(tmp_path / "net")
    copies = [
        pickle.loads(pickle.dumps(net)),
        SaliencyGuidedClassifier.load(tmp_path / "net", trusted=[Net], device=device),
    ]
    for other in copies:
        for method in ("predict", "predict_proba", "decision_function"):
            np.testing.assert_array_equal(getattr(other, method)(X), getattr(net, method)(X))


@pytest.mark.parametrize("name", LOGITS)
def test_losses_and_scores_of_validation_are_recorded(name, device):
    params, y, _ = LOGITS[name]
    split = ValidSplit(0.25, random_state=0)
    net = make(device, train_split=split, **params).fit(X, y)
    assert np.isfinite(net.history[:, "valid_loss"]).all()
    _, valid = split(list(range(N)))
    rows = valid.indices
    # of probabilities there is no accuracy
    assert ("valid_acc" in net.history[-1]) == (name != "soft labels")
    if name != "soft labels":
        assert net.history[-1, "valid_acc"] == pytest.approx(net.score(X[rows], y[rows]))
