"""Every method against captum's own call on the module of the net, through the public function."""

import warnings

import numpy as np
import pytest
import torch
from captum import attr as captum
from captum._utils.models.linear_model import SkLearnLasso
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn._random import isolated_generators
from sgt_sklearn.inspection import explain
from sgt_sklearn.preprocessing import TokenEncoder

RNG = np.random.default_rng(0)
N, SEED, TOLERANCE = 4, 7, 1e-5
INPUTS = {
    "mlp": RNG.standard_normal((40, 6)) * [1, 5, 0.1, 2, 1, 1] + [0, 3, 0, -1, 0, 0],
    "cnn": RNG.standard_normal((40, 2, 6, 5)) + 0.5,
    "tcn": RNG.standard_normal((40, 8, 3)) * 3,
    "lstm": RNG.standard_normal((40, 8, 3)) * 3,
}
INPUTS = {name: X.astype(np.float32) for name, X in INPUTS.items()}
LABELS = np.array(["a", "b", "c"])[np.arange(40) % 3]
HOOKS = ("deep_lift", "deep_lift_shap", "guided_backprop", "deconvolution")
PERTURBING = (
    "feature_ablation",
    "occlusion",
    "feature_permutation",
    "shapley_value_sampling",
    "kernel_shap",
    "lime",
)
OWN = ("saliency", "input_x_gradient", "integrated_gradients")


@pytest.fixture(scope="module")
def nets():
    return {
        name: SaliencyGuidedClassifier(name, max_epochs=1, random_state=0, device="cpu").fit(
            X, LABELS
        )
        for name, X in INPUTS.items()
    }


def quiet(function, *args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **options)


def captums(method, module, x, target, baseline, rows):
    """What captum says, called as its documentation has it."""
    mean, options = baseline.expand_as(x), {"target": target}
    window = {2: (1,), 3: (1, x.shape[-1]), 4: (x.shape[1], 3, 3)}[x.ndim]
    calls = {
        "saliency": (captum.Saliency, {"abs": False}),
        "input_x_gradient": (captum.InputXGradient, {}),
        "integrated_gradients": (captum.IntegratedGradients, {"baselines": mean, "n_steps": 50}),
        "deep_lift": (captum.DeepLift, {"baselines": mean}),
        "deep_lift_shap": (captum.DeepLiftShap, {"baselines": rows}),
        "gradient_shap": (captum.GradientShap, {"baselines": rows, "n_samples": 5}),
        "guided_backprop": (captum.GuidedBackprop, {}),
        "deconvolution": (captum.Deconvolution, {}),
        "feature_ablation": (captum.FeatureAblation, {"baselines": mean}),
        "occlusion": (captum.Occlusion, {"baselines": mean, "sliding_window_shapes": window}),
        "feature_permutation": (captum.FeaturePermutation, {}),
        "shapley_value_sampling": (
            captum.ShapleyValueSampling,
            {"baselines": mean, "n_samples": 3},
        ),
        "kernel_shap": (captum.KernelShap, {"baselines": mean, "n_samples": 90}),
        "lime": (captum.Lime, {"baselines": mean, "n_samples": 90}),
    }
    kind, more = calls[method]
    if method == "lime":
        explainer = captum.Lime(module, interpretable_model=SkLearnLasso(alpha=0.001))
    else:
        explainer = kind(module)
    with isolated_generators(seed=SEED):
        return quiet(explainer.attribute, x, **options, **more).detach().numpy()


OPTIONS = {
    "gradient_shap": {"n_samples": 5},
    "shapley_value_sampling": {"n_samples": 3},
    "kernel_shap": {"n_samples": 90},
    "lime": {"n_samples": 90, "alpha": 0.001},
}


def compare(net, X, method):
    x = torch.as_tensor(X[:N])
    module = net.module_.eval()
    mean = torch.as_tensor(X.reshape(-1, X.shape[-1]).mean(0) if X.ndim == 3 else X.mean(0))
    if X.ndim == 4:
        mean = torch.as_tensor(X.mean((0, 2, 3)))[:, None, None].expand_as(x[0])
    rows = torch.as_tensor(X[20:24])
    target = module(x).argmax(1)
    expected = captums(method, module, x, target, mean, rows)
    with_baseline = method not in (
        *("saliency", "input_x_gradient", "guided_backprop", "deconvolution"),
        "feature_permutation",
    )
    options = OPTIONS.get(method, {})
    if with_baseline:
        options = options | {"baseline": rows.numpy() if "_shap" in method[-5:] else mean.numpy()}
    if method == "kernel_shap":
        options["baseline"] = mean.numpy()
    found = quiet(explain, net, X[:N], method=method, random_state=SEED, **options)
    assert found.values.shape == X[:N].shape
    scale = max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(found.values, expected, atol=TOLERANCE * scale)
    return found


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("method", [*OWN, *HOOKS, "gradient_shap", *PERTURBING])
def test_equals_captum(nets, name, method):
    if name == "lstm" and method in ("guided_backprop", "deconvolution"):
        with pytest.raises(TypeError, match=r"no.*Use method='saliency'|ReLU.*'saliency'"):
            explain(nets[name], INPUTS[name][:N], method=method)
        return
    found = compare(nets[name], INPUTS[name], method)
    assert (found.method, found.output) == (method, "logit")
    np.testing.assert_array_equal(found.target, nets[name].predict(INPUTS[name][:N]))


def test_vargrad_is_captums_of_noise_in_units_of_each_feature(nets):
    """With the noise drawn by hand, as captum draws it."""
    net, x = nets["mlp"], torch.as_tensor(INPUTS["mlp"][:N])
    module = net.module_.eval()
    target = module(x).argmax(1)
    scale = torch.as_tensor(INPUTS["mlp"].std(0))
    gradients = []
    with isolated_generators(seed=SEED):
        for _ in range(5):
            noisy = (x + 0.3 * scale * torch.normal(0, torch.ones(x.shape))).requires_grad_()
            picked = module(noisy).gather(1, target[:, None]).sum()
            gradients.append(torch.autograd.grad(picked, noisy)[0].double().numpy())
    found = explain(
        net, x.numpy(), method="vargrad", n_samples=5, noise_level=0.3, random_state=SEED
    )
    np.testing.assert_allclose(found.values, np.var(gradients, axis=0), atol=1e-6)
    # with a deviation of 1 this is captum's own noise tunnel
    plain = NeuralNetClassifier(
        nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)),
        criterion=nn.CrossEntropyLoss,
    ).initialize()
    unit = (x.numpy() - x.numpy().mean(0)) / x.numpy().std(0)
    labels = plain.module_(torch.as_tensor(unit)).argmax(1)
    tunnel = captum.NoiseTunnel(captum.Saliency(plain.module_))
    with isolated_generators(seed=SEED):
        expected = quiet(
            tunnel.attribute,
            torch.as_tensor(unit),
            nt_type="vargrad",
            nt_samples=4,
            nt_samples_batch_size=1,
            stdevs=0.1,
            target=labels,
            abs=False,
        )
    found = explain(plain, unit, method="vargrad", n_samples=4, random_state=SEED)
    np.testing.assert_allclose(found.values, expected.detach().numpy(), atol=1e-6)


class Flat(nn.Module):
    """The layers of a CNN, flattened by a function, as captum's LRP has no rule for Flatten."""

    def __init__(self, layers):
        super().__init__()
        before = [type(layer) for layer in layers].index(nn.Flatten)
        self.maps, self.head = (
            nn.Sequential(*layers[:before]),
            nn.Sequential(*layers[before + 1 :]),
        )

    def forward(self, x):
        return self.head(self.maps(x).flatten(1))


@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_relevance_is_captums_at_the_standardised_input(nets, name):
    net, x = nets[name], torch.as_tensor(INPUTS[name][:N])
    wrapper = net.module_.eval()
    standardized = (x - wrapper.mean) * wrapper.factor
    module = wrapper.module if name == "mlp" else Flat(list(wrapper.module))
    target = wrapper(x).argmax(1)
    before = {key: value.clone() for key, value in net.module_.state_dict().items()}
    expected = quiet(captum.LRP(module).attribute, standardized, target=target).detach().numpy()
    found = explain(net, x.numpy(), method="lrp")
    np.testing.assert_allclose(found.values, expected, atol=TOLERANCE * np.abs(expected).max())
    # the net itself is neither changed nor left with hooks
    assert all(torch.equal(before[key], value) for key, value in net.module_.state_dict().items())
    assert not any(m._forward_hooks or hasattr(m, "rule") for m in net.module_.modules())


def test_relevance_of_sums_and_negative_factors():
    """A linear model without bias: each input passes on its part of the output, of any sign."""
    X = INPUTS["mlp"][:, :4]
    binary = SaliencyGuidedClassifier(
        nn.Linear(4, 1, bias=False), criterion=nn.BCEWithLogitsLoss, max_epochs=1, random_state=0
    ).fit(X, np.arange(40) % 2)
    weight = binary.module_.weight.detach().numpy()[0]
    for label, sign in ((0, -1), (1, 1)):
        found = explain(binary, X[:N], method="lrp", target=label).values
        np.testing.assert_allclose(found, sign * weight * X[:N], rtol=1e-4, atol=1e-6)
    several = SaliencyGuidedClassifier(
        nn.Linear(4, 3, bias=False), criterion=nn.CrossEntropyLoss, max_epochs=1, random_state=0
    ).fit(X, np.arange(40) % 3)
    weight = several.module_.weight.detach().numpy()
    found = explain(several, X[:N], method="lrp", output="margin", target=1).values
    np.testing.assert_allclose(found, (weight[1] - weight.mean(0)) * X[:N], rtol=1e-4, atol=1e-5)
    y = X @ np.array([[1.0, 2.0], [0.5, -1], [3, 0], [1, 1]], dtype=np.float32)
    sums = SaliencyGuidedRegressor(nn.Linear(4, 2, bias=False), max_epochs=1, random_state=0)
    weight = sums.fit(X, y).module_.weight.detach().numpy()
    found = explain(sums, X[:N], method="lrp").values
    np.testing.assert_allclose(found, weight.sum(0) * X[:N], rtol=1e-4, atol=1e-5)


def test_one_feature_has_all_of_the_change(nets):
    """One column, one group, one word: the only coalition is that of all features."""
    X = INPUTS["mlp"]
    options = {"method": "kernel_shap", "baseline": "zeros", "target": "b", "random_state": 0}
    one = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X[:, :1], LABELS)
    for net, data, more in ((one, X[:N, :1], {}), (nets["mlp"], X[:N], {"groups": ["all"] * 6})):
        change = (net.forward(data) - net.forward(np.zeros_like(data)))[:, 1]
        found = explain(net, data, **options, **more)
        assert found.shape == (N, 1)
        np.testing.assert_allclose(found.values[:, 0], change, atol=1e-6)
        np.testing.assert_allclose(found.delta, 0, atol=1e-6)
    forest = RandomForestClassifier(3, random_state=0).fit(X[:, :1], LABELS)
    change = forest.predict_proba(X[:N, :1])[:, 1] - forest.predict_proba([[0.0]])[:, 1]
    found = explain(forest, X[:N, :1], **options)
    np.testing.assert_allclose(found.values[:, 0], change, atol=1e-6)
    words = make_pipeline(
        TokenEncoder(), SaliencyGuidedClassifier("text_bag", max_epochs=1, random_state=0)
    ).fit(["good", "bad"] * 4, LABELS[:8])
    found = explain(words, ["good", "bad"], method="kernel_shap", target="b")
    at = words[-1].forward(np.array([[1], *words[0].transform(["good", "bad"])]))[:, 1]
    np.testing.assert_allclose(found.values[:, 0], at[1:] - at[0], atol=1e-6)


@pytest.mark.parametrize("method", ["saliency", "deep_lift", "gradient_shap", "kernel_shap"])
def test_equals_captum_on_the_device(method, device):
    X, y = INPUTS["mlp"], LABELS
    net = SaliencyGuidedClassifier(max_epochs=1, random_state=0, device=device).fit(X, y)
    on_cpu = SaliencyGuidedClassifier(max_epochs=1, random_state=0, device="cpu").fit(X, y)
    on_cpu.module_.load_state_dict(net.module_.state_dict())
    draws = method == "gradient_shap"  # its noise comes from the generator of the device
    options = {"n_samples": 2000} if draws else {}
    if method != "saliency":
        options["baseline"] = X[9]
    found, expected = (
        explain(n, X[:3], method=method, random_state=0, **options).values for n in (net, on_cpu)
    )
    np.testing.assert_allclose(found, expected, atol=1e-4 if not draws else 0.05)


class TwoPaths(nn.Module):
    """Functions in forward, which the rules of DeepLift do not reach."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, x):
        return self.last(torch.sin(3 * self.first(x)))


class Reused(TwoPaths):
    """One layer called twice."""

    def __init__(self):
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x):
        return self.last(self.relu(self.relu(self.first(x)) - 0.1))


@pytest.mark.parametrize("method", ["deep_lift", "deep_lift_shap"])
def test_rules_that_do_not_reach_everything_are_said_to(method):
    X = INPUTS["mlp"]
    torch.manual_seed(0)
    net = NeuralNetClassifier(TwoPaths, criterion=nn.CrossEntropyLoss).initialize()
    with pytest.warns(UserWarning, match=r"do not add up .* 'integrated_gradients'|integrated_"):
        found = explain(net, X[:4], method=method, baseline="marginal", random_state=0)
    assert np.abs(found.delta).max() > 0.05
    reused = NeuralNetClassifier(Reused, criterion=nn.CrossEntropyLoss).initialize()
    with pytest.raises(TypeError, match=r"used more than once.*Use method='integrated_gradients'"):
        explain(reused, X[:4], method=method)
    assert not any(hasattr(m, "input") or m._backward_hooks for m in reused.module_.modules())


def test_rules_name_what_they_lack(nets):
    with pytest.raises(TypeError, match=r"no rule for Pooling\. Use method='integrated_gra"):
        explain(nets["tcn"], INPUTS["tcn"][:2], method="lrp")
