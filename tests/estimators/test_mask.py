"""What `mask` says that guidance hides, against what training hides and a hand-made ranking."""

import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.preprocessing import pad_series

RNG = np.random.default_rng(0)
N = 12
LABELS = np.array(["no", "yes"])[RNG.integers(2, size=N)]
TABLE = RNG.normal(size=(N, 5)).astype(np.float32)
SERIES = RNG.normal(size=(N, 6, 3)).astype(np.float32)
RAGGED = [series[: 3 + i % 4] for i, series in enumerate(SERIES)]
IMAGES = RNG.normal(size=(N, 2, 4, 4)).astype(np.float32)
# no token twice, which would tie, and none that hides others
TOKENS = np.array([RNG.permutation(np.arange(2, 20))[:7] for _ in range(N)])
TOKENS[:5, 4:] = 0
INPUTS = {
    "table": ("mlp", TABLE),
    "series": ("tcn", SERIES),
    "ragged": ("tcn", RAGGED),
    "images": ("cnn", IMAGES),
    "tokens": ("text_bag", TOKENS),
}


class GuidedBinaryClassifier(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


def full_batches(**params):
    """Settings under which no step changes the weights, and each step sees all rows in order."""
    still = {"optimizer": torch.optim.SGD, "lr": 0.0, "batch_size": -1, "random_state": 0}
    return {**still, "iterator_train__shuffle": False, "max_epochs": 1, **params}


def as_array(X):
    return pad_series(X)["X"] if isinstance(X, list) else X


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize(
    "params",
    [
        {"mask_order": "absolute"},
        {"mask_order": "signed", "saliency_output": "log_proba"},
        {"mask_order": "absolute", "max_epochs": 8, "mask_schedule": "ramp"},
    ],
    ids=["absolute", "signed", "ramp"],
)
def test_hidden_is_what_training_has_hidden(name, params, device, masked_batches):
    module, X = INPUTS[name]
    if name == "tokens" and params["mask_order"] == "signed":
        module = "text_cnn"  # behind a mean, the gradients of all tokens are the same
    net = SaliencyGuidedClassifier(module, device=device, **full_batches(**params))
    net.fit(X, LABELS)
    x, masked, _ = masked_batches[-1]
    found = net.mask(X, LABELS, random_state=0)
    # fills are drawn from continuous values, or are a token that is none of those of the rows
    assert np.array_equal(found.hidden, (x != masked).numpy())
    assert found.hidden.any()
    assert found.mask_fraction == net.history[-1, "mask_fraction"]
    padded = np.isnan(found.inputs) if name == "ragged" else found.inputs == 0
    if name not in ("ragged", "tokens"):
        padded[:] = False
    assert not found.hidden[padded].any()
    assert np.array_equal(np.where(padded, 0, found.inputs), as_array(X))
    outside = ~found.hidden & ~padded
    assert np.array_equal(found.masked[outside], found.inputs[outside])


def test_hidden_are_the_lowest_of_a_ranking_by_hand(device):
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(5, 2, bias=False)

        def forward(self, x):
            return self.linear(x)

    scale = np.array([1, 30, 1, 0.1, 4], dtype=np.float32)
    X = TABLE * scale
    params = full_batches(mask_fraction=0.6, mask_fill="constant", mask_value=77.0)
    torch.manual_seed(0)
    net = SaliencyGuidedClassifier(Sum, device=device, **params).fit(X, LABELS)
    weights = net.module_.linear.weight.detach().cpu().double().numpy()
    # the margin of the label against the mean of both, and the spread of each column
    ranking = [
        [
            abs(weights[row, j] - weights[:, j].mean()) * X[:, j].astype(float).std()
            for j in range(5)
        ]
        for row in (LABELS == "yes").astype(int)
    ]
    found = net.mask(X[:4], LABELS[:4])
    for i in range(4):
        expected = sorted(np.argsort(ranking[i])[:3])
        assert np.flatnonzero(found.hidden[i]).tolist() == expected
        assert (found.masked[i, expected] == 77).all()
    assert found.n_hidden.tolist() == [3] * 4
    assert found.n_groups.tolist() == [5] * 4
    assert found.kind == "tabular"
    assert found.lengths is None


def test_counts_of_each_sample_and_draws_by_the_seed(device):
    net = SaliencyGuidedClassifier(
        mask_fraction=0.5, feature_groups="time", device=device, **full_batches()
    )
    found = net.fit(RAGGED, LABELS).mask(RAGGED, LABELS, random_state=3)
    lengths = np.array([len(series) for series in RAGGED])
    assert found.lengths.tolist() == lengths.tolist()
    assert found.n_groups.tolist() == lengths.tolist()
    assert found.n_hidden.tolist() == (lengths // 2).tolist()
    assert found.hidden.all(axis=2).sum(axis=1).tolist() == (lengths // 2).tolist()
    again, other = (net.mask(RAGGED, LABELS, random_state=seed) for seed in (3, 4))
    assert np.array_equal(found.hidden, again.hidden)
    assert np.array_equal(found.masked, again.masked, equal_nan=True)
    assert not np.array_equal(found.hidden, other.hidden)  # the order "sampled"
    assert not np.array_equal(net.mask(RAGGED, LABELS).hidden, net.mask(RAGGED, LABELS).hidden)


@pytest.mark.parametrize(
    ("cls", "params", "y"),
    [
        (SaliencyGuidedClassifier, {}, LABELS),
        (SaliencyGuidedClassifier, {"criterion": nn.BCEWithLogitsLoss}, LABELS),
        (SaliencyGuidedClassifier, {}, (TABLE[:, :3] > 0).astype(int)),
        (SaliencyGuidedClassifier, {"module": nn.Linear, "module__in_features": 5}, LABELS),
        (SaliencyGuidedRegressor, {}, TABLE[:, 0]),
        (SaliencyGuidedRegressor, {"module": nn.Linear, "module__in_features": 5}, TABLE[:, :2]),
        (
            GuidedBinaryClassifier,
            {"module": nn.Linear, "module__in_features": 5, "module__out_features": 1},
            (LABELS == "yes").astype(np.float32),
        ),
    ],
    ids=["labels", "one logit", "indicator", "own", "regressor", "own regressor", "mixin"],
)
def test_nothing_of_the_net_changes(cls, params, y, device):
    if params.get("module") is nn.Linear and "module__out_features" not in params:
        params = {**params, "module__out_features": 2}
    extra = {"train_split": None, "verbose": 0} if cls is GuidedBinaryClassifier else {}
    net = cls(device=device, random_state=0, max_epochs=2, **params, **extra).fit(TABLE, y)
    attributes, states = dict(vars(net)), [torch.get_rng_state(), np.random.get_state()]  # noqa: NPY002
    weights = {k: v.clone() for k, v in net.module_.state_dict().items()}
    modes = [module.training for module in net.module_.modules()]
    found = net.mask(TABLE[:2], y[:2])
    assert found.hidden.sum(axis=1).tolist() == [2, 2]
    assert vars(net).keys() == attributes.keys()
    assert all(value is attributes[name] for name, value in vars(net).items())
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1][1])  # noqa: NPY002
    assert all(torch.equal(weights[k], v) for k, v in net.module_.state_dict().items())
    assert modes == [module.training for module in net.module_.modules()]


def test_bad_input():
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0)
    with pytest.raises(NotFittedError):
        net.mask(TABLE, LABELS)
    net.fit(TABLE, LABELS)
    with pytest.raises(ValueError, match="y must be the targets of the samples"):
        net.mask(TABLE)
    with pytest.raises(ValueError, match="y must hold a target for each of 12 samples, got 3"):
        net.mask(TABLE, LABELS[:3])
    with pytest.raises(ValueError, match="new labels"):
        net.mask(TABLE[:1], ["maybe"])
    assert net.set_params(mask_order="random").mask(TABLE).hidden.any()
    net.set_params(consistency_weight=0)
    with pytest.raises(ValueError, match="consistency_weight must be above 0"):
        net.mask(TABLE, LABELS)
