"""What each process of the accelerate tests trains; started by ``torch.distributed.run``.

Every case returns what its process came to; ``test_distributed.py`` compares the processes with
each other and with training by hand on the whole batches.
"""

import copy
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, InitProcessGroupKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from skorch.dataset import Dataset, ValidSplit
from skorch.hf import AccelerateMixin
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sgt_sklearn import SaliencyGuidedMixin

N_PROCESSES, BATCH, LR, EPOCHS, WEIGHT = 2, 3, 0.2, 3, 0.7
_RNG = np.random.default_rng(1)
X = _RNG.standard_normal((24, 6)) * np.linspace(0.4, 2.0, 6) - 0.2
Y = _RNG.integers(3, size=24)
CASES = {}


class GuidedNet(SaliencyGuidedMixin, AccelerateMixin, NeuralNetClassifier):
    pass


class StockNet(AccelerateMixin, NeuralNetClassifier):
    pass


class CrossEntropy:
    """A criterion that is no torch module, which skorch does not prepare for accelerate."""

    def __call__(self, output, y):
        return nn.functional.cross_entropy(output, y)


class WithUnusedLayer(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net
        self.unused = nn.Linear(2, 2).double()

    def forward(self, x):
        return self.net(x)


class RecordingDropout(nn.Module):
    masks = []

    def forward(self, x):
        if self.training:
            keep = torch.rand_like(x) < 0.5
            self.masks.append(keep)
            x = x * keep * 2
        return x


class RecordingFill:
    """A constant that keeps what the generator of the masks would draw."""

    def __init__(self):
        self.draws = []

    def __call__(self, x, generator):
        self.draws.append(torch.rand(x.shape, generator=generator))
        return torch.zeros_like(x)


class Recorder(Callback):
    """Keeps the gradients of each step and the state of each epoch."""

    def __init__(self):
        self.gradients, self.states = [], []

    def on_grad_computed(self, net, named_parameters, **kwargs):
        gradients = [p.grad for _, p in named_parameters]
        self.gradients.append([None if g is None else g.clone() for g in gradients])

    def on_epoch_end(self, net, **kwargs):
        self.states.append(copy.deepcopy(net.module_.state_dict()))


class ExplainingOnFirst(Callback):
    """Explains on the first process alone, which must not wait for the others."""

    def on_epoch_end(self, net, **kwargs):
        if net.accelerator.is_main_process:
            net.attribute(X[:2])


class SetWeight(Callback):
    def __init__(self, values):
        self.values = values

    def on_epoch_begin(self, net, **kwargs):
        net.set_params(consistency_weight=self.values[len(net.history) - 1])


def make_net(*, noisy=False):
    torch.manual_seed(3)
    layers = [nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)]
    if noisy:
        layers[1:1] = [nn.BatchNorm1d(8), nn.Dropout(0.3)]
    return nn.Sequential(*layers).double()


def settings(**options):
    """Plain gradient descent on batches in order, with masks that need no draw."""
    return {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.SGD,
        "lr": LR,
        "max_epochs": EPOCHS,
        "batch_size": BATCH,
        "iterator_train__shuffle": False,
        "train_split": None,
        "callbacks__print_log__sink": str,  # called with each line
    } | options


def guidance(**options):
    return {
        "mask_fraction": 0.5,
        "mask_schedule": "constant",
        "mask_order": "absolute",
        "mask_fill": "mean",
        "consistency_weight": WEIGHT,
        "random_state": 0,
    } | options


def make_accelerator(**options):
    return Accelerator(cpu=True, **options)


def fit(net=None, accelerator=None, X=X, y=Y, sample_weight=None, **options):
    """Fit a guided net, and return it."""
    estimator = GuidedNet(
        make_net() if net is None else net,
        accelerator=accelerator or make_accelerator(),
        **settings(**guidance(**options)),
    )
    return estimator.fit(X, y, sample_weight=sample_weight)


def outcome(net):
    losses = ("train_loss", "train_task_loss", "train_consistency_loss")
    rows = [{n: b[n] for n in losses if n in b} for e in net.history for b in e["batches"]]
    own = ("batches", "dur")
    return {
        "state": copy.deepcopy(net.module_.state_dict()),
        "losses": rows,
        "history": [{k: v for k, v in e.items() if k not in own} for e in net.history],
        "wrapped": isinstance(net.module_, DistributedDataParallel),
    }


@contextmanager
def counted_passes():
    """Yields a list that grows with each pass through ``DistributedDataParallel``."""
    passes, forward = [], DistributedDataParallel.forward

    def counting(self, *args, **kwargs):
        passes.append(self.training)
        return forward(self, *args, **kwargs)

    DistributedDataParallel.forward = counting
    try:
        yield passes
    finally:
        DistributedDataParallel.forward = forward


def case(function):
    CASES[function.__name__] = function
    return function


def error_of(function):
    try:
        function()
    except ValueError as error:
        return str(error)
    return None


# the cases


@case
def whole_batches(folder):
    """Masks that need no draw: the same as one process with the whole batches."""
    results = {}
    for name, options in {
        "separate": {"saliency_pass": "separate"},
        "shared": {"saliency_pass": "shared"},
        "auto": {},
    }.items():
        recorder = Recorder()
        with counted_passes() as passes:
            results[name] = outcome(fit(callbacks=[recorder], **options))
        results[name] |= {"gradients": recorder.gradients, "passes": len(passes)}
    loading = {"dataloader_config": DataLoaderConfiguration(split_batches=True)}
    results["split"] = outcome(fit(accelerator=make_accelerator(**loading), batch_size=2 * BATCH))
    # statistics of a data set are read from its batches, which must be those of all processes
    data = Dataset(X, Y)
    results["data set"] = outcome(fit(X=data, y=None))
    results["weights"] = outcome(fit(sample_weight=np.full(len(X), 3.0)))
    handler = DistributedDataParallelKwargs(find_unused_parameters=True)
    net = fit(WithUnusedLayer(make_net()), accelerator=make_accelerator(kwargs_handlers=[handler]))
    net.module_ = net.module_.net
    results["unused layer"] = outcome(net)
    results["accumulated"] = outcome(
        fit(accelerator=make_accelerator(gradient_accumulation_steps=2), max_epochs=EPOCHS)
    )
    make_accelerator(gradient_accumulation_steps=1)  # the state is shared by all accelerators
    return results


@case
def random_fills(folder):
    """Everything that draws: shuffling, dropout, masks; with batch norm and validation."""

    def run():
        return fit(
            make_net(noisy=True),
            mask_order="sampled",
            mask_fill="marginal",
            mask_schedule="ramp",
            max_epochs=6,
            iterator_train__shuffle=True,
            train_split=ValidSplit(6),
            callbacks=[ExplainingOnFirst()],
        )

    net = run()
    result = outcome(net)
    result["again"] = outcome(run())["state"]
    result["proba"] = net.predict_proba(X[:23])
    result["score"] = net.score(X, Y)
    result["attribution"] = net.attribute(X)
    return result


@case
def noise(folder):
    """What each process draws, seeded by the net or by the user."""
    results = {}
    for random_state in (0, None):
        fill = RecordingFill()
        RecordingDropout.masks.clear()
        net = make_net()
        net.insert(2, RecordingDropout())
        torch.manual_seed(7)
        fit(net, mask_fill=fill, random_state=random_state, max_epochs=1)
        results[random_state] = {"fill": fill.draws, "dropout": [*RecordingDropout.masks]}
    return results


@case
def without_guidance(folder):
    """The same as skorch with accelerate."""
    states = {}
    for name, cls, criterion, options in (
        ("stock", StockNet, CrossEntropy, {}),
        ("ours", GuidedNet, nn.CrossEntropyLoss, {"consistency_weight": 0}),
    ):
        net = make_net(noisy=True)
        torch.manual_seed(7)
        options = {"iterator_train__shuffle": True, "criterion": criterion, **options}
        estimator = cls(net, accelerator=make_accelerator(), **settings(**options)).fit(X, Y)
        parameters = dict(estimator.module_.named_parameters())
        states[name] = {name: p.detach() for name, p in parameters.items()}
    return states


@case
def static_graph(folder):
    handler = DistributedDataParallelKwargs(static_graph=True)
    accelerator = make_accelerator(kwargs_handlers=[handler])
    switched_on = SetWeight([0, WEIGHT, WEIGHT])
    plain = {"accelerator": accelerator, "consistency_weight": 0}
    return {
        "guided": error_of(lambda: fit(accelerator=accelerator)),
        "later": error_of(lambda: fit(callbacks=[switched_on], **plain)),
        "plain": outcome(fit(**plain)),
    }


@case
def going_on(folder):
    """More epochs after a fit, and a fit after one that left the module wrapped."""
    momentum = {"optimizer__momentum": 0.9}
    twice = fit(max_epochs=2, **momentum).partial_fit(X, Y)
    wrapped = fit(unwrap_after_train=False, **momentum)
    result = {
        "at once": outcome(fit(max_epochs=4, **momentum)),
        "twice": outcome(twice),
        "wrapped": outcome(wrapped),
    }
    wrapped.set_params(module=make_net()).fit(X, Y)
    wrapped.module_ = wrapped.module_.module
    return result | {"anew": outcome(wrapped), "once": outcome(fit(**momentum))}


@case
def callbacks(folder):
    """Callbacks that decide by a loss, and load what they kept."""
    results = {}
    for name in ("early stopping", "checkpoint"):
        recorder = Recorder()
        deciding = {
            "early stopping": EarlyStopping(patience=2, load_best=True),
            "checkpoint": Checkpoint(dirname=folder / "checkpoint", load_best=True),
        }[name]
        net = fit(
            make_net(noisy=True),
            max_epochs=8,
            lr=2.0,
            train_split=ValidSplit(4),
            callbacks=[recorder, deciding, LRScheduler("ExponentialLR", gamma=0.9)],
        )
        results[name] = outcome(net) | {"states": recorder.states}
    return results


@case
def half_precision(folder):
    """Last, as the precision of a process is set once."""
    AcceleratorState._reset_state()
    accelerator = make_accelerator(mixed_precision="bf16")
    seen = []
    net = make_net().float()
    net[0].register_forward_hook(lambda module, args, output: seen.append(output.dtype))
    result = outcome(fit(net, accelerator=accelerator, X=X.astype("float32")))
    return result | {"dtypes": seen}


def main(folder):
    torch.set_num_threads(1)
    # a process that waits for one that has failed gives up
    accelerator = make_accelerator(
        kwargs_handlers=[InitProcessGroupKwargs(timeout=timedelta(seconds=60))]
    )
    assert accelerator.num_processes == N_PROCESSES
    results = {name: function(folder) for name, function in CASES.items()}
    torch.save(results, folder / f"rank{accelerator.process_index}.pt")
    accelerator.wait_for_everyone()
    accelerator.end_training()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
