"""A fit that was killed anywhere ends, run again, bitwise as one that was not."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from skorch.callbacks import PassthroughScoring

from sgt_sklearn import SaliencyGuidedMixin
from sgt_sklearn.callbacks import ResumableCheckpoint
from tests.callbacks.killing import (
    CASES,
    LABELS,
    X,
    assert_same,
    fit,
    halve,
    kill_at,
    killed,
    make,
    outcome,
    plain,
    weights,
)
from tests.callbacks.test_fingerprint import short_name

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")

# Where the process is killed, given the number of steps of the whole fit. A checkpoint is written
# before the first epoch and after each; each is synchronised twice, the file and its folder.
PLACES = {
    "in the train split": lambda n: kill_at(SaliencyGuidedMixin, "get_split_datasets", 1),
    "before a first step": lambda n: kill_at(NeuralNet, "train_step", 1),
    "in the first epoch": lambda n: kill_at(NeuralNet, "train_step", 4),
    "in the middle of an epoch": lambda n: kill_at(NeuralNet, "train_step", 13),
    "in the fourth epoch": lambda n: kill_at(NeuralNet, "train_step", 18),
    "in the last epoch": lambda n: kill_at(NeuralNet, "train_step", n - 1),
    "between callbacks": lambda n: kill_at(PassthroughScoring, "on_epoch_end", 6),
    "writing half a checkpoint": lambda n: kill_at(os, "fsync", 5, before=halve),
    "before a checkpoint is in place": lambda n: kill_at(os, "replace", 3),
    "after a checkpoint is in place": lambda n: kill_at(os, "replace", 4, after=True),
    "writing the first checkpoint": lambda n: kill_at(os, "fsync", 1, before=halve),
    "at the end of training": lambda n: kill_at(ResumableCheckpoint, "_end_fit", 1),
}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """Outcome of each case, trained in one go and without a checkpoint."""
    outcomes = {}

    def get(case):
        if case not in outcomes:
            net = fit(case, tmp_path_factory.mktemp("uninterrupted"), checkpoint=False)
            outcomes[case] = outcome(net)
        return outcomes[case]

    return get


def kill_in(place, case, expected, folder, **params):
    n_steps = sum(epoch["train_batch_count"] for epoch in expected["history"])

    def train():
        PLACES[place](n_steps)
        fit(case, folder, **params)

    assert killed(train)


@pytest.mark.parametrize("place", [place for place in PLACES if place != "in the fourth epoch"])
@pytest.mark.parametrize("case", CASES)
def test_killed_fit_ends_as_if_it_had_not_been(case, place, uninterrupted, tmp_path):
    expected = uninterrupted(case)
    kill_in(place, case, expected, tmp_path)
    net = fit(case, tmp_path)
    assert_same(expected, outcome(net))
    assert [p for p in tmp_path.iterdir() if p.name != "best"] == []


def test_killed_in_every_life(uninterrupted, tmp_path):
    assert len(uninterrupted("early stopping")["history"]) == 7

    def life():
        kill_at(NeuralNet, "train_step", 7)  # in the second epoch of each life
        fit("early stopping", tmp_path)

    lives = 0
    while killed(life):
        lives += 1
    assert lives == 6
    assert list(tmp_path.iterdir()) == []


def test_last_of_many_lives_ends_as_if_there_had_been_one(uninterrupted, tmp_path):
    expected = uninterrupted("ramp")
    for step in (8, 13, 2):  # the last of them before another epoch was saved

        def life(step=step):
            kill_at(NeuralNet, "train_step", step)
            fit("ramp", tmp_path)

        assert killed(life)
    assert_same(expected, outcome(fit("ramp", tmp_path)))


@pytest.mark.parametrize(("every", "n_saved"), [(1, 3), (2, 2), (3, 3), (7, 0)])
def test_every_tells_how_many_epochs_are_trained_again(every, n_saved, uninterrupted, tmp_path):
    expected = uninterrupted("one cycle")
    kill_in("in the fourth epoch", "one cycle", expected, tmp_path, every=every)
    counted = []

    class Counting(ResumableCheckpoint):
        def _end_epoch(self, net):
            counted.append(len(net.history))
            super()._end_epoch(net)

    estimator, y, _ = make("one cycle", tmp_path)
    estimator.callbacks[0] = ("resume", Counting(tmp_path / "fit.ckpt", every=every))
    assert_same(expected, outcome(estimator.fit(X, y)))
    assert counted == list(range(n_saved + 1, 6))


def test_unseeded_fit_goes_on_with_its_own_draws(uninterrupted, tmp_path):
    """The split too: rows must not move from validation to training."""
    expected = uninterrupted("early stopping")
    for seed in (0, 97, 98):

        def life(seed=seed):
            kill_at(NeuralNet, "train_step", 7)
            fit("early stopping", tmp_path, seed=seed)

        assert killed(life)
    net = fit("early stopping", tmp_path, seed=99)
    random.seed(0)  # it did not draw from Python's
    assert_same(expected, outcome(net))


@pytest.mark.parametrize("place", ["in the middle of an epoch", "at the end of training"])
def test_going_on_after_a_resumed_fit_is_bitwise_too(place, uninterrupted, tmp_path):
    kill_in(place, "one cycle", uninterrupted("one cycle"), tmp_path)
    resumed = fit("one cycle", tmp_path)
    whole = fit("one cycle", tmp_path, checkpoint=False)
    for net in (resumed, whole):
        net.set_params(callbacks=None).initialize_callbacks().partial_fit(X, LABELS)
    np.testing.assert_equal(weights(resumed), weights(whole))


SCRIPT = """
import sys, time
from pathlib import Path
import torch
torch.set_num_threads(1)
torch.use_deterministic_algorithms(torch.cuda.is_available())
from skorch import NeuralNet
sys.path.insert(0, sys.argv[1])
from tests.callbacks.killing import fit
from tests.callbacks.test_fingerprint import short_name

print("fingerprint", short_name())
step = NeuralNet.train_step
def announced(self, *args, **kwargs):
    print("epoch", len(self.history), flush=True)
    time.sleep(0.05)
    return step(self, *args, **kwargs)
NeuralNet.train_step = announced

folder = Path(sys.argv[2])
net = fit("early stopping", folder, device=sys.argv[3])
torch.save(net.module_.state_dict(), folder / "trained.pt")
"""


def run_script(folder, device):
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", SCRIPT, root, str(folder), device]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.usefixtures("deterministic_cuda")
def test_same_script_run_again_after_kill_9(device, tmp_path):
    process = run_script(tmp_path, device)
    with process.stdout as lines:
        for line in lines:
            if line == "epoch 4\n":
                process.send_signal(signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    assert [p.name for p in tmp_path.iterdir()] == ["fit.ckpt"]

    process = run_script(tmp_path, device)
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    lines = output.split("\n")
    assert lines[:2] == [f"fingerprint {short_name()}", "epoch 4"]
    trained = torch.load(tmp_path / "trained.pt")
    whole = fit("early stopping", tmp_path, checkpoint=False, device=device).module_.state_dict()
    np.testing.assert_equal(plain(trained), plain(whole))
