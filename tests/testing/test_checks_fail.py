"""Each check finds what it is for."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNet, NeuralNetClassifier

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.testing import check_guided_estimator, guided_checks
from tests.testing import broken_contract, broken_sequences  # noqa: F401  (register faults)
from tests.testing.broken_training import AbsoluteGradient, PredictsUnknown
from tests.testing.faults import FAULTS, NET_FAULTS

SOUND = (SaliencyGuidedClassifier, SaliencyGuidedRegressor)
PASSED = set()  # checks that a sound estimator has passed with some options


def split(options):
    """Options of the checks and of the estimator."""
    kind = {name: value for name, value in options.items() if name == "kind"}
    return kind, {name: value for name, value in options.items() if name != "kind"}


@pytest.mark.parametrize(
    ("check", "cls", "message", "options"),
    FAULTS,
    ids=[f"{check}-{cls.__name__}" for check, cls, _, _ in FAULTS],
)
def test_each_fault_is_found(check, cls, message, options):
    kind, params = split(options)
    named = {c.__name__: c for c in guided_checks(cls(device="cpu", **params), **kind)}
    with pytest.raises((AssertionError, RuntimeError), match=message) as caught:
        named[check]()
    said = [str(caught.value), *getattr(caught.value, "__notes__", ())]
    assert any(f"{check} of {cls.__name__}" in text for text in said)
    # and the fault is what made the difference
    (sound,) = (base for base in SOUND if issubclass(cls, base))
    passed = check, sound.__name__, repr(options)
    if passed not in PASSED:
        params = {name: type(value)(value) for name, value in params.items()}
        named = {c.__name__: c for c in guided_checks(sound(device="cpu", **params), **kind)}
        named[check]()
        PASSED.add(passed)


def net_checks(module):
    embedding = "embedding" if module.kind == "tokens" else "auto"
    estimator = SaliencyGuidedClassifier(module, embedding=embedding, device="cpu")
    return {c.__name__: c for c in guided_checks(estimator, kind=module.kind)}


@pytest.mark.parametrize(
    ("check", "module", "message"),
    NET_FAULTS,
    ids=[f"{check}-{module.__name__}" for check, module, _ in NET_FAULTS],
)
def test_each_fault_of_a_network_is_found(check, module, message):
    with pytest.raises(AssertionError, match=message) as caught:
        net_checks(module)[check]()
    assert f"{check} of SaliencyGuidedClassifier" in str(caught.value)
    (sound,) = module.__bases__
    if (check, sound) not in PASSED:
        net_checks(sound)[check]()
        PASSED.add((check, sound))


def test_every_check_has_a_fault():
    names = {
        check.__name__
        for cls in SOUND
        for kind in ("tabular", "ragged")
        for check in guided_checks(cls(), kind=kind)
    }
    assert names == {check for check, *_ in FAULTS}
    assert len(names) == 22


# what is not an estimator to check


class GuidedNet(SaliencyGuidedMixin, NeuralNet):
    pass


class Unguided(NeuralNetClassifier):
    pass


X = np.ones((20, 3), dtype=np.float32) * np.arange(20)[:, None]
Y = np.arange(20) % 2
SERIES, TOKENS = SaliencyGuidedClassifier("tcn"), SaliencyGuidedClassifier("text_bag")
OWN = SaliencyGuidedClassifier(torch.nn.Linear)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((LogisticRegression(),), TypeError, "estimator must be an instance of a class with"),
        ((Unguided(torch.nn.Linear),), TypeError, "estimator must be an instance of a class with"),
        ((SaliencyGuidedClassifier,), TypeError, "got <class 'sgt_sklearn"),
        ((SaliencyGuidedClassifier(), X), ValueError, "X and y must be given together"),
        ((SaliencyGuidedClassifier(), X[:5], Y[:5]), ValueError, "at least 12 samples"),
        ((SaliencyGuidedClassifier(), X[:, 0], Y), ValueError, "one floating-point array"),
        ((SaliencyGuidedClassifier(), X.astype(int), Y), ValueError, "one floating-point array"),
        ((TOKENS, X, Y), ValueError, r"got shape \(20, 3\) and dtype float64"),
        ((TOKENS, X[:, 0].astype(int), Y), ValueError, r"got shape \(20,\) and dtype int64"),
        ((TOKENS, np.zeros((20, 3), int), Y), ValueError, "1 to 3 steps, .* got 0 to 0"),
        ((SERIES, {"X": X, "lengths": Y}, Y), ValueError, r"got shape \(20, 3\)"),
        ((SERIES, {"X": X[:, None], "length": Y}, Y), ValueError, r"a dict of \['X', 'length'\]"),
        ((SERIES, {"X": X[:, None], "lengths": Y}, Y), ValueError, "1 to 1 steps, .* got 0 to 1"),
        ((SERIES, {"X": X[:, None], "lengths": Y / 2}, Y), ValueError, r"got shape \(20, 1, 3\)"),
        ((OWN, [X[i:] for i in range(12)], Y[:12]), ValueError, "must be a dict of arrays for"),
        (
            (TOKENS,),
            ValueError,
            "kind must be 'tokens' .* got 'tabular' for",
        ),
        ((SaliencyGuidedClassifier(), X[:, :1], Y), ValueError, "at least 2 groups of features"),
        (
            (SaliencyGuidedClassifier(feature_groups=[0, 0, 0]), X, Y),
            ValueError,
            "at least 2 groups of features",
        ),
        (
            (GuidedNet(torch.nn.Linear, torch.nn.L1Loss),),
            ValueError,
            "X and y must be given for GuidedNet",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(arguments, error, message):
    for function in (guided_checks, check_guided_estimator):
        with pytest.raises(error, match=message):
            function(*arguments)


def test_unknown_kind():
    kinds = "'image', 'ragged', 'series', 'tabular', 'tokens'"
    with pytest.raises(ValueError, match=f"kind must be one of .{kinds}., got 'text'"):
        guided_checks(SaliencyGuidedClassifier(), kind="text")
    with pytest.raises(ValueError, match="kind must be 'tokens' for modules of tokens"):
        guided_checks(SaliencyGuidedClassifier(), kind="tokens")


def test_the_first_check_that_fails_ends_the_run():
    with pytest.raises(AssertionError, match="check_gradient of AbsoluteGradient"):
        check_guided_estimator(AbsoluteGradient(device="cpu"))
    with pytest.raises(AssertionError, match="check_predictions of PredictsUnknown"):
        check_guided_estimator(PredictsUnknown(device="cpu"))


def test_errors_of_the_estimator_itself_are_passed_on_with_a_note():
    net = SaliencyGuidedClassifier(module=torch.nn.Linear, module__in_features=9)
    with pytest.raises(TypeError) as caught:
        check_guided_estimator(net)
    assert caught.value.__notes__ == [
        "raised in check_fit_returns_self of SaliencyGuidedClassifier"
    ]


def test_estimator_and_data_stay_as_they_are():
    estimator = SaliencyGuidedClassifier(device="cpu", max_epochs=7)
    before = dict(vars(estimator))
    data = [X.copy(), Y.copy()]
    check_guided_estimator(estimator, X, Y)
    assert vars(estimator) == before
    np.testing.assert_equal([X, Y], data)


def test_names_and_documentation_are_those_of_the_checks():
    checks = guided_checks(SaliencyGuidedRegressor())
    assert len({check.__name__ for check in checks}) == len(checks)
    assert all(check.__doc__.strip() for check in checks)
    assert repr(checks[0]) == "<check_parameters of SaliencyGuidedRegressor>"
