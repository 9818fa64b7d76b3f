"""`feature_importances_` against gradients by hand."""

import copy

import numpy as np
import pytest
import torch
from sklearn.feature_selection import SelectFromModel
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP
from tests.estimators.attribute_cases import (
    CODES,
    KINDS,
    LABELS,
    RNG,
    TABLE,
    Kind,
    N,
    autograd,
    categorical,
    explained,
    fitted,
    regression,
    tensor_of,
)

pytestmark = pytest.mark.usefixtures("full_precision")


def importances_by_hand(kind, net, X):
    rows = copy.copy(kind)
    rows.X = X
    function, j = explained(rows, net, "margin")
    if kind.scalar is regression and kind.n_outputs > 1:
        module = net.module_.eval()
        function = lambda data, index: module(data).sum(1)  # noqa: E731
    gradient = autograd(function, tensor_of(net, X), j).astype(np.float64)
    axes = (0,) if X.ndim == 2 else (0, 2, 3)
    spread = np.abs(gradient * kind.X.std(axes, keepdims=True, dtype=np.float64))
    return spread.mean(0) / spread.mean(0).sum()


OF_ESTIMATORS = [
    name
    for name, kind in KINDS.items()
    if issubclass(kind.cls, (SaliencyGuidedClassifier, SaliencyGuidedRegressor))
]


@pytest.mark.parametrize("name", OF_ESTIMATORS)
def test_importances_are_mean_standardised_gradients_over_training_rows(name, device):
    kind, net = fitted(name, device)
    importances = net.feature_importances_
    assert importances.shape == kind.X.shape[1:]
    assert importances.sum() == pytest.approx(1)
    np.testing.assert_allclose(importances, importances_by_hand(kind, net, kind.X), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "limit"), [((2500, 3), 2048), ((100, 1, 3, 3), 64)], ids=["table", "images"]
)
def test_importances_use_rows_spread_over_the_training_data(shape, limit, device):
    X = RNG.standard_normal(shape).astype(np.float32)
    y = (X.reshape(len(X), -1)[:, 0] > 0).astype(int)
    kind = Kind(SaliencyGuidedClassifier, X, y, categorical, 2, max_epochs=1, batch_size=500)
    net = kind.fit(device)
    rows = np.linspace(0, len(X) - 1, limit).astype(int)
    expected = importances_by_hand(kind, net, X[rows])
    np.testing.assert_allclose(net.feature_importances_, expected, rtol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_importances_need_no_guidance_and_follow_each_fit(weight, device):
    net = SaliencyGuidedRegressor(
        consistency_weight=weight, max_epochs=30, lr=0.03, device=device, random_state=0
    )
    X = RNG.standard_normal((60, 3)).astype(np.float32)
    for column in range(3):
        assert net.fit(X, X[:, column]).feature_importances_.argmax() == column
        assert net.feature_importances_[column] > 0.6
    before = net.feature_importances_.copy()
    assert (net.partial_fit(X, X[:, 0]).feature_importances_ != before).any()


def test_a_constant_column_has_no_importance(device):
    X = TABLE.copy()
    X[:, 2] = 7
    net = SaliencyGuidedClassifier(max_epochs=3, device=device, random_state=0).fit(X, LABELS)
    assert net.feature_importances_[2] == 0
    assert net.feature_importances_.sum() == pytest.approx(1)
    assert np.isfinite(net.attribute(X)).all()
    selected = SelectFromModel(net, prefit=True, threshold=1e-12).get_support()
    assert selected.tolist() == [True, True, False, True]


class Mean(nn.Module):
    """Embeds integers."""

    def __init__(self, n_outputs):
        super().__init__()
        self.embedding = nn.Embedding(10, n_outputs)

    def forward(self, x):
        return self.embedding(x).mean(1)


class Named(MLP):
    def forward(self, a, b):
        return super().forward(torch.cat([a, b], 1))


class Detached(MLP):
    def forward(self, x):
        return super().forward(x.detach())


@pytest.mark.parametrize("case", ["integers", "mapping", "data set", "no gradient path"])
def test_there_are_no_importances_without_one_differentiable_array(case, device):
    module, X, y = {
        "integers": (Mean(3), RNG.integers(0, 10, (N, 4)), CODES),
        "mapping": (Named(4, 3), {"a": TABLE[:, :2], "b": TABLE[:, 2:]}, CODES),
        "data set": (
            MLP(4, 3),
            torch.utils.data.TensorDataset(torch.tensor(TABLE), torch.tensor(CODES)),
            None,
        ),
        "no gradient path": (Detached(4, 3), TABLE, CODES),
    }[case]
    net = SaliencyGuidedClassifier(
        module, consistency_weight=0, max_epochs=1, device=device, random_state=0
    ).fit(X, y)
    assert not hasattr(net, "feature_importances_")
    with pytest.raises(AttributeError, match="one floating-point array"):
        net.feature_importances_  # noqa: B018


def test_importances_of_an_earlier_fit_do_not_outlive_it(device):
    net = SaliencyGuidedClassifier(
        MLP(4, 3), consistency_weight=0, max_epochs=1, device=device, random_state=0
    ).fit(TABLE, CODES)
    assert net.feature_importances_.shape == (4,)
    net.module = Detached(4, 3)
    net.fit(TABLE, CODES)
    assert not hasattr(net, "feature_importances_")
