"""Every callback of skorch on guided nets, against the same net trained by hand."""

import copy
import json
import math
import re
import time
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import skorch.callbacks
import torch
from sklearn.metrics import accuracy_score, log_loss, make_scorer, roc_auc_score
from skorch import NeuralNetClassifier
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    EpochTimer,
    Freezer,
    Initializer,
    InputShapeSetter,
    LoadInitState,
    LRScheduler,
    MlflowLogger,
    ParamMapper,
    PassthroughScoring,
    PrintLog,
    ProgressBar,
    SacredLogger,
    TensorBoard,
    TrainEndCheckpoint,
    Unfreezer,
    WandbLogger,
    WarmRestartLR,
)
from skorch.dataset import Dataset
from skorch.helper import predefined_split
from torch import nn

from tests.estimators.by_hand import (
    LR,
    SEED,
    SETTINGS,
    X_VALID,
    Y_VALID,
    HandTrained,
    X,
    Y,
    assert_same_state,
    make_estimator,
    make_net,
)

VALID = predefined_split(Dataset(X_VALID, Y_VALID))
GUIDED = ["fixed", "drawn"]


@pytest.fixture(params=SETTINGS)
def setting(request):
    return SETTINGS[request.param]


def test_every_public_callback_is_tried():
    folder = Path(__file__).parent
    words = [
        Counter(re.findall(r"\w+", (folder / f"test_{name}.py").read_text()))
        for name in ("callbacks", "recipes")
    ]
    # once where it is imported, and where it is used
    tried = {name for name in skorch.callbacks.__all__ if max(w[name] for w in words) > 1}
    # this logger imports its package
    assert set(skorch.callbacks.__all__) - tried == {"NeptuneLogger"}


class Recorder(Callback):
    """Notes each event with all that a callback is told about it."""

    def __init__(self):
        self.events = []

    def on_train_begin(self, net, **kwargs):
        self.note("train begins", kwargs)

    def on_epoch_begin(self, net, **kwargs):
        self.note("epoch begins", kwargs)

    def on_batch_begin(self, net, **kwargs):
        self.note("batch begins", kwargs)

    def on_grad_computed(self, net, **kwargs):
        self.note("gradient", kwargs)

    def on_batch_end(self, net, **kwargs):
        self.note("batch ends", kwargs)

    def on_epoch_end(self, net, **kwargs):
        self.note("epoch ends", kwargs)

    def on_train_end(self, net, **kwargs):
        self.note("train ends", kwargs)

    def note(self, event, kwargs):
        batch = kwargs["batch"][0].tolist() if "batch" in kwargs else None
        self.events.append((event, sorted(kwargs), kwargs.get("training"), batch))


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.LBFGS])
def test_callbacks_hear_what_those_of_a_plain_net_hear(setting, optimizer, device):
    heard = []
    for guided in (True, False):
        recorder = Recorder()
        options = {
            "callbacks": [recorder],
            "train_split": VALID,
            "optimizer": optimizer,
            "lr": 1e-3,  # small steps, so that LBFGS evaluates both losses equally often
        }
        if optimizer is torch.optim.LBFGS:
            options["optimizer__max_iter"] = 3
        if guided:
            make_estimator(make_net(), setting, device, **options).fit(X, Y)
        else:
            common = {"criterion": nn.CrossEntropyLoss, "max_epochs": 3, "batch_size": 6}
            NeuralNetClassifier(make_net(), device=device, verbose=0, **common | options).fit(X, Y)
        heard.append(recorder.events)
    assert heard[0] == heard[1]


# scores


def by_rows(values, sizes):
    return np.average(values, weights=sizes)


def test_scores_of_batches_and_epochs(setting, device):
    scorers = {
        "batch accuracy": BatchScoring("accuracy", name="batch accuracy", lower_is_better=False),
        "train batches": BatchScoring("accuracy", on_train=True, name="train batches"),
        "auc": EpochScoring("roc_auc_ovr", lower_is_better=False, name="auc"),
        "uncached auc": EpochScoring("roc_auc_ovr", use_caching=False, name="uncached auc"),
        "log loss": EpochScoring("neg_log_loss", on_train=True, name="log loss"),
        "late log loss": EpochScoring(
            make_scorer(log_loss, response_method="predict_proba"),
            on_train=True,
            use_caching=False,
            name="late log loss",
        ),
    }
    estimator = make_estimator(
        make_net(),
        setting,
        device,
        batch_size=5,
        train_split=VALID,
        callbacks=list(scorers.values()),
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    sizes, expected, before = [5, 5, 5, 5, 4], {name: [] for name in scorers}, []

    def probabilities(rows):
        with torch.no_grad():
            return hand.net(torch.as_tensor(rows).to(device)).softmax(1).cpu().numpy()

    for i, rows in enumerate(hand.batches(size=5)):
        before.append(probabilities(hand.X[rows]))
        hand.step(rows, optimizer)
        if i % 5 < 4:
            continue
        parts = np.split(np.arange(24), [5, 10, 15, 20])
        valid, after = probabilities(X_VALID), probabilities(X)
        expected["auc"].append(roc_auc_score(Y_VALID, valid, multi_class="ovr"))
        hits = [accuracy_score(Y_VALID[p], valid[p].argmax(1)) for p in parts]
        expected["batch accuracy"].append(by_rows(hits, sizes))
        hits = [accuracy_score(Y[p], z.argmax(1)) for p, z in zip(parts, before, strict=True)]
        expected["train batches"].append(by_rows(hits, sizes))
        expected["log loss"].append(-log_loss(Y, np.concatenate(before)))
        expected["late log loss"].append(log_loss(Y, after))
        before = []
    expected["uncached auc"] = expected["auc"]
    for name, values in expected.items():
        np.testing.assert_allclose(estimator.history[:, name], values, atol=1e-9, err_msg=name)


class GradientNorm(Callback):
    """A user's own measure of each batch."""

    def on_grad_computed(self, net, named_parameters, **kwargs):
        squares = [parameter.grad.square().sum() for _, parameter in named_parameters]
        net.history.record_batch("norm", torch.stack(squares).sum().sqrt().item())


def test_a_measure_of_the_gradient_is_one_of_both_terms(setting, device):
    callbacks = [GradientNorm(), PassthroughScoring("norm", on_train=True)]
    estimator = make_estimator(make_net(), setting, device, callbacks=callbacks, batch_size=5)
    estimator.fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    norms = []
    for rows in hand.batches(size=5):
        hand.step(rows, optimizer)
        norms.append(math.sqrt(sum(p.grad.square().sum().item() for p in hand.net.parameters())))
    epochs = [by_rows(part, [5, 5, 5, 5, 4]) for part in np.split(np.array(norms), 3)]
    np.testing.assert_allclose(estimator.history[:, "norm"], epochs, atol=1e-9)


# stopping and keeping


def hand_trained_epochs(setting, device, epochs, lr, **options):
    """Yield the net after each epoch with its loss of validation."""
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=lr, **options)
    for i, rows in enumerate(hand.batches(epochs)):
        hand.step(rows, optimizer)
        if i % 4 == 3:
            yield hand, optimizer, hand.task_loss(X_VALID, Y_VALID)


@pytest.mark.parametrize("load_best", [True, False])
def test_early_stopping_stops_by_the_task_loss_and_restores_the_best(load_best, setting, device):
    stopping = EarlyStopping(patience=3, threshold=1e-3, load_best=load_best)
    estimator = make_estimator(
        make_net(), setting, device, callbacks=[stopping], train_split=VALID, max_epochs=60, lr=0.5
    ).fit(X, Y)
    best, bound, misses, losses = None, math.inf, 0, []
    for hand, _, loss in hand_trained_epochs(setting, device, 60, 0.5):
        losses.append(loss)
        misses = 0 if loss < bound else misses + 1
        if misses == 0:
            best, bound = copy.deepcopy(hand.net), loss * (1 - 1e-3)
        if misses == 3:
            break
    assert 4 < len(losses) < 60
    np.testing.assert_allclose(estimator.history[:, "valid_loss"], losses, atol=1e-9)
    assert_same_state(estimator.module_, best if load_best else hand.net, atol=1e-9)


def lowest_so_far(net):
    return net.history[-1, "valid_loss"] == min(net.history[:, "valid_loss"])


@pytest.mark.parametrize("monitor", ["valid_loss_best", lowest_so_far])
def test_checkpoints_keep_the_best_epoch(monitor, setting, device, tmp_path):
    checkpoint = Checkpoint(monitor, dirname=str(tmp_path), f_pickle="net.pkl", load_best=True)
    options = {"max_epochs": 12, "lr": 0.5, "optimizer__momentum": 0.5}
    estimator = make_estimator(
        make_net(), setting, device, callbacks=[checkpoint], train_split=VALID, **options
    ).fit(X, Y)
    losses, best = [], None
    for hand, optimizer, loss in hand_trained_epochs(setting, device, 12, 0.5, momentum=0.5):
        losses.append(loss)
        if loss == min(losses):
            best = copy.deepcopy((hand.net, optimizer.state_dict()))
    chosen = int(np.argmin(losses)) + 1
    assert 1 < chosen < 12
    assert_same_state(estimator.module_, best[0], atol=1e-9)
    kept = torch.load(tmp_path / "optimizer.pt")["state"]
    for i, state in best[1]["state"].items():
        torch.testing.assert_close(kept[i], state, atol=1e-9, rtol=0)
    epochs = json.loads((tmp_path / "history.json").read_text())
    assert len(epochs) == chosen
    assert ("train_consistency_loss" in epochs[-1]) == (setting is not None)
    fresh = make_estimator(make_net(), setting, device).initialize()
    fresh.load_params(checkpoint=Checkpoint(dirname=str(tmp_path)))
    assert_same_state(fresh.module_, estimator.module_, atol=0)


def test_a_checkpoint_of_each_epoch(setting, device, tmp_path):
    checkpoint = Checkpoint(
        None, dirname=str(tmp_path), f_params="epoch_{last_epoch[epoch]}.pt", event_name=None
    )
    make_estimator(make_net(), setting, device, callbacks=[checkpoint]).fit(X, Y)
    for epoch, (hand, _, _) in enumerate(hand_trained_epochs(setting, device, 3, LR), start=1):
        kept = torch.load(tmp_path / f"epoch_{epoch}.pt")
        torch.testing.assert_close(kept, hand.net.state_dict(), atol=1e-10, rtol=0)


@pytest.mark.parametrize("kind", [Checkpoint, TrainEndCheckpoint])
def test_a_fit_goes_on_from_what_another_fit_has_left(kind, setting, device, tmp_path):
    def make():
        monitor = {"monitor": None} if kind is Checkpoint else {}
        checkpoint = kind(dirname=str(tmp_path), **monitor)
        callbacks = [checkpoint, LoadInitState(checkpoint)]
        return make_estimator(
            make_net(), setting, device, callbacks=callbacks, optimizer__momentum=0.9
        )

    make().fit(X, Y)
    estimator = make().fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR, momentum=0.9)
    for _ in range(2):
        # a fit of its own, whose masks are drawn from the start
        hand.generator.manual_seed(hand.generator.initial_seed())
        for rows in hand.batches():
            hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)
    assert estimator.history[:, "epoch"] == [1, 2, 3, 4, 5, 6]


# parameters


def test_layers_rest_while_they_are_frozen(setting, device):
    callbacks = [Freezer("2.*", at=2), Unfreezer("2.*", at=3)]
    estimator = make_estimator(
        make_net(), setting, device, callbacks=callbacks, optimizer=torch.optim.Adam, lr=0.05
    ).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.Adam(hand.net.parameters(), lr=0.05)
    for i, rows in enumerate(hand.batches()):
        hand.net[2].requires_grad_(i // 4 != 1)
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


def halve(parameter):
    parameter.data.mul_(0.5)


def test_parameters_are_set_and_mapped_at_the_start_of_epochs(setting, device):
    callbacks = [
        Initializer("*.bias", fn=partial(nn.init.constant_, val=0.2)),
        ParamMapper(["0.*", lambda name: name == "4.bias"], fn=halve, at=2),
        ParamMapper("2.*", schedule=lambda net: halve if len(net.history) == 3 else copy.copy),
    ]
    estimator = make_estimator(make_net(), setting, device, callbacks=callbacks).fit(X, Y)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    mapped = {
        0: (lambda p: p.data.fill_(0.2), [hand.net[i].bias for i in (0, 2, 4)]),
        4: (halve, [*hand.net[0].parameters(), hand.net[4].bias]),
        8: (halve, hand.net[2].parameters()),
    }
    for i, rows in enumerate(hand.batches()):
        function, parameters = mapped.get(i, (None, ()))
        for parameter in parameters:
            function(parameter)
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


class SizedByColumns(nn.Sequential):
    def __init__(self, columns=1):
        super().__init__(nn.Linear(columns, 3))
        self.double()


def test_the_number_of_columns_is_set_from_the_data(setting, device):
    callbacks = [InputShapeSetter(param_name="columns")]
    estimator = make_estimator(SizedByColumns, setting, device, callbacks=callbacks).fit(X, Y)
    torch.manual_seed(SEED)
    SizedByColumns()  # is built first, and then anew for the data
    hand = HandTrained(SizedByColumns(columns=6), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for rows in hand.batches():
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


@pytest.mark.parametrize("policy", ["WarmRestartLR", WarmRestartLR])
def test_warm_restarts_of_the_rate(policy, setting, device):
    schedule = LRScheduler(policy, min_lr=0.01, max_lr=0.3, base_period=2, period_mult=2)
    estimator = make_estimator(make_net(), setting, device, max_epochs=6, callbacks=[schedule])
    estimator.fit(X, Y)
    rates = [0.3, 0.155, 0.01, 0.3, 0.01 + 0.145 * (1 + math.cos(math.pi / 4)), 0.155]
    np.testing.assert_allclose(estimator.history[:, "event_lr"], rates, atol=1e-12)
    hand = HandTrained(make_net(), setting, device)
    optimizer = torch.optim.SGD(hand.net.parameters(), lr=LR)
    for i, rows in enumerate(hand.batches(6)):
        optimizer.param_groups[0]["lr"] = rates[i // 4]
        hand.step(rows, optimizer)
    assert_same_state(estimator.module_, hand.net)


# records

PARTS = ["train_loss", "train_task_loss", "train_consistency_loss"]


@pytest.mark.parametrize("name", GUIDED)
def test_the_printed_log_has_the_parts_of_the_loss(name, device):
    lines = []
    log = PrintLog(keys_ignored="dur", sink=lines.append, tablefmt="plain", floatfmt=".6f")
    estimator = make_estimator(make_net(), SETTINGS[name], device, callbacks__print_log=log)
    estimator.set_params(train_split=VALID).fit(X, Y)
    header, *rows = [line.split() for line in lines]
    assert header == ["epoch", "mask_fraction", *sorted(PARTS), "valid_acc", "valid_loss"]
    for row, epoch in zip(rows[1:], estimator.history, strict=True):
        values = [f"{epoch[key]:.6f}" for key in header[1:]]
        # best values are coloured
        assert all(value in cell for value, cell in zip(values, row[1:], strict=True))


@pytest.mark.parametrize("batches", ["auto", "count", 4])
@pytest.mark.parametrize("name", GUIDED)
def test_a_progress_bar_shows_the_parts_of_the_loss(name, batches, device):
    bar = ProgressBar(batches, detect_notebook=False, postfix_keys=PARTS)
    estimator = make_estimator(make_net(), SETTINGS[name], device, callbacks=[bar]).fit(X, Y)
    last = estimator.history[-1, "batches", -1]
    assert (bar.pbar_.n, bar.pbar_.total) == (4, 4)
    shown = dict(part.split("=") for part in bar.pbar_.postfix.split(", "))
    assert {key: float(value) for key, value in shown.items()} == {
        key: pytest.approx(last[key], rel=1e-2) for key in PARTS
    }


def test_the_timer_times_epochs(setting, device):
    class Sleeper(Callback):
        def on_batch_end(self, net, **kwargs):
            time.sleep(0.005)

    callbacks = [Sleeper(), ("timer", EpochTimer())]
    estimator = make_estimator(make_net(), setting, device, callbacks=callbacks).fit(X, Y)
    assert all(0.02 <= seconds < 10 for seconds in estimator.history[:, "dur"])


class Sink:
    """Stands for the writer, run or client that a logger writes to."""

    def __init__(self, folder):
        self.dir, self.info, self.scalars = folder, SimpleNamespace(run_id="run"), []

    def add_scalar(self, tag, scalar_value, global_step):
        self.scalars.append((tag.removeprefix("Loss/"), scalar_value, global_step))

    def log_scalar(self, key, value, step=None):
        self.scalars.append((key, value, step))

    def log_metric(self, run_id, key, value, step):
        self.scalars.append((key, value, step))

    def log(self, values):
        step = values.get("epoch", 1 + sum(key == PARTS[0] for key, _, _ in self.scalars))
        self.scalars += [(key, value, step) for key, value in values.items()]

    def ignore(self, *args, **kwargs):
        pass

    close = watch = log_artifact = set_terminated = ignore


@pytest.mark.parametrize(
    "logger",
    [TensorBoard, SacredLogger, WandbLogger, lambda sink: MlflowLogger(run=sink, client=sink)],
    ids=["TensorBoard", "SacredLogger", "WandbLogger", "MlflowLogger"],
)
@pytest.mark.parametrize("name", GUIDED)
def test_loggers_log_the_parts_of_the_loss(logger, name, device, tmp_path):
    sink = Sink(tmp_path)
    estimator = make_estimator(
        make_net(), SETTINGS[name], device, train_split=VALID, callbacks=[logger(sink)]
    ).fit(X, Y)
    for key in PARTS:
        logged = [(step, value) for k, value, step in sink.scalars if k == key]
        assert logged == list(enumerate(estimator.history[:, key], start=1))
