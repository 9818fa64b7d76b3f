"""``MaskRecorder`` records what is hidden, and training does not notice."""

import io
import pickle
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import MaskRecorder, ResumableCheckpoint

RNG = np.random.default_rng(0)
N = 24
TABLE = RNG.normal(size=(N, 5)).astype(np.float32)
SERIES = RNG.normal(size=(N, 6, 3)).astype(np.float32)
RAGGED = [series[: 3 + i % 4] for i, series in enumerate(SERIES)]
IMAGES = RNG.normal(size=(N, 1, 4, 4)).astype(np.float32)
TOKENS = RNG.integers(2, 20, size=(N, 7))
LABELS = np.array(["no", "yes"])[(TABLE[:, 0] > 0).astype(int)]


class GuidedBinaryClassifier(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class Restless(nn.Module):
    """Draws in both modes, has running statistics, and counts its passes in training mode."""

    def __init__(self, n_features=5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(n_features, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.3)
        )
        self.head = nn.Linear(6, 1)
        self.register_buffer("n_passes", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.n_passes += 1
        return self.head(self.layers(x + 0.1 * torch.randn_like(x)))


def own(**params):
    # without validation, so that the module is in training mode when an epoch ends
    params = {"train_split": None, "verbose": 0, "lr": 0.1, **params}
    return GuidedBinaryClassifier(Restless, max_epochs=4, batch_size=8, **params)


CASES = {
    "table": (partial(SaliencyGuidedClassifier, module__dropout=0.3), TABLE, LABELS),
    "series": (partial(SaliencyGuidedClassifier, train_split=ValidSplit(4)), SERIES, LABELS),
    "ragged": (partial(SaliencyGuidedClassifier, "gru", mask_schedule="ramp"), RAGGED, LABELS),
    "images": (partial(SaliencyGuidedRegressor, mask_order="random"), IMAGES, TABLE[:, 0]),
    "tokens": (
        partial(SaliencyGuidedClassifier, "text_cnn", mask_fill="marginal"),
        TOKENS,
        LABELS,
    ),
    "own": (own, TABLE, (LABELS == "yes").astype(np.float32)),
}


def fitted(name, device, callbacks, **params):
    build, X, y = CASES[name]
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    net = build(device=device, callbacks=callbacks, **params)
    if name != "own":
        net.set_params(max_epochs=4, batch_size=8)
    net.fit(X, y)
    return net, (torch.get_rng_state(), np.random.get_state()[1])  # noqa: NPY002


def losses(net):
    names = ("train_loss", "train_task_loss", "train_consistency_loss", "mask_fraction")
    return [[epoch[name] for name in names] for epoch in net.history]


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize("name", CASES)
def test_training_does_not_notice(name, random_state, device, deterministic_cuda):
    _, X, y = CASES[name]
    recorder = MaskRecorder(X[:5], y[:5])
    net, generators = fitted(name, device, [recorder], random_state=random_state)
    plain, plain_generators = fitted(name, device, None, random_state=random_state)
    assert len(recorder.records_) == 4
    assert losses(net) == losses(plain)
    for one, other in zip(generators, plain_generators, strict=True):
        assert (np.asarray(one) == np.asarray(other)).all()
    state, expected = net.module_.state_dict(), plain.module_.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(state[key], expected[key]) for key in state)
    pairs = zip(net.module_.parameters(), plain.module_.parameters(), strict=True)
    assert all(torch.equal(one.grad, other.grad) for one, other in pairs)
    moments = [list(n.optimizer_.state_dict()["state"].values()) for n in (net, plain)]
    for one, other in zip(*moments, strict=True):
        assert all(torch.equal(torch.as_tensor(one[k]), torch.as_tensor(other[k])) for k in one)
    assert net.module_.training == plain.module_.training


@pytest.mark.parametrize("name", CASES)
def test_records(name, device):
    _, X, y = CASES[name]
    recorder = MaskRecorder(X[:5], y[:5])
    net, _ = fitted(name, device, [recorder], random_state=0)
    records = recorder.records_
    assert [record["epoch"] for record in records] == [1, 2, 3, 4]
    shares = [epoch["mask_fraction"] for epoch in net.history]
    assert [record["mask_fraction"] for record in records] == shares
    for record, share in zip(records, shares, strict=True):
        k = [int(share * n + 1e-9) for n in record["n_groups"]]
        assert record["n_hidden"].tolist() == k
        assert record["hidden"].reshape(5, -1).sum(axis=1).tolist() == k  # cells are groups here
        assert record["inputs"] is records[0]["inputs"]
    # the last record is what the trained net says
    again = net.mask(X[:5], y[:5], random_state=4)
    assert np.array_equal(again.hidden, records[-1]["hidden"])
    assert np.array_equal(again.masked, records[-1]["masked"], equal_nan=name != "tokens")
    if name != "table":  # in which the least salient columns stay the same
        assert any((r["hidden"] != records[-1]["hidden"]).any() for r in records)


class Fails(Callback):
    def on_epoch_end(self, net, **kwargs):
        if net.history[-1]["mask_fraction"] == 0.25 and len(net.history) == 3:
            raise RuntimeError("no")


def test_epochs_and_fits():
    recorder = MaskRecorder(TABLE[:2], LABELS[:2], every=2)
    net = SaliencyGuidedClassifier(max_epochs=5, callbacks=[recorder, Fails()], random_state=0)
    epochs = lambda: [record["epoch"] for record in recorder.records_]  # noqa: E731
    net.fit(TABLE, LABELS)
    assert epochs() == [2, 4]
    net.partial_fit(TABLE, LABELS)
    assert epochs() == [2, 4, 6, 8, 10]
    before = recorder.records_
    with pytest.raises(RuntimeError, match="no"):
        net.set_params(mask_fraction=0.25).fit(TABLE, LABELS)
    assert recorder.records_ is before
    net.set_params(mask_fraction=0.75).fit(TABLE, LABELS)
    assert epochs() == [2, 4]
    assert recorder.records_[0]["mask_fraction"] == 0.75


def test_names_and_the_last_step_of_a_pipeline():
    frame, y = load_iris(return_X_y=True, as_frame=True)
    scaler = StandardScaler().set_output(transform="pandas").fit(frame)
    recorder = MaskRecorder(scaler.transform(frame[::30]), y[::30])
    net = SaliencyGuidedClassifier(max_epochs=1, callbacks=[recorder], random_state=0)
    scaler = StandardScaler().set_output(transform="pandas")
    make_pipeline(scaler, net).fit(frame, y)
    assert recorder.feature_names_ == frame.columns.tolist()
    assert recorder.records_[0]["hidden"].shape == (5, 4)
    np.testing.assert_allclose(
        recorder.records_[0]["inputs"], StandardScaler().fit(frame).transform(frame[::30]), 1e-6
    )


def assert_same_records(records, expected):
    for record, other in zip(records, expected, strict=True):
        assert record.keys() == other.keys()
        for key, value in record.items():
            np.testing.assert_array_equal(value, other[key])


class Trip(Callback):
    armed = False

    def on_batch_end(self, net, **kwargs):
        if Trip.armed and len(net.history) == 3:
            Trip.armed = False
            raise MemoryError


def test_goes_on_after_a_killed_fit_and_comes_back_from_files(tmp_path):
    def fit(path):
        recorder = MaskRecorder(RAGGED[:3], LABELS[:3])
        callbacks = [ResumableCheckpoint(path), recorder, Trip()]
        net = SaliencyGuidedClassifier(max_epochs=4, callbacks=callbacks, random_state=0)
        return net.fit(RAGGED, LABELS), recorder.records_

    _, expected = fit(tmp_path / "whole.ckpt")
    Trip.armed = True
    with pytest.raises(MemoryError):
        fit(tmp_path / "fit.ckpt")
    assert not Trip.armed
    net, records = fit(tmp_path / "fit.ckpt")
    assert len(records) == 4
    assert_same_records(records, expected)
    unpickled = pickle.load(io.BytesIO(pickle.dumps(net)))
    assert_same_records(dict(unpickled.callbacks_)["MaskRecorder"].records_, expected)
    net.save(tmp_path / "net.sgt")
    loaded = SaliencyGuidedClassifier.load(tmp_path / "net.sgt", callbacks=None)
    assert np.array_equal(loaded.predict_proba(RAGGED), net.predict_proba(RAGGED))
    copied = clone(net)
    assert not hasattr(copied.callbacks[1], "records_")


@pytest.mark.parametrize(
    ("every", "error", "message"),
    [
        (0, ValueError, "every must be at least 1, got 0"),
        (2.0, TypeError, r"every must be an int, .* got 2\.0 of float"),
        (True, TypeError, "every must be an int"),
    ],
)
def test_every_must_be_a_number_of_epochs(every, error, message):
    net = SaliencyGuidedClassifier(callbacks=[MaskRecorder(TABLE, LABELS, every=every)])
    with pytest.raises(error, match=message):
        net.fit(TABLE, LABELS)


def test_bad_input():
    recorder = MaskRecorder(TABLE[:2], LABELS[:2])
    net = SaliencyGuidedClassifier(max_epochs=1, callbacks=[recorder], random_state=0)
    with pytest.raises(ValueError, match="consistency_weight must be above 0 for MaskRecorder"):
        clone(net).set_params(consistency_weight=0).fit(TABLE, LABELS)
    with pytest.raises(ValueError, match="y must hold a target for each of 2 samples, got 5"):
        clone(net).set_params(callbacks=[MaskRecorder(TABLE[:2], LABELS[:5])]).fit(TABLE, LABELS)
    with pytest.raises(ValueError, match="X has 4 features"):
        wide = MaskRecorder(pd.DataFrame(TABLE[:2, :4]), LABELS[:2])
        clone(net).set_params(callbacks=[wide]).fit(TABLE, LABELS)
    foreign = NeuralNetClassifier(
        nn.Linear(5, 2), criterion=nn.CrossEntropyLoss, callbacks=[recorder], verbose=0
    )
    with pytest.raises(TypeError, match="needs a net of sgt_sklearn, got NeuralNetClassifier"):
        foreign.fit(TABLE, (LABELS == "yes").astype(np.int64))
