"""A loaded estimator is the saved one and goes on as it."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Freezer
from skorch.dataset import Dataset
from torch import nn

from sgt_sklearn.estimators._mixin import _TRANSIENT
from sgt_sklearn.exceptions import PersistenceError
from sgt_sklearn.modules import MLP
from tests.estimators.saved_cases import (
    CASES,
    CODES,
    LABELS,
    TABLE,
    Classifier,
    assert_equal,
    assert_same,
    fitted,
    make,
    round_trip,
)


@pytest.mark.parametrize("case", CASES)
def test_a_loaded_estimator_is_the_saved_one_and_goes_on_as_it(case, device, tmp_path):
    net, X, y, given = fitted(case, device)
    loaded = round_trip(net, tmp_path / "net.safetensors", **given)
    assert_same(net, loaded, X)
    params, others = net.get_params(deep=False), loaded.get_params(deep=False)
    assert set(params) == set(others)
    for name in set(params) - {"module", "criterion", "optimizer", "mask_fill"} - set(given):
        assert_equal(params[name], others[name])
    assert set(vars(net)) - set(_TRANSIENT) == set(vars(loaded)) - set(_TRANSIENT)
    net.partial_fit(X, y)
    loaded.partial_fit(X, y)
    assert_same(net, loaded, X)
    # once more, from an estimator that was loaded
    again = round_trip(loaded, tmp_path / "net.safetensors", **given)
    assert_same(again.fit(X, y), net.fit(X, y), X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "images", "own module"])
def test_warm_start_goes_on_after_loading(case, device, tmp_path):
    estimator, params, X, y, given = CASES[case]
    net = make(estimator, device, warm_start=True, **params).fit(X, y)
    loaded = round_trip(net, tmp_path / "net", **given).fit(X, y)
    assert_same(net.fit(X, y), loaded, X)
    assert len(loaded.history) == 2 * net.max_epochs


def test_without_a_seed_the_global_generators_go_on(device, tmp_path):
    net = make(Classifier, device, random_state=None).fit(TABLE, LABELS)
    before = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    loaded = round_trip(net, tmp_path / "net")
    assert_equal(before, (torch.get_rng_state(), np.random.get_state()))  # noqa: NPY002
    torch.manual_seed(1)
    net.partial_fit(TABLE, LABELS)
    torch.manual_seed(1)
    loaded.partial_fit(TABLE, LABELS)
    assert_same(net, loaded, TABLE)


def test_a_random_state_given_at_load_is_not_drawn_from(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    random_state = np.random.RandomState(0)
    loaded = round_trip(net, tmp_path / "net", random_state=random_state)
    assert loaded.random_state is random_state
    assert_equal(random_state.get_state(), np.random.RandomState(0).get_state())


def test_a_data_set_as_input(device, tmp_path):
    net = make(Classifier, device, module=MLP, module__n_features=5, module__n_outputs=3)
    net.fit(Dataset(TABLE, CODES))
    loaded = round_trip(net, tmp_path / "net")
    np.testing.assert_array_equal(net.predict_proba(TABLE), loaded.predict_proba(TABLE))
    with pytest.raises(AttributeError, match="feature_importances_"):
        _ = loaded.feature_importances_


class Scaled(nn.Linear):
    def forward(self, X, factor):
        return super().forward(X) * factor


def test_several_inputs(device, tmp_path):
    data = {"X": TABLE, "factor": np.ones((len(TABLE), 1), np.float32)}
    params = {"module": Scaled, "module__in_features": 5, "module__out_features": 3}
    net = make(Classifier, device, **params).fit(data, CODES)
    loaded = round_trip(net, tmp_path / "net", module=Scaled)
    for one in (net, loaded):
        one.partial_fit(data, CODES)
    assert_equal(net.predict_proba(data), loaded.predict_proba(data))


# raised by torch itself while it compiles the criterion
@pytest.mark.filterwarnings(
    "ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning"
)
def test_a_compiled_module(tmp_path):
    params = {"compile": True, "compile__backend": "eager"}
    net = make(Classifier, "cpu", **params).fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net")
    assert hasattr(loaded.module_, "_orig_mod")
    assert_same(net, loaded, TABLE)
    plain = Classifier.load(tmp_path / "net", compile=False)
    assert not hasattr(plain.module_, "_orig_mod")
    np.testing.assert_allclose(plain.predict_proba(TABLE), net.predict_proba(TABLE), rtol=1e-6)


class Versioned(nn.Linear):
    """Older weights, saved without a version, were called otherwise."""

    _version = 3

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *args):
        self.version_of_weights = local_metadata.get("version")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def get_extra_state(self):
        return {"notes": ("kept", torch.ones(2))}

    def set_extra_state(self, state):
        self.notes = state["notes"]


def test_versions_and_extra_state_of_modules_are_kept(device, tmp_path):
    params = {"module": Versioned, "module__in_features": 5, "module__out_features": 3}
    net = make(Classifier, device, **params).fit(TABLE, CODES)
    loaded = round_trip(net, tmp_path / "net", trusted=[Versioned])
    assert loaded.module_.version_of_weights == 3
    assert_equal(loaded.module_.notes, ("kept", torch.ones(2)))
    for training in (True, False):
        net.module_.train(training)
        assert round_trip(net, tmp_path / "net", trusted=[Versioned]).module_.training is training


class Lazy(nn.Sequential):
    def __init__(self, n_outputs):
        super().__init__(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(n_outputs))


@pytest.mark.parametrize("module", [Lazy, nn.LazyLinear])
def test_lazy_modules(module, device, tmp_path):
    size = {"module__out_features" if module is nn.LazyLinear else "module__n_outputs": 3}
    net = make(Classifier, device, module=module, optimizer=torch.optim.SGD, **size)
    net.initialize()
    with pytest.raises(PersistenceError, match=r"has no values yet: fit"):
        net.save(tmp_path / "net")
    net.fit(TABLE, CODES)
    loaded = round_trip(net, tmp_path / "net", trusted=[Lazy])
    assert_same(net, loaded, TABLE)
    assert_same(net.partial_fit(TABLE, CODES), loaded.partial_fit(TABLE, CODES), TABLE)


@pytest.mark.parametrize("named", [True, False])
def test_a_module_that_was_built_in_another_precision(named, tmp_path):
    params = {} if named else {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, "cpu", **params)
    torch.set_default_dtype(torch.float64)
    try:
        net.fit(TABLE, LABELS)
    finally:
        torch.set_default_dtype(torch.float32)
    loaded = round_trip(net, tmp_path / "net")
    assert next(loaded.module_.parameters()).dtype == torch.float64
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


def test_parameters_frozen_by_a_callback_stay_frozen(device, tmp_path):
    params = {"module": MLP, "module__n_features": 5, "module__n_outputs": 3}
    net = make(Classifier, device, callbacks=[Freezer("0.*")], **params).fit(TABLE, CODES)
    with pytest.raises(PersistenceError, match=r"callbacks \(an instance of skorch.*Freezer\)"):
        round_trip(net, tmp_path / "net")
    loaded = round_trip(net, tmp_path / "net", callbacks=[Freezer("0.*")])
    flags = {k: p.requires_grad for k, p in loaded.module_.named_parameters()}
    assert flags == {k: p.requires_grad for k, p in net.module_.named_parameters()}
    assert not all(flags.values())
    assert_same(net.partial_fit(TABLE, CODES), loaded.partial_fit(TABLE, CODES), TABLE)
