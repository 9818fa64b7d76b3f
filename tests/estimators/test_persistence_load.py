"""Loading on other devices, with other parameters, and what has to be passed."""

import copy

import numpy as np
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from torch import nn

from sgt_sklearn.exceptions import PersistenceError
from tests.estimators.saved_cases import (
    CODES,
    LABELS,
    TABLE,
    Classifier,
    CountEpochs,
    Labelled,
    OwnNet,
    Regressor,
    assert_equal,
    assert_same,
    fitted,
    make,
    round_trip,
    state,
)

# devices


def outputs(net, X):
    return net.predict_proba(X) if isinstance(net, Classifier) else net.predict(X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "images", "own module", "callbacks"])
def test_load_on_the_cpu(case, device, tmp_path):
    net, X, y, given = fitted(case, device)
    loaded = round_trip(net, tmp_path / "net", **given | {"device": "cpu"})
    tensors, optimizer = state(loaded)
    assert {t.device.type for t in tensors.values()} == {"cpu"}
    for values in optimizer["state"].values():
        assert {v.device.type for v in values.values() if isinstance(v, torch.Tensor)} == {"cpu"}
    for (name, tensor), expected in zip(tensors.items(), state(net)[0].values(), strict=True):
        assert torch.equal(tensor, expected.cpu()), name
    np.testing.assert_allclose(outputs(loaded, X), outputs(net, X), rtol=1e-3, atol=1e-3)
    loaded.partial_fit(X, y).predict(X)


@pytest.mark.parametrize("case", ["texts", "two outputs", "own module"])
def test_load_on_another_device(case, device, tmp_path):
    net, X, y, given = fitted(case, "cpu")
    loaded = round_trip(net, tmp_path / "net", **given | {"device": device})
    assert {t.device.type for t in state(loaded)[0].values()} == {device}
    np.testing.assert_allclose(loaded.attribute(X), net.attribute(X), rtol=1e-3, atol=1e-5)
    again = Classifier.load if isinstance(net, Classifier) else Regressor.load
    again = again(tmp_path / "net", **given | {"device": device})
    assert_same(loaded.partial_fit(X, y), again.partial_fit(X, y), X)


def test_device_auto_stays_auto(tmp_path):
    net = make(Classifier, "auto").fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net")
    assert loaded.get_params()["device"] == "auto"
    assert loaded.device == net.device
    assert clone(loaded).get_params()["device"] == "auto"


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
def test_a_device_that_is_not_here_has_to_be_replaced(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=r"device='cuda' is not available.*device='cpu'"):
        Classifier.load(tmp_path / "net", device="cuda")
    for device in ("meta", "nowhere", 3.5):
        with pytest.raises(PersistenceError, match=r"device(=| must be)"):
            Classifier.load(tmp_path / "net", device=device)


# what is passed to load


def test_parameters_given_to_load_replace_saved_ones(device, tmp_path):
    net = make(Classifier, device).fit(TABLE, LABELS)
    loaded = round_trip(
        net, tmp_path / "net", lr=0.5, max_epochs=1, optimizer__eps=1e-3, verbose=0
    )
    assert (loaded.lr, loaded.max_epochs, loaded.optimizer__eps) == (0.5, 1, 1e-3)
    # as set_params on the saved one does: the state of the optimizer stays
    net.set_params(lr=0.5, max_epochs=1, optimizer__eps=1e-3)
    assert loaded.optimizer_.param_groups[0]["lr"] == 0.5
    assert_same(net.partial_fit(TABLE, LABELS), loaded.partial_fit(TABLE, LABELS), TABLE)


def test_another_optimizer_starts_anew(tmp_path):
    net = make(Classifier, "cpu").fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net", optimizer=torch.optim.SGD)
    assert type(loaded.optimizer_) is torch.optim.SGD
    assert not loaded.optimizer_.state
    assert_equal(loaded.predict_proba(TABLE), net.predict_proba(TABLE))


def test_another_criterion_comes_as_it_is_given(tmp_path):
    weights = torch.tensor([1.0, 2.0, 3.0])
    params = {"criterion": nn.CrossEntropyLoss, "criterion__weight": weights}
    net = make(Classifier, "cpu", **params).fit(TABLE, LABELS)
    loaded = round_trip(net, tmp_path / "net", criterion__weight=weights + 1)
    assert_equal(loaded.criterion_.weight, weights + 1)
    loaded = Classifier.load(tmp_path / "net", criterion__weight=None)
    assert loaded.criterion_.weight is None


@pytest.mark.parametrize("given", ["instance", "class", "nothing"])
def test_a_module_instance_has_to_be_passed(given, device, tmp_path):
    net = make(Classifier, device, module=OwnNet(5, 3)).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    if given == "nothing":
        with pytest.raises(
            PersistenceError, match=r"module \(an instance of .*OwnNet\)"
        ) as raised:
            Classifier.load(tmp_path / "net")
        assert "load(path, module=...)" in str(raised.value)
        return
    module = OwnNet(5, 3) if given == "instance" else OwnNet
    assert_same(net, Classifier.load(tmp_path / "net", module=module), TABLE)


def test_a_failed_load_leaves_what_was_passed_as_it_was(tmp_path):
    net = make(Classifier, "cpu", module=OwnNet(5, 3)).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    module, random_state = OwnNet(5, 4), np.random.RandomState(0)
    before = copy.deepcopy(module.state_dict())
    with pytest.raises(PersistenceError, match="size mismatch for last"):
        Classifier.load(tmp_path / "net", module=module, random_state=random_state)
    assert_equal(dict(module.state_dict()), dict(before))
    assert_equal(random_state.get_state(), np.random.RandomState(0).get_state())


def test_everything_that_has_to_be_passed_is_named_at_once(tmp_path):
    params = {"module": OwnNet, "mask_fill": lambda x, generator: x, "callbacks": [CountEpochs()]}
    net = make(Classifier, "cpu", **params).fit(TABLE, CODES)
    net.save(tmp_path / "net")
    with pytest.raises(PersistenceError) as raised:
        Classifier.load(tmp_path / "net")
    for text in ("module (", "OwnNet", "mask_fill (", "<lambda>", "callbacks (", "trusted=["):
        assert text in str(raised.value)
    loaded = Classifier.load(tmp_path / "net", trusted=[OwnNet], mask_fill="mean", callbacks=None)
    assert_equal(loaded.predict(TABLE), net.predict(TABLE))


def test_trusted_classes_may_have_moved(tmp_path, monkeypatch):
    net = make(Classifier, "cpu", module=OwnNet).fit(TABLE, CODES)
    monkeypatch.setattr(OwnNet, "__module__", "__main__")
    net.save(tmp_path / "net")
    monkeypatch.undo()
    assert_same(net, Classifier.load(tmp_path / "net", trusted=[OwnNet]), TABLE)


@pytest.mark.parametrize(
    "trusted", [["os.system"], "os.system", [OwnNet(5, 3)], [lambda x: x], [None], 3]
)
def test_trusted_takes_classes_and_functions_only(trusted, tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "net")
    with pytest.raises(TypeError, match="trusted must hold classes and functions"):
        Classifier.load(tmp_path / "net", trusted=trusted)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"no_such_parameter": 1}, "unexpected argument"),
        ({"module": OwnNet}, "do not fit OwnNet"),
        ({"module": "cnn"}, "'cnn'|module__|height|n_channels|CNN"),
        ({"module__hidden": (4,)}, "must have the shape"),
        ({"mask_fraction": 7}, "mask_fraction must be"),
        ({"optimizer": "Adam"}, "optimizer must be"),
        ({"random_state": "seed"}, "random_state|seed"),
    ],
)
def test_parameters_given_to_load_that_do_not_fit(params, message, tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "net")
    with pytest.raises(PersistenceError, match=message):
        Classifier.load(tmp_path / "net", **params)


def test_each_class_loads_its_own_files(tmp_path):
    make(Classifier, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "classifier")
    make(Labelled, "cpu", max_epochs=1).fit(TABLE, LABELS).save(tmp_path / "labelled")
    for cls in (Regressor, Labelled):
        with pytest.raises(PersistenceError, match=r"use SaliencyGuidedClassifier.load\(path\)"):
            cls.load(tmp_path / "classifier")
    with pytest.raises(PersistenceError, match=r"use Labelled.load\(path\)"):
        Classifier.load(tmp_path / "labelled")
    assert_equal(
        Labelled.load(tmp_path / "labelled").fit_rows_,
        make(Labelled, "cpu", max_epochs=1).fit(TABLE, LABELS).fit_rows_,
    )


def test_metadata_requests_are_kept(tmp_path):
    with config_context(enable_metadata_routing=True):
        net = make(Classifier, "cpu", max_epochs=1).set_fit_request(sample_weight=True)
        loaded = round_trip(net.fit(TABLE, LABELS), tmp_path / "net")
        requests = loaded.get_metadata_routing()
    assert str(requests) == str(net.get_metadata_routing())
