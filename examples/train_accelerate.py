"""
Training on several processes
=============================

Each process holds a copy of the network and takes its share of every batch; the gradients are
averaged, so all copies stay the same. Hugging Face accelerate does this for PyTorch,
``AccelerateMixin`` for skorch, and ``SaliencyGuidedMixin`` adds the guidance.

Run it with ``python -m torch.distributed.run --nproc_per_node 2 examples/train_accelerate.py``
(about 20 seconds) after ``pip install accelerate``. Everything below happens in
each process. It also runs as one process, with plain ``python``.
"""

# %%
import sys

import torch
from accelerate import Accelerator
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.callbacks import EarlyStopping
from skorch.dataset import ValidSplit
from skorch.hf import AccelerateMixin

from sgt_sklearn import SaliencyGuidedMixin
from sgt_sklearn.metrics import sufficiency_gap

# %%
# The classes
# -----------
# AccelerateMixin stands between the guidance and the skorch class. The network is an ordinary
# module; batch normalisation takes the statistics of each process's share.


class GuidedNet(SaliencyGuidedMixin, AccelerateMixin, NeuralNetClassifier):
    """A guided classifier that trains on as many processes as there are."""


class Network(torch.nn.Sequential):
    """Two hidden layers for 8 x 8 digits."""

    def __init__(self):
        super().__init__(
            torch.nn.Linear(64, 64),
            torch.nn.BatchNorm1d(64),
            torch.nn.ReLU(),
            torch.nn.Linear(64, 32),
            torch.nn.ReLU(),
            torch.nn.Linear(32, 10),
        )


# %%
# Training
# --------
# ``batch_size`` is the share of one process, so two of them train on batches of 64. The losses in
# the history are those of the whole batches, and validation takes the whole validation set: early
# stopping ends all processes in the same epoch. An int random_state makes the fit reproducible,
# with masks that differ from process to process.


def train(accelerator, X, y, consistency_weight):
    """Train one network on all processes."""
    return GuidedNet(
        Network,
        accelerator=accelerator,
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=3e-3,
        max_epochs=15,
        batch_size=32,
        iterator_train__shuffle=True,
        train_split=ValidSplit(0.15, stratified=True, random_state=0),
        callbacks=[EarlyStopping(patience=3, load_best=True, sink=str)],
        callbacks__print_log__sink=str,  # what is called with each line: nothing is printed
        consistency_weight=consistency_weight,
        mask_fill="marginal",
        random_state=0,
    ).fit(X, y)


# %%
# What every process must agree on
# --------------------------------


def state_of(net):
    """All parameters and running statistics in one row."""
    values = net.module_.state_dict().values()
    return torch.cat([value.double().flatten() for value in values])[None]


def disagreements(accelerator, net):
    """What differs between the processes, down to the last bit."""
    losses = torch.tensor([net.history[:, ("train_loss", "valid_loss")]], dtype=torch.float64)
    shared = {"weights": state_of(net), "history": losses}
    gathered = {name: accelerator.gather(value.contiguous()) for name, value in shared.items()}
    return [name for name, rows in gathered.items() if not (rows == rows[0]).all()]


# %%
# Plain and guided
# ----------------
# Predicting is shared out too: each process predicts its part and gets the others', so all of them
# must ask. Attributions are computed where they are asked for.


def main():
    """Train both networks; the exit status says whether the processes agree."""
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)  # leave cpu out where each process has a GPU
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype("float32")
    X, X_test, y, y_test = train_test_split(X, y, stratify=y, random_state=0)

    failures = []
    accelerator.print(f"{accelerator.num_processes} processes")
    for name, weight in {"plain": 0, "guided": 1.0}.items():
        net = train(accelerator, X, y, weight)
        accuracy = net.score(X_test, y_test)
        gap = sufficiency_gap(net, X_test, y_test, n_draws=2, random_state=0)
        accelerator.print(
            f"{name:7} {len(net.history):2} epochs, accuracy {accuracy:.3f}, "
            f"sufficiency gap {gap:.3f}"
        )
        failures += [f"{name}: {what} differ" for what in disagreements(accelerator, net)]
        if accuracy < 0.9:
            failures.append(f"{name}: accuracy {accuracy:.3f} is below .9")
    for failure in failures:
        print(f"NOT AS EXPECTED: {failure}", file=sys.stderr)
    accelerator.wait_for_everyone()  # a process that leaves early may take the others down
    accelerator.end_training()
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main())
