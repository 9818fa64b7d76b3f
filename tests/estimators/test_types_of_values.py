"""Values of several types in one array, and numbers of numpy where Python's are expected."""

import numpy as np
import pytest
import torch
from scipy.stats import randint
from sklearn.model_selection import RandomizedSearchCV
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier

X = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
NAN = float("nan")
OWN = {"module": nn.Linear, "module__in_features": 4, "module__out_features": 3}


def make(device, **params):
    return SaliencyGuidedClassifier(
        **{"max_epochs": 2, "batch_size": 8, "device": device, "random_state": 0} | params
    )


def assert_same_fit(net, expected):
    first, second = (n.fit(X, Y).module_.state_dict() for n in (net, expected))
    assert all(torch.equal(first[name], second[name]) for name in second)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("name", ["batch_size", "iterator_train__batch_size"])
def test_batch_size_of_numpy(name, kind, device):
    assert_same_fit(make(device, **{name: kind(16)}), make(device, **{name: 16}))


def test_batch_size_of_all_rows(device):
    assert_same_fit(make(device, batch_size=np.int64(-1)), make(device, batch_size=-1))


def test_a_search_draws_batch_sizes(device):
    search = RandomizedSearchCV(
        make(device), {"batch_size": randint(8, 20)}, n_iter=2, cv=2, random_state=0
    )
    assert np.isfinite(search.fit(X, Y).cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["a", "a", 1, 2], [0, 0, 1, 2]),
        ([None, "b", None, "a"], [0, 1, 0, 2]),
        ([2.5, "x", 2.5, NAN], [0, 1, 0, 2]),
        ([("a", 1), ("a", 1), ("b",), None], [0, 0, 1, 2]),
    ],
)
def test_groups_by_labels_of_any_type(labels, expected, device):
    groups = np.empty(4, dtype=object)
    groups[:] = labels
    net = make(device, feature_groups=groups)
    assert_same_fit(net, make(device, feature_groups=expected))
    np.testing.assert_array_equal(net.feature_groups_, expected)


def test_groups_that_cannot_be_told_apart(device):
    groups = np.empty(4, dtype=object)
    groups[:] = [["a"], ["a"], {}, None]
    with pytest.raises(TypeError, match=r"feature_groups must be labels .* unhashable"):
        make(device, feature_groups=groups).fit(X, Y)


@pytest.mark.parametrize(
    ("labels", "types"),
    [
        (["a", "b", 1], "int, str"),
        (["a", None, "b"], "NoneType, str"),
        ([1, None, 2.5], "NoneType, float, int"),
        (["a", True, "b"], "bool, str"),
    ],
)
@pytest.mark.parametrize("params", [{}, OWN, {"criterion": nn.BCEWithLogitsLoss}], ids=str)
def test_labels_of_several_types_are_refused(labels, types, params, device):
    y = np.resize(np.array(labels, dtype=object), len(X))
    net = make(device, **params)
    with pytest.raises(ValueError, match=f"y must hold labels of one type, got {types}: conv"):
        net.fit(X, y)
    assert not net.initialized_


@pytest.mark.parametrize("params", [{}, {"iterator_train__num_workers": 0}], ids=str)
def test_dropping_all_rows_is_refused(params, device):
    with pytest.raises(ValueError, match=r"drop_last must be False .*batch_size=50 for 40 rows"):
        make(device, batch_size=50, iterator_train__drop_last=True, **params).fit(X, Y)
    net = make(device, batch_size=30, iterator_train__drop_last=True, **params).fit(X, Y)
    assert len(net.history[-1, "batches"]) == 1
