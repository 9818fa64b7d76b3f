"""`attribute` and `feature_importances_` against autograd, captum and finite differences."""

import copy

import numpy as np
import pytest
import torch
from captum import attr as captum
from sklearn.feature_selection import SelectFromModel
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import MLP

RNG = np.random.default_rng(0)
N = 30
TABLE = (RNG.standard_normal((N, 4)) * [1, 5, 0.1, 2] + [0, 3, 0, -1]).astype(np.float32)
IMAGES = (RNG.standard_normal((N, 2, 5, 6)) + 0.5).astype(np.float32)
CODES = np.digitize(TABLE[:, 0] + TABLE[:, 3] / 2, [-1.0, 0.0])
LABELS = np.array(["a", "b", "c"])[CODES]
TARGETS = 100 * (TABLE[:, 0] + np.sin(TABLE[:, 3])) + 1000
METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "path_gradient",
    "smooth_grad",
)
GRADIENTS = ("saliency", "path_gradient", "smooth_grad")
OUTPUTS = ("logit", "log_proba", "margin")


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class GuidedClassifier(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    pass


class GuidedRegressor(SaliencyGuidedMixin, NeuralNetRegressor):
    pass


def categorical(z, j, output):
    values = {
        "logit": z,
        "log_proba": z.log_softmax(1),
        "margin": z - z.mean(1, keepdim=True),
    }[output]
    return values.gather(1, j[:, None])[:, 0]


def one_logit(z, j, output):
    signed = torch.where(j > 0, z.flatten(), -z.flatten())
    return nn.functional.logsigmoid(signed) if output == "log_proba" else signed


def several_logits(z, j, output):
    picked = z.gather(1, j[:, None])[:, 0]
    return nn.functional.logsigmoid(picked) if output == "log_proba" else picked


def regression(z, j, output):
    return z.gather(1, j[:, None])[:, 0]


class Kind:
    """A net, its data, and what `attribute` has to differentiate, written a second time."""

    def __init__(self, cls, X, y, scalar, n_outputs, logits=lambda z: z, labels=None, **params):
        self.cls, self.X, self.y = cls, X, y
        self.scalar, self.n_outputs, self.logits = scalar, n_outputs, logits
        self.labels = np.arange(n_outputs) if labels is None else np.asarray(labels)
        self.params = params

    def fit(self, device, **changes):
        defaults = {"max_epochs": 3, "device": device, "random_state": 0}
        if not issubclass(self.cls, (SaliencyGuidedClassifier, SaliencyGuidedRegressor)):
            defaults |= {"train_split": None, "verbose": 0, "optimizer": torch.optim.Adam}
        params = {k: copy.deepcopy(v) for k, v in self.params.items()}
        return self.cls(**defaults | params | changes).fit(self.X, self.y)

    def units(self, net):
        """Factor from the module's outputs to y, one an output."""
        named = isinstance(net, SaliencyGuidedRegressor) and isinstance(net.module, str)
        return net.target_scale_ if named else np.ones(self.n_outputs)


def own(module):
    return {"module": module}


SOFTMAX = nn.Sequential(MLP(4, 3, (6,), activation="tanh"), nn.Softmax(dim=1))
KINDS = {
    "classifier": Kind(
        SaliencyGuidedClassifier, TABLE, LABELS, categorical, 3, labels=["a", "b", "c"]
    ),
    "booleans": Kind(
        SaliencyGuidedClassifier, TABLE, CODES > 0, categorical, 2, labels=[False, True]
    ),
    "batch norm": Kind(
        SaliencyGuidedClassifier,
        TABLE,
        CODES,
        categorical,
        3,
        module__normalization="batch",
        module__dropout=0.3,
    ),
    "images": Kind(
        SaliencyGuidedClassifier,
        IMAGES,
        LABELS,
        categorical,
        3,
        labels=["a", "b", "c"],
        module__activation="softplus",
    ),
    "regressor": Kind(SaliencyGuidedRegressor, TABLE, TARGETS, regression, 1),
    "two targets": Kind(
        SaliencyGuidedRegressor, TABLE, np.column_stack([TARGETS, CODES]), regression, 2
    ),
    "own regressor": Kind(
        SaliencyGuidedRegressor,
        TABLE,
        TARGETS.reshape(-1, 1).astype(np.float32) / 100,
        regression,
        1,
        **own(MLP(4, 1)),
    ),
    "double precision": Kind(
        SaliencyGuidedClassifier, TABLE, CODES, categorical, 3, **own(MLP(4, 3).double())
    ),
    "softmax": Kind(
        GuidedClassifier,
        TABLE,
        CODES,
        categorical,
        3,
        logits=lambda p: torch.log(p + torch.finfo(p.dtype).eps),
        **own(SOFTMAX),
    ),
    "one logit": Kind(
        GuidedBinary, TABLE, (CODES > 0).astype(np.float32), one_logit, 2, **own(MLP(4, 1))
    ),
    "several logits": Kind(
        GuidedNet,
        TABLE,
        (TABLE[:, :3] > 0).astype(np.float32),
        several_logits,
        3,
        criterion=nn.BCEWithLogitsLoss,
        **own(MLP(4, 3)),
    ),
    "mixin regressor": Kind(
        GuidedRegressor, TABLE, TABLE[:, :1] * 2, regression, 1, **own(MLP(4, 1))
    ),
}


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch):
    # TF32, which cuDNN's convolutions use, rounds to 10 bits: values of batches of other sizes,
    # for which it takes other algorithms, then differ by up to 1e-3
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def fitted():
    nets = {}

    def get(name, device):
        if (name, device) not in nets:
            torch.manual_seed(0)
            nets[name, device] = KINDS[name].fit(device)
        return KINDS[name], nets[name, device]

    return get


def tensor_of(net, X):
    """Move data to a net, in the precision of its parameters."""
    return torch.as_tensor(X).to(next(net.module_.parameters()))


def explained(kind, net, output, target="predicted"):
    """Scalar function that `attribute` explains: (x, j) -> (n,), and the indices j."""
    module = net.module_.eval()
    x = tensor_of(net, kind.X)
    with torch.no_grad():
        z = kind.logits(module(x))
    if isinstance(target, str) and target == "predicted":
        if kind.scalar is one_logit:
            j = (z.flatten() > 0).long()
        elif kind.scalar is categorical:
            j = z.argmax(1)
        else:
            j = torch.zeros(len(x), dtype=torch.int64, device=x.device)
    else:
        j = torch.as_tensor(np.broadcast_to(target, len(x)).copy(), device=x.device)
    return (lambda data, index: kind.scalar(kind.logits(module(data)), index, output)), j


def autograd(function, x, j):
    x = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(x, j).sum(), x)
    return gradient.cpu().numpy()


def several(kind):
    return kind.scalar in (several_logits,) or (kind.scalar is regression and kind.n_outputs > 1)


def close(values, expected, tolerance=2e-5):
    """Compare relative to the largest value of each feature."""
    scale = np.abs(expected).max(0, keepdims=True)
    error = np.abs(np.asarray(values, dtype=np.float64) - expected) / np.maximum(scale, 1e-9)
    assert error.max() <= tolerance


ALL = pytest.mark.parametrize("name", KINDS)


@ALL
@pytest.mark.parametrize("output", OUTPUTS)
def test_saliency_of_each_output_is_the_gradient_of_autograd(fitted, name, output, device):
    kind, net = fitted(name, device)
    values = net.attribute(kind.X, output=output, target="all")
    assert values.shape == (N, kind.n_outputs, *kind.X.shape[1:])
    assert values.dtype == (np.float64 if name == "double precision" else np.float32)
    for j in range(kind.n_outputs):
        function, index = explained(kind, net, output, target=j)
        expected = autograd(function, tensor_of(net, kind.X), index) * kind.units(net)[j]
        close(values[:, j], expected)
        np.testing.assert_array_equal(
            net.attribute(kind.X, output=output, target=kind.labels[j]), values[:, j]
        )


@ALL
@pytest.mark.parametrize("method", METHODS)
def test_a_target_for_each_row_picks_from_all_targets(fitted, name, method, device):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    index = RNG.integers(0, kind.n_outputs, N)
    picked = net.attribute(kind.X, target=kind.labels[index], **options)
    assert picked.shape == kind.X.shape
    as_list = net.attribute(kind.X, target=kind.labels[index].tolist(), **options)
    np.testing.assert_array_equal(as_list, picked)
    if method != "smooth_grad":  # each target has noise of its own
        everything = net.attribute(kind.X, target="all", **options)
        close(picked, everything[np.arange(N), index], tolerance=1e-5)


@ALL
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_default_target_is_the_prediction(fitted, name, output, device):
    kind, net = fitted(name, device)
    values = net.attribute(kind.X, output=output)
    if several(kind):
        everything = net.attribute(kind.X, output=output, target="all")
        if kind.scalar is regression:  # the sum of the standardised outputs
            expected = (everything / kind.units(net)[:, None]).sum(1)
        else:  # the log-odds (or log-probability) of what is predicted of all labels together
            signs = np.sign(net.forward(kind.X).numpy())[..., None]
            if output == "log_proba":
                pytest.skip("log-probabilities of the other outcomes are no multiple")
            expected = (signs * everything).sum(1)
        close(values, expected)
        return
    function, index = explained(kind, net, output)
    x = tensor_of(net, kind.X)
    close(values, autograd(function, x, index) * kind.units(net)[0])
    if kind.n_outputs > 1:
        predicted = np.asarray(net.predict(kind.X))
        np.testing.assert_array_equal(
            values, net.attribute(kind.X, output=output, target=predicted)
        )


def captum_value(method, function, x, j, baseline):
    options = {"baselines": baseline, "n_steps": 20, "method": "gausslegendre"}
    x = x.detach().clone().requires_grad_()

    def forward(data, index):
        return function(data, index)

    if method == "saliency":
        values = captum.Saliency(forward).attribute(x, abs=False, additional_forward_args=j)
    elif method == "input_x_gradient":
        values = captum.InputXGradient(forward).attribute(x, additional_forward_args=j)
    else:
        times_input = method == "integrated_gradients"
        explainer = captum.IntegratedGradients(forward, multiply_by_inputs=times_input)
        values = explainer.attribute(x, additional_forward_args=j, **options)
    return values.detach().cpu().numpy()


@ALL
@pytest.mark.parametrize("method", [m for m in METHODS if m != "smooth_grad"])
@pytest.mark.parametrize("baseline", ["mean", "zero", "rows"])
def test_methods_equal_those_of_captum(fitted, name, method, baseline, device):
    kind, net = fitted(name, device)
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    start = {
        "mean": np.zeros_like(kind.X) + kind.X.mean(axes, keepdims=True, dtype=np.float64),
        "zero": np.zeros_like(kind.X),
        "rows": kind.X[::-1].copy(),
    }[baseline]
    target = 0
    function, j = explained(kind, net, "logit", target=target)
    expected = captum_value(method, function, tensor_of(net, kind.X), j, tensor_of(net, start))
    values = net.attribute(
        kind.X,
        method=method,
        target=kind.labels[target],
        baseline=None if baseline == "mean" else start,
        n_steps=20,
    )
    close(values, expected * kind.units(net)[target], tolerance=2e-4)


@ALL
def test_integrated_gradients_sum_to_the_change_of_the_output(fitted, name, device):
    kind, net = fitted(name, device)
    # at the kinks of a ReLU the quadrature converges with 1 / n_steps only
    values = net.attribute(
        kind.X, method="integrated_gradients", target=kind.labels[0], n_steps=1000
    )
    function, j = explained(kind, net, "logit", target=0)
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    start = np.broadcast_to(kind.X.mean(axes, keepdims=True, dtype=np.float64), kind.X.shape)
    with torch.no_grad():
        change = function(tensor_of(net, kind.X), j) - function(tensor_of(net, start.copy()), j)
    change = change.cpu().numpy() * kind.units(net)[0]
    tolerance = 0.01 * np.abs(change).max()
    np.testing.assert_allclose(values.reshape(N, -1).sum(1), change, atol=tolerance)


@pytest.mark.parametrize("name", ["classifier", "images", "regressor"])
def test_smooth_grad_averages_gradients_under_noise(fitted, name, device):
    kind, net = fitted(name, device)
    values = net.attribute(
        kind.X,
        method="smooth_grad",
        target=kind.labels[0],
        n_samples=150,
        noise_level=0.5,
        random_state=0,
    )
    axes = (0,) if kind.X.ndim == 2 else (0, 2, 3)
    scale = kind.X.std(axes, keepdims=True)
    function, j = explained(kind, net, "logit", target=0)
    draws = np.stack(
        [
            autograd(function, tensor_of(net, X), j) * kind.units(net)[0]
            for X in kind.X + 0.5 * scale * RNG.standard_normal((150, *kind.X.shape))
        ]
    )
    error = np.abs(values - draws.mean(0))
    spread = draws.std(0) * np.sqrt(2 / 150)
    assert (error < 5 * spread + 1e-4 * np.abs(draws).max()).all()
    silent = net.attribute(
        kind.X, method="smooth_grad", target=kind.labels[0], noise_level=0.0, n_samples=3
    )
    close(silent, net.attribute(kind.X, target=kind.labels[0]), tolerance=1e-5)


@ALL
@pytest.mark.parametrize("method", [m for m in METHODS if m != "smooth_grad"])
def test_batch_size_does_not_change_the_values(fitted, name, method, device):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    whole = net.attribute(kind.X, batch_size=N, **options)
    for batch_size in (1, 7, 1000, None):
        close(net.attribute(kind.X, batch_size=batch_size, **options), whole, tolerance=1e-5)


@ALL
@pytest.mark.parametrize("method", METHODS)
def test_standardized_multiplies_gradients_by_the_spread_of_the_features(
    fitted, name, method, device
):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    values = net.attribute(kind.X, **options)
    scale = kind.X.std(0) if kind.X.ndim == 2 else kind.X.std((0, 2, 3)).reshape(-1, 1, 1)
    expected = values * scale if method in GRADIENTS else values
    close(net.attribute(kind.X, standardized=True, **options), expected, tolerance=1e-5)


@pytest.mark.parametrize(
    "baseline",
    [0.0, [0.0], np.zeros(4), np.zeros((1, 4)), np.zeros((N, 4)), torch.zeros(4), [0, 0, 0, 0]],
    ids=lambda value: str(np.shape(value)),
)
@pytest.mark.parametrize("method", ["integrated_gradients", "path_gradient"])
def test_a_baseline_broadcasts_to_the_data(fitted, baseline, method, device):
    kind, net = fitted("classifier", device)
    options = {"method": method, "n_steps": 4, "batch_size": 7}
    expected = net.attribute(kind.X, baseline=np.zeros_like(kind.X), **options)
    np.testing.assert_array_equal(net.attribute(kind.X, baseline=baseline, **options), expected)


@pytest.mark.parametrize("shape", [(), (2, 1, 1), (2, 5, 6), (1, 2, 5, 6), (N, 2, 5, 6), (6,)])
def test_a_baseline_broadcasts_to_images(fitted, shape, device):
    kind, net = fitted("images", device)
    baseline = RNG.standard_normal(shape)
    options = {"method": "path_gradient", "n_steps": 2, "batch_size": 7}
    full = np.broadcast_to(baseline, kind.X.shape).copy()
    np.testing.assert_array_equal(
        net.attribute(kind.X, baseline=baseline, **options),
        net.attribute(kind.X, baseline=full, **options),
    )


@ALL
def test_explaining_leaves_the_net_as_it_was(fitted, name, device):
    kind, net = fitted(name, device)
    for training in (True, False):
        net.module_.train(training)
        before = copy.deepcopy(net.module_.state_dict())
        modes = [module.training for module in net.module_.modules()]
        gradients = [None if p.grad is None else p.grad.clone() for p in net.module_.parameters()]
        X = kind.X.copy()
        for method in METHODS:
            net.attribute(X, method=method, n_steps=2, n_samples=2)
        np.testing.assert_array_equal(X, kind.X)
        assert modes == [module.training for module in net.module_.modules()]
        for key, value in net.module_.state_dict().items():
            assert torch.equal(value, before[key])
        for p, gradient in zip(net.module_.parameters(), gradients, strict=True):
            assert (p.grad is None) if gradient is None else torch.equal(p.grad, gradient)


def test_an_explanation_does_not_depend_on_grad_mode(fitted, device):
    kind, net = fitted("classifier", device)
    expected = net.attribute(kind.X)
    with torch.no_grad():
        np.testing.assert_array_equal(net.attribute(kind.X), expected)


# units


@pytest.mark.parametrize("name", ["classifier", "images", "regressor", "two targets"])
@pytest.mark.parametrize("factor", [2.0, 0.1, 1000.0])
def test_rescaling_a_feature_divides_its_saliency(fitted, name, factor, device):
    kind, net = fitted(name, device)
    X = kind.X.copy()
    X[:, 1] *= factor
    rescaled = copy.copy(kind)
    rescaled.X = X
    other = rescaled.fit(device)
    values, expected = other.attribute(X), net.attribute(kind.X)
    close(values[:, 1] * factor, expected[:, 1], tolerance=0.02)
    products = other.attribute(X, method="input_x_gradient")
    close(products[:, 1], net.attribute(kind.X, method="input_x_gradient")[:, 1], tolerance=0.02)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("data", [TABLE, IMAGES], ids=["table", "images"])
def test_regression_saliency_is_the_slope_of_predict(n_outputs, data, device):
    y = np.column_stack([TARGETS, 0.01 * TABLE[:, 3]])[:, :n_outputs]
    smooth = {"module__activation": "softplus"}  # and no max pooling
    smooth |= {"module__channels": ()} if data.ndim == 4 else {}
    net = SaliencyGuidedRegressor(max_epochs=5, device=device, random_state=0, **smooth)
    net.fit(data, y if n_outputs > 1 else y[:, 0])
    values = net.attribute(data, target="all")
    flat = data.reshape(N, -1)
    for column in range(0, flat.shape[1], max(1, flat.shape[1] // 6)):
        step = np.zeros_like(flat)
        step[:, column] = 0.05 * flat[:, column].std()
        up, down = ((flat + s * step).reshape(data.shape) for s in (1, -1))
        change = np.reshape(net.predict(up).astype(float) - net.predict(down), (N, n_outputs))
        width = (up.astype(float) - down).reshape(N, -1)[:, column]
        slope = change / width[:, None]
        largest = np.abs(values).reshape(N, n_outputs, -1).max((0, 2))
        got = values.reshape(N, n_outputs, -1)[:, :, column]
        assert (np.abs(got - slope) < 0.03 * largest).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_rescaling_the_target_multiplies_the_saliency(scale, device):
    params = {"max_epochs": 3, "device": device, "random_state": 0}
    one = SaliencyGuidedRegressor(**params).fit(TABLE, TARGETS)
    other = SaliencyGuidedRegressor(**params).fit(TABLE, TARGETS * scale - 7)
    for method in ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient"):
        values, expected = (net.attribute(TABLE, method=method) for net in (other, one))
        close(values / scale, expected, tolerance=1e-3)


# importances


def importances_by_hand(kind, net, X):
    rows = copy.copy(kind)
    rows.X = X
    function, j = explained(rows, net, "margin")
    if kind.scalar is regression and kind.n_outputs > 1:
        module = net.module_.eval()
        function = lambda data, index: module(data).sum(1)  # noqa: E731
    gradient = autograd(function, tensor_of(net, X), j).astype(np.float64)
    axes = (0,) if X.ndim == 2 else (0, 2, 3)
    spread = np.abs(gradient * kind.X.std(axes, keepdims=True, dtype=np.float64))
    return spread.mean(0) / spread.mean(0).sum()


OF_ESTIMATORS = [
    name
    for name, kind in KINDS.items()
    if issubclass(kind.cls, (SaliencyGuidedClassifier, SaliencyGuidedRegressor))
]


@pytest.mark.parametrize("name", OF_ESTIMATORS)
def test_importances_are_mean_standardised_gradients_over_training_rows(fitted, name, device):
    kind, net = fitted(name, device)
    importances = net.feature_importances_
    assert importances.shape == kind.X.shape[1:]
    assert importances.sum() == pytest.approx(1)
    np.testing.assert_allclose(importances, importances_by_hand(kind, net, kind.X), rtol=1e-4)


@pytest.mark.parametrize(
    ("shape", "limit"), [((2500, 3), 2048), ((100, 1, 3, 3), 64)], ids=["table", "images"]
)
def test_importances_use_rows_spread_over_the_training_data(shape, limit, device):
    X = RNG.standard_normal(shape).astype(np.float32)
    y = (X.reshape(len(X), -1)[:, 0] > 0).astype(int)
    kind = Kind(SaliencyGuidedClassifier, X, y, categorical, 2, max_epochs=1, batch_size=500)
    net = kind.fit(device)
    rows = np.linspace(0, len(X) - 1, limit).astype(int)
    expected = importances_by_hand(kind, net, X[rows])
    np.testing.assert_allclose(net.feature_importances_, expected, rtol=1e-3)


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_importances_need_no_guidance_and_follow_each_fit(weight, device):
    net = SaliencyGuidedRegressor(
        consistency_weight=weight, max_epochs=30, lr=0.03, device=device, random_state=0
    )
    X = RNG.standard_normal((60, 3)).astype(np.float32)
    for column in range(3):
        assert net.fit(X, X[:, column]).feature_importances_.argmax() == column
        assert net.feature_importances_[column] > 0.6
    before = net.feature_importances_.copy()
    assert (net.partial_fit(X, X[:, 0]).feature_importances_ != before).any()


def test_a_constant_column_has_no_importance(device):
    X = TABLE.copy()
    X[:, 2] = 7
    net = SaliencyGuidedClassifier(max_epochs=3, device=device, random_state=0).fit(X, LABELS)
    assert net.feature_importances_[2] == 0
    assert net.feature_importances_.sum() == pytest.approx(1)
    assert np.isfinite(net.attribute(X)).all()
    selected = SelectFromModel(net, prefit=True, threshold=1e-12).get_support()
    assert selected.tolist() == [True, True, False, True]


class Mean(nn.Module):
    """Embeds integers."""

    def __init__(self, n_outputs):
        super().__init__()
        self.embedding = nn.Embedding(10, n_outputs)

    def forward(self, x):
        return self.embedding(x).mean(1)


class Named(MLP):
    def forward(self, a, b):
        return super().forward(torch.cat([a, b], 1))


class Detached(MLP):
    def forward(self, x):
        return super().forward(x.detach())


@pytest.mark.parametrize("case", ["integers", "mapping", "data set", "no gradient path"])
def test_there_are_no_importances_without_one_differentiable_array(case, device):
    module, X, y = {
        "integers": (Mean(3), RNG.integers(0, 10, (N, 4)), CODES),
        "mapping": (Named(4, 3), {"a": TABLE[:, :2], "b": TABLE[:, 2:]}, CODES),
        "data set": (
            MLP(4, 3),
            torch.utils.data.TensorDataset(torch.tensor(TABLE), torch.tensor(CODES)),
            None,
        ),
        "no gradient path": (Detached(4, 3), TABLE, CODES),
    }[case]
    net = SaliencyGuidedClassifier(
        module, consistency_weight=0, max_epochs=1, device=device, random_state=0
    ).fit(X, y)
    assert not hasattr(net, "feature_importances_")
    with pytest.raises(AttributeError, match="one floating-point array"):
        net.feature_importances_  # noqa: B018


def test_importances_of_an_earlier_fit_do_not_outlive_it(device):
    net = SaliencyGuidedClassifier(
        MLP(4, 3), consistency_weight=0, max_epochs=1, device=device, random_state=0
    ).fit(TABLE, CODES)
    assert net.feature_importances_.shape == (4,)
    net.module = Detached(4, 3)
    net.fit(TABLE, CODES)
    assert not hasattr(net, "feature_importances_")
