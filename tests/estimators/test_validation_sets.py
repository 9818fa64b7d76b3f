"""Validation data that the train split brings: encoded and scaled as those of the fit."""

import numpy as np
import pytest
import torch
from skorch.callbacks import EarlyStopping
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor

RNG = np.random.default_rng(0)
X, X_VALID = RNG.standard_normal((2, 60, 4))
CODES, CODES_VALID = (x[:, :3].argmax(1) for x in (X, X_VALID))
TARGETS, TARGETS_VALID = (300 + 80 * x[:, 0] + 5 * RNG.normal(size=60) for x in (X, X_VALID))
LABELS = {
    "from 1": np.array([1, 2, 3]),
    "gaps": np.array([-1, 1, 3]),
    "texts": np.array(["a", "b", "c"]),
    "floats": np.array([-2.0, 4.0, 7.0]),
}
MAKES = {
    "arrays": Dataset,
    "single precision": lambda X, y: Dataset(X.astype(np.float32), y),
    "a column": lambda X, y: Dataset(X, y.reshape(-1, 1)),
    "a subset": lambda X, y: Subset(Dataset(np.r_[X[:5] * 9, X], np.r_[y[:5], y]), range(5, 65)),
}


class Unknown(torch.utils.data.Dataset):
    def __init__(self, X, y):
        self.rows = list(zip(X.astype(np.float32), y, strict=True))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        return self.rows[i]


def fit(cls, X, y, split, **params):
    split = predefined_split(split) if isinstance(split, torch.utils.data.Dataset) else split
    defaults = {"max_epochs": 2, "random_state": 0, "batch_size": 16}
    return cls(train_split=split, **defaults | params).fit(X, y)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
def test_targets_are_scaled_as_those_of_the_fit(make, device):
    net = fit(SaliencyGuidedRegressor, X, TARGETS, make(X_VALID, TARGETS_VALID), device=device)
    errors = (net.predict(X_VALID) - TARGETS_VALID) / TARGETS.std()
    assert net.history[-1, "valid_loss"] == pytest.approx((errors**2).mean(), rel=1e-4)


@pytest.mark.parametrize("make", MAKES.values(), ids=MAKES)
@pytest.mark.parametrize("labels", LABELS.values(), ids=LABELS)
def test_labels_are_encoded_as_those_of_the_fit(labels, make, device):
    seen = CODES_VALID > 0  # without the first class, all codes would shift
    X_valid, y_valid = X_VALID[seen], labels[CODES_VALID[seen]]
    if len(y_valid) < 60:  # as many rows as MAKES knows of
        X_valid, y_valid = (np.resize(a, (60, *a.shape[1:])) for a in (X_valid, y_valid))
    net = fit(SaliencyGuidedClassifier, X, labels[CODES], make(X_valid, y_valid), device=device)
    p = net.predict_proba(X_valid)[np.arange(60), np.searchsorted(labels, y_valid)]
    assert net.history[-1, "valid_loss"] == pytest.approx(-np.log(p).mean(), rel=1e-4)
    assert net.history[-1, "valid_acc"] == pytest.approx(net.score(X_valid, y_valid))


def test_other_kinds_of_targets(device):
    cls, many = SaliencyGuidedClassifier, (X[:, :3] > 0).astype(int)
    many_valid = (X_VALID[:, :3] > 0).astype(int)
    net = fit(cls, X, many, Dataset(X_VALID, many_valid), device=device)
    p = net.predict_proba(X_VALID)
    expected = -np.log(np.where(many_valid, p, 1 - p)).mean()
    assert net.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-4)

    sign, sign_valid = (np.where(x[:, 0] > 0, 1, -1) for x in (X, X_VALID))
    for module in ("auto", nn.Linear(4, 1).double()):
        split = Dataset(X_VALID, sign_valid)
        net = fit(
            cls, X, sign, split, module=module, criterion=nn.BCEWithLogitsLoss, device=device
        )
        p = net.predict_proba(X_VALID)[np.arange(60), (sign_valid > 0).astype(int)]
        assert net.history[-1, "valid_loss"] == pytest.approx(-np.log(p).mean(), rel=1e-4)

    y, y_valid = (np.c_[t, -3 * t] for t in (TARGETS, TARGETS_VALID))
    split = TensorDataset(torch.from_numpy(X_VALID), torch.from_numpy(y_valid))
    net = fit(SaliencyGuidedRegressor, X, y, split, device=device)
    errors = (net.predict(X_VALID) - y_valid) / y.std(axis=0)
    assert net.history[-1, "valid_loss"] == pytest.approx((errors**2).mean(), rel=1e-4)


def test_padded_series(device):
    series, series_valid = RNG.standard_normal((2, 30, 6, 2))
    series[:10, 4:], series_valid[5:20, 3:] = np.nan, np.nan
    y, y_valid = series[:, 0, 0] * 50, series_valid[:, 0, 0] * 50
    split = Dataset(series_valid, y_valid)
    net = fit(SaliencyGuidedRegressor, series, y, split, module="gru", device=device)
    errors = (net.predict(series_valid) - y_valid) / y.std()
    assert net.history[-1, "valid_loss"] == pytest.approx((errors**2).mean(), rel=1e-4)


def test_weights_and_early_stopping(device):
    stop = EarlyStopping(patience=3, load_best=True)
    net = SaliencyGuidedRegressor(
        max_epochs=30,
        lr=0.1,
        train_split=predefined_split(Dataset(X_VALID, TARGETS_VALID)),
        callbacks=[stop],
        device=device,
        random_state=0,
    ).fit(X, TARGETS, sample_weight=np.arange(60.0))
    best = min(net.history[:, "valid_loss"])
    errors = (net.predict(X_VALID) - TARGETS_VALID) / net.target_scale_
    assert len(net.history) < 30
    assert best == pytest.approx((errors**2).mean(), rel=1e-4)


def test_partial_fit_encodes_by_the_first_call(device):
    net = SaliencyGuidedRegressor(
        train_split=predefined_split(Dataset(X_VALID, TARGETS_VALID)),
        max_epochs=1,
        device=device,
        random_state=0,
    )
    net.partial_fit(X, TARGETS).partial_fit(X[:20] + 1, TARGETS[:20] + 500)
    errors = (net.predict(X_VALID) - TARGETS_VALID) / TARGETS.std()
    assert net.history[-1, "valid_loss"] == pytest.approx((errors**2).mean(), rel=1e-4)


def of_what_it_got(dataset, y):
    """Builds both sets anew, of encoded targets."""
    return Dataset(dataset.X[:40], y[:40]), Dataset(dataset.X[40:], y[40:])


def subsets(dataset, y):
    return Subset(dataset, range(40)), Subset(dataset, range(40, 60))


class Wrapped(torch.utils.data.Dataset):
    def __init__(self, inner):
        self.inner = inner

    def __len__(self):
        return len(self.inner)

    def __getitem__(self, i):
        return self.inner[i]


def wrapped(dataset, y):
    return dataset, Wrapped(Subset(dataset, range(60)))


def concatenated(dataset, y):
    return dataset, ConcatDataset([Subset(dataset, range(9)), Subset(dataset, range(9, 60))])


def itself(dataset, y):
    return dataset, Dataset(dataset.X, dataset.y)


@pytest.mark.parametrize("split", [of_what_it_got, subsets, wrapped, concatenated, itself])
def test_what_a_split_makes_of_its_data_is_encoded_already(split, device):
    net = fit(SaliencyGuidedRegressor, X, TARGETS, split, device=device)
    rows = slice(40, None) if split in (of_what_it_got, subsets) else slice(None)
    errors = (net.predict(X[rows]) - TARGETS[rows]) / TARGETS.std()
    assert net.history[-1, "valid_loss"] == pytest.approx((errors**2).mean(), rel=1e-4)
    net = fit(SaliencyGuidedClassifier, X, CODES + 1, split, device=device)
    assert net.history[-1, "valid_acc"] == pytest.approx(net.score(X[rows], CODES[rows] + 1))


def test_a_module_of_the_users_gets_what_was_passed(device):
    split = Unknown(X_VALID, CODES_VALID)
    net = fit(SaliencyGuidedClassifier, X, CODES, split, module=nn.Linear(4, 3), device=device)
    p = net.predict_proba(X_VALID)[np.arange(60), CODES_VALID]
    assert net.history[-1, "valid_loss"] == pytest.approx(-np.log(p).mean(), rel=1e-4)

    y, y_valid = (t.reshape(-1, 1).astype(np.float32) for t in (TARGETS, TARGETS_VALID))
    for split in (Unknown(X_VALID, y_valid), Dataset(X_VALID.astype(np.float32), y_valid)):
        net = fit(SaliencyGuidedRegressor, X, y, split, module=nn.Linear(4, 1), device=device)
        expected = ((net.predict(X_VALID) - y_valid) ** 2).mean()
        assert net.history[-1, "valid_loss"] == pytest.approx(expected, rel=1e-4)

    texts = LABELS["texts"]
    split = Dataset(X_VALID.astype(np.float32), texts[CODES_VALID])
    net = fit(
        SaliencyGuidedClassifier, X, texts[CODES], split, module=nn.Linear(4, 3), device=device
    )
    assert net.history[-1, "valid_acc"] == pytest.approx(net.score(X_VALID, texts[CODES_VALID]))


@pytest.mark.parametrize(
    ("split", "error", "message"),
    [
        (
            Unknown(X_VALID, CODES_VALID),
            TypeError,
            r"train_split must bring.*got Unknown.*Dataset",
        ),
        (Dataset(X_VALID), ValueError, "train_split must bring validation data with targets"),
        (
            Dataset(X_VALID, CODES_VALID + 2),
            ValueError,
            r"train_split brings.*new labels \[3, 4\]",
        ),
        (Dataset(X_VALID[:, :3], CODES_VALID), ValueError, "train_split brings.*3 features"),
        (Dataset(X_VALID * np.nan, CODES_VALID), ValueError, "train_split brings.*NaN"),
        (
            Dataset(X_VALID, np.eye(3, dtype=int)[CODES_VALID]),
            ValueError,
            "train_split brings.*like those of the first fit",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused(split, error, message):
    with pytest.raises(error, match=message):
        fit(SaliencyGuidedClassifier, X, CODES, split)


def test_an_unknown_make_is_refused_where_labels_have_codes():
    with pytest.raises(TypeError, match=r"encoded as those of fit, got Unknown"):
        fit(
            SaliencyGuidedClassifier,
            X,
            LABELS["texts"][CODES],
            Unknown(X_VALID, CODES_VALID),
            module=nn.Linear(4, 3),
        )
