"""Bad X and y, and bad arguments of explanations, get a documented error."""

import re

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import NotFittedError

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
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
