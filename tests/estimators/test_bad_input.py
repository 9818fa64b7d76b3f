"""Bad input gets a documented error."""

import re

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import (
    SaliencyGuidedClassifier,
    SaliencyGuidedMixin,
    SaliencyGuidedRegressor,
    paper_settings,
)
from tests.estimators.bad_input import (
    ESTIMATORS,
    LABELS,
    RNG,
    TARGETS,
    SizedMLP,
    X,
    assert_names,
    changed,
    make,
    targets_for,
)


class DetachedMLP(SizedMLP):
    def forward(self, x):
        return super().forward(x.detach())


class ConstantOutput(nn.Module):
    """Its output depends on a parameter, and not on the input."""

    def __init__(self, n_outputs):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, x):
        return self.bias.expand(len(x), -1)


# data


BAD_X = {
    "nan": (changed(np.nan), ValueError, ["X", "NaN"]),
    "inf": (changed(-np.inf), ValueError, ["X", "infinity"]),
    "complex": (changed(1j), ValueError, ["[Cc]omplex"]),
    "empty": (X[:0], ValueError, [r"0 sample\(s\) \(shape=\(0, 4\)\)", "minimum of 1"]),
    "no columns": (X[:, :0], ValueError, [r"0 feature\(s\)", "minimum of 1"]),
    "scalar": (3.0, ValueError, ["2D array", "[Rr]eshape"]),
    "one axis": (X[:, 0], ValueError, ["2D array", "1D array", "[Rr]eshape"]),
    "five axes": (X[:, None, None, None], ValueError, ["X", r"\(40, 1, 1, 1, 4\)", "[Rr]eshape"]),
    "words": (np.full((40, 4), "word"), ValueError, ["word"]),
    "sparse": (sparse.csr_matrix(X), TypeError, ["X", "[Ss]parse", "toarray"]),
    "mapping": ({"X": X}, TypeError, ["dict"]),
    "data set": (torch.utils.data.TensorDataset(torch.tensor(X)), TypeError, ["X", "array"]),
}


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", BAD_X)
def test_fit_refuses_bad_x(estimator, name, device):
    data, error, fragments = BAD_X[name]
    with pytest.raises(error) as caught:
        make(estimator, device).fit(data, targets_for(estimator))
    assert_names(caught, *fragments)


@pytest.mark.parametrize("module", ["mlp", "cnn"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_named_module_says_how_many_axes_it_takes(estimator, module, device):
    axes, data = (2, X[:, :, None, None]) if module == "mlp" else (4, X)
    with pytest.raises(ValueError) as caught:
        make(estimator, device, module=module).fit(data, targets_for(estimator))
    assert_names(caught, f"module='{module}'", f"{axes} axes", re.escape(str(data.shape)))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", ["nan", "inf", "complex", "empty", "one axis", "five axes"])
@pytest.mark.parametrize("method", ["predict", "attribute"])
def test_fitted_estimator_refuses_bad_x(estimator, name, method, device):
    net = make(estimator, device, max_epochs=1).fit(X, targets_for(estimator))
    with pytest.raises(BAD_X[name][1]):
        getattr(net, method)(BAD_X[name][0])


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", ["auto", SizedMLP], ids=["named", "own"])
@pytest.mark.parametrize("method", ["predict", "attribute", "partial_fit"])
def test_other_number_of_features_is_refused(estimator, module, method, device):
    y = targets_for(estimator, own_module=module != "auto")
    net = make(estimator, device, module=module, max_epochs=1).fit(X, y)
    arguments = (X[:, :3], y) if method == "partial_fit" else (X[:, :3],)
    with pytest.raises(ValueError) as caught:
        getattr(net, method)(*arguments)
    assert_names(caught, "X has 3 features", estimator.__name__, "4 features")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_images_of_another_size_are_refused(estimator, device):
    images = RNG.standard_normal((40, 1, 4, 4)).astype(np.float32)
    net = make(estimator, device, max_epochs=1).fit(images, targets_for(estimator))
    with pytest.raises(ValueError) as caught:
        net.predict(images[:, :, :3])
    assert_names(caught, "X", r"\(1, 3, 4\)", r"\(1, 4, 4\)")


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_own_module_refuses_empty_x(estimator, weight, device):
    y = targets_for(estimator, own_module=True)
    net = make(estimator, device, module=SizedMLP, consistency_weight=weight)
    with pytest.raises(ValueError) as caught:
        net.fit(X[:0], y[:0])
    assert_names(caught, r"\bX\b", r"\b0\b")


# targets


BAD_Y = {
    "classifier, continuous": (SaliencyGuidedClassifier, TARGETS, ["continuous", "class"]),
    "classifier, one class": (
        SaliencyGuidedClassifier,
        np.full(40, "a"),
        [r"\by\b", "at least 2 classes", "one class", "'a'"],
    ),
    "classifier, nan": (SaliencyGuidedClassifier, np.where(LABELS, np.nan, 0), ["y", "NaN"]),
    "classifier, too short": (SaliencyGuidedClassifier, LABELS[:-1], ["40", "39"]),
    "classifier, none": (SaliencyGuidedClassifier, None, [r"\by\b", "None"]),
    "classifier, two labels a row": (
        SaliencyGuidedClassifier,
        np.column_stack([LABELS, LABELS + 2]),
        [r"\by\b", "one class label", r"\(40, 2\)", "one classifier"],
    ),
    "classifier, one column of zeros": (
        SaliencyGuidedClassifier,
        np.zeros(40, dtype=int),
        [r"\by\b", "at least 2 classes"],
    ),
    "regressor, nan": (SaliencyGuidedRegressor, np.where(LABELS, np.nan, 0), ["y", "NaN"]),
    "regressor, inf": (SaliencyGuidedRegressor, np.where(LABELS, np.inf, 0), ["y", "infinity"]),
    "regressor, complex": (SaliencyGuidedRegressor, TARGETS + 1j, ["[Cc]omplex"]),
    "regressor, words": (SaliencyGuidedRegressor, np.full(40, "word"), ["string|word"]),
    "regressor, too short": (SaliencyGuidedRegressor, TARGETS[:-1], ["40", "39"]),
    "regressor, none": (SaliencyGuidedRegressor, None, [r"\by\b", "None"]),
}


@pytest.mark.parametrize("name", BAD_Y)
def test_fit_refuses_bad_y(name, device):
    estimator, y, fragments = BAD_Y[name]
    with pytest.raises(ValueError) as caught:
        make(estimator, device).fit(X, y)
    assert_names(caught, *fragments)


@pytest.mark.parametrize(
    ("argument", "estimator", "arguments"),
    [
        ("X", SaliencyGuidedClassifier, (changed(1j), LABELS)),
        ("X", SaliencyGuidedClassifier, (X[:, 0], LABELS)),
        ("y", SaliencyGuidedClassifier, (X, LABELS[:-1])),
        ("y", SaliencyGuidedClassifier, (X, TARGETS)),
        ("y", SaliencyGuidedRegressor, (X, TARGETS + 1j)),
    ],
    ids=["complex X", "X of one axis", "y too short", "continuous y", "complex y"],
)
def test_messages_that_scikit_learn_words_name_the_argument_too(
    argument, estimator, arguments, device
):
    with pytest.raises(ValueError) as caught:
        make(estimator, device).fit(*arguments)
    # without the array of data that some of them print
    assert re.search(rf"\b{argument}\b", re.sub(r"\[.*\]", "", str(caught.value), flags=re.DOTALL))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_own_module_refuses_y_of_the_wrong_length(estimator, device):
    y = targets_for(estimator, own_module=True)
    with pytest.raises(ValueError) as caught:
        make(estimator, device, module=SizedMLP).fit(X, y[:-1])
    assert_names(caught, r"\by\b", "inconsistent")


@pytest.mark.parametrize("module", ["auto", SizedMLP], ids=["named", "own"])
def test_one_class_is_refused(module, device):
    with pytest.raises(ValueError) as caught:
        make(SaliencyGuidedClassifier, device, module=module).fit(X, np.full(40, "a"))
    assert_names(caught, r"\by\b", "at least 2 classes", "one class")


def test_partial_fit_refuses_labels_that_were_not_named(device):
    net = make(SaliencyGuidedClassifier, device, max_epochs=1).partial_fit(X, LABELS)
    with pytest.raises(ValueError) as caught:
        net.partial_fit(X, LABELS + 1)
    assert_names(caught, r"\by\b", r"\[2\]", r"classes=")


def test_partial_fit_refuses_another_number_of_outputs(device):
    net = make(SaliencyGuidedRegressor, device, max_epochs=1).partial_fit(X, TARGETS)
    with pytest.raises(ValueError) as caught:
        net.partial_fit(X, X)
    assert_names(caught, r"\by\b", "1 output", "4")


# parameters

FRACTION = r"\[0, 1\]"
WEIGHT = "finite number >= 0"
ORDERS = "'signed', 'absolute', 'sampled', 'random'"
BAD_PARAMETERS = [
    ("mask_fraction", -0.1, ValueError, [FRACTION, r"-0\.1"]),
    ("mask_fraction", 1.1, ValueError, [FRACTION, r"1\.1"]),
    ("mask_fraction", np.nan, ValueError, [FRACTION, "nan"]),
    ("mask_fraction", "half", TypeError, [FRACTION, "'half'"]),
    ("mask_fraction", None, TypeError, [FRACTION, "None"]),
    ("mask_fraction", True, TypeError, [FRACTION, "True"]),
    ("consistency_weight", -1, ValueError, [WEIGHT, "-1"]),
    ("consistency_weight", np.inf, ValueError, [WEIGHT, "inf"]),
    ("consistency_weight", np.nan, ValueError, [WEIGHT, "nan"]),
    ("consistency_weight", "1", TypeError, [WEIGHT, "'1'"]),
    ("mask_value", np.nan, ValueError, ["finite", "nan"]),
    ("mask_value", None, TypeError, ["finite", "None"]),
    ("mask_order", "lowest", ValueError, [ORDERS, "'lowest'"]),
    ("mask_order", 1, TypeError, [ORDERS, "1 of int"]),
    ("mask_schedule", "step", ValueError, ["'constant', 'ramp'", "'step'"]),
    ("mask_schedule", 0.5, TypeError, ["'constant', 'ramp'", "0.5 of float"]),
    ("saliency_output", "proba", ValueError, ["log_proba", "logit", "margin", "'proba'"]),
    ("saliency_output", None, TypeError, ["log_proba", "logit", "margin", "None"]),
    ("mask_fill", "zero", ValueError, ["'marginal'", "callable", "'zero'"]),
    ("mask_fill", 0.0, TypeError, ["'marginal'", "callable", "0.0 of float"]),
    ("feature_groups", "row", ValueError, ["cell", "feature", "pixel", "'row'"]),
    ("feature_groups", "pixel", ValueError, ["'pixel'", "image", r"\(4,\)"]),
    ("feature_groups", [0, 0, 1], ValueError, ["X.shape", r"\(4,\)", r"\(3,\)"]),
    ("feature_groups", np.zeros((1, 4), int), ValueError, ["X.shape", r"\(4,\)", r"\(1, 4\)"]),
    ("feature_groups", 2, TypeError, ["'auto'", "cell", "labels", "2"]),
    ("feature_groups", None, TypeError, ["'auto'", "cell", "labels", "None"]),
    (
        "consistency",
        "js",
        ValueError,
        ["categorical_kl", "squared_difference", "callable", "'js'"],
    ),
    ("consistency", None, TypeError, ["categorical_kl", "callable", "None"]),
    ("saliency_pass", "joint", ValueError, ["'shared', 'separate'", "'joint'"]),
    ("saliency_pass", True, TypeError, ["'shared', 'separate'", "True"]),
    ("module", "resnet", ValueError, ["'auto'", "'cnn', .*'mlp'", "'resnet'"]),
    ("module", 3, TypeError, ["'auto'", "class or instance", "3 of int"]),
    ("criterion", "mse", ValueError, ["'auto'", "class or instance", "'mse'"]),
    ("random_state", "zero", TypeError, ["None", "int", "RandomState", "'zero'"]),
    ("random_state", 0.5, TypeError, ["None", "int", "RandomState", "0.5"]),
    ("random_state", np.random.default_rng(0), TypeError, ["int", "RandomState", "Generator"]),
    ("random_state", -1, ValueError, ["-1"]),
]


def parameter_id(case):
    return f"{case[0]}={re.sub(' at 0x.*', '', str(case[1]))}"


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("case", BAD_PARAMETERS, ids=parameter_id)
def test_fit_refuses_bad_parameters_and_says_which(estimator, case, device):
    name, value, error, fragments = case
    net = make(estimator, device, **{name: value})
    with pytest.raises(error) as caught:
        net.fit(X, targets_for(estimator))
    assert_names(caught, name, *fragments)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "initialize"])
@pytest.mark.parametrize(
    "case", [c for c in BAD_PARAMETERS if c[0] not in ("module", "criterion")], ids=parameter_id
)
def test_guided_skorch_net_refuses_bad_parameters(case, method, device):
    name, value, error, _ = case
    if method == "initialize" and name == "feature_groups" and error is ValueError:
        pytest.skip("only data can tell whether the groups fit")

    class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
        pass

    params = {"random_state": 0} | {name: value}
    net = GuidedNet(
        nn.Linear,
        module__in_features=4,
        module__out_features=2,
        criterion=nn.CrossEntropyLoss,
        train_split=None,
        verbose=0,
        device=device,
        **params,
    )
    with pytest.raises(error):
        getattr(net, method)(*(() if method == "initialize" else (X, LABELS)))
    assert not net.initialized_


def test_bad_parameters_of_a_grid_are_refused_as_numpy_scalars_too(device):
    for value, error in [(np.float64(1.5), ValueError), (np.bool_(True), TypeError)]:
        with pytest.raises(error, match="mask_fraction"):
            make(SaliencyGuidedClassifier, device, mask_fraction=value).fit(X, LABELS)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("name", ["mask_fill", "consistency"])
def test_callables_that_return_another_shape_are_refused_by_name(estimator, name, device):
    functions = {
        "mask_fill": lambda x, generator: x[:, :1],
        "consistency": lambda output, masked_output: (output - masked_output).sum(),
    }
    with pytest.raises(ValueError) as caught:
        make(estimator, device, **{name: functions[name]}).fit(X, targets_for(estimator))
    assert_names(caught, name, "shape", r"\(32")


def test_unknown_criterion_asks_for_a_consistency(device):
    net = make(SaliencyGuidedRegressor, device, criterion=nn.L1Loss)
    with pytest.raises(ValueError) as caught:
        net.fit(X, TARGETS)
    assert_names(caught, "consistency='auto'", "L1Loss", "squared_difference", "callable")


@pytest.mark.parametrize("kind", ["video", 3])
def test_paper_settings_refuses_unknown_kinds(kind):
    with pytest.raises(ValueError) as caught:
        paper_settings(kind)
    assert_names(caught, "kind", "'image'", re.escape(repr(kind)))


# modules of the user's own


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_guidance_refuses_integer_input(estimator, device):
    y = targets_for(estimator, own_module=True)
    with pytest.raises(TypeError) as caught:
        make(estimator, device, module=SizedMLP).fit(np.round(X).astype(np.int64), y)
    assert_names(caught, "floating-point", "int64", "astype", "consistency_weight=0")


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", [DetachedMLP, ConstantOutput])
def test_guidance_refuses_a_module_without_gradient_path(estimator, module, device):
    y = targets_for(estimator, own_module=True)
    with pytest.raises(TypeError) as caught:
        make(estimator, device, module=module).fit(X, y)
    assert_names(caught, "module", "no gradient path", "differentiable", "consistency_weight=0")


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", [DetachedMLP, ConstantOutput])
def test_without_guidance_a_module_may_lack_gradients(estimator, module, device):
    y = targets_for(estimator, own_module=True)
    net = make(estimator, device, module=module, consistency_weight=0).fit(X, y)
    assert len(net.predict(X)) == len(X)
    with pytest.raises(TypeError, match="no gradient path"):
        net.attribute(X)


def test_guidance_asks_which_of_several_inputs_it_masks(device):
    class TwoInputs(SizedMLP):
        def forward(self, a, b):
            return super().forward(a + b)

    net = make(SaliencyGuidedClassifier, device, module=TwoInputs)
    net.set_params(module__n_features=4, module__n_outputs=2)
    with pytest.raises(ValueError) as caught:
        net.fit({"a": X, "b": X}, LABELS)
    assert_names(caught, "guided_input", r"\['a', 'b'\]", "'X'", "consistency_weight=0")


def test_series_with_lengths_are_guided_alone(device):
    class Sums(SizedMLP):
        def forward(self, X, lengths):
            inside = torch.arange(X.shape[1], device=X.device) < lengths[:, None]
            return super().forward((X * inside[:, :, None]).sum(1))

    data = {"X": np.stack([X] * 3, axis=1), "lengths": 1 + np.arange(len(X)) % 3}
    net = make(SaliencyGuidedClassifier, device, module=Sums)
    net.set_params(module__n_features=4, module__n_outputs=2).fit(data, LABELS)
    net.set_params(guided_input=["X"])
    with pytest.raises(ValueError) as caught:
        net.fit(data, LABELS)
    assert_names(caught, "guided_input", "one entry", r"\(\d+, 12\)")
    net.set_params(consistency_weight=0).fit(data, LABELS)
    with pytest.raises(ValueError, match="guided_input must name one entry"):
        net.attribute(data)


BAD_OUTPUTS = {
    "too few classes": (SaliencyGuidedClassifier, "auto", 1, LABELS, "(32, 1)", "(32,)"),
    "logit of two axes": (
        SaliencyGuidedClassifier,
        nn.BCEWithLogitsLoss,
        1,
        LABELS.astype(np.float32),
        "(32, 1)",
        "(32,)",
    ),
    "y of one axis": (SaliencyGuidedRegressor, "auto", 1, TARGETS, "(32, 1)", "(32,)"),
    "outputs too many": (SaliencyGuidedRegressor, "auto", 3, X, "(32, 3)", "(32, 4)"),
    "absolute error": (SaliencyGuidedRegressor, nn.L1Loss, 1, TARGETS, "(32, 1)", "(32,)"),
}


@pytest.mark.parametrize("weight", [0.0, 1.0])
@pytest.mark.parametrize("name", BAD_OUTPUTS)
def test_output_that_does_not_fit_the_criterion_is_refused_with_both_shapes(name, weight, device):
    estimator, criterion, n_outputs, y, output_shape, y_shape = BAD_OUTPUTS[name]
    net = make(
        estimator,
        device,
        module=nn.Linear,
        module__in_features=4,
        module__out_features=n_outputs,
        criterion=criterion,
        consistency="squared_difference",
        consistency_weight=weight,
    )
    with pytest.raises(ValueError) as caught:
        net.fit(X, y)
    assert_names(caught, "output", "y of shape", re.escape(output_shape), re.escape(y_shape))


def test_named_module_refuses_a_criterion_on_probabilities(device):
    with pytest.raises(ValueError) as caught:
        make(SaliencyGuidedClassifier, device, criterion=nn.NLLLoss).fit(X, LABELS)
    assert_names(caught, "criterion=NLLLoss", "logits", "criterion='auto'")


def test_named_module_is_not_initialized_without_data(device):
    with pytest.raises(ValueError) as caught:
        make(SaliencyGuidedClassifier, device).initialize()
    assert_names(caught, "module='auto'", "fit")


# explanations


@pytest.fixture(scope="module", params=["named classifier", "own classifier", "regressor"])
def fitted(request):
    estimator, module = {
        "named classifier": (SaliencyGuidedClassifier, "auto"),
        "own classifier": (SaliencyGuidedClassifier, SizedMLP),
        "regressor": (SaliencyGuidedRegressor, "auto"),
    }[request.param]
    return make(estimator, module=module, max_epochs=1).fit(X, targets_for(estimator))


@pytest.mark.parametrize(
    ("options", "fragments"),
    [
        ({"method": "gradcam"}, ["method", "saliency", "smooth_grad", "'gradcam'"]),
        ({"method": None}, ["method", "saliency", "None"]),
        ({"output": "proba"}, ["output", "log_proba", "'proba'"]),
        ({"target": "unknown"}, ["target", "'?unknown"]),
        ({"target": 7}, ["target", "7"]),
        ({"target": -1}, ["target", "-1"]),
        ({"target": 0.5}, ["target", r"0\.5"]),
        ({"target": [0, 1]}, ["target", r"\(40,\)", r"\(2,\)"]),
        ({"baseline": np.zeros(3)}, ["baseline", r"\(40, 4\)", r"\(3,\)"]),
        ({"baseline": np.zeros((2, 40, 4))}, ["baseline", r"\(40, 4\)", r"\(2, 40, 4\)"]),
        ({"n_steps": 0}, ["n_steps", "1", "got 0"]),
        ({"n_samples": 0}, ["n_samples", "1", "got 0"]),
        ({"batch_size": -1}, ["batch_size", "-1"]),
        ({"batch_size": 0}, ["batch_size", "0"]),
    ],
    ids=lambda value: str(next(iter(value.items()))) if isinstance(value, dict) else "",
)
def test_attribute_refuses_unknown_names_and_misfits(fitted, options, fragments):
    with pytest.raises(ValueError) as caught:
        fitted.attribute(X, **options)
    assert_names(caught, *fragments)


def test_attribute_refuses_input_without_gradient(device):
    net = make(SaliencyGuidedClassifier, device, module=SizedMLP).fit(X, LABELS)
    for data, got in [(X.astype(np.int64), "int64"), (X.tolist(), "list")]:
        with pytest.raises(TypeError) as caught:
            net.attribute(data)
        assert_names(caught, r"\bX\b", got)


# not fitted


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("module", ["auto", SizedMLP], ids=["named", "own"])
@pytest.mark.parametrize(
    "use",
    [
        lambda net: net.predict(X),
        lambda net: net.attribute(X),
        lambda net: net.score(X, targets_for(type(net))),
        lambda net: net.feature_importances_,
        lambda net: net.predict(X * np.nan),
    ],
    ids=["predict", "attribute", "score", "feature_importances_", "predict of NaN"],
)
def test_unfitted_estimator_says_so(estimator, module, use):
    with pytest.raises(NotFittedError, match=estimator.__name__):
        use(make(estimator, module=module))


def test_unfitted_classifier_has_no_probabilities():
    with pytest.raises(NotFittedError):
        make(SaliencyGuidedClassifier).predict_proba(X)
    with pytest.raises(AttributeError, match="predict_proba"):
        make(SaliencyGuidedRegressor).predict_proba  # noqa: B018
