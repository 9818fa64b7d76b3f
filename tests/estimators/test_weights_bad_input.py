"""Bad weights, targets and names of inputs: one documented error each, and nothing changes."""

import functools
import re

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from skorch import NeuralNetClassifier
from skorch.dataset import Dataset
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from tests.estimators.bad_input import assert_names, assert_unchanged, photograph

RNG = np.random.default_rng(0)
X = RNG.standard_normal((40, 4)).astype(np.float32)
LABELS = (X[:, 0] > 0).astype(np.int64)
INDICATOR = (X[:, :3] > 0).astype(np.int64)
SOFT = RNG.dirichlet(np.ones(3), 40)
WEIGHTS = RNG.uniform(0.1, 2, 40)


class Guided(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


def make(cls=SaliencyGuidedClassifier, device="cpu", **params):
    defaults = {"max_epochs": 2, "random_state": 0, "device": device}
    if cls is Guided:
        sizes = {"module__in_features": 4, "module__out_features": 2}
        defaults |= {"module": nn.Linear, "verbose": 0, "train_split": None} | sizes
        defaults["criterion"] = nn.CrossEntropyLoss
    return cls(**defaults | params)


OWN = {
    "module": nn.Linear,
    "module__in_features": 4,
    "module__out_features": 2,
    "criterion": nn.CrossEntropyLoss,
}


def assert_refused(net, fit, error, *fragments):
    """The error comes before the first fit, and after one, and leaves all as it was."""
    assert not net.initialized_
    before = dict(vars(net))
    with pytest.raises(error) as caught:
        fit(net)
    assert_names(caught, *fragments)
    assert vars(net) == before
    assert not net.initialized_


# sample weights

MUST_BE = r"sample_weight must be one finite number >= 0 a sample, shape \(40,\)"
BAD_WEIGHTS = {
    "negative": (-WEIGHTS, ValueError, ["-1.9", "leave samples out with weight 0"]),
    "one negative": (np.where(np.arange(40) == 7, -1, 1), ValueError, [r"got -1\.0"]),
    "nan": (np.where(WEIGHTS > 1, np.nan, 1), ValueError, ["NaN"]),
    "inf": (np.where(WEIGHTS > 1, np.inf, 1), ValueError, ["infinity"]),
    "infinite sum": (np.full(40, 1e308), ValueError, ["finite sum", "1e\\+308"]),
    "all zero": (np.zeros(40), ValueError, ["zeros only", "nothing is left"]),
    "too short": (WEIGHTS[:-1], ValueError, [r"got shape \(39,\)"]),
    "too long": (np.append(WEIGHTS, 1), ValueError, [r"got shape \(41,\)"]),
    "empty": ([], ValueError, []),
    "a column": (WEIGHTS[:, None], ValueError, [r"got shape \(40, 1\)"]),
    "two axes": (np.ones((40, 4)), ValueError, [r"got shape \(40, 4\)"]),
    "a number": (2.0, TypeError, ["scalar"]),
    "words": (["heavy"] * 40, ValueError, ["strings"]),
    "numbers as words": (["1.0"] * 40, ValueError, ["strings"]),
    "balanced": ("balanced", ValueError, ["strings"]),
    "none of them": ([None] * 40, ValueError, ["NaN"]),
    "dict": ({0: 1.0}, TypeError, ["dict"]),
    "objects": (np.array([object()] * 40), TypeError, ["object"]),
    "complex": (WEIGHTS + 1j, ValueError, ["[Cc]omplex"]),
    "sparse": (sparse.csr_matrix(WEIGHTS), TypeError, ["[Ss]parse"]),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, SaliencyGuidedRegressor, Guided])
@pytest.mark.parametrize("name", BAD_WEIGHTS)
def test_bad_sample_weights_are_refused(name, cls, method):
    weight, error, fragments = BAD_WEIGHTS[name]
    y = X[:, 0] if cls is SaliencyGuidedRegressor else LABELS
    net = make(cls)
    with pytest.raises(error) as caught:
        getattr(net, method)(X, y, sample_weight=weight)
    assert_names(caught, MUST_BE, *fragments)
    assert not net.initialized_


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", ["negative", "nan", "too short", "a number", "all zero"])
@pytest.mark.parametrize("params", [{}, OWN], ids=["named", "own"])
def test_refused_weights_leave_a_fitted_net_as_it_was(params, name, method, device):
    net = make(device=device, warm_start=True, **params).fit(X, LABELS, sample_weight=WEIGHTS)
    before = photograph(net)
    weight, error, _ = BAD_WEIGHTS[name]
    with pytest.raises(error, match=MUST_BE):
        getattr(net, method)(X, LABELS, sample_weight=weight)
    assert_unchanged(before, net)


GOOD_WEIGHTS = {
    "list": WEIGHTS.tolist(),
    "Series": pd.Series(WEIGHTS, index=RNG.permutation(40)),
    "objects": WEIGHTS.astype(object),
    "tensor": torch.tensor(WEIGHTS, requires_grad=True),
}


@pytest.mark.usefixtures("deterministic_cuda")
@pytest.mark.parametrize("name", GOOD_WEIGHTS)
def test_weights_come_in_any_container(name, device):
    found = make(device=device).fit(X, LABELS, sample_weight=GOOD_WEIGHTS[name])
    expected = make(device=device).fit(X, LABELS, sample_weight=WEIGHTS)
    np.testing.assert_array_equal(found.predict_proba(X), expected.predict_proba(X))


@pytest.mark.usefixtures("deterministic_cuda")
def test_weights_of_booleans_choose_rows(device):
    chosen = WEIGHTS > 0.5
    found = make(device=device).fit(X, LABELS, sample_weight=chosen)
    expected = make(device=device).fit(X[chosen], LABELS[chosen])
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_weights_are_not_written_to(device):
    weight = WEIGHTS.copy()
    weight.flags.writeable = False
    make(device=device, class_weight="balanced").fit(X, LABELS, sample_weight=weight)
    np.testing.assert_array_equal(weight, WEIGHTS)


class Stream(torch.utils.data.IterableDataset):
    def __iter__(self):
        yield from zip(X, LABELS, strict=True)


class Windows(Dataset):
    """Makes a sample of three rows."""

    def __len__(self):
        return len(self.X) - 2

    def __getitem__(self, i):
        return self.X[i : i + 3].mean(0), self.y[i]


LAST = np.where(np.arange(40) < 39, 1.0, 0.0)
BAD_DATA = {
    "stream": ({}, Stream(), None, TypeError, ["data set with a length", "Stream"]),
    "samples of several rows": (
        {"dataset": Windows},
        X,
        LABELS,
        ValueError,
        ["40 rows", "Windows has 38 samples", "as X"],
    ),
    "y too short": ({}, X, LABELS[:-1], ValueError, ["inconsistent", r"\by\b", "40", "39"]),
    "y too long": ({}, X[:-1], LABELS, ValueError, [r"\(39,\)", r"\(40,\)"]),
}


@pytest.mark.parametrize("weight", [WEIGHTS, LAST], ids=["all", "but the last"])
@pytest.mark.parametrize("name", BAD_DATA)
def test_data_that_weights_do_not_fit_are_refused(name, weight):
    params, data, y, error, fragments = BAD_DATA[name]
    if name == "samples of several rows" and weight is LAST:
        fragments = ["39 rows", "Windows has 37 samples"]
    net = make(**OWN | params)
    assert_refused(net, lambda net: net.fit(data, y, sample_weight=weight), error, *fragments)


# criteria


class WithoutReduction(nn.Module):
    def forward(self, output, y):
        return nn.functional.cross_entropy(output, y)


class Batchmean(WithoutReduction):
    reduction = "batchmean"


class Deaf(nn.CrossEntropyLoss):
    """Does not do what its attribute says."""

    def forward(self, output, y):
        return nn.functional.cross_entropy(output, y)


class Pooled(Deaf):
    def forward(self, output, y):
        return nn.functional.cross_entropy(output, y, reduction="none")[:5]


BAD_CRITERIA = {
    "no reduction": (WithoutReduction, ["attribute reduction", "WithoutReduction", "None"]),
    "another reduction": (Batchmean, ["'mean', 'sum' or 'none'", "Batchmean", "'batchmean'"]),
    "reduces in spite": (Deaf, ["one loss a sample", r"\(32, ...\)", r"\(\)", "reduction='none'"]),
    "too few losses": (Pooled, ["one loss a sample", r"\(5,\)"]),
}
BY_SAMPLE = {"fit_params": {"sample_weight": WEIGHTS}, "params": {}}
BY_CLASS = {"fit_params": {}, "params": {"class_weight": "balanced"}}


@pytest.mark.parametrize("by", [BY_SAMPLE, BY_CLASS], ids=["sample_weight", "class_weight"])
@pytest.mark.parametrize("consistency_weight", [0.0, 1.0])
@pytest.mark.parametrize("name", BAD_CRITERIA)
def test_weights_need_a_criterion_of_losses_of_samples(name, consistency_weight, by):
    criterion, fragments = BAD_CRITERIA[name]
    net = make(
        criterion=criterion,
        consistency_weight=consistency_weight,
        consistency="categorical_kl",
        **by["params"],
    )
    assert_refused(net, lambda n: n.fit(X, LABELS, **by["fit_params"]), ValueError, *fragments)
    if name != "too few losses":
        make(criterion=criterion, consistency_weight=0).fit(X, LABELS)  # the weights are at fault


def test_a_criterion_is_reduced_again_as_before_after_an_error(device):
    criterion = Deaf(reduction="sum")
    net = make(device=device, criterion=criterion)
    with pytest.raises(ValueError, match="one loss a sample"):
        net.fit(X, LABELS, sample_weight=WEIGHTS)
    assert criterion.reduction == "sum"


OWN_WEIGHT = {
    "parameter": {"criterion": nn.CrossEntropyLoss, "criterion__weight": torch.ones(2)},
    "instance": {"criterion": nn.CrossEntropyLoss(weight=torch.ones(2))},
    "probabilities": OWN
    | {"criterion": nn.NLLLoss, "criterion__weight": torch.tensor([1.0, 2.0])},
    "one logit": {"criterion": nn.BCEWithLogitsLoss, "criterion__weight": torch.ones(1)},
}


@pytest.mark.parametrize("by", [BY_SAMPLE, BY_CLASS], ids=["sample_weight", "class_weight"])
@pytest.mark.parametrize("name", OWN_WEIGHT)
def test_weights_and_weights_of_the_criterion_exclude_each_other(name, by):
    net = make(**OWN_WEIGHT[name], **by["params"])
    parameter = "class_weight" if by is BY_CLASS else "sample_weight"
    assert_refused(
        net,
        lambda n: n.fit(X, LABELS, **by["fit_params"]),
        ValueError,
        f"{parameter} cannot be combined with criterion__weight",
        "use class_weight and sample_weight alone",
    )


def test_weights_of_positives_are_no_weights_of_samples(device):
    positive = {"criterion": nn.BCEWithLogitsLoss, "criterion__pos_weight": torch.ones(3)}
    found = make(device=device, **positive).fit(X, INDICATOR, sample_weight=WEIGHTS)
    expected = make(device=device).fit(X, INDICATOR, sample_weight=WEIGHTS)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)


# class weights

CLASS_WEIGHT = r"class_weight must be None, 'balanced', or a dict of finite weights >= 0 by label"
BAD_CLASS_WEIGHTS = {
    "unknown label": (
        {0: 1, 5: 2},
        ValueError,
        [CLASS_WEIGHT, r"unknown labels \[5\]", r"\[0 1\]"],
    ),
    "label of another type": ({"0": 1}, ValueError, [CLASS_WEIGHT, r"unknown labels \['0'\]"]),
    "unknown word": ("unknown", ValueError, [CLASS_WEIGHT, "'unknown'"]),
    "negative": ({0: -1}, ValueError, [CLASS_WEIGHT, "-1"]),
    "nan": ({0: np.nan}, ValueError, [CLASS_WEIGHT, "nan"]),
    "inf": ({1: np.inf}, ValueError, [CLASS_WEIGHT, "inf"]),
    "word for a weight": ({0: "heavy"}, TypeError, [CLASS_WEIGHT, "heavy"]),
    "list for a weight": ({0: [1, 2]}, (TypeError, ValueError), [CLASS_WEIGHT]),
    "list": ([1, 2], TypeError, [CLASS_WEIGHT, "list"]),
    "number": (2.0, TypeError, [CLASS_WEIGHT, "float"]),
    "all zero": ({0: 0, 1: 0}, ValueError, ["class_weight must leave a class to fit"]),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("params", [{}, OWN], ids=["named", "own"])
@pytest.mark.parametrize("name", BAD_CLASS_WEIGHTS)
def test_bad_class_weights_are_refused(name, params, method):
    class_weight, error, fragments = BAD_CLASS_WEIGHTS[name]
    net = make(class_weight=class_weight, **params)
    assert_refused(net, lambda n: getattr(n, method)(X, LABELS), error, *fragments)


ONE_LABEL = r"class_weight must be None unless y holds one label a row"
UNWEIGHABLE = {
    "indicator": ({}, X, INDICATOR, [ONE_LABEL, "criterion__pos_weight"]),
    "soft labels": ({"criterion": nn.CrossEntropyLoss}, X, SOFT, [ONE_LABEL, "sample_weight"]),
    "indicator, own": (
        OWN | {"criterion": nn.BCEWithLogitsLoss, "module__out_features": 3},
        X,
        INDICATOR,
        [ONE_LABEL],
    ),
    "labels of positions, own": (OWN, X, INDICATOR, [ONE_LABEL]),
    "labels in a data set": (OWN, Dataset(X, LABELS), None, [r"fit\(dataset, y\)"]),
}


@pytest.mark.parametrize("class_weight", ["balanced", {0: 2.0}], ids=str)
@pytest.mark.parametrize("name", UNWEIGHABLE)
def test_targets_without_one_label_a_row_have_no_class_weights(name, class_weight):
    params, data, y, fragments = UNWEIGHABLE[name]
    net = make(**params, class_weight=class_weight)
    assert_refused(net, lambda n: n.fit(data, y), ValueError, *fragments)


def test_labels_beside_a_data_set_have_class_weights(device):
    fit = functools.partial(make, device=device, class_weight="balanced", **OWN)
    found = fit().fit(Dataset(X, LABELS), LABELS)
    expected = fit().fit(X, LABELS)
    np.testing.assert_allclose(found.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_balanced_needs_all_the_data(device):
    net = make(device=device, class_weight="balanced")
    partial_fit = functools.partial(SaliencyGuidedClassifier.partial_fit, X=X, y=LABELS)
    fragments = ["class_weight='balanced'", "partial_fit", "compute_class_weight"]
    assert_refused(net, partial_fit, ValueError, *fragments)
    net.fit(X, LABELS)
    before = photograph(net)
    with pytest.raises(ValueError, match="partial_fit"):
        partial_fit(net)
    assert_unchanged(before, net)


# targets

INDICATES = "y must be 0 and 1 where it is an indicator matrix"
PROBABILITIES = "y must hold probabilities of the classes"
SOFTLY = {"criterion": nn.CrossEntropyLoss}
BAD_TARGETS = {
    "one and two": ({}, INDICATOR + 1, [INDICATES, r"\[1, 2\]"]),
    "minus one": ({}, 2 * INDICATOR - 1, [INDICATES, r"\[-1, 1\]"]),
    "probabilities unasked": ({}, SOFT, ["one class label", "indicator matrix", "continuous"]),
    "several labels of several": ({}, INDICATOR + LABELS[:, None], ["multioutput", r"\(40, 3\)"]),
    "negative probabilities": (SOFTLY, SOFT * 3 - 1, [PROBABILITIES, "CrossEntropyLoss", "-"]),
    "sums of three": (SOFTLY, SOFT * 3, [PROBABILITIES, "sum 1", "a row with sum 3.0"]),
    "several labels": (SOFTLY, INDICATOR, [PROBABILITIES, "a row with sum", "criterion='auto'"]),
    "unknown criterion": (
        {"criterion": nn.MultiLabelSoftMarginLoss},
        INDICATOR,
        [PROBABILITIES, "MultiLabelSoftMarginLoss", "BCEWithLogitsLoss"],
    ),
    "three classes for one logit": (
        {"criterion": nn.BCEWithLogitsLoss},
        LABELS + (X[:, 1] > 0),
        ["two classes", "got 3 classes", "criterion='auto'"],
    ),
    "one class for one logit": (
        {"criterion": nn.BCEWithLogitsLoss},
        np.ones(40),
        ["at least 2 classes", "one class"],
    ),
    "probabilities to a criterion": ({"criterion": nn.BCELoss}, INDICATOR, ["BCELoss", "logits"]),
    "nan": ({}, np.where(INDICATOR, np.nan, 1.0), ["y", "NaN"]),
}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", BAD_TARGETS)
def test_bad_targets_are_refused(name, method):
    params, y, fragments = BAD_TARGETS[name]
    net = make(**params)
    assert_refused(net, lambda n: getattr(n, method)(X, y), ValueError, *fragments)


@pytest.mark.parametrize("values", [0, 1])
def test_a_single_column_of_one_value_is_one_class(values):
    net = make()
    before = dict(vars(net))
    with (
        pytest.raises(ValueError, match="at least 2 classes, got one class"),
        pytest.warns(UserWarning, match="column-vector"),
    ):
        net.fit(X, np.full((40, 1), values))
    assert vars(net) == before


# names of inputs


class OfTwo(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)

    def forward(self, a, b, n=None):
        return super().forward(a + b)


PAIR = {"a": X, "b": X, "n": LABELS}
KEYS = re.escape("['a', 'b', 'n']")
BAD_NAMES = {
    "missing": ("auto", PAIR, ValueError, [KEYS, "'X'"]),
    "wrong": ("c", PAIR, ValueError, [KEYS, "'c'"]),
    "one wrong": (["a", "c"], PAIR, ValueError, [KEYS, r"\['a', 'c'\]"]),
    "position": (0, PAIR, ValueError, [KEYS, "got 0"]),
    "twice": (["a", "a"], PAIR, ValueError, ["each once", KEYS]),
    "integers": ("n", PAIR, TypeError, ["floating-point", "int64", "consistency_weight=0"]),
    "integers among others": (["a", "n"], PAIR, TypeError, ["'n'", "int64", "leave it out"]),
    "none": (None, PAIR, TypeError, ["'auto'", "None"]),
    "empty": ([], PAIR, TypeError, ["'auto'", r"\[\]"]),
    "number": (0.5, PAIR, TypeError, ["'auto'", r"0\.5"]),
    "tuple": (("a", "b"), PAIR, TypeError, ["list", r"\('a', 'b'\)"]),
    "key of a tuple": ("a", (X, X), ValueError, [r"positions among \[0, 1\]", "'a'"]),
    "position too high": (2, (X, X), ValueError, [r"positions among \[0, 1\]", "got 2"]),
    "position from the end": (-1, (X, X), ValueError, [r"positions among \[0, 1\]", "got -1"]),
    "of one array": ("X", X, ValueError, ["'auto'", "one array", "'X'"]),
    "no column": (
        "auto",
        pd.DataFrame({"a": X[:, 0], "b": X[:, 1]}),
        ValueError,
        [r"\['a', 'b'\]", "DataFrame"],
    ),
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_of_inputs_are_refused(name):
    guided_input, data, error, fragments = BAD_NAMES[name]
    net = make(module=OfTwo, guided_input=guided_input)
    fragments = ["guided_input", *fragments] if name != "integers" else fragments
    assert_refused(net, lambda n: n.fit(data, LABELS), error, *fragments)


def test_a_refused_name_leaves_a_fitted_net_as_it_was(device):
    net = make(device=device, module=OfTwo, guided_input="a").fit(PAIR, LABELS)
    probabilities, attributions = net.predict_proba(PAIR), net.attribute(PAIR)
    net.set_params(guided_input="c")
    for method in (net.fit, net.partial_fit):
        with pytest.raises(ValueError, match="guided_input"):
            method(PAIR, LABELS)
    with pytest.raises(ValueError, match="guided_input"):
        net.attribute(PAIR)
    net.set_params(guided_input="a")
    np.testing.assert_array_equal(net.predict_proba(PAIR), probabilities)
    np.testing.assert_array_equal(net.attribute(PAIR), attributions)
    assert len(net.history) == 2


def test_nets_given_by_name_take_one_array():
    net = make(guided_input="X")
    assert_refused(net, lambda n: n.fit(X, LABELS), ValueError, "guided_input", "one array")
