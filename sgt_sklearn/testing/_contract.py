"""Parameters, data, failure, persistence and weights."""

import copy
import io
import pickle

import joblib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from sgt_sklearn.testing._case import (
    expect,
    expect_same_net,
    rows_of,
    same_values,
    weights,
)
from sgt_sklearn.testing._samples import same_array


def check_parameters(case):
    """Parameters survive clone, get_params and set_params."""
    estimator = clone(case.estimator)
    params, given = (net.get_params(deep=False) for net in (estimator, case.estimator))
    guidance = list(case.estimator.get_guidance_params())
    for name in guidance:
        expect(name in params, f"{name} among get_params()", sorted(params))
        alike = _alike(params[name], given[name])
        expect(alike, f"{name}={given[name]!r} in a clone", repr(params[name]))
    for name in guidance:
        value = f"a value of {name}"
        returned = estimator.set_params(**{name: value})
        expect(returned is estimator, "set_params to return self", repr(returned))
        got = estimator.get_params(deep=False)[name]
        expect(got is value, f"{name} as given to set_params", repr(got))
        got = clone(estimator).get_params(deep=False)[name]
        expect(got == value, f"{name} as set, in a clone", repr(got))
        estimator.set_params(**{name: params[name]})
    # skorch takes module instances in the constructor only
    settable = {n: v for n, v in params.items() if not isinstance(v, torch.nn.Module)}
    again = clone(estimator.set_params(**settable)).get_params(deep=False)
    other = [n for n in params if n not in again or not _alike(params[n], again[n])]
    expect(not other, "equal parameters after set_params(**get_params()) and clone", other)


def _alike(one, other):
    """Whether a parameter is the same or, for objects without equality, of the same class."""
    if one is other:
        return True
    if isinstance(one, torch.nn.Module):
        return type(one) is type(other)
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_alike, one, other))
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return np.array_equal(one, other)
    compares = type(one).__eq__ is not object.__eq__
    return type(one) is type(other) and (not compares or bool(np.all(one == other)))


def check_unfitted(case):
    """Before fit, predictions and explanations raise NotFittedError."""
    for method in ("predict", "attribute"):
        error = _raised_by(getattr(case.make(), method), case.X)
        expect(
            isinstance(error, NotFittedError),
            f"NotFittedError of {method} before fit",
            _described(error),
        )


def check_fit_returns_self(case):
    """Fit and partial_fit return the estimator."""
    for method in ("fit", "partial_fit"):
        estimator = case.make(max_epochs=1)
        returned = getattr(estimator, method)(case.X, case.y)
        expect(returned is estimator, f"{method} to return self", f"{returned!r:.80}")


def check_fit_keeps_parameters(case):
    """Fit sets no parameters."""
    estimator = case.make()
    before = estimator.get_params(deep=False)
    values = {name: copy.deepcopy(value) for name, value in before.items() if _is_plain(value)}
    estimator.fit(case.X, case.y)
    after = estimator.get_params(deep=False)
    changed = {n for n in before if n not in after or after[n] is not before[n]}
    changed |= {n for n in values if n in after and not _alike(values[n], after[n])}
    changed = sorted(changed)
    expect(not changed, "the same parameters after fit", f"other values of {changed}")
    added = sorted(set(after) - set(before))
    expect(not added, "no parameters added by fit", added)


def _is_plain(value):
    return isinstance(value, (str, int, float, bool, tuple, list, dict, np.ndarray, type(None)))


def check_data_unchanged(case):
    """Neither fit nor predict nor attribute write to their data."""
    X, y = case.samples.copy(), case.y.copy()
    estimator = case.make()
    for method in ("fit", "partial_fit", "predict", "attribute"):
        arguments = (X, y) if "fit" in method else (X,)
        getattr(estimator, method)(*arguments)
        expect(case.samples.is_unchanged(X), f"X unchanged by {method}", "other values")
        expect(same_array(y, case.y), f"y unchanged by {method}", "other values")


class _Stop(Exception):
    """Ends a fit in its course."""


def check_failed_fit(case):
    """A fit that raises leaves the estimator as it was, fitted or not."""
    reference = case.fit()
    values, n_epochs = weights(reference), len(reference.history)
    predicted = rows_of(reference.predict(case.X))

    unfitted = case.make()
    names = set(vars(unfitted))
    _fail(unfitted, "fit", case)
    added = sorted(set(vars(unfitted)) ^ names)
    expect(not added, "an estimator like before after a first fit failed", f"changed {added}")
    error = _raised_by(unfitted.predict, case.X)
    expect(
        isinstance(error, NotFittedError),
        "NotFittedError of predict after a first fit failed",
        _described(error),
    )

    fitted = case.fit()
    for method in ("fit", "partial_fit"):
        _fail(fitted, method, case)
        expect_same_net(weights(fitted), values, f"after a {method} that failed")
        expect(
            len(fitted.history) == n_epochs,
            f"a history of {n_epochs} epochs after a {method} that failed",
            len(fitted.history),
        )
        expect(
            same_array(rows_of(fitted.predict(case.X)), predicted),
            f"the same predictions after a {method} that failed",
            "others",
        )
    for estimator in (fitted, reference):
        estimator.partial_fit(case.X, case.y)
    expect_same_net(weights(fitted), weights(reference), "going on after a fit that failed")


def _fail(estimator, method, case):
    """Let a fit fail in its second epoch."""
    epochs = []

    def fill(x, generator):
        epochs.append(len(estimator.history))
        if epochs[-1] > epochs[0]:
            raise _Stop
        return case.samples.replaced(x)

    before = estimator.mask_fill
    estimator.set_params(mask_fill=fill)
    error = _raised_by(getattr(estimator, method), case.X, case.y)
    expect(
        isinstance(error, _Stop), f"the error of mask_fill to leave {method}", _described(error)
    )
    estimator.set_params(mask_fill=before)


def check_bad_input(case):
    """Input that is not finite, has another shape or holds no tokens is refused."""
    X, y = case.X, case.y
    bad = {what: (data, y) for what, data in case.samples.bad_to_fit().items()}
    bad["no rows"] = (bad["no rows"][0], y[:0])
    bad |= {"X and y of different lengths": (X, y[:-1]), "no y": (X, None)}
    for what, data in bad.items():
        _expect_value_error(case.make().fit, data, f"fit with {what}")
    estimator = case.fitted()
    for what, data in case.samples.bad_to_predict().items():
        for method in ("predict", "attribute"):
            _expect_value_error(getattr(estimator, method), (data,), f"{method} with {what}")


def _expect_value_error(method, data, what):
    error = _raised_by(method, *data)
    expect(isinstance(error, ValueError), f"ValueError of {what}", _described(error))


def check_pickle(case):
    """Pickle, joblib and deepcopy keep parameters, predictions and explanations."""
    estimator = case.fitted()
    kept = {
        "pickle": pickle.loads(pickle.dumps(estimator)),
        "joblib": _through_joblib(estimator),
        "copy.deepcopy": copy.deepcopy(estimator),
    }
    params = estimator.get_params(deep=False)
    for how, other in kept.items():
        loaded = other.get_params(deep=False)
        changed = [n for n in params if n not in loaded or not _alike(params[n], loaded[n])]
        expect(not changed, f"equal parameters after {how}", f"other values of {changed}")
        expect_same_net(weights(other), weights(estimator), f"after {how}")
        for method in ("predict", "attribute"):
            values = [getattr(net, method)(case.X) for net in (other, estimator)]
            expect(same_values(*values), f"the same values of {method} after {how}", "others")


def _through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def check_sample_weight(case):
    """Equal weights change nothing, and rows of weight 0 do not count."""
    # random masks do not depend on rounding, so that no mask tips over
    estimator = case.fit(mask_order="random")
    if not hasattr(estimator.criterion_, "reduction"):
        return  # such a criterion cannot be weighted, and fit says so
    plain = weights(estimator)
    ones = case.make(mask_order="random")
    ones.fit(case.X, case.y, sample_weight=np.ones(len(case.y)))
    for name, value in weights(ones).items():
        expect(
            np.allclose(value, plain[name], rtol=1e-5, atol=1e-5),
            f"{name} of a fit with weights of 1 as without weights, to 1e-5",
            f"a difference of {np.abs(value - plain[name]).max():.2g}",
        )
    sample_weight = np.ones(len(case.y))
    sample_weight[1::4] = 0
    garbage = case.samples.other_rows(slice(1, None, 4))
    nets = [case.make().fit(X, case.y, sample_weight=sample_weight) for X in (case.X, garbage)]
    expect_same_net(*map(weights, nets), "whatever the rows of weight 0 are")


def _raised_by(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:
        return error
    return None


def _described(error):
    return "no error" if error is None else f"{type(error).__name__}: {error}"
