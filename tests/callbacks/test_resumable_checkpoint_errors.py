"""A checkpoint of another fit, and bad parameters, are refused."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import EarlyStopping
from torch import nn
from torch.utils.data import Subset

from sgt_sklearn import SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.callbacks import ResumableCheckpoint
from tests.callbacks.interrupting import OTHER, FirstNet, interrupt, make
from tests.callbacks.killing import TARGETS, X, weights

pytestmark = pytest.mark.usefixtures("python_with_its_own_handlers")


class Sub(SaliencyGuidedRegressor):
    pass


# mismatches

CHANGES = {
    "lr": (0.1, r"lr \('auto' there, 0\.1 here\)"),
    "max_epochs": (5, r"max_epochs \(4 there, 5 here\)"),
    "batch_size": (20, "batch_size"),
    "optimizer": (torch.optim.AdamW, r"optimizer \('auto' there.*AdamW here\)"),
    "optimizer__weight_decay": (0.1, r"optimizer__weight_decay \(absent there, 0\.1 here\)"),
    "module__hidden": ((5,), r"module__hidden \(absent there, tuple\[5\] here\)"),
    "mask_fraction": (0.3, r"mask_fraction \('auto' there, 0\.3 here\)"),
    "feature_groups": (np.array([0, 0, 1, 1]), r"feature_groups \('auto' there, int64 array"),
    "random_state": (1, r"random_state \(0 there, 1 here\)"),
    "consistency_weight": (0.0, "consistency_weight"),
    "train_split": (lambda data, y, **kw: (data, data), r"train_split .*<lambda> here"),
    "iterator_train__shuffle": (False, "iterator_train__shuffle"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_other_parameters_are_named(name, tmp_path):
    value, message = CHANGES[name]
    path = tmp_path / "fit.ckpt"
    interrupt(path)
    content = path.read_bytes()
    net = make(path, **{name: value})
    with pytest.raises(ValueError, match=f"fit.ckpt' is the checkpoint of another.*{message}"):
        net.fit(X, TARGETS)
    assert not net.initialized_
    assert path.read_bytes() == content


def test_other_callbacks_are_named(tmp_path):
    path = tmp_path / "fit.ckpt"
    stop = EarlyStopping(monitor="train_loss", patience=4)
    interrupt(path, callbacks=[("stop", stop)])
    with pytest.raises(ValueError, match=r"callbacks__stop__patience \(4 there, 3 here\)"):
        patience = EarlyStopping(monitor="train_loss", patience=3)
        make(path, callbacks=[("stop", patience)]).fit(X, TARGETS)
    with pytest.raises(ValueError, match=r"callbacks__stop \(skorch.*EarlyStopping there, absent"):
        make(path).fit(X, TARGETS)


def test_many_differences_are_counted(tmp_path):
    interrupt(tmp_path / "fit.ckpt")
    changes = {name: value for name, (value, _) in CHANGES.items() if name != "module__hidden"}
    with pytest.raises(ValueError, match=r"here\), and \d more\. To go on"):
        make(tmp_path / "fit.ckpt", **changes).fit(X, TARGETS)


def test_another_class_and_device_are_named(tmp_path):
    interrupt(tmp_path / "fit.ckpt")
    with pytest.raises(ValueError, match=r"estimator \(.*SaliencyGuidedRegressor there, .*Sub"):
        make(tmp_path / "fit.ckpt", cls=Sub).fit(X, TARGETS)
    with pytest.raises(ValueError, match=r"device \('cpu' there, 'meta' here\)"):
        make(tmp_path / "fit.ckpt", device="meta").fit(X, TARGETS)


OTHER_TARGETS = TARGETS.copy()
OTHER_TARGETS[-1] += 1e-6
DATA_CHANGES = {
    "value of X": ({"X": OTHER}, "X "),
    "rows": ({"X": X[:-1], "y": TARGETS[:-1]}, r"X \(float32 array of shape \(40, 4\)"),
    "order": ({"X": X[::-1]}, "X "),
    "value of y": ({"y": OTHER_TARGETS}, "y "),
    "weights": ({"sample_weight": np.arange(1, 41)}, r"sample_weight \(None there, float64 array"),
}


@pytest.mark.parametrize("change", DATA_CHANGES)
def test_other_data_are_named(change, tmp_path):
    changes, message = DATA_CHANGES[change]
    interrupt(tmp_path / "fit.ckpt")
    with pytest.raises(ValueError, match=f"It differs in .*{message}"):
        make(tmp_path / "fit.ckpt").fit(**{"X": X, "y": TARGETS} | changes)


def test_the_same_data_in_another_layout_are_the_same(tmp_path):
    whole = make(tmp_path / "whole.ckpt").fit(X, TARGETS)
    interrupt(tmp_path / "fit.ckpt")
    net = make(tmp_path / "fit.ckpt").fit(np.asfortranarray(X), TARGETS.tolist())
    np.testing.assert_equal(weights(net), weights(whole))


def test_another_split_is_an_error(tmp_path):
    rows = [np.arange(30), np.arange(30)]

    def split(dataset, y, **fit_params):
        return Subset(dataset, rows.pop(0)), Subset(dataset, np.arange(30, 40))

    interrupt(tmp_path / "fit.ckpt", train_split=split)
    rows[0] = np.arange(30)[::-1].copy()
    with pytest.raises(ValueError, match=r"train_split gives other rows .*dataset_train"):
        make(tmp_path / "fit.ckpt", train_split=split).fit(X, TARGETS)


def test_changed_code_of_the_module_is_an_error(tmp_path, monkeypatch):
    def init(self, n_features=4):
        nn.Module.__init__(self)
        self.layer = nn.Sequential(nn.Linear(n_features, 2), nn.Linear(2, 1))

    data = {"X": X, "y": TARGETS.astype(np.float32)[:, None]}
    interrupt(tmp_path / "fit.ckpt", module=FirstNet, **data)
    monkeypatch.setattr(FirstNet, "__init__", init)
    net = make(tmp_path / "fit.ckpt", module=FirstNet)
    with pytest.raises(ValueError, match="Has the code of the module or of a callback changed"):
        net.fit(**data)
    assert not net.initialized_


# parameters of the callback

BAD_PARAMETERS = {
    "path of no type": ({"path": 3}, TypeError, "path must be a str or os.PathLike, got 3"),
    "path None": ({"path": None}, TypeError, "path must be a str"),
    "empty path": ({"path": ""}, ValueError, "path must name a file, got an empty text"),
    "every 0": ({"every": 0}, ValueError, "every must be at least 1, got 0"),
    "every negative": ({"every": -3}, ValueError, "every must be at least 1, got -3"),
    "every half": ({"every": 0.5}, TypeError, "every must be an int, .* got 0.5 of float"),
    "every bool": ({"every": True}, TypeError, "every must be an int"),
    "keep a number": ({"keep": 1}, TypeError, "keep must be True or False, got 1 of int"),
    "keep a text": ({"keep": "delete"}, TypeError, "keep must be True or False"),
}


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_bad_parameters(case, tmp_path):
    params, error, message = BAD_PARAMETERS[case]
    params = {"path": tmp_path / "fit.ckpt"} | params
    net = SaliencyGuidedRegressor(max_epochs=1, callbacks=[ResumableCheckpoint(**params)])
    with pytest.raises(error, match=message):
        net.fit(X, TARGETS)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_no_path(tmp_path):
    with pytest.raises(IsADirectoryError, match="path must name a file, got the folder"):
        make(tmp_path).fit(X, TARGETS)


def test_a_net_of_skorch_alone_is_refused(tmp_path):
    net = NeuralNetClassifier(
        nn.Linear(4, 3),
        callbacks=[ResumableCheckpoint(tmp_path / "a")],
        train_split=None,
        verbose=0,
    )
    with pytest.raises(TypeError, match="put SaliencyGuidedMixin before the net class"):
        net.fit(X, np.zeros(40, dtype=np.int64))


def test_two_of_them_are_refused(tmp_path):
    other = ResumableCheckpoint(tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match="callbacks must hold one ResumableCheckpoint, got 2"):
        make(tmp_path / "fit.ckpt", callbacks=[other]).fit(X, TARGETS)


def test_accelerate_is_refused(tmp_path):
    pytest.importorskip("accelerate")
    from accelerate import Accelerator
    from skorch.hf import AccelerateMixin

    class Net(SaliencyGuidedMixin, AccelerateMixin, NeuralNetRegressor):
        pass

    net = Net(
        nn.Linear(4, 1),
        accelerator=Accelerator(cpu=True),
        callbacks=[ResumableCheckpoint(tmp_path / "fit.ckpt")],
        train_split=None,
        verbose=0,
        device=None,
    )
    with pytest.raises(ValueError, match="cannot resume training with AccelerateMixin"):
        net.fit(X, TARGETS.astype(np.float32)[:, None])
