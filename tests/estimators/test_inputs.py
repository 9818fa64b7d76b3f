"""Inputs of several parts: what is masked and explained, and that the rest stays as it is."""

import collections
import copy
import functools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from skorch import NeuralNetClassifier
from skorch.dataset import ValidSplit
from skorch.helper import SliceDict
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn._random import mask_seed
from tests.guidance import slow_loop

N, SEED, LR = 18, 3, 0.1
RNG = np.random.default_rng(0)
TABLE = RNG.standard_normal((N, 3)) * [1.0, 3, 0.5] + [0, 1, 0]
SIGNAL = RNG.standard_normal((N, 2, 2)) - 0.5
KIND = RNG.integers(0, 4, N)
OFFSET = RNG.standard_normal((N, 1))
Y = (TABLE[:, 0] + SIGNAL[:, 0, 1] + (KIND == 2) > 0).astype(np.int64)
PARTS = {"table": TABLE, "signal": SIGNAL, "kind": KIND, "offset": OFFSET}
Named = collections.namedtuple("Named", PARTS)
SETTING = slow_loop.Setting()


class OfParts(nn.Module):
    """A net of four inputs, one of them integer; notes what it gets while it trains."""

    def __init__(self, n_outputs=2):
        super().__init__()
        torch.manual_seed(0)
        self.table, self.signal = nn.Linear(3, 5), nn.Linear(4, 5)
        self.kind = nn.Embedding(4, 5)
        self.last = nn.Linear(5, n_outputs)
        self.double()
        self.seen = []

    def forward(self, table, signal, kind, offset):
        parts = {"table": table, "signal": signal, "kind": kind, "offset": offset}
        if self.training:
            self.seen.append({k: v.detach().cpu().clone() for k, v in parts.items()})
        hidden = self.table(table) + self.signal(signal.flatten(1)) + self.kind(kind)
        return self.last(torch.tanh(hidden + offset))


class OfSequence(OfParts):
    def forward(self, parts):
        return super().forward(*parts)


class OfColumns(OfParts):
    def forward(self, t0, t1, t2, s0, s1, s2, s3, kind, offset):
        table, signal = torch.cat([t0, t1, t2], 1), torch.cat([s0, s1, s2, s3], 1)
        return super().forward(table, signal.reshape(-1, 2, 2), kind[:, 0], offset)


class Rows(torch.utils.data.Dataset):
    def __init__(self, parts, y):
        self.parts, self.y = parts, y

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return {name: part[i] for name, part in self.parts.items()}, self.y[i]


COLUMNS = ["t0", "t1", "t2", "s0", "s1", "s2", "s3"]
FRAME = pd.DataFrame(
    dict(zip(COLUMNS, np.hstack([TABLE, SIGNAL.reshape(N, -1)]).T, strict=True))
    | {"kind": KIND, "offset": OFFSET[:, 0]},
    index=RNG.permutation(N),
)
# (module, X, y, guided_input) by what is guided
GUIDED = {
    "dict, table": (OfParts, PARTS, Y, "table"),
    "dict, signal": (OfParts, PARTS, Y, "signal"),
    "dict, joined": (OfParts, PARTS, Y, ["table", "signal"]),
    "dict, joined otherwise": (OfParts, PARTS, Y, ["signal", "table"]),
    "dict, one listed": (OfParts, PARTS, Y, ["signal"]),
    "tuple": (OfSequence, tuple(PARTS.values()), Y, "auto"),
    "tuple, joined": (OfSequence, tuple(PARTS.values()), Y, [0, 1]),
    "list": (OfSequence, list(PARTS.values()), Y, 1),
    "named tuple": (OfSequence, Named(**PARTS), Y, 0),
    "frame": (OfColumns, FRAME, Y, COLUMNS[:3]),
    "frame, joined": (OfColumns, FRAME, Y, COLUMNS),
    "data set": (OfParts, Rows(PARTS, Y), None, "table"),
    "data set, joined": (OfParts, Rows(PARTS, Y), Y, ["table", "signal"]),
    "sliceable dict": (OfParts, SliceDict(**PARTS), Y, ["table", "signal"]),
}
TOLD = {"table": TABLE, "signal": SIGNAL, "auto": TABLE, 0: TABLE, 1: SIGNAL}


def part_of(guided_input):
    """The guided part as the slow loop masks it, and where it belongs."""
    if not isinstance(guided_input, list):
        part = TOLD[guided_input]
        return part, ["signal" if part is SIGNAL else "table"]
    names = [PARTS_OF_COLUMNS.get(name, name) for name in guided_input]
    names = [["table", "signal"][n] if isinstance(n, int) else n for n in dict.fromkeys(names)]
    return np.hstack([PARTS[name].reshape(N, -1) for name in names]), names


PARTS_OF_COLUMNS = {c: "table" if c[0] == "t" else "signal" for c in COLUMNS}


def make(module, guided_input, device, cls=SaliencyGuidedClassifier, **params):
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "optimizer": torch.optim.SGD,
        "lr": LR,
        "max_epochs": 3,
        "batch_size": 7,
        "iterator_train__shuffle": False,
        "train_split": None,
        "verbose": 0,
        "random_state": SEED,
        "device": device,
        "guided_input": guided_input,
        "mask_fraction": SETTING.fraction,
        "mask_schedule": "constant",
        "mask_order": "absolute",
        "mask_fill": "constant",
        "mask_value": SETTING.value,
        "feature_groups": "cell",
        "consistency_weight": SETTING.weight,
    }
    return cls(module, **settings | params)


# the step, against the slow loop


class OfPart:
    """The net as a function of its guided part, of one row after the other."""

    def __init__(self, net, names, parts):
        self.net, self.names, self.parts = net, names, parts
        self.row = -1

    def train(self):
        self.net.train()

    def eval(self):
        self.net.eval()
        self.row += 1  # the slow loop does this before it explains a row

    def __call__(self, part):
        return self.of_rows(part, slice(self.row, self.row + 1))

    def of_rows(self, part, rows):
        parts = {name: value[rows] for name, value in self.parts.items()}
        start = 0
        for name in self.names:
            shape = parts[name].shape
            end = start + shape[1:].numel()
            parts[name] = part.reshape(len(part), -1)[:, start:end].reshape(shape)
            start = end
        return self.net(**parts)


def train_slowly(part, names, setting, device, epochs=3, size=7):
    net = OfParts().to(device)
    parts = {name: torch.from_numpy(value).to(device) for name, value in PARTS.items()}
    part, y = torch.from_numpy(part).to(device), torch.from_numpy(Y).to(device)
    statistics = slow_loop.feature_statistics(part)
    generator = torch.Generator(device).manual_seed(mask_seed(SEED))
    for _ in range(epochs):
        for rows in torch.arange(N).split(size):
            of_part = OfPart(net, names, {k: v[rows] for k, v in parts.items()})
            masked = slow_loop.masked_batch(
                of_part, part[rows], y[rows], setting, statistics, generator
            )
            net.eval()
            clean = of_part.of_rows(part[rows], slice(None))
            hidden = of_part.of_rows(masked, slice(None))
            loss = 0
            for z, z_masked, target in zip(clean, hidden, y[rows], strict=True):
                loss += slow_loop.task_loss(z, target, setting)
                loss += setting.weight * slow_loop.divergence(z, z_masked, setting)
            gradients = torch.autograd.grad(loss / len(rows), list(net.parameters()))
            with torch.no_grad():
                for p, gradient in zip(net.parameters(), gradients, strict=True):
                    p -= LR * gradient
    return net


@pytest.mark.parametrize("fill", ["constant", "marginal", "mean", "feature_uniform"])
@pytest.mark.parametrize("name", GUIDED)
def test_steps_mask_the_guided_part_as_the_formulas_do(name, fill, device):
    module, data, y, guided_input = GUIDED[name]
    net = make(module, guided_input, device, mask_fill=fill).fit(data, y)
    part, names = part_of(guided_input)
    expected = train_slowly(part, names, slow_loop.Setting(fill=fill), device)
    for name, tensor in net.module_.state_dict().items():
        torch.testing.assert_close(tensor, expected.state_dict()[name], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", GUIDED)
def test_masks_touch_the_guided_part_only(name, device):
    module, data, y, guided_input = GUIDED[name]
    net = make(module, guided_input, device, mask_value=99.0, max_epochs=2).fit(data, y)
    part, names = part_of(guided_input)
    rows = [r for _ in range(2) for r in np.split(np.arange(N), [7, 14])]
    k = int(part[0].size * SETTING.fraction)
    passes = net.module_.seen[1:]  # the first compares the modes of the module
    assert len(passes) == 2 * len(rows)
    for step, batch in enumerate(rows):
        clean, masked = passes[2 * step : 2 * step + 2]
        for key, value in PARTS.items():
            np.testing.assert_array_equal(clean[key], value[batch])
            assert clean[key].dtype == masked[key].dtype
            if key not in names:
                np.testing.assert_array_equal(masked[key], value[batch])
        joined = {
            pass_: np.hstack([parts[name].numpy().reshape(len(batch), -1) for name in names])
            for pass_, parts in (("clean", clean), ("masked", masked))
        }
        hidden = joined["masked"] == 99
        assert (hidden.sum(1) == k).all()
        np.testing.assert_array_equal(joined["masked"][~hidden], joined["clean"][~hidden])


def test_statistics_are_those_of_the_guided_part(device):
    for name, (module, data, y, guided_input) in GUIDED.items():
        net = make(module, guided_input, device).fit(data, y)
        part, _ = part_of(guided_input)
        axes = (0, 1) if part.ndim == 3 else 0
        for statistic, function in (("mean", np.mean), ("scale", np.std), ("minimum", np.min)):
            found = getattr(net._statistics_, statistic)
            np.testing.assert_allclose(found, function(part, axes), atol=1e-12, err_msg=name)


def test_without_guidance_parts_need_no_name(device):
    named = make(OfParts, "table", device, consistency_weight=0).fit(PARTS, Y)
    plain = make(OfParts, "auto", device, consistency_weight=0).fit(PARTS, Y)
    np.testing.assert_array_equal(named.predict_proba(PARTS), plain.predict_proba(PARTS))
    assert len(plain.module_.seen) == 9


def test_what_is_joined_is_a_table(device):
    # "auto" goes by the joined part, which has columns, and not by the series in it
    net = make(OfParts, ["signal"], device, mask_order="auto", mask_fill="auto")
    net.set_params(mask_fraction="auto", mask_schedule="auto", feature_groups="auto").fit(PARTS, Y)
    table = {"mask_order": "absolute", "mask_fill": "feature_uniform", "mask_fraction": 0.5}
    explicit = make(OfParts, ["signal"], device, **table).fit(PARTS, Y)
    np.testing.assert_array_equal(net.predict_proba(PARTS), explicit.predict_proba(PARTS))


def test_groups_of_a_part(device):
    net = make(OfParts, "table", device, feature_groups=["a", "b", "a"], mask_value=99.0)
    net.fit(PARTS, Y)
    masked = [parts["table"] for parts in net.module_.seen[2::2]]
    hidden = torch.cat(masked) == 99
    assert (hidden[:, 0] == hidden[:, 2]).all()
    assert (hidden[:, 0] != hidden[:, 1]).all()


# explanations


def gradient_by_autograd(net, names, label=None):
    """Gradient of the logit of a label, or of the predicted one, by the joined parts."""
    module = copy.deepcopy(net.module_).cpu().eval()
    parts = {k: torch.from_numpy(v) for k, v in PARTS.items()}
    for name in names:
        parts[name].requires_grad_(True)
    z = OfParts.forward(module, **parts)
    picked = z.max(1).values if label is None else z[:, label]
    gradients = torch.autograd.grad(picked.sum(), [parts[name] for name in names])
    return [g.numpy() for g in gradients]


@pytest.mark.parametrize("name", GUIDED)
def test_attributions_are_gradients_by_the_guided_part(name, device):
    module, data, y, guided_input = GUIDED[name]
    net = make(module, guided_input, device).fit(data, y)
    data = PARTS if isinstance(data, Rows) else data
    part, names = part_of(guided_input)
    for target, label in (("predicted", None), (1, 1)):
        found = net.attribute(data, target=target, batch_size=5)
        gradients = gradient_by_autograd(net, names, label)
        shape = part.shape if isinstance(guided_input, list) else gradients[0].shape
        expected = np.hstack([g.reshape(N, -1) for g in gradients]).reshape(shape)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    scaled = net.attribute(data, target=1, standardized=True)
    sd = part.std((0, 1) if part.ndim == 3 else 0)
    np.testing.assert_allclose(scaled, expected * sd, atol=1e-12)
    assert net.attribute(data, target="all").shape == (N, 2, *shape[1:])


@pytest.mark.parametrize("guided_input", ["table", "signal", ["table", "signal"]], ids=str)
def test_integrated_gradients_of_a_part_are_complete(guided_input, device):
    net = make(OfParts, guided_input, device).fit(PARTS, Y)
    part, names = part_of(guided_input)
    baseline = part[:1].mean() * np.ones(part.shape[1:])
    found = net.attribute(
        PARTS, method="integrated_gradients", target=1, baseline=baseline, n_steps=400
    )
    start, at = dict(PARTS), 0
    for name in names:
        size = PARTS[name][0].size
        start[name] = np.broadcast_to(
            baseline.ravel()[at : at + size].reshape(PARTS[name].shape[1:]), PARTS[name].shape
        )
        at += size
    rise = net.forward(PARTS)[:, 1].numpy() - net.forward(start)[:, 1].numpy()
    np.testing.assert_allclose(found.reshape(N, -1).sum(1), rise, atol=1e-4)


def test_regression_explains_parts(device):
    targets = np.column_stack([TABLE[:, 0], SIGNAL[:, 1, 1]])
    net = make(OfParts, "table", device, SaliencyGuidedRegressor, criterion=nn.MSELoss)
    net.fit(PARTS, targets)
    for j in range(2):
        (expected,) = gradient_by_autograd(net, ["table"], j)
        np.testing.assert_allclose(net.attribute(PARTS, target=j), expected, atol=1e-12)


# one array, in other clothes


class Single(nn.Sequential):
    def __init__(self):
        torch.manual_seed(1)
        super().__init__(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))


class Several(Single):
    """Returns more than the prediction."""

    kind = tuple

    def forward(self, X):
        return self.kind((super().forward(X), X.mean(1), {"attention": X}))


class Listed(Several):
    kind = list


def probabilities(module, device, data=TABLE, **params):
    net = make(module, "auto", device, mask_fill="marginal", **params)
    return net.fit(data, Y).predict_proba(data)


@pytest.mark.usefixtures("deterministic_cuda")
def test_sparse_rows_train_like_dense_ones(device):
    data = np.where(np.abs(TABLE) > 0.7, TABLE, 0)
    dense = probabilities(lambda: Single().double(), device, data)
    found = probabilities(lambda: Single().double(), device, sparse.csr_matrix(data))
    np.testing.assert_array_equal(found, dense)


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("module", [Several, Listed])
def test_of_several_outputs_the_first_is_trained_and_explained(module, device):
    params = {"train_split": ValidSplit(3)}
    if module is Listed:
        # skorch knows tuples only
        params = {"criterion": FirstOf}
    make_one = functools.partial(make, guided_input="auto", device=device, mask_fill="marginal")
    data = TABLE.astype(np.float32)
    one = make_one(Single, **params | {"criterion": nn.CrossEntropyLoss}).fit(data, Y)
    found = make_one(module, **{"consistency": "categorical_kl"} | params).fit(data, Y)
    for mine, theirs in zip(found.module_.parameters(), one.module_.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    if module is Several:
        np.testing.assert_array_equal(found.predict_proba(data), one.predict_proba(data))
        np.testing.assert_array_equal(found.decision_function(data), one.decision_function(data))
        np.testing.assert_array_equal(found.attribute(data), one.attribute(data))
        assert found.history[:, "valid_loss"] == one.history[:, "valid_loss"]


class FirstOf(nn.CrossEntropyLoss):
    def forward(self, output, y):
        return super().forward(output[0], y)


class Guided(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("name", ["dict, joined", "tuple", "data set, joined"])
def test_the_mixin_takes_the_same_inputs(name, device):
    module, data, y, guided_input = GUIDED[name]
    estimator = make(module, guided_input, device).fit(data, y)
    net = make(module, guided_input, device, Guided).fit(data, y)
    data = PARTS if isinstance(data, Rows) else data
    np.testing.assert_array_equal(net.attribute(data), estimator.attribute(data))


# copies and parameters


def test_copies_keep_what_is_guided(tmp_path, device):
    net = make(OfParts, ["table", "signal"], device).fit(PARTS, Y)
    net.save(tmp_path / "net")
    copies = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    copies.append(type(net).load(tmp_path / "net", trusted=[OfParts], device=device))
    copies.append(clone(net).fit(PARTS, Y))
    for other in copies:
        assert other.guided_input == ["table", "signal"]
        np.testing.assert_array_equal(other.attribute(PARTS), net.attribute(PARTS))


def test_setting_another_part_reaches_the_next_fit(device):
    net = make(OfParts, "table", device).fit(PARTS, Y)
    net.set_params(guided_input="signal").fit(PARTS, Y)
    expected = make(OfParts, "signal", device).fit(PARTS, Y)
    np.testing.assert_array_equal(net.attribute(PARTS), expected.attribute(PARTS))


def test_search_over_what_is_guided(device):
    grid = {"guided_input": ["table", "signal", ["table", "signal"]]}
    search = GridSearchCV(make(OfParts, "table", device), grid, cv=KFold(2))
    search.fit(SliceDict(**PARTS), Y)
    assert search.best_estimator_.guided_input == search.best_params_["guided_input"]
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
