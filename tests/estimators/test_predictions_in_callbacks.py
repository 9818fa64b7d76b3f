"""What a net says to callbacks inside its fit: to the user's, what it will say after the fit."""

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.callbacks import BatchScoring, Callback, EpochScoring
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 4))
CODES = X[:, :3].argmax(1)
LABELS = {
    "texts": np.array(["a", "b", "c"])[CODES],
    "from 1": CODES + 1,
    "signs": np.where(X[:, 0] > 0, 1, -1),
}
TARGETS = 300 + 80 * X[:, 0]
FORMS = {
    "array": lambda X: X,
    "frame": lambda X: pd.DataFrame(X, columns=list("abcd")),
    "list": lambda X: X.tolist(),
}
EVENTS = ("on_train_begin", "on_epoch_end", "on_batch_end", "on_train_end")


def said(net, X, y):
    """All that a net can be asked, with labels and units."""
    answers = {"predict": net.predict(X), "score": net.score(X, y), "attribute": net.attribute(X)}
    if hasattr(net, "predict_proba"):
        answers |= {"proba": net.predict_proba(X), "classes": net.classes_}
        answers["decision"] = net.decision_function(X)
        answers["of a label"] = net.attribute(X, target=y[-1])
    return answers


class Asks(Callback):
    """Notes what the net says about data of the user's own at each event, the last one counts."""

    def __init__(self, X, y):
        self.X, self.y = X, y

    def initialize(self):
        self.said_ = {}
        return self


def _ask(event):
    def method(self, net, *args, **kwargs):
        self.said_[event] = said(net, self.X, self.y)

    return method


for _event in EVENTS:
    setattr(Asks, _event, _ask(_event))


def callback(net, kind):
    return next(c for _, c in net.callbacks_ if isinstance(c, kind))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("target", [*LABELS, "numbers", "several"])
def test_callbacks_hear_what_is_said_after_the_fit(target, form, device):
    data, options = FORMS[form](X), {}
    if target in LABELS:
        cls, y = SaliencyGuidedClassifier, LABELS[target]
        options = {"criterion": nn.BCEWithLogitsLoss} if target == "signs" else {}
    else:
        cls, y = SaliencyGuidedRegressor, TARGETS
        y = np.c_[y, -y] if target == "several" else y
    net = cls(max_epochs=2, callbacks=[Asks(data, y)], device=device, random_state=0, **options)
    net.fit(data, y)
    heard, expected = callback(net, Asks).said_, said(net, data, y)
    assert set(heard) == set(EVENTS)
    # the last step was taken by then
    for event in ("on_batch_end", "on_epoch_end", "on_train_end"):
        for name, value in expected.items():
            found, value = np.asarray(heard[event][name]), np.asarray(value)
            assert found.dtype == value.dtype
            if value.dtype.kind == "f":
                np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-6)
            else:
                np.testing.assert_array_equal(found, value)
    for name, value in expected.items():
        assert np.shape(heard["on_train_begin"][name]) == np.shape(value)


def test_methods_of_the_net_hear_the_same(device):
    class Own(SaliencyGuidedClassifier):
        def on_epoch_end(self, net, **kwargs):
            super().on_epoch_end(net, **kwargs)
            self.heard_ = self.predict(X), self.classes_

    net = Own(max_epochs=2, device=device, random_state=0).fit(X, LABELS["texts"])
    np.testing.assert_array_equal(net.heard_[0], net.predict(X))
    np.testing.assert_array_equal(net.heard_[1], ["a", "b", "c"])


def test_bad_data_in_a_callback_are_named(device):
    net = SaliencyGuidedClassifier(callbacks=[Asks(X[:, :3], CODES)], device=device)
    with pytest.raises(ValueError, match="X has 3 features, but SaliencyGuidedClassifier"):
        net.fit(X, CODES)
    assert not net.initialized_
    assert "_encoded_" not in vars(net)


class OfDatasets(Callback):
    """Asks about the data sets that callbacks are given, whose targets are encoded."""

    def on_epoch_end(self, net, dataset_train, dataset_valid, **kwargs):
        y = np.array([target for _, target in dataset_valid])
        self.score_ = net.score(dataset_valid, y)
        self.predicted_ = net.predict(dataset_valid)


@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, SaliencyGuidedRegressor])
def test_data_sets_of_the_fit_are_predicted_as_their_targets_are_encoded(cls, device):
    y = LABELS["texts"] if cls is SaliencyGuidedClassifier else TARGETS
    net = cls(
        max_epochs=2,
        train_split=ValidSplit(3, stratified=cls is SaliencyGuidedClassifier),
        callbacks=[OfDatasets()],
        device=device,
        random_state=0,
    )
    net.fit(X, y)
    heard = callback(net, OfDatasets)
    name = "valid_acc" if cls is SaliencyGuidedClassifier else None
    if name:
        assert heard.score_ == pytest.approx(net.history[-1, name])
        assert heard.predicted_.dtype.kind == "i"
    else:
        # R2 from the mean squared error, both in standard deviations
        _, valid = net.get_split_datasets(X, TARGETS)
        scaled = np.array([float(t) for _, t in valid]) / TARGETS.std()
        expected = 1 - net.history[-1, "valid_loss"] / scaled.var()
        assert heard.score_ == pytest.approx(expected, rel=1e-4)


def hits(net, X, y):
    return (net.predict(X) == y).mean()


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("scoring", ["accuracy", hits, "roc_auc_ovr", None])
@pytest.mark.parametrize("score", [EpochScoring, BatchScoring])
def test_scores_of_skorch_compare_codes(score, scoring, use_caching, device):
    options = {"lower_is_better": False, "use_caching": use_caching, "name": "mine"}
    scores = [score(scoring, **options), EpochScoring("accuracy", on_train=True, name="train")]
    asks = Asks(X, LABELS["texts"])
    net = SaliencyGuidedClassifier(
        max_epochs=3,
        train_split=ValidSplit(3, stratified=True),
        iterator_valid__batch_size=-1,
        callbacks=[scores[0], asks, scores[1]],
        device=device,
        random_state=0,
    ).fit(X, LABELS["texts"])
    if scoring != "roc_auc_ovr":
        assert net.history[:, "mine"] == pytest.approx(net.history[:, "valid_acc"])
    else:
        assert all(0 <= value <= 1 for value in net.history[:, "mine"])
    assert net.history[-1, "train"] > 0.2


def test_explanations_in_callbacks_leave_the_training_as_it_is(device):
    nets = [
        SaliencyGuidedClassifier(max_epochs=2, callbacks=c, device=device, random_state=0)
        for c in (None, [("asks", Attributes())])
    ]
    states = [net.fit(X, LABELS["texts"]).module_.state_dict() for net in nets]
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value)


class Attributes(Callback):
    def on_epoch_end(self, net, **kwargs):
        net.attribute(X, target="b")
