"""Several processes, by accelerate, train as one does."""

import contextlib
import copy
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.hf import AccelerateMixin
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from tests.estimators import accelerate_worker as worker
from tests.guidance import slow_loop

ROOT = Path(__file__).parents[2]
RANKS = range(worker.N_PROCESSES)


def run(command, timeout):
    """Run a command of the repository to its end; end its processes if that takes too long."""
    paths = [str(ROOT), os.environ.get("PYTHONPATH")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    process = subprocess.Popen(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        # the launcher ends its workers, which are no members of its group, when it is asked to
        process.terminate()
        try:
            output, _ = process.communicate(timeout=45)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"{command} took longer than {timeout} s:\n{output}")
    assert process.returncode == 0, output
    return output


def launch(script, *arguments, timeout=180):
    """Run a script on several processes of this machine."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", len(RANKS)]
    return run([*launcher, script, *arguments], timeout)


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What each process came to, by case."""
    folder = tmp_path_factory.mktemp("ranks")
    launch(Path(worker.__file__).relative_to(ROOT), folder)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=False) for rank in RANKS]


def assert_bitwise(first, second):
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def assert_near(state, expected, atol=1e-5):
    torch.testing.assert_close(state, dict(expected.items()), atol=atol, rtol=0)


# several processes


def by_hand(*, n_steps_at_once=1, weight=worker.WEIGHT, epochs=worker.EPOCHS):
    """Train on the whole batches from the formulas; return the net and the losses of steps."""
    net = worker.make_net()
    rows = torch.arange(len(worker.X)).split(len(RANKS) * worker.BATCH * n_steps_at_once)
    setting = slow_loop.Setting(order="absolute", fill="mean", weight=weight)
    data = torch.from_numpy(worker.X), torch.from_numpy(worker.Y)
    losses = slow_loop.train(
        net, *data, list(rows) * epochs, setting, torch.Generator(), worker.LR
    )
    return net, losses


WAYS = ["separate", "shared", "auto", "split", "data set", "weights", "unused layer"]


@pytest.mark.parametrize("way", WAYS)
def test_processes_train_as_one_does_on_the_whole_batches(results, way):
    net, losses = by_hand()
    for rank in RANKS:
        result = results[rank]["whole_batches"][way]
        assert_near(result["state"], net.state_dict(), atol=1e-10)
        assert not result["wrapped"]
        # records are those of the whole batches too
        recorded = [(b["train_task_loss"], b["train_consistency_loss"]) for b in result["losses"]]
        np.testing.assert_allclose(recorded, losses, rtol=0, atol=1e-10)
        totals = [task + worker.WEIGHT * consistency for task, consistency in losses]
        np.testing.assert_allclose(
            [b["train_loss"] for b in result["losses"]], totals, rtol=0, atol=1e-10
        )


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_gradients_are_those_of_one_process(results, saliency_pass):
    one = worker.Recorder()
    net = GuidedNet(
        worker.make_net(),
        device="cpu",
        **settings_of_one_process(callbacks=[one], saliency_pass=saliency_pass),
    ).fit(worker.X, worker.Y)
    ranks = [results[rank]["whole_batches"][saliency_pass] for rank in RANKS]
    assert len(one.gradients) == len(ranks[0]["gradients"]) == 4 * worker.EPOCHS
    for rank in ranks:
        # DistributedDataParallel counts on one pass a backward, and on as many on each process
        assert rank["passes"] == len(one.gradients)
        assert_near(rank["state"], net.module_.state_dict())
        for step, gradients in enumerate(one.gradients):
            torch.testing.assert_close(rank["gradients"][step], gradients, atol=1e-5, rtol=0)
            for first, own in zip(
                ranks[0]["gradients"][step], rank["gradients"][step], strict=True
            ):
                assert torch.equal(first, own)


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


def settings_of_one_process(**options):
    whole = {"batch_size": len(RANKS) * worker.BATCH}
    settings = worker.settings(**worker.guidance(**whole | options))
    settings.pop("callbacks__print_log__sink")
    return {"verbose": 0, **settings}


def test_accumulated_steps_keep_the_gradients_of_all_batches(results):
    net, _ = by_hand(n_steps_at_once=2)
    for rank in RANKS:
        assert_near(
            results[rank]["whole_batches"]["accumulated"]["state"], net.state_dict(), 1e-10
        )


def test_weights_are_bitwise_equal_where_masks_are_random(results):
    first, second = (results[rank]["random_fills"] for rank in RANKS)
    assert_bitwise(first["state"], second["state"])
    assert first["state"]["1.running_mean"].abs().sum() > 0
    for result in (first, second):
        assert_bitwise(result["state"], result["again"])


def test_predictions_are_complete_and_equal(results):
    first, second = (results[rank]["random_fills"] for rank in RANKS)
    module = worker.make_net(noisy=True).eval()
    module.load_state_dict(first["state"])
    with torch.no_grad():
        logits = module(torch.from_numpy(worker.X))
    for result in (first, second):
        np.testing.assert_allclose(result["proba"], logits[:23].softmax(1), rtol=0, atol=1e-12)
        assert result["score"] == np.mean(logits.argmax(1).numpy() == worker.Y)
    assert np.array_equal(first["attribution"], second["attribution"])
    x = torch.from_numpy(worker.X).requires_grad_()
    (expected,) = torch.autograd.grad(module(x).amax(1).sum(), x)
    np.testing.assert_allclose(first["attribution"], expected, rtol=0, atol=1e-12)


def test_history_is_that_of_the_whole_data_on_each_process(results):
    first, second = (results[rank]["random_fills"]["history"] for rank in RANKS)
    assert first == second
    assert len(first) == 6
    for epoch, row in enumerate(first):
        # a quarter of the epochs trains plainly, and in the one after that 9 % of 6 columns are 0
        assert (row["train_consistency_loss"] > 0) == (epoch >= 3)
        total = row["train_task_loss"] + worker.WEIGHT * row["train_consistency_loss"]
        assert row["train_loss"] == pytest.approx(total, abs=1e-10)
    module = worker.make_net(noisy=True).eval()
    module.load_state_dict(results[0]["random_fills"]["state"])
    held_out = worker.ValidSplit(6)(worker.Dataset(worker.X, worker.Y), worker.Y)[1].indices
    x, y = torch.from_numpy(worker.X[held_out]), torch.from_numpy(worker.Y[held_out])
    with torch.no_grad():
        logits = module(x)
    # validation takes all held-out rows
    expected = nn.functional.cross_entropy(logits, y).item()
    assert first[-1]["valid_loss"] == pytest.approx(expected, abs=1e-10)
    assert first[-1]["valid_acc"] == (logits.argmax(1) == y).double().mean().item()


@pytest.mark.parametrize("random_state", [0, None])
def test_each_process_draws_masks_of_its_own(results, random_state):
    first, second = (results[rank]["noise"][random_state] for rank in RANKS)
    assert len(first["fill"]) == len(second["fill"]) == 4
    draws = torch.stack([*first["fill"], *second["fill"]])
    assert len(draws.unique()) == draws.numel()


def test_each_process_draws_dropout_of_its_own_in_a_seeded_fit(results):
    first, second = (results[rank]["noise"][0]["dropout"] for rank in RANKS)
    equal = [torch.equal(a, b) for a, b in zip(first, second, strict=True)]
    # the probe of the first batch comes before any training and draws nothing that counts
    assert len(equal) > 4
    assert not any(equal[1:])


def test_without_guidance_weights_are_those_of_skorch_with_accelerate(results):
    for rank in RANKS:
        states = results[rank]["without_guidance"]
        assert_bitwise(states["ours"], states["stock"])
        assert_bitwise(states["ours"], results[0]["without_guidance"]["ours"])


def test_static_graph_is_refused_with_guidance_only(results):
    for rank in RANKS:
        result = results[rank]["static_graph"]
        for name in ("guided", "later"):
            assert "static_graph must be False" in result[name]
            assert "consistency_weight=0" in result[name]
        assert_bitwise(result["plain"]["state"], results[0]["static_graph"]["plain"]["state"])
    net, _ = by_hand(weight=0)
    assert_near(results[0]["static_graph"]["plain"]["state"], net.state_dict(), 1e-10)


def test_going_on_and_fitting_anew_train_together(results):
    for rank in RANKS:
        result = results[rank]["going_on"]
        assert result["wrapped"]["wrapped"]
        assert_near(result["twice"]["state"], result["at once"]["state"], 1e-12)
        assert_near(result["anew"]["state"], result["once"]["state"], 1e-12)
        for name in ("twice", "anew"):
            assert_bitwise(result[name]["state"], results[0]["going_on"][name]["state"])


@pytest.mark.parametrize("name", ["early stopping", "checkpoint"])
def test_callbacks_decide_alike_and_load_what_they_kept(results, name):
    first, second = (results[rank]["callbacks"][name] for rank in RANKS)
    assert first["history"] == second["history"]
    losses = [row["valid_loss"] for row in first["history"]]
    best = int(np.argmin(losses))
    # early stopping waits for two epochs; a checkpoint is loaded with its history, of 8 epochs
    stopped = {"early stopping": best + 3, "checkpoint": best + 1}[name]
    assert len(losses) == stopped < 8
    assert len(first["states"]) == (stopped if name == "early stopping" else 8)
    for result in (first, second):
        assert_bitwise(result["state"], first["states"][best])


def test_mixed_precision(results):
    first, second = (results[rank]["half_precision"] for rank in RANKS)
    assert_bitwise(first["state"], second["state"])
    assert set(first["dtypes"]) == {torch.bfloat16}
    assert {value.dtype for value in first["state"].values()} == {torch.float32}
    # eight bits of a mantissa, through twelve steps
    net, _ = by_hand()
    assert_near({k: v.double() for k, v in first["state"].items()}, net.state_dict(), 0.05)


def test_example_of_training():
    output = launch("examples/train_accelerate.py")
    assert "2 processes" in output
    assert "guided" in output


# one process


@pytest.fixture
def accelerator(device):
    """Makes accelerators on the device; accelerate keeps one state a process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield lambda **options: Accelerator(cpu=device == "cpu", **options)
    AcceleratorState._reset_state(reset_partial_state=True)


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class AcceleratedRegressor(SaliencyGuidedMixin, AccelerateMixin, NeuralNetRegressor):
    pass


@pytest.mark.parametrize("random_state", [0, None])
@pytest.mark.parametrize(
    "accelerated, plain, criterion",
    [
        (worker.GuidedNet, GuidedNet, nn.CrossEntropyLoss),
        (AcceleratedRegressor, GuidedRegressor, nn.MSELoss),
    ],
)
def test_one_process_trains_as_without_accelerate(
    accelerator, device, accelerated, plain, criterion, random_state
):
    y = worker.Y if criterion is nn.CrossEntropyLoss else worker.X[:, :3] ** 2
    options = settings_of_one_process(
        criterion=criterion,
        random_state=random_state,
        mask_order="sampled",
        mask_fill="marginal",
        iterator_train__shuffle=True,
        train_split=worker.ValidSplit(4),
    )
    nets = []
    for cls, more in (
        (accelerated, {"accelerator": accelerator(), "callbacks__print_log__sink": str}),
        (plain, {"device": device}),
    ):
        torch.manual_seed(5)
        nets.append(cls(worker.make_net(noisy=True), **options | more).fit(worker.X, y))
    first, second = nets
    assert_bitwise(first.module_.state_dict(), second.module_.state_dict())
    for name in ("train_loss", "train_consistency_loss", "valid_loss"):
        assert first.history[:, name] == second.history[:, name]
    assert np.array_equal(first.predict(worker.X), second.predict(worker.X))
    for method in ("integrated_gradients", "smooth_grad"):
        maps = [net.attribute(worker.X, method=method, random_state=0) for net in nets]
        assert np.array_equal(*maps)


def test_accumulation_on_one_process(accelerator, device):
    net = worker.GuidedNet(
        worker.make_net(),
        accelerator=accelerator(gradient_accumulation_steps=2),
        **worker.settings(**worker.guidance(batch_size=6)),
    ).fit(worker.X, worker.Y)
    expected, _ = by_hand(n_steps_at_once=2)
    state = {name: value.cpu() for name, value in net.module_.state_dict().items()}
    assert_near(state, expected.state_dict(), 1e-10)


def test_gradients_left_by_an_interrupted_step_are_dropped(accelerator, device):
    class Interrupt(worker.Callback):
        def on_grad_computed(self, net, **kwargs):
            if len(net.history) == worker.EPOCHS + 1:
                raise KeyboardInterrupt

    def fitted(**options):
        return worker.GuidedNet(
            worker.make_net(),
            accelerator=accelerator(gradient_accumulation_steps=2),
            **worker.settings(**worker.guidance(batch_size=6, **options)),
        ).fit(worker.X, worker.Y)

    interrupted = fitted(callbacks=[Interrupt()], max_epochs=worker.EPOCHS + 1)
    interrupted.set_params(callbacks=None, max_epochs=1).partial_fit(worker.X, worker.Y)
    assert_bitwise(
        interrupted.module_.state_dict(), fitted(max_epochs=worker.EPOCHS + 1).module_.state_dict()
    )


def test_static_graph_is_refused_before_there_are_processes(accelerator, device):
    handler = DistributedDataParallelKwargs(static_graph=True)
    net = worker.GuidedNet(
        worker.make_net(),
        accelerator=accelerator(kwargs_handlers=[handler]),
        **worker.settings(**worker.guidance()),
    )
    with pytest.raises(ValueError, match="static_graph must be False"):
        net.fit(worker.X, worker.Y)
    assert not net.initialized_


def test_sharded_modules_are_refused(accelerator, device):
    class Sharding(Accelerator):
        """Stands in for one that shards parameters, which takes several GPUs."""

        distributed_type = DistributedType.FSDP

        def prepare(self, *components, **kwargs):
            return components[0]

    def fitted(**options):
        return worker.GuidedNet(
            worker.make_net(),
            accelerator=Sharding(cpu=device == "cpu", device_placement=False),
            device=device,
            **worker.settings(**worker.guidance(**options)),
        ).fit(worker.X, worker.Y)

    with pytest.raises(ValueError, match=r"needs DistributedDataParallel.*got .* FSDP"):
        fitted()
    assert fitted(consistency_weight=0).initialized_


@pytest.mark.parametrize(
    "bases",
    [
        (AccelerateMixin, SaliencyGuidedMixin, NeuralNet),
        (AccelerateMixin, SaliencyGuidedClassifier),
        (SaliencyGuidedRegressor, AccelerateMixin),
        (AccelerateMixin, GuidedNet),
    ],
)
def test_order_of_classes(bases):
    with pytest.raises(TypeError, match=r"Net must name AccelerateMixin between .*SaliencyGuided"):
        type("Net", bases, {})
    # a class of one's own that brings AccelerateMixin along is fine
    assert type("Net", (SaliencyGuidedMixin, worker.StockNet), {})._accelerated_
    assert not GuidedNet._accelerated_


def test_accelerator_is_left_as_it_was(accelerator, device):
    shared = accelerator()
    before = copy.copy(vars(shared))
    net = worker.GuidedNet(
        worker.make_net(), accelerator=shared, **worker.settings(**worker.guidance())
    )
    net.fit(worker.X, worker.Y)
    assert vars(shared).keys() == before.keys()
