"""Series of unequal length through all that a fit offers: generators, searches, splits, files."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from skorch.helper import SliceDict
from torch import nn
from torch.utils.data import DataLoader, Subset

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import ResumableCheckpoint
from sgt_sklearn.modules import GRU
from sgt_sklearn.preprocessing import pad_series
from tests.estimators.sequences import (
    DATA,
    FORMS,
    LABELS,
    LENGTHS,
    LONGEST,
    N_FEATURES,
    RAGGED,
    SERIES,
    TARGETS,
    TOKENS,
    N,
    as_dict,
    assert_same_parameters,
    cell_scores,
    filled,
    make,
    module_of,
    parametrize_modules,
)


@parametrize_modules
def test_two_partial_fits_are_one_fit(module, device, deterministic_cuda):
    X = DATA[module]
    once = make(module, device, max_epochs=4).fit(X, LABELS)
    twice = make(module, device, max_epochs=2).partial_fit(X, LABELS).partial_fit(X, LABELS)
    assert_same_parameters(once, twice)
    assert once.history[:, "train_loss"] == twice.history[:, "train_loss"]
    warm = make(module, device, max_epochs=2, warm_start=True).fit(X, LABELS).fit(X, LABELS)
    assert_same_parameters(once, warm)


@parametrize_modules
def test_random_state_decides(module, device, deterministic_cuda):
    X, state = DATA[module], torch.get_rng_state()
    nets = [make(module, device, random_state=seed).fit(X, LABELS) for seed in (7, 7, 8)]
    assert torch.equal(torch.get_rng_state(), state)
    assert_same_parameters(*nets[:2])
    assert not np.array_equal(nets[0].predict_proba(X), nets[2].predict_proba(X))


@parametrize_modules
def test_guidance_and_its_order_make_a_difference(module, device, deterministic_cuda):
    X = DATA[module]
    settings = {
        "guided": {"mask_order": "absolute"},
        "control": {"mask_order": "random"},
        "other share": {"mask_order": "absolute", "mask_fraction": 0.9},
        "plain": {"consistency_weight": 0},
    }
    nets = {name: make(module, device, **s).fit(X, LABELS) for name, s in settings.items()}
    found = [net.predict_proba(X) for net in nets.values()]
    for i in range(len(found)):
        for j in range(i):
            assert not np.allclose(found[i], found[j], atol=1e-7)
    # all start from the same weights: nothing is hidden in the first step of a ramp
    ramps = [
        make(module, device, max_epochs=1, **s | {"mask_fraction": 0.0}).fit(X, LABELS)
        for s in settings.values()
    ]
    for net in ramps[1:]:
        assert_same_parameters(ramps[0], net)


def test_warm_start_goes_on_with_longer_series(device):
    net = make("lstm", device, warm_start=True).fit([x[:2] for x in RAGGED], LABELS)
    mean = net.module_.mean.clone()
    net.fit(RAGGED, LABELS)
    assert len(net.history) == 6
    assert torch.equal(net.module_.mean, mean)  # of the first data, as the weights are
    assert net.feature_importances_.shape == (LONGEST, N_FEATURES)


# scikit-learn and skorch


# rows of a form are chosen before any network sees them
@pytest.mark.parametrize(
    ("module", "form"), [("auto", "list"), ("gru", "object array"), ("auto", "nan")]
)
def test_searches_and_splits_of_scikit_learn(module, form, device):
    X = FORMS[form](RAGGED * 2)
    y = np.concatenate([LABELS, LABELS])
    net = make(module, device, max_epochs=1)
    search = GridSearchCV(net, {"mask_fraction": [0.1, 0.5]}, cv=2, error_score="raise")
    search.fit(X, y)
    assert search.predict(X).shape == y.shape
    assert len(search.best_estimator_.attribute(X)) == 2 * N
    pipeline = make_pipeline(FunctionTransformer(lambda X: X), clone(net))
    scores = [cross_val_score(e, X, y, cv=2, error_score="raise") for e in (net, pipeline)]
    np.testing.assert_array_equal(*scores)
    # fold by fold
    by_hand = []
    folds = [np.arange(N), np.arange(N, 2 * N)]
    for test, train in (folds, folds[::-1]):
        train, test = ([(RAGGED * 2)[i] for i in rows] for rows in (train, test))
        by_hand += clone(net).fit(train, LABELS).predict(test).tolist()
    cv = [(folds[1], folds[0]), (folds[0], folds[1])]
    assert cross_val_predict(net, X, y, cv=cv).tolist() == by_hand


# several targets with each network; one target makes a difference behind the networks only
ONE_OR_TWO = [(module, 2) for module in DATA] + [("tcn", 1), ("text_bag", 1)]


@pytest.mark.parametrize(("module", "n_targets"), ONE_OR_TWO)
def test_regression(module, n_targets, device):
    X, y = DATA[module], TARGETS
    if n_targets == 2:
        y = np.stack([TARGETS, -3 * TARGETS], 1)
    net = make(module, device, SaliencyGuidedRegressor, max_epochs=2).fit(X, y)
    assert net.predict(X).shape == y.shape
    values = net.attribute(X, target="all")
    assert values[0].shape[0] == y.reshape(N, -1).shape[1]
    np.testing.assert_array_equal(
        values[1][-1], net.attribute(X, target=y.reshape(N, -1).shape[1] - 1)[1]
    )
    # in units of y
    scaled = make(module, device, SaliencyGuidedRegressor, max_epochs=2).fit(X, 1000 * y)
    np.testing.assert_allclose(scaled.predict(X), 1000 * net.predict(X), rtol=1e-3)
    np.testing.assert_allclose(
        scaled.attribute(X, target=0)[1],
        1000 * net.attribute(X, target=0)[1],
        rtol=1e-3,
        atol=1e-3,
    )


def last_rows(dataset, y=None):
    return Subset(dataset, range(10)), Subset(dataset, range(10, N))


@parametrize_modules
@pytest.mark.parametrize("weighted", [False, True])
def test_validation_loss_by_hand(module, weighted, device):
    X = DATA[module]
    weight = np.linspace(1, 4, N) if weighted else None
    net = make(module, device, lr=0.0, max_epochs=1, train_split=last_rows, batch_size=3)
    net.fit(X, LABELS, sample_weight=weight)
    probabilities = np.concatenate([net.predict_proba(X[i : i + 1]) for i in range(10, N)])
    loss = -np.log(probabilities[np.arange(N - 10), np.searchsorted(net.classes_, LABELS[10:])])
    expected = np.average(loss, weights=None if weight is None else weight[10:])
    assert net.history[0, "valid_loss"] == pytest.approx(expected, abs=1e-5)
    assert 0 <= net.history[0, "valid_acc"] <= 1


def test_stratified_validation_split(device):
    split = ValidSplit(2, stratified=True)
    net = make("gru", device, train_split=split, max_epochs=2).fit(RAGGED * 2, np.tile(LABELS, 2))
    assert np.isfinite(net.history[:, "valid_loss"]).all()


class NamesIterators(SaliencyGuidedClassifier):
    def get_iterator(self, dataset, training=False):
        iterator = super().get_iterator(dataset, training=training)
        self.iterators_ = {*getattr(self, "iterators_", ()), type(iterator).__name__}
        return iterator


@pytest.mark.parametrize("module", ["tcn", "text_cnn"])  # batches know no network
@pytest.mark.parametrize("weighted", [False, True])
def test_data_loader_gives_the_same_batches(module, weighted, device, deterministic_cuda):
    X = DATA[module]
    weight = np.linspace(1, 4, N) if weighted else None
    # an option that slices cannot honour
    options = {"iterator_train__num_workers": 0, "iterator_valid__num_workers": 0}
    nets = [
        make(module, device, NamesIterators, **o, train_split=last_rows) for o in ({}, options)
    ]
    for net in nets:
        net.fit(X, LABELS, sample_weight=weight)
    assert nets[0].iterators_ == {"MemoryBatches"} and nets[1].iterators_ == {DataLoader.__name__}
    assert_same_parameters(*nets)
    assert nets[0].history[:, "valid_loss"] == nets[1].history[:, "valid_loss"]
    np.testing.assert_array_equal(*(net.predict_proba(X) for net in nets))


def test_sliceable_dict_of_skorch(device):
    X = SliceDict(**as_dict(RAGGED))
    net = make("lstm", device)
    scores = [cross_val_score(net, data, LABELS, cv=2) for data in (X, filled(RAGGED, np.nan))]
    np.testing.assert_array_equal(*scores)


# files


@parametrize_modules
def test_round_trips(module, device, tmp_path, deterministic_cuda):
    X = DATA[module]
    net = make(module, device).fit(X, LABELS)
    net.save(tmp_path / "net.safetensors")
    others = [
        pickle.loads(pickle.dumps(net)),
        SaliencyGuidedClassifier.load(tmp_path / "net.safetensors"),
        copy.deepcopy(net),
    ]
    for options in ({"method": "saliency"}, {"method": "integrated_gradients", "n_steps": 5}):
        expected = net.attribute(X, **options)
        for other in others:
            for a, b in zip(expected, other.attribute(X, **options), strict=True):
                np.testing.assert_array_equal(a, b)
    expected = net.predict_proba(X)
    net.partial_fit(X, LABELS)
    for other in others:
        np.testing.assert_array_equal(expected, other.predict_proba(X))
        assert_same_parameters(net, other.partial_fit(X, LABELS))
        # what was known of the input still is
        with pytest.raises(ValueError, match="X "):
            other.predict(RAGGED[0] if module in SERIES else TOKENS + 50)


class Stop(Exception):
    pass


class StopOnce(Callback):
    armed = False  # of the class, and so no parameter of the estimator

    def on_epoch_end(self, net, **kwargs):
        if StopOnce.armed and len(net.history) == 3:
            StopOnce.armed = False
            raise Stop


@parametrize_modules
def test_interrupted_fit_goes_on(module, device, tmp_path, deterministic_cuda):
    X = DATA[module]

    def net(name):
        callbacks = [ResumableCheckpoint(tmp_path / name), StopOnce()]
        return make(module, device, max_epochs=5, mask_schedule="ramp", callbacks=callbacks)

    expected = net("a").fit(X, LABELS)
    StopOnce.armed = True
    with pytest.raises(Stop):
        net("b").fit(X, LABELS)
    resumed = net("b").fit(X, LABELS)
    assert_same_parameters(expected, resumed)
    for column in ("train_loss", "mask_fraction"):
        assert resumed.history[:, column] == expected.history[:, column]
    # other data are told apart, also where only the lengths differ
    if module in SERIES:
        StopOnce.armed = True
        with pytest.raises(Stop):
            net("c").fit(as_dict(RAGGED), LABELS)
        shorter = as_dict(RAGGED)
        shorter["lengths"][0] -= 1
        with pytest.raises(ValueError, match="data"):
            net("c").fit(shorter, LABELS)


# the schedule, groups


def test_history_tells_the_ramp(device, masked_batches):
    ramp = {"mask_fraction": 0.9, "mask_schedule": "ramp"}
    net = SaliencyGuidedClassifier("tcn", max_epochs=10, batch_size=N, device=device, **ramp)
    net.fit(RAGGED, LABELS)
    warm_up = 10 / 4
    expected = [
        min(max(0.9 * (epoch - warm_up) / (0.6 * (10 - warm_up)), 0.0), 0.9) for epoch in range(10)
    ]
    assert net.history[:, "mask_fraction"] == pytest.approx(expected)
    assert expected[:3] == [0, 0, 0] and expected[-2:] == [0.9, 0.9]
    for fraction, (batch, masked, _) in zip(expected, masked_batches, strict=True):
        changed = (batch != masked).sum(dim=(1, 2)).tolist()
        for n_changed, length in zip(changed, sorted_lengths(batch), strict=True):
            # a donor may be of too few steps, and then nothing takes the place
            assert n_changed <= math.floor(fraction * length * N_FEATURES + 1e-9)
        assert (sum(changed) > 0) == (fraction > 0)
    net = make("tcn", device, consistency_weight=0).fit(RAGGED, LABELS)
    assert "mask_fraction" not in net.history[-1]
    table = SaliencyGuidedClassifier(max_epochs=2, device=device).fit(TOKENS, LABELS)
    assert table.history[:, "mask_fraction"] == [0.5, 0.5]


def sorted_lengths(batch):
    return (batch != 0).all(2).sum(1).tolist()


@pytest.mark.parametrize("module", SERIES)
@pytest.mark.parametrize("groups", ["cell", "time", "feature", "time_then_feature", "labels"])
def test_groups_by_hand(groups, module, device, masked_batches):
    labels = np.arange(LONGEST * N_FEATURES).reshape(LONGEST, N_FEATURES) // 4
    net = make(
        module,
        device,
        lr=0.0,
        max_epochs=1,
        mask_order="absolute",
        mask_fill="constant",
        mask_value=-1.0,
        feature_groups=labels if groups == "labels" else groups,
    ).fit(RAGGED, LABELS)
    sd = np.concatenate(RAGGED).astype(np.float64).std(axis=0)
    module = module_of(net)
    for batch, masked, codes in masked_batches:
        for x, row, code, length in zip(batch, masked, codes, sorted_lengths(batch), strict=True):
            hidden, cells = row[:length] == -1, length * N_FEATURES
            scores = cell_scores(module, x[:length].numpy(), code, sd)
            slack = 1e-6 * scores.max()
            if groups == "time_then_feature":
                assert hidden.sum() == math.floor(0.5 * cells + 1e-9)
                n_whole = math.floor((1 - math.sqrt(0.5)) * length + 1e-9)
                steps = scores.mean(1).argsort()[:n_whole]
                assert hidden[steps].all()
                rest = torch.ones(length, dtype=torch.bool)
                rest[steps] = False
                scores, hidden = scores[rest], hidden[rest]
                if hidden.any():
                    assert scores[hidden].max() <= scores[~hidden].min() + slack
                continue
            index = {
                "cell": torch.arange(cells).reshape(length, N_FEATURES),
                "time": torch.arange(length)[:, None].expand(-1, N_FEATURES),
                "feature": torch.arange(N_FEATURES).expand(length, -1),
                "labels": torch.from_numpy(labels[:length]),
            }[groups]
            names = index.unique().tolist()
            mean = torch.stack([scores[index == name].mean() for name in names])
            share = torch.stack([hidden[index == name].float().mean() for name in names])
            assert ((share == 0) | (share == 1)).all()
            assert share.sum() == math.floor(0.5 * len(names) + 1e-9)
            if share.any():
                assert mean[share == 1].max() <= mean[share == 0].min() + slack
    shape = (LONGEST, N_FEATURES)
    assert net.feature_groups_.shape == shape == net.feature_importances_.shape


# a module of the user's own


class Own(nn.Module):
    def __init__(self, n_outputs=3):
        super().__init__()
        self.hidden, self.output = nn.Linear(N_FEATURES, 6), nn.Linear(6, n_outputs)

    def forward(self, X, lengths):
        inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
        hidden = torch.tanh(self.hidden(X - 10)) * inside[:, :, None]
        return self.output(hidden.sum(1) / lengths[:, None])


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, GuidedNet])
def test_module_of_ones_own(cls, device, masked_batches):
    X, y = pad_series(RAGGED), np.arange(N) % 3
    settings = {"criterion": nn.CrossEntropyLoss, "train_split": None, "verbose": 0}
    net = make(Own, device, cls, **settings, lr=0.1, mask_fill="mean").fit(X, y)
    mean = np.concatenate(RAGGED).mean(axis=0)
    for batch, masked, _ in masked_batches:
        padding = (batch == 0).all(2)
        assert (masked[padding] == 0).all()
        assert (batch != masked).any()
        new = masked[masked != batch].numpy()
        assert np.isclose(new[:, None], mean).any(axis=1).all()
        n_hidden = (batch != masked).sum(dim=(1, 2))
        expected = [int(0.5 * n * N_FEATURES + 1e-9) for n in sorted_lengths(batch)]
        assert n_hidden.tolist() == expected
    for method in ("saliency", "integrated_gradients"):
        values = net.attribute(X, method=method)
        np.testing.assert_array_equal(np.isnan(values), np.isnan(filled(RAGGED, np.nan)))
        for row, x in zip(values, RAGGED, strict=True):
            alone = net.attribute(as_dict([x], 99.0, LONGEST), method=method)
            np.testing.assert_allclose(row[: len(x)], alone[0, : len(x)], atol=1e-5)
    together = net.predict_proba(X)
    alone = [net.predict_proba({"X": x[None], "lengths": np.array([len(x)])})[0] for x in RAGGED]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert tuple(X["lengths"]) == LENGTHS


def test_class_of_ones_own_is_sized_from_padded_series(device, deterministic_cuda):
    X, weight = pad_series(RAGGED), np.linspace(1, 2, N)
    nets = [make(GRU, device).fit(X, LABELS, sample_weight=weight)]
    X["X"][np.isnan(filled(RAGGED, np.nan))] = np.nan
    nets.append(make(GRU(N_FEATURES, 3), device, random_state=0).fit(X, LABELS, weight))
    assert nets[0].module_.head.out_features == 3
    steps, by_step = np.concatenate(RAGGED), np.repeat(weight, LENGTHS)
    for net in nets:
        mean = np.average(steps, axis=0, weights=by_step)
        np.testing.assert_allclose(net._statistics_.mean, mean, rtol=1e-6)
        assert net.feature_importances_.shape == (LONGEST, N_FEATURES)
        assert np.isfinite(net.history[:, "train_loss"]).all()
    # other things of these names are left to the module
    other = {"X": TARGETS[:, None], "lengths": np.zeros((N, 2), np.float32)}
    net = make(TwoInputs, device).fit(other, LABELS)
    assert net.attribute(other).shape == (N, 1)


class TwoInputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.output = nn.Linear(3, 3)

    def forward(self, X, lengths):
        return self.output(torch.cat([X, lengths], 1))
