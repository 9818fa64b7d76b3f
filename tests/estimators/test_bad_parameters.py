"""Bad parameters get an error that says which."""

import re

import numpy as np
import pytest
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
    TARGETS,
    X,
    assert_names,
    make,
    targets_for,
)

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
