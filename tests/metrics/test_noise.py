"""infidelity and max_sensitivity against captum's own calls, loops and closed forms."""

import itertools

import captum.attr
import captum.metrics
import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.metrics import (
    _noise,
    infidelity,
    infidelity_gap,
    max_sensitivity,
    max_sensitivity_gap,
)

METRICS = [infidelity, infidelity_gap, max_sensitivity, max_sensitivity_gap]
GAPS = [infidelity_gap, max_sensitivity_gap]
SPREAD = np.array([1.0, 20.0, 0.1, 1.0, 5.0, 1.0])


class Logits(nn.Module):
    def __init__(self, n_outputs=3):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, n_outputs)).double()

    def forward(self, X):
        return self.layers(X / torch.from_numpy(SPREAD))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 6)) * SPREAD
    return X, (X[:, 0] > 0).astype(np.int64) + (X[:, 1] > 10)


@pytest.fixture(scope="module")
def net(data):
    """A plain skorch net."""
    torch.manual_seed(0)
    options = {"criterion": nn.CrossEntropyLoss, "lr": 0.5, "max_epochs": 30, "verbose": 0}
    return NeuralNetClassifier(Logits, train_split=None, **options).fit(*data)


def replayed(seed):
    """The generator of a metric's noise, behind the draw of the seed of attributions."""
    rng = np.random.RandomState(seed)
    rng.randint(2**31 - 1)
    return rng


def log_proba(net):
    return lambda X: net.module_(X).log_softmax(1)


def captum_setting(net, X, output):
    x = torch.from_numpy(X)
    target = net.module_(x).argmax(1)
    saliency = captum.attr.Saliency(output)
    values = saliency.attribute(x.clone().requires_grad_(True), target=target, abs=False)
    return x, target, values.detach()


@pytest.mark.parametrize("shape", [(4,), (5, 3), (2, 6, 6)])
def test_noise_is_in_units_of_the_spread_in_training(shape, device):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, *shape)).astype(np.float32)
    X *= np.array([1, 30]).reshape(2, 1, 1) if len(shape) == 3 else np.arange(1, shape[-1] + 1)
    y = np.arange(40) % 2
    net = SaliencyGuidedClassifier(max_epochs=1, device=device, random_state=0).fit(X, y)
    # of each column; of each feature of a series; of each channel
    axes = {1: (0,), 2: (0, 1), 3: (0, 2, 3)}[len(shape)]
    spread = X.std(axis=axes, keepdims=True)[0]
    few = 0.1 * X[:6]
    log_proba = np.log(net.predict_proba(few))
    target = log_proba.argmax(axis=1)
    gradient = net.attribute(few, output="log_proba")
    noise = -0.1 * replayed(2).standard_normal((18, *shape))
    places = np.repeat(np.arange(6), 3)
    changed = np.log(net.predict_proba((few[places] + noise * spread).astype(np.float32)))
    change = log_proba[places, target[places]] - changed[np.arange(18), target[places]]
    foretold = -(gradient[places] * noise * spread).reshape(18, -1).sum(axis=1)
    value = infidelity(net, few, n_draws=3, random_state=2)
    assert value == pytest.approx(np.mean((foretold - change) ** 2), rel=1e-3, abs=1e-12)
    assert max_sensitivity(net, few, n_draws=2, random_state=0) > 0


@pytest.mark.parametrize("normalize", [False, True])
def test_infidelity_equals_captum(net, data, normalize):
    X, _ = data
    x, target, gradient = captum_setting(net, X, log_proba(net))
    rng = replayed(3)

    def perturb(x):
        noise = torch.from_numpy(-0.2 * rng.standard_normal(x.shape) * X.std(axis=0))
        return -noise, x + noise

    expected = captum.metrics.infidelity(
        log_proba(net),
        perturb,
        x,
        gradient,
        target=target,
        n_perturb_samples=7,
        normalize=normalize,
    )
    options = {"noise_level": 0.2, "n_draws": 7, "normalize": normalize, "random_state": 3}
    value = infidelity(net, X, **options)
    assert value == pytest.approx(expected.mean().item(), rel=1e-5)
    given = infidelity(net, X, attributions=gradient.numpy(), **options)
    assert given == pytest.approx(value, rel=1e-5)
    scaled = infidelity(net, X, attributions=3 * gradient.numpy(), **options)
    assert (scaled == pytest.approx(value, rel=1e-5)) is normalize


def test_infidelity_gap_equals_a_difference_of_captum(net, data):
    X, _ = data

    def probability(x):
        return net.module_(x).softmax(1)

    x, target, gradient = captum_setting(net, X, probability)
    rng = replayed(5)
    noise = torch.from_numpy(-0.5 * rng.standard_normal((7 * len(X), 6)))
    order = torch.from_numpy(rng.random_sample(X.shape).argsort(axis=1))
    spread = torch.from_numpy(X.std(axis=0))
    gradient = gradient * spread

    def error(attributions):
        return captum.metrics.infidelity(
            probability,
            lambda x: (-noise, x + noise * spread),
            x,
            attributions,
            target=target,
            n_perturb_samples=7,
            normalize=True,
        )

    expected = (error(gradient.gather(1, order)) - error(gradient)).mean().item()
    value = infidelity_gap(net, X, n_draws=7, random_state=5)
    assert value == pytest.approx(expected, rel=1e-5)
    assert value > 0.001
    # the size of attributions does not count
    attributions = 9 * gradient.numpy() / X.std(axis=0)
    value = infidelity_gap(net, X, attributions=attributions, n_draws=7, random_state=5)
    assert value == pytest.approx(expected, rel=1e-5)


def test_max_sensitivity_equals_captum(net, data):
    X, _ = data
    x, target, _ = captum_setting(net, X, net.module_)
    spread = torch.from_numpy(X.std(axis=0))
    saliency = captum.attr.Saliency(net.module_)
    rng = replayed(4)

    def explain(inputs, target):
        inputs = inputs[0] if isinstance(inputs, tuple) else inputs
        with torch.enable_grad():
            inputs = inputs.clone().requires_grad_(True)
            values = saliency.attribute(inputs, target=target, abs=False)
        return (values.detach() * spread,)

    def perturb(x):
        return x + torch.from_numpy(rng.uniform(-0.3, 0.3, x.shape) * X.std(axis=0))

    expected = captum.metrics.sensitivity_max(
        explain, x, perturb_func=perturb, n_perturb_samples=6, target=target
    )
    value = max_sensitivity(net, X, radius=0.3, n_draws=6, random_state=4)
    assert value == pytest.approx(expected.mean().item(), rel=1e-5)
    assert value > 0.05


def test_max_sensitivity_gap_equals_a_loop(net, data):
    X, _ = data
    rng = replayed(6)
    noise = rng.uniform(-0.1, 0.1, (4 * len(X), 6)).reshape(len(X), 4, 6)
    keys = rng.random_sample((4 * len(X), 6)).reshape(len(X), 4, 6)
    probabilities = net.predict_proba(X)
    spread = X.std(axis=0)

    def explain(x, target):
        x = torch.from_numpy(x).requires_grad_(True)
        net.module_(x[None])[0, target].backward()
        return x.grad.numpy() * spread

    expected = []
    for i, row in enumerate(X):
        target = probabilities[i].argmax()
        own, change, control = explain(row, target), [], []
        for k in range(4):
            other = explain(row + noise[i, k] * spread, target)
            change.append(np.linalg.norm(own - other))
            control.append(np.linalg.norm(own - other[keys[i, k].argsort()]))
        weight = np.abs(probabilities[i] - probabilities.mean(axis=0)).sum() / 2
        expected.append(weight * (max(control) - max(change)) / np.linalg.norm(own))
    value = max_sensitivity_gap(net, X, n_draws=4, random_state=6)
    assert value == pytest.approx(np.mean(expected), rel=1e-5)
    assert value > 0.1


@pytest.mark.parametrize("keep_scale", [False, True])
def test_linear_regressors_have_closed_forms(doubles, keep_scale):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((200, 4)) * [1, 10, 0.1, 3]
    coef, guess = np.array([3.0, -0.1, 5.0, 0.0]), np.array([1.0, 0.0, 5.0, 0.5])
    y = X @ coef
    model = doubles.LinearRegressor(coef, keep_scale).fit(X, y)
    right, wrong = (np.broadcast_to(values, X.shape) for values in (coef, guess))
    options = {"noise_level": 0.3, "n_draws": 200, "random_state": 0}
    assert infidelity(model, X, y, attributions=right, **options) == pytest.approx(0, abs=1e-20)
    error = ((guess - coef) * X.std(axis=0)) ** 2
    expected = 0.3**2 * error.sum() / y.var()
    value = infidelity(model, X, y, attributions=wrong, **options)
    assert value == pytest.approx(expected, rel=0.05)
    # right attributions explain everything, permuted ones the square of a correlation
    size = coef * X.std(axis=0)
    orders = np.array(list(itertools.permutations(size)))
    share = np.mean((orders @ size) ** 2) / (size @ size) ** 2
    expected = 0.3**2 * (size @ size) / y.var() * (1 - share)
    value = infidelity_gap(model, X, y, attributions=right, **options)
    assert value == pytest.approx(expected, rel=0.1)


def test_regressor_of_several_outputs(doubles):
    rng = np.random.default_rng(1)
    X, coef = rng.standard_normal((20, 4)), rng.standard_normal((2, 4))
    y = X @ coef.T
    model = doubles.LinearRegressor(coef, keep_scale=False).fit(X, y)
    right = np.broadcast_to(coef[1], X.shape)
    options = {"attributions": right, "random_state": 0}
    assert infidelity(model, X, y, target=1, **options) == pytest.approx(0, abs=1e-20)
    assert infidelity(model, X, y, target=0, **options) > 0.001
    with pytest.raises(ValueError, match=r'index of an output .*"predicted" .* Pass target=0'):
        infidelity(model, X, y, **options)
    model = doubles.LinearRegressor(coef).fit(X, y)
    scaled = np.broadcast_to((coef / y.std(axis=0)[:, None]).sum(axis=0), X.shape)
    value = infidelity(model, X, attributions=scaled, random_state=0)
    assert value == pytest.approx(0, abs=1e-20)


def test_regressor_without_scale_needs_y(data):
    X, y = data
    net = NeuralNetRegressor(Logits, module__n_outputs=1, max_epochs=1, verbose=0)
    net.set_params(train_split=None).fit(X, y[:, None].astype(float))
    for metric in METRICS:
        with pytest.raises(ValueError, match="y must be given for a regressor"):
            metric(net, X)
        assert metric(net, X, y, random_state=0) >= 0


@pytest.mark.parametrize("metric", METRICS)
def test_constant_predictor_scores_zero(metric, data):
    X, y = data
    net = NeuralNetClassifier(Logits, criterion=nn.CrossEntropyLoss, max_epochs=1, verbose=0)
    net.set_params(train_split=None, lr=0.0).fit(X, y)
    with torch.no_grad():
        for parameter in net.module_.layers[-1].parameters():
            parameter.zero_()
    assert metric(net, X, random_state=0) == 0.0


@pytest.mark.parametrize("metric", GAPS)
def test_attributions_that_tell_nothing_score_zero(metric, doubles):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 6))
    model = doubles.LinearSoftmax(rng.standard_normal((2, 6))).fit(X, np.arange(300) % 2)
    noise = np.random.RandomState(1)
    for cells in ((6,), (1,)):
        # of each call other numbers, or one number for all cells
        model.attribute = lambda X, *, method, target, standardized, output="logit", cells=cells: (
            np.broadcast_to(noise.standard_normal((len(X), *cells)), X.shape)
        )
        assert metric(model, X, random_state=0) == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("metric", METRICS)
def test_pipelines_seeds_and_generators(metric, net, data):
    X, y = data
    pipeline = make_pipeline(StandardScaler(with_std=False), net).fit(X, y)
    seen = pipeline[:-1].transform(X)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    value = metric(pipeline, X, random_state=0)
    assert (np.random.get_state()[1] == before[0]).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[1])
    assert value == metric(pipeline[-1], seen, random_state=0)
    assert value != metric(pipeline, X, random_state=1)
    assert metric(pipeline, X) != metric(pipeline, X)
    state = np.random.RandomState(0)
    assert metric(pipeline, X, random_state=state) == value


@pytest.mark.parametrize("metric", METRICS)
def test_parts_have_the_same_distribution(metric, net, data, monkeypatch):
    X, _ = data
    whole = metric(net, X, n_draws=40, random_state=0)
    monkeypatch.setattr(_noise, "MAX_BYTES", 40 * X[:7].nbytes)
    assert metric(net, X, n_draws=40, random_state=0) == pytest.approx(whole, rel=0.15)


def test_permutations_leave_padding_where_it_is(doubles):
    X = np.full((30, 7, 2), np.nan)
    lengths = 2 + np.arange(30) % 6
    for row, n in zip(X, lengths, strict=True):
        row[:n] = 1.0
    model = doubles.LinearSoftmax(np.ones((2, 14)))
    model.fit(np.ones((30, 14)), np.arange(30) % 2)
    model.predict_proba = lambda X: np.full((len(X), 2), 0.5)
    options = {"target": "predicted", "n_draws": 1, "random_state": 0}
    with _noise.noisy_samples(model, X, None, **options) as noisy:
        values = np.where(np.isnan(X), 0.0, np.random.default_rng(0).normal(size=X.shape))
        permuted = noisy.permuted(values, np.arange(30))
    for before, after, n in zip(values, permuted, lengths, strict=True):
        assert (after[n:] == 0).all()
        assert np.sort(after[:n], axis=None) == pytest.approx(np.sort(before[:n], axis=None))
    assert (permuted != values).any(axis=(1, 2)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_padding_gets_no_noise_and_changes_nothing(metric):
    rng = np.random.default_rng(0)
    y = np.arange(20) % 2
    series = [rng.normal(size=(3 + i % 3, 2)) + y[i] for i in range(20)]
    net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(series, y)
    padded = np.full((20, 7, 2), np.nan, dtype=np.float32)
    for row, x in zip(padded, series, strict=True):
        row[: len(x)] = x
    value = metric(net, series, random_state=0)
    assert value > 0
    assert metric(net, padded, random_state=0) == pytest.approx(value, rel=1e-3)
    filled = {"X": np.nan_to_num(padded, nan=9.0), "lengths": np.array([len(x) for x in series])}
    assert metric(net, filled, random_state=0) == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize("metric", METRICS)
def test_labels_and_targets(metric, net, data):
    X, y = data
    names = np.array(["a", "b", "c"])
    named = NeuralNetClassifier(
        net.module_, criterion=nn.CrossEntropyLoss, max_epochs=0, verbose=0
    )
    named.set_params(train_split=None).initialize()
    value = metric(net, X, target=y, random_state=0)
    assert metric(named, X, target=y, random_state=0) == value
    assert metric(net, X, target=1, random_state=0) != value
    with pytest.raises(ValueError, match="target must be"):
        metric(net, X, target="d", random_state=0)
    own = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X, names[y])
    assert metric(own, X, target="b", random_state=0) > 0


@pytest.mark.parametrize("metric", [max_sensitivity_gap, infidelity_gap])
def test_ensembles_of_nets(metric, net, data):
    X, y = data
    bag = BaggingClassifier(net, n_estimators=2, random_state=0).fit(X, y)
    assert metric(bag, X, random_state=0) > 0


def test_ensembles_are_measured_by_the_function_that_is_explained(net, data):
    X, y = data
    # sharper than its nets, as calibration by itself changes the probabilities
    ensemble = CalibratedClassifierCV(net, cv=2, method="temperature").fit(X, y)
    modules = [part.estimator.module_ for part in ensemble.calibrated_classifiers_]
    target = ensemble.predict(X)

    def explained(x):
        return torch.stack([module(x).log_softmax(1) for module in modules]).mean(dim=0)

    x = torch.from_numpy(X).requires_grad_(True)
    explained(x)[np.arange(30), target].sum().backward()
    gradient = x.grad.numpy()
    noise = -0.2 * replayed(3).standard_normal((30 * 7, 6)) * X.std(axis=0)
    places = np.repeat(np.arange(30), 7)
    options = {"noise_level": 0.2, "n_draws": 7, "random_state": 3}
    foretold = (noise * gradient[places]).sum(axis=1)

    def change(log_proba):
        after = log_proba(X[places] + noise)[np.arange(210), target[places]]
        return after - log_proba(X)[places, target[places]]

    of_nets = change(lambda data: explained(torch.from_numpy(data)).detach().numpy())
    expected = np.mean((foretold - of_nets) ** 2)
    assert infidelity(ensemble, X, **options) == pytest.approx(expected, rel=1e-5)
    # what a caller passes explains the ensemble
    of_ensemble = change(lambda data: np.log(ensemble.predict_proba(data)))
    expected_given = np.mean((foretold - of_ensemble) ** 2)
    value = infidelity(ensemble, X, attributions=gradient, **options)
    assert value == pytest.approx(expected_given, rel=1e-5)
    assert expected < 0.5 * expected_given


@pytest.mark.parametrize("metric", [infidelity, infidelity_gap])
def test_an_ensemble_of_one_net_equals_the_net(metric, net, data):
    X, y = data
    voting = VotingClassifier([("a", net)], voting="soft").fit(X, y)
    expected = metric(voting.estimators_[0], X, random_state=0)
    nested = VotingClassifier([("a", voting), ("b", "drop")], voting="soft").fit(X, y)
    nested.estimators_ = [voting]
    for ensemble in (voting, nested):
        assert metric(ensemble, X, random_state=0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("metric", [infidelity, infidelity_gap])
def test_transformed_targets_are_measured_in_the_units_of_predictions(metric, data):
    X, _ = data
    y = 4000 + 50 * X[:, 0]
    net = SaliencyGuidedRegressor(max_epochs=3, random_state=0)
    scaled = TransformedTargetRegressor(net, transformer=StandardScaler()).fit(X, y)
    inside = metric(scaled.regressor_, X, random_state=0)
    for model in (scaled, VotingRegressor([("a", scaled)]).fit(X, y)):
        assert metric(model, X, y, random_state=0) == pytest.approx(inside, rel=1e-3)
    log = TransformedTargetRegressor(net, func=np.log, inverse_func=np.exp).fit(X, y)
    with pytest.raises(TypeError, match=r"pass `attributions=`"):
        metric(log, X, y)
    gradient = log.regressor_.attribute(X) * log.predict(X)[:, None]
    assert metric(log, X, y, attributions=gradient, random_state=0) >= 0


@pytest.mark.parametrize("metric", METRICS)
def test_derivatives_of_steps_inside_an_ensemble_are_refused(metric, net, data):
    X, y = data
    voting = VotingClassifier([("a", make_pipeline(StandardScaler(), net))], voting="soft")
    nested = VotingClassifier([("a", CalibratedClassifierCV(voting, cv=2))], voting="soft")
    for ensemble in (voting, nested):
        with pytest.raises(ValueError, match=r"derivatives are per unit of what .*Put the steps"):
            metric(ensemble.fit(X, y), X)
    inside = make_pipeline("passthrough", net)
    voting = VotingClassifier([("a", inside)], voting="soft").fit(X, y)
    assert metric(make_pipeline(StandardScaler(), voting).fit(X, y), X, random_state=0) > 0
    if "sensitivity" in metric.__name__:
        # contributions have no units of X
        voting = VotingClassifier([("a", make_pipeline(StandardScaler(), net))], voting="soft")
        assert metric(voting.fit(X, y), X, method="input_x_gradient", random_state=0) > 0


def test_ensembles_of_nets_that_explain_themselves(data, doubles):
    X, y = data
    bag = BaggingClassifier(doubles.LinearSoftmax(), n_estimators=2, random_state=0).fit(X, y)
    with pytest.raises(TypeError, match=r"parts have a method `attribute` .*Pass `attributions="):
        infidelity(bag, X)
    assert infidelity(bag, X, attributions=np.zeros(X.shape), random_state=0) > 0


def test_bad_input(net, data, doubles):
    X, y = data
    for metric in METRICS:
        with pytest.raises(ValueError, match=r"n_draws must be an integer >= 1, got 0"):
            metric(net, X, n_draws=0)
        with pytest.raises(TypeError, match=r"pass `attributions=`|feature_ablation"):
            metric(LogisticRegression().fit(X, y), X)
        name = "radius" if "sensitivity" in metric.__name__ else "noise_level"
        for wrong, error in ((0, ValueError), (np.inf, ValueError), ("1", TypeError)):
            with pytest.raises(error, match=f"{name} must be a"):
                metric(net, X, **{name: wrong})
        tokens = doubles.LinearSoftmax(np.zeros((2, 6))).fit(X, y)
        tokens.embedding = "words"
        with pytest.raises(ValueError, match="X must hold numbers to which noise can be added"):
            metric(tokens, np.ones((4, 3), dtype=int))
    for metric in (infidelity, infidelity_gap):
        with pytest.raises(ValueError, match=r"method must be one of 'saliency', .*derivatives"):
            metric(net, X, method="integrated_gradients")
        with pytest.raises(ValueError, match=r"attributions must have the shape of X"):
            metric(net, X, attributions=X[:, :2])
    with pytest.raises(TypeError, match="normalize must be True or False, got 1"):
        infidelity(net, X, normalize=1)
