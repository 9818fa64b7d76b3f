"""An int `random_state` fixes what a fit does and leaves the global generators alone."""

import copy
import hashlib
import pickle
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

pytestmark = pytest.mark.usefixtures("deterministic_cuda")

RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((50, 5)).astype(np.float32)
IMAGES = RNG.standard_normal((50, 1, 6, 6)).astype(np.float32)
LABELS = np.array(["a", "b", "c"])[RNG.integers(0, 3, 50)]
TARGETS = TABLE @ [1.0, 2.0, 0.0, 0.0, -1.0]


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


NOISY_LAYERS = {"module__normalization": "batch", "module__dropout": 0.3}
OWN_MODULE = {
    "module": MLP,
    "module__n_features": 5,
    "module__n_outputs": 1,
    "optimizer": torch.optim.Adam,
    "iterator_train__shuffle": True,
    "train_split": None,
    "verbose": 0,
}
KINDS = {
    "classifier": (SaliencyGuidedClassifier, {}, TABLE, LABELS),
    "images": (SaliencyGuidedClassifier, {"module__channels": (3,)}, IMAGES, LABELS),
    "regressor": (SaliencyGuidedRegressor, {}, TABLE, TARGETS),
    "own module": (
        SaliencyGuidedRegressor,
        OWN_MODULE,
        TABLE,
        TARGETS.reshape(-1, 1).astype(np.float32),
    ),
    "mixin": (GuidedRegressor, OWN_MODULE, TABLE, TARGETS.reshape(-1, 1).astype(np.float32)),
    "binary mixin": (GuidedBinary, OWN_MODULE, TABLE, (TARGETS > 0).astype(np.float32)),
}
TRAININGS = {
    "plain": {"consistency_weight": 0},
    "guided": {},
    "random order": {"mask_order": "random"},
    "sampled order": {"mask_order": "sampled", "mask_fill": "marginal"},
    "shared pass": {"saliency_pass": "shared"},
    "nothing hidden": {"mask_fraction": 0.0},
}
# every training on one kind of net, and every kind of net guided
COMBINATIONS = [("classifier", training) for training in TRAININGS]
COMBINATIONS += [(kind, "guided") for kind in KINDS if kind != "classifier"]


def make(kind, device, **params):
    estimator, defaults, X, y = KINDS[kind]
    params = {"max_epochs": 2, "batch_size": 15, "random_state": 0, "device": device} | params
    return estimator(**defaults | NOISY_LAYERS | {"module__hidden": (6,)} | params), X, y


def weights(net):
    return {name: value.cpu().numpy() for name, value in net.module_.state_dict().items()}


def assert_same_weights(*nets):
    for net in nets[1:]:
        np.testing.assert_equal(weights(nets[0]), weights(net))


def assert_other_weights(one, other):
    with pytest.raises(AssertionError):
        assert_same_weights(one, other)


def generator_states():
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    states = [state.tolist() for state in (torch.get_rng_state(), *cuda)]
    return python, (numpy[1].tolist(), *numpy[2:]), states


@pytest.mark.parametrize(("kind", "training"), COMBINATIONS)
def test_same_seed_gives_the_same_net_and_another_seed_another(kind, training, device):
    params = TRAININGS[training]
    net, X, y = make(kind, device, **params)
    first = copy.deepcopy(net.fit(X, y))
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002
    assert_same_weights(first, net.fit(X, y), make(kind, device, **params)[0].fit(X, y))
    assert first.history[:, "train_loss"] == net.history[:, "train_loss"]
    assert_other_weights(first, net.set_params(random_state=1).fit(X, y))


def digests(device, seed):
    """Weights of seeded nets as texts, whatever the global generator holds."""
    torch.manual_seed(seed)
    texts = []
    for cls, X, y in [
        (SaliencyGuidedClassifier, TABLE, LABELS),
        (SaliencyGuidedRegressor, TABLE, TARGETS),
        (SaliencyGuidedClassifier, IMAGES, LABELS),
    ]:
        net = cls(max_epochs=2, batch_size=15, module__dropout=0.3, device=device, random_state=0)
        net.fit(X, y)
        digest = hashlib.sha256()
        for value in weights(net).values():
            digest.update(value.tobytes())
        digest.update(net.predict(X).tobytes() if y.dtype.kind == "f" else b"")
        texts.append(digest.hexdigest())
    return texts


SCRIPT = """
import sys, warnings
import torch
from tests.estimators.test_random_state import digests

torch.set_num_threads(1)
# from here on: skorch imports other packages where they are installed, and those may warn
warnings.simplefilter("error")
torch.use_deterministic_algorithms(sys.argv[1] == "cuda")
print(digests(sys.argv[1], seed=2))
"""


def test_same_seed_gives_the_same_net_in_two_processes(device):
    other = subprocess.run(
        [sys.executable, "-c", SCRIPT, device],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,
    )
    here = digests(device, seed=1)
    assert len(set(here)) == 3
    assert other.stdout == f"{here}\n"


UNUSED = """
import numpy as np, torch
from sgt_sklearn import SaliencyGuidedClassifier
X = np.random.default_rng(0).standard_normal((20, 3))
net = SaliencyGuidedClassifier(max_epochs=1, device="cpu", random_state=0).fit(X, X[:, 0] > 0)
net.partial_fit(X, X[:, 0] > 0).set_params(module__hidden=(3,)).attribute(X)
assert not torch.cuda.is_initialized()
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_net_on_the_cpu_leaves_cuda_uninitialised():
    # initialised, it takes memory, and processes forked afterwards cannot use it
    subprocess.run([sys.executable, "-c", UNUSED], check=True, timeout=100)


class Recorder(Callback):
    """Keeps the first parameters, the batches, and the outputs of the clean passes."""

    def on_train_begin(self, net, **kwargs):
        self.init = {k: v.detach().cpu().numpy().copy() for k, v in net.module_.named_parameters()}
        self.batches, self.outputs = [], []

    def on_batch_begin(self, net, batch, training, **kwargs):
        if training:
            self.batches.append([part.numpy().copy() for part in batch])

    def on_batch_end(self, net, training, y_pred=None, **kwargs):
        if training:
            self.outputs.append(y_pred.detach().cpu().numpy())


@pytest.mark.parametrize(("kind", "training"), COMBINATIONS)
def test_plain_guided_and_control_share_initialisation_batches_and_dropout(kind, training, device):
    recorders = [Recorder(), Recorder()]
    for recorder, params in zip(recorders, (TRAININGS["plain"], TRAININGS[training]), strict=True):
        # with a learning rate of 0 outputs depend on initialisation, batches and dropout only
        frozen = {"callbacks": [recorder], "optimizer": torch.optim.SGD, "lr": 0.0}
        net, X, y = make(kind, device, **params | frozen)
        net.fit(X, y)
    for name in ("init", "batches", "outputs"):
        np.testing.assert_equal(*(getattr(recorder, name) for recorder in recorders))
    assert len(recorders[0].batches) == 2 * 4


@pytest.mark.parametrize("kind", KINDS)
def test_hiding_nothing_trains_bitwise_like_no_guidance(kind, device):
    nets = []
    for training in ("plain", "nothing hidden"):
        net, X, y = make(kind, device, **TRAININGS[training])
        nets.append(net.fit(X, y))
    assert_same_weights(*nets)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_global_generators_are_untouched_by_a_seeded_estimator(kind, weight, device):
    split = ValidSplit(0.2)  # draws from numpy's global generator
    net, X, y = make(kind, device, consistency_weight=weight, train_split=split)
    before = generator_states()
    for use in (
        lambda: net.fit(X, y),
        lambda: net.partial_fit(X, y),
        lambda: net.predict(X),
        lambda: net.attribute(X),
        lambda: net.attribute(X, method="path_gradient", n_steps=3),
        lambda: net.attribute(X, method="smooth_grad", n_samples=2, random_state=0),
        lambda: getattr(net, "feature_importances_", None),
        lambda: pickle.loads(pickle.dumps(net)),
    ):
        use()
        assert generator_states() == before
    with pytest.raises((TypeError, ValueError, AttributeError, RuntimeError)):
        net.fit(X, None)
    assert generator_states() == before


@pytest.mark.parametrize("kind", ["own module", "mixin", "binary mixin"])
def test_global_generators_are_untouched_by_a_seeded_initialize(kind, device):
    nets = [make(kind, device)[0] for _ in range(2)]
    before = generator_states()
    for net in nets:
        net.initialize()
    assert generator_states() == before
    assert_same_weights(*nets)


def test_global_generators_are_untouched_by_set_params_of_a_seeded_estimator(device):
    net, X, y = make("classifier", device)
    net.fit(X, y)
    before = generator_states()
    net.set_params(module__hidden=(3,))  # a fitted net builds its module anew
    assert generator_states() == before


def test_a_data_loader_of_a_seeded_estimator_leaves_global_generators_alone(device):
    net, X, y = make("classifier", device, iterator_valid__pin_memory=False)
    before = generator_states()
    net.fit(X, y).predict(X)
    assert generator_states() == before


@pytest.mark.parametrize(("kind", "training"), COMBINATIONS)
@pytest.mark.parametrize("between", ["nothing", "use", "pickle"])
def test_two_partial_fits_equal_one_fit_of_as_many_epochs(kind, training, between, device):
    if training != "guided" and between != "nothing":
        pytest.skip("what happens between them is tried with the defaults")
    params = TRAININGS[training] | {"max_epochs": 5, "train_split": ValidSplit(5)}
    net, X, y = make(kind, device, **params)
    net.partial_fit(X, y)
    if between == "use":
        net.predict(X)
        net.attribute(X, method="smooth_grad", n_samples=2)
    if between == "pickle":
        net = pickle.loads(pickle.dumps(net))
    net.partial_fit(X, y)
    whole = make(kind, device, **params | {"max_epochs": 10})[0].fit(X, y)
    assert_same_weights(net, whole)
    assert net.history[:, "train_loss"] == whole.history[:, "train_loss"]


@pytest.mark.parametrize("kind", KINDS)
def test_two_warm_started_fits_equal_one_fit_of_as_many_epochs(kind, device):
    net, X, y = make(kind, device, max_epochs=3, warm_start=True)
    net.fit(X, y).fit(X, y)
    assert_same_weights(net, make(kind, device, max_epochs=6)[0].fit(X, y))


class MonteCarloDropout(nn.Linear):
    """Draws in evaluation mode too."""

    def forward(self, x):
        return super().forward(nn.functional.dropout(x, 0.2, training=True))


def test_two_partial_fits_equal_one_fit_of_a_module_that_draws_in_evaluation_mode(device):
    params = {"module": MonteCarloDropout, "device": device, "random_state": 0}
    params |= {"module__in_features": 5, "module__out_features": 3}
    net = SaliencyGuidedClassifier(max_epochs=2, **params)
    net.partial_fit(TABLE, LABELS).partial_fit(TABLE, LABELS)
    assert_same_weights(net, SaliencyGuidedClassifier(max_epochs=4, **params).fit(TABLE, LABELS))


@pytest.mark.parametrize("kind", KINDS)
def test_initialize_and_partial_fit_equal_a_fit(kind, device):
    if KINDS[kind][1] is not OWN_MODULE:
        pytest.skip("modules given by name are sized by fit")
    net, X, y = make(kind, device)
    net.initialize().partial_fit(X, y)
    assert_same_weights(net, make(kind, device)[0].fit(X, y))


def test_initialize_and_partial_fit_with_string_labels(device):
    params = {"module": nn.Linear, "module__in_features": 5, "module__out_features": 3}
    net = SaliencyGuidedClassifier(**params, max_epochs=2, device=device, random_state=0)
    net.initialize().partial_fit(TABLE, LABELS)
    whole = SaliencyGuidedClassifier(**params, max_epochs=2, device=device, random_state=0)
    assert_same_weights(net, whole.fit(TABLE, LABELS))
    np.testing.assert_array_equal(net.predict(TABLE), whole.predict(TABLE))


@pytest.mark.parametrize("kind", KINDS)
def test_a_random_state_instance_is_used_and_advanced(kind, device):
    nets = []
    for _ in range(2):
        net, X, y = make(kind, device, random_state=np.random.RandomState(3))
        nets.append(net.fit(X, y))
    assert_same_weights(*nets)
    first = copy.deepcopy(nets[0])
    before = generator_states()
    assert_other_weights(first, nets[0].fit(X, y))
    assert generator_states() == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("training", ["plain", "guided"])
def test_without_seed_the_global_generator_decides_and_is_advanced(kind, training, device):
    nets, states = [], []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        before = generator_states()
        net, X, y = make(kind, device, random_state=None, **TRAININGS[training])
        nets.append(net.fit(X, y))
        states.append(generator_states())
        assert states[-1] != before
    assert_same_weights(*nets[:2])
    assert states[0] == states[1]
    assert_other_weights(nets[0], nets[2])


@pytest.mark.parametrize("kind", ["classifier", "images", "regressor"])
def test_noise_of_smooth_grad_follows_its_own_random_state(kind, device):
    net, X, y = make(kind, device, max_epochs=1)
    net.fit(X, y)

    def explain(seed):
        return net.attribute(X, method="smooth_grad", n_samples=3, random_state=seed)

    np.testing.assert_array_equal(explain(0), explain(0))
    assert (explain(0) != explain(1)).any()
    torch.manual_seed(5)
    one = explain(None)
    torch.manual_seed(5)
    np.testing.assert_array_equal(one, explain(None))


def test_a_mask_generator_of_another_kind_of_device_starts_anew():
    X = np.random.default_rng(0).normal(size=(40, 3))
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0, device="cpu")
    net.fit(X, X[:, 0] > 0)
    # what a net that was trained on a GPU holds
    net._generator_states_["mask"] = torch.zeros(16, dtype=torch.uint8)
    net = pickle.loads(pickle.dumps(net)).partial_fit(X, X[:, 0] > 0)
    assert len(net.history) == 2
