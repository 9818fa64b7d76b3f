"""Cells of the time series study: one network trained and measured, and the cache of them."""

import fcntl
import hashlib
import json
import os
import statistics
import time
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from _report import ROOT
from skorch.callbacks import Callback
from torch.nn import functional

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import make_relevance_time_series
from sgt_sklearn.metrics import benchmark_precision_recall, relevance_average_precision

RESULTS = Path(__file__).resolve().parent / "results" / "time_series_study.jsonl"
CLAIMS = ROOT / "build" / "time_series_study"
METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient")
N_STEPS = 50


# what candidates may add to an estimator, by name, so that settings stay plain JSON


def _kl(output, masked_output):
    log_p, log_q = output.log_softmax(1), masked_output.log_softmax(1)
    return functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(1)


def one_sided(output, masked_output):
    """The masked output follows the clean one, which does not give way."""
    return _kl(output.detach(), masked_output)


def other_sided(output, masked_output):
    """The clean output follows the masked one."""
    return _kl(output, masked_output.detach())


def bounded(output, masked_output):
    """Samples whose outputs are far apart pull less: weight 1 / (1 + divergence)."""
    divergence = _kl(output, masked_output)
    return divergence / (1 + divergence.detach())


def _logit_difference(output, masked_output):
    difference = output - masked_output
    return (difference - difference.mean(1, keepdim=True)).square().sum(1)


def logits(output, masked_output):
    """Squared distance of the logits, which does not fade as the probabilities saturate."""
    return _logit_difference(output, masked_output)


def relative_logits(output, masked_output):
    """The same in units of the size of the logits, so that shrinking them gains nothing."""
    size = output.detach().var(1, correction=0).mean() * output.shape[1]
    return _logit_difference(output, masked_output) / (size + 1e-6)


DIVERGENCES = {
    "one_sided": one_sided,
    "other_sided": other_sided,
    "bounded": bounded,
    "logits": logits,
    "relative_logits": relative_logits,
}


class _InputHook(Callback):
    """Changes what the network gets, inside `fit` only."""

    def on_train_begin(self, net, **kwargs):
        self.handle_ = net.module_.register_forward_pre_hook(self.change)

    def on_train_end(self, net, **kwargs):
        self.handle_.remove()


class InputNoise(_InputHook):
    """Adds normal noise of that standard deviation in training mode, so not to the saliency."""

    def __init__(self, scale):
        self.scale = scale

    def change(self, module, args):
        if module.training:
            return (args[0] + self.scale * torch.randn_like(args[0]), *args[1:])


class PathRanking(_InputHook):
    """Takes the saliency at a random point between the mean, 0, and the sample.

    Over the steps this ranks by the path gradient, at the price of one more pass.
    """

    def change(self, module, args):
        if not module.training:
            shape = (len(args[0]), *[1] * (args[0].ndim - 1))
            return (args[0] * torch.rand(shape), *args[1:])


class DecayRamp(Callback):
    """Raises the weight decay linearly from 0, reached after that share of the epochs."""

    def __init__(self, until):
        self.until = until

    def on_train_begin(self, net, **kwargs):
        self.final_ = [group["weight_decay"] for group in net.optimizer_.param_groups]
        self.begun_ = len(net.history)

    def on_epoch_begin(self, net, **kwargs):
        progress = (len(net.history) - 1 - self.begun_) / (self.until * net.max_epochs)
        for group, final in zip(net.optimizer_.param_groups, self.final_, strict=True):
            group["weight_decay"] = final * min(progress, 1.0)


CALLBACKS = {"input_noise": InputNoise, "path_ranking": PathRanking, "decay_ramp": DecayRamp}


def estimator(settings):
    """Estimator of the settings of a cell."""
    params = dict(settings["params"])
    params["optimizer"] = getattr(torch.optim, params["optimizer"])
    if params.get("consistency") in DIVERGENCES:
        params["consistency"] = DIVERGENCES[params["consistency"]]
    if "optimizer__param_groups" in params:
        params["optimizer__param_groups"] = [
            (pattern, dict(options)) for pattern, options in params["optimizer__param_groups"]
        ]
    callbacks = [
        (name, CALLBACKS[name](*arguments)) for name, arguments in settings["callbacks"].items()
    ]
    return SaliencyGuidedClassifier(
        settings["module"],
        random_state=settings["seed"],
        max_epochs=settings["max_epochs"],
        device="cpu",
        callbacks=callbacks or None,
        **params,
    )


# measuring


@lru_cache(maxsize=1)
def load(kind, process, n_samples, n_train, seed):
    """Training and test series, float32, and the relevance of the test series."""
    X, y, relevance = make_relevance_time_series(kind, process, n_samples, random_state=seed)
    X = X.astype(np.float32)
    return (X[:n_train], y[:n_train]), (X[n_train:], y[n_train:]), relevance[n_train:]


def scores(attributions, relevance):
    """Scores against the truth; None where the network has diverged."""
    if not np.isfinite(attributions).all():
        return None
    areas = benchmark_precision_recall(attributions, relevance)
    found = {"ap": relevance_average_precision(attributions, relevance)}
    found |= {name: areas[name] for name in ("aup", "aur", "aupr")}
    return {name: round(float(value), 5) for name, value in found.items()}


def measure(settings):
    """Train the network of a cell and return all that is measured of it."""
    data = [settings[name] for name in ("kind", "process", "n_samples", "n_train", "seed")]
    train, (X, y), relevance = load(*data)
    if settings["module"] is None:
        drawn = np.random.default_rng(settings["seed"]).standard_normal(X.shape)
        return {"random": scores(drawn, relevance), "share": float(relevance.mean())}
    started, began = time.process_time(), time.perf_counter()
    model = estimator(settings).fit(*train)
    result = {
        "fit_seconds": time.process_time() - started,
        "epochs": len(model.history),
        "train_accuracy": model.score(*train),
        "test_accuracy": model.score(X, y),
        "confidence": model.predict_proba(X).max(axis=1).mean(),
    }
    result = {name: round(float(value), 5) for name, value in result.items()}
    for method in METHODS:
        attributions = model.attribute(X, method=method, output="margin", n_steps=N_STEPS)
        result[method] = scores(attributions, relevance)
    result["seconds"] = round(time.process_time() - started, 2)
    result["wall_seconds"] = round(time.perf_counter() - began, 2)
    return result


def value(result, method, name="ap"):
    """A score of a result; None where the network has diverged."""
    return None if result[method] is None else result[method][name]


def mean(values):
    values = list(values)
    return None if None in values else statistics.mean(values)


def above(values, others, by=0.0):
    """In how many pairs the first is above the second by so much; a diverged net loses."""
    return sum(
        a is not None and (b is None or (a >= b + by if by else a > b))
        for a, b in zip(values, others, strict=True)
    )


# cache: one line a finished cell; any number of processes may append and read


def key_of(settings):
    """Name of a cell: a digest of all its settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_cells(path=None):
    """All finished cells as (settings, result); a line cut off by a kill is left out."""
    path = RESULTS if path is None else path
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                cell = json.loads(line)
            except json.JSONDecodeError:
                continue
            yield cell["settings"], cell["result"]


def read_results(path=None):
    """Results of all finished cells by their keys."""
    return {key_of(settings): result for settings, result in read_cells(path)}


def append_result(settings, result, path=None):
    """Append a finished cell, in one write under a lock."""
    path = RESULTS if path is None else path
    line = json.dumps({"key": key_of(settings), "settings": settings, "result": result})
    path.parent.mkdir(exist_ok=True)
    with path.open("ab+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file.fileno()).st_size
        if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
            line = "\n" + line  # after a line that a kill has cut off
        file.write(f"{line}\n".encode())
        file.flush()


@contextmanager
def claimed(key):
    """Whether this process may work on a cell; a claim ends with the process that has it."""
    CLAIMS.mkdir(parents=True, exist_ok=True)
    with (CLAIMS / key).open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def run_cell(settings):
    """Measure a cell and cache it, unless that is done or another process is at it.

    Returns
    -------
    bool
        Whether the cell is in the cache now.
    """
    key = key_of(settings)
    with claimed(key) as mine:
        if not mine:
            return False
        if key not in read_results():
            append_result(settings, measure(settings))
        return True


def single_thread():
    """Settings of torch in every process that runs cells."""
    torch.set_num_threads(1)
    # tiny activations, of which trained networks have many, are slow to compute with
    torch.set_flush_denormal(True)
