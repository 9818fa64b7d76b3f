"""What the user of ``ResumableCheckpoint`` decides."""

import inspect
import os
import pickle
import signal

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_validate
from skorch.callbacks import Callback, Checkpoint, EarlyStopping
from skorch.dataset import Dataset

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.callbacks import ResumableCheckpoint
from sgt_sklearn.callbacks._checkpoint_file import read_checkpoint
from tests.callbacks.interrupting import (
    OTHER,
    FirstNet,
    GuidedNet,
    StepError,
    Trip,
    interrupt,
    make,
)
from tests.callbacks.killing import LABELS, TARGETS, X, assert_same, outcome, seed_globals, weights

pytestmark = pytest.mark.usefixtures("python_with_its_own_handlers")


class EpochCounter(Callback):
    counts: list = []

    def on_train_begin(self, net, **kwargs):
        EpochCounter.counts = []

    def on_epoch_end(self, net, **kwargs):
        EpochCounter.counts.append(len(net.history))


# when it is over


def test_a_finished_fit_leaves_nothing_and_the_next_one_trains_anew(tmp_path):
    net = make(tmp_path / "fit.ckpt", random_state=None, callbacks=[EpochCounter])
    first = weights(net.fit(X, TARGETS))
    assert list(tmp_path.iterdir()) == []
    second = weights(net.fit(X, TARGETS))
    assert EpochCounter.counts == [1, 2, 3, 4]
    with pytest.raises(AssertionError):
        np.testing.assert_equal(first, second)


def test_keep_returns_the_trained_net_until_the_file_is_deleted(tmp_path):
    path = tmp_path / "fit.ckpt"

    def fit():
        callbacks = [EpochCounter, EarlyStopping(monitor="train_loss", load_best=True, patience=2)]
        return make(path, keep=True, callbacks=callbacks, lr=0.5, max_epochs=20).fit(X, TARGETS)

    first = outcome(fit())
    trained = EpochCounter.counts
    assert 2 < len(trained) < 20
    again = fit()
    assert EpochCounter.counts == []
    assert_same(first, outcome(again))
    path.unlink()
    fit()
    assert EpochCounter.counts == trained


def test_a_kept_result_is_not_returned_without_keep(tmp_path):
    path = tmp_path / "fit.ckpt"
    make(path, keep=True, callbacks=[EpochCounter]).fit(X, TARGETS)
    assert read_checkpoint(path)["finished"]
    make(path, callbacks=[EpochCounter]).fit(X, TARGETS)
    assert EpochCounter.counts == [1, 2, 3, 4]
    assert not path.exists()


def test_the_file_of_a_whole_fit_is_not_needed_for_the_net(tmp_path):
    net = make(tmp_path / "fit.ckpt").fit(X, TARGETS)
    copy = pickle.loads(pickle.dumps(net))
    np.testing.assert_array_equal(copy.predict(X), net.predict(X))
    assert vars(dict(net.callbacks_)["resume"]).keys() == {"path", "every", "keep"}
    names = [name for name in vars(net) if "resum" in name]
    assert names == []


@pytest.mark.parametrize("how", ["error", "ctrl-c"])
def test_an_interrupted_fit_keeps_its_file_and_goes_on(how, tmp_path):
    path = tmp_path / "fit.ckpt"
    whole = make(tmp_path / "whole.ckpt", how=how).fit(X, TARGETS)
    net = make(path, how=how, callbacks=[EpochCounter])
    Trip.armed = True
    try:
        net.fit(X, TARGETS)  # after Ctrl-C skorch returns the net as it is
    except StepError:
        assert how == "error"
    assert EpochCounter.counts == [1]
    assert path.exists()
    net.fit(X, TARGETS)
    assert EpochCounter.counts == [2, 3, 4]
    np.testing.assert_equal(weights(net), weights(whole))
    assert not path.exists()


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("place", ["_prepare_fit", "_begin_epochs", "_end_epoch"])
def test_ctrl_c_between_the_epochs_keeps_the_file_too(place, keep, tmp_path, monkeypatch):
    path = tmp_path / "fit.ckpt"
    whole = make(tmp_path / "whole.ckpt").fit(X, TARGETS)
    interrupt(path, keep=keep)
    original = getattr(ResumableCheckpoint, place)

    def interrupted(*args, **kwargs):
        monkeypatch.setattr(ResumableCheckpoint, place, original)
        os.kill(os.getpid(), signal.SIGINT)
        return original(*args, **kwargs)

    monkeypatch.setattr(ResumableCheckpoint, place, interrupted)
    make(path, keep=keep).fit(X, TARGETS)
    assert not read_checkpoint(path)["finished"]
    np.testing.assert_equal(weights(make(path, keep=keep).fit(X, TARGETS)), weights(whole))


def test_a_handler_of_the_users_own_interrupts_too(tmp_path):
    def handler(signum, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    net = make(tmp_path / "fit.ckpt", how="ctrl-c")
    Trip.armed = True
    net.fit(X, TARGETS)
    assert (tmp_path / "fit.ckpt").exists()


@pytest.mark.parametrize("keep", [False, True])
def test_a_callback_that_stops_the_training_ends_the_fit(keep, tmp_path):
    path = tmp_path / "fit.ckpt"
    net = make(path, how="stop", keep=keep)
    Trip.armed = True
    net.fit(X, TARGETS)
    assert len(net.history) == 2
    assert path.exists() == keep
    Trip.armed = False
    assert len(net.fit(X, TARGETS).history) == (2 if keep else 4)


def test_partial_fit_and_warm_start_are_fits_of_their_own(tmp_path):
    path = tmp_path / "fit.ckpt"
    reference = make(tmp_path / "other.ckpt", warm_start=True)
    net = make(path, warm_start=True)
    for n in range(3):
        reference.fit(X, TARGETS) if n % 2 else reference.partial_fit(X, TARGETS)
        Trip.armed = True
        fit = net.fit if n % 2 else net.partial_fit
        with pytest.raises(StepError):
            fit(X, TARGETS)
        assert len(net.history or ()) == 4 * n
        fit(X, TARGETS)
        assert len(net.history) == 4 * (n + 1)
        np.testing.assert_equal(weights(net), weights(reference))
    # in another script, whose first fit is not the one that was interrupted
    Trip.armed = True
    with pytest.raises(StepError):
        net.partial_fit(X, TARGETS)
    with pytest.raises(ValueError, match=r"epochs trained before \(12 there, 0 here\)"):
        make(path, warm_start=True).fit(X, TARGETS)


# several fits


def test_clone_has_the_same_checkpoint(tmp_path):
    net = make(tmp_path / "fit.ckpt", every=2, keep=True)
    copy = clone(net)
    assert vars(copy.callbacks[0][1]) == vars(net.callbacks[0][1])
    assert copy.callbacks[0][1] is not net.callbacks[0][1]
    np.testing.assert_equal(weights(net.fit(X, TARGETS)), weights(copy.fit(X, TARGETS)))


def test_searches_and_cross_validation_name_the_fit_in_the_path(tmp_path):
    search = GridSearchCV(
        make(tmp_path / "{fit}.ckpt", keep=True, callbacks=[EpochCounter]),
        {"lr": [0.01, 0.1], "mask_fraction": [0.2, 0.5]},
        cv=2,
        refit=False,
        error_score="raise",
    )
    first = search.fit(X, TARGETS).cv_results_["mean_test_score"]
    files = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert len(files) == 2 * 2 * 2
    for path in list(tmp_path.iterdir())[3:]:
        path.unlink()  # of fits that had not been reached when the search was killed
    again = search.fit(X, TARGETS).cv_results_["mean_test_score"]
    np.testing.assert_array_equal(first, again)
    later = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert set(later) == set(files)
    assert sum(later[name] == files[name] for name in files) == 3


def test_one_path_for_several_fits_at_once_is_an_error(tmp_path):
    path = tmp_path / "fit.ckpt"
    inner = make(path)

    class FitBetween(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                path.unlink()
                Trip.armed = True
                with pytest.raises(StepError):
                    inner.fit(X[:30], TARGETS[:30])

    with pytest.raises(ValueError, match=r"Another fit writes its checkpoints .*put \{fit\} into"):
        make(path, callbacks=[FitBetween]).fit(X, TARGETS)


def test_cross_validation_over_a_kept_file_says_to_name_the_fit(tmp_path):
    net = make(tmp_path / "fit.ckpt", keep=True)
    with pytest.raises(ValueError, match=r"put \{fit\} into the path"):
        cross_validate(net, X, TARGETS, cv=2, error_score="raise")


def test_folders_are_made_and_the_working_directory_may_change(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    class ChangeDirectory(Callback):
        def on_epoch_end(self, net, **kwargs):
            os.chdir(tmp_path / "runs")

    net = make("runs/today/{fit}.ckpt", keep=True, callbacks=[ChangeDirectory])
    net.fit(X, TARGETS)
    (path,) = (tmp_path / "runs" / "today").iterdir()
    assert path.suffix == ".ckpt"
    assert len(path.stem) == 16


# kinds of data


def frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcd"))
    return frame, LABELS


def test_data_frames_and_text_labels(tmp_path):
    frame, y = frames()
    interrupt(tmp_path / "fit.ckpt", X=frame, y=y, cls=SaliencyGuidedClassifier)
    renamed = frame.rename(columns={"a": "z"})
    net = make(tmp_path / "fit.ckpt", cls=SaliencyGuidedClassifier)
    assert net.fit(frame, y).score(frame, y) > 0
    interrupt(tmp_path / "fit.ckpt", X=frame, y=y, cls=SaliencyGuidedClassifier)
    assert list(renamed) != list(frame)


class Stream(Dataset):
    """A data set whose batches guidance takes its statistics from."""


@pytest.mark.parametrize("random_state", [None, 0])
def test_data_sets(random_state, tmp_path):
    target = TARGETS.astype(np.float32)[:, None]

    def fit(path, trips=False):
        seed_globals()
        net = make(
            path,
            cls=GuidedNet,
            module=FirstNet,
            random_state=random_state,
            train_split=None,
            verbose=0,
            mask_order="absolute",
        )
        Trip.armed = trips
        return net.fit(Stream(X, target))

    whole = outcome(fit(tmp_path / "whole.ckpt"))
    with pytest.raises(StepError):
        fit(tmp_path / "fit.ckpt", trips=True)
    assert_same(whole, outcome(fit(tmp_path / "fit.ckpt")))
    with pytest.raises(StepError):
        fit(tmp_path / "fit.ckpt", trips=True)
    net = make(
        tmp_path / "fit.ckpt",
        cls=GuidedNet,
        module=FirstNet,
        random_state=random_state,
        train_split=None,
        verbose=0,
        mask_order="absolute",
    )
    with pytest.raises(ValueError, match=r"X \(Stream"):
        net.fit(Stream(OTHER, target))


def test_a_pickle_made_in_the_fit_is_a_net_of_its_own(tmp_path):
    saved = Checkpoint(dirname=tmp_path, monitor=None, f_pickle="net.pkl")
    make(tmp_path / "fit.ckpt", callbacks=[saved]).fit(X, TARGETS)
    net = pickle.loads((tmp_path / "net.pkl").read_bytes())
    assert net.predict(X).shape == (40,)
    assert not [name for name in vars(net) if "resum" in name]
    assert vars(dict(net.callbacks_)["resume"]).keys() == {"path", "every", "keep"}


def test_signature():
    assert list(inspect.signature(ResumableCheckpoint).parameters) == ["path", "every", "keep"]
