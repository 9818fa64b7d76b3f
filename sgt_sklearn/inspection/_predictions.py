"""Explanations of any estimator by its predictions."""

import numpy as np
import torch
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from sgt_sklearn._series import is_ragged
from sgt_sklearn.estimators._attribute import Attributed
from sgt_sklearn.inspection._baselines import baseline_for_array
from sgt_sklearn.inspection._methods import ALL_OUTPUTS

# rows of a call of predict: those of trees cost little, and a call does
_ROWS = 4096
_UNEQUAL = (
    "X must be series of one length to explain predictions, got series of unequal length. "
    "Of an ensemble of nets use output='logit', which explains the nets, as they know padding."
)


class Predictions:
    """Scores of an estimator, one column a target.

    Parameters
    ----------
    estimator : fitted estimator
        What predicts.
    X : array-like of shape (n_samples, ...)
        Samples, whose container predictions get.
    output : str
        "auto", or what is explained of a class.

    Attributes
    ----------
    output : str
        What is explained: one of `ALL_OUTPUTS`, or "prediction".
    classes : ndarray or None
        Labels of the columns.
    """

    def __init__(self, estimator, X, output):
        self.estimator = estimator
        self.columns = getattr(X, "columns", None)
        self.container = type(X)
        self.index = getattr(X, "index", None)
        self.dtype = _float_type(X)
        self.classes = getattr(estimator, "classes_", None)
        if output not in ("auto", *ALL_OUTPUTS):
            raise ValueError(f"output must be 'auto' or one of {ALL_OUTPUTS}, got {output!r}.")
        if self.classes is None and not is_classifier(estimator):
            self.output, self.function = "prediction", self._predict
        else:
            self.output, self.function = self._of_classifier(output)

    def _of_classifier(self, output):
        probabilities = hasattr(self.estimator, "predict_proba")
        scores = hasattr(self.estimator, "decision_function")
        name = type(self.estimator).__name__
        if output == "auto":
            if not probabilities and not scores:
                raise TypeError(
                    "estimator must have a method `predict_proba` or `decision_function` to be "
                    f"explained, got {name}. Of an ensemble of nets output='logit' explains the "
                    "mean over the nets."
                )
            output = "probability" if probabilities else "logit"
        if output in ("probability", "log_proba"):
            if not probabilities:
                raise ValueError(
                    f"output must be 'logit' or 'margin' for {name}, which has no predict_proba, "
                    f"got {output!r}."
                )
            return output, self._log_proba if output == "log_proba" else self._proba
        if not scores:
            raise ValueError(
                f"output must be 'probability' or 'log_proba' for {name}, which has no "
                f"decision_function, got {output!r}."
            )
        return output, self._margin if output == "margin" else self._scores

    def __call__(self, array):
        """Scores of rows of an array, shape (n, n_columns)."""
        parts = [array[i : i + _ROWS] for i in range(0, len(array), _ROWS)]
        return np.concatenate([self.function(self._contained(part)) for part in parts])

    def predicted(self, array):
        """Labels of rows of an array."""
        parts = [array[i : i + _ROWS] for i in range(0, len(array), _ROWS)]
        return np.concatenate([self.estimator.predict(self._contained(part)) for part in parts])

    def _contained(self, array):
        array = array.astype(self.dtype, copy=False)
        if self.columns is None:
            return array
        keyword = "columns" if hasattr(self.container, "iloc") else "schema"
        return self.container(array, **{keyword: list(self.columns)})

    def _predict(self, X):
        values = np.asarray(self.estimator.predict(X), dtype=np.float64)
        return values.reshape(len(values), -1)

    def _proba(self, X):
        probabilities = self.estimator.predict_proba(X)
        if isinstance(probabilities, list):
            raise TypeError(
                "estimator must predict one label a row to be explained, got "
                f"{type(self.estimator).__name__} with {len(probabilities)} outputs: explain one "
                "estimator an output."
            )
        return np.asarray(probabilities, dtype=np.float64)

    def _log_proba(self, X):
        return np.log(np.clip(self._proba(X), np.finfo(np.float64).tiny, None))

    def _scores(self, X):
        scores = np.asarray(self.estimator.decision_function(X), dtype=np.float64)
        return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores

    def _margin(self, X):
        scores = self._scores(X)
        return scores - scores.mean(axis=1, keepdims=True)


def explain_predictions(estimator, X, request):
    """Explain any estimator by a method that needs predictions only.

    Parameters
    ----------
    estimator : fitted estimator
        The estimator, of any kind.
    X : array-like of shape (n_samples, ...)
        Samples.
    request : Request
        What is asked.

    Returns
    -------
    Attributed
        The attributions.

    Raises
    ------
    TypeError
        If X is not numeric, or the estimator cannot predict what is explained.
    ValueError
        If the target is unknown.
    """
    from sgt_sklearn.inspection._perturbed import perturbed
    from sgt_sklearn.inspection._token_predictions import hidden_tokens, token_lengths

    scores = Predictions(estimator, X, request.output)
    lengths = token_lengths(estimator, X)
    if lengths is None:
        x, inside = _numbers(estimator, X), None
        baseline = baseline_for_array(
            request.baseline, request.method, request.options, request.seed, x
        )
        baseline = _broadcast(baseline, x)
    else:
        x = np.asarray(X)
        scores.dtype = x.dtype
        inside = torch.as_tensor(np.arange(x.shape[1]) < lengths[:, None])
        baseline = hidden_tokens(request, x, lengths)
    at_input = _at(scores, x)
    n_columns = at_input.shape[1]
    every = isinstance(request.target, str) and request.target == "all"
    index = None if every else _index(request.target, scores, x, at_input)
    wanted = [np.full(len(x), j) for j in range(n_columns)] if every else [index]
    samples, start = torch.tensor(x), torch.tensor(np.array(baseline))
    shown, hidden, in_place = samples, start, None
    missing = np.isnan(x).any() or np.isnan(baseline).any()
    if (missing or inside is not None) and request.method != "feature_permutation":
        # captum multiplies what it hides by zero, which NaN survives and ids do not stand for:
        # perturb what is there
        shown = torch.ones(samples.shape, dtype=torch.float64)
        hidden = torch.zeros_like(shown[:1])
        in_place = start.expand_as(samples)
    values = []
    for columns in wanted:
        places = torch.as_tensor(columns)

        def evaluate(data, rows, places=places):
            if in_place is not None:
                data = torch.where(data > 0.5, samples[rows], in_place[rows])
            found = torch.as_tensor(scores(data.numpy()))
            return found.gather(1, places[rows][:, None])[:, 0]

        with request.generators():
            values.append(
                perturbed(
                    request.method,
                    evaluate,
                    shown,
                    hidden,
                    mask=request.labels,
                    valid=inside,
                    options=request.options,
                    n_rows=request.batch_size or _ROWS,
                ).numpy()
            )
    outputs = at_input if every else _picked(at_input, index)
    baseline_outputs = None
    if "baseline" in request.outputs:
        at_baseline = np.broadcast_to(scores(np.array(baseline)), at_input.shape)
        baseline_outputs = at_baseline if every else _picked(at_baseline, index)
    return Attributed(
        np.stack(values, axis=1) if every else values[0],
        x,
        lengths,
        False,
        index,
        outputs,
        baseline_outputs,
        start,
        tokens=lengths is not None,
        output=scores.output,
        classes=scores.classes,
    )


def _float_type(X):
    """Floating-point type of X, which modules of torch insist on, or float64 for other types."""
    dtype = np.asarray(X).dtype if hasattr(X, "columns") else getattr(X, "dtype", None)
    floating = isinstance(dtype, np.dtype) and dtype.kind == "f"
    return dtype if floating else np.dtype(np.float64)


def _picked(scores, index):
    return np.take_along_axis(scores, index[:, None], axis=1)[:, 0]


def _numbers(estimator, X):
    if issparse(X):
        X = X.toarray()
    try:
        x = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        if is_ragged(X):
            raise TypeError(_UNEQUAL) from error
        raise TypeError(
            f"X must be numeric where the final estimator sees it, got {error}. "
            f"{_encoder_before(estimator)}"
        ) from error
    if x.ndim < 2 or not len(x):
        raise ValueError(f"X must have rows and features, got shape {x.shape}.")
    if x.ndim == 3 and np.isnan(x).any():
        raise ValueError(_UNEQUAL)
    return x


def _encoder_before(estimator):
    """Where to put the encoder of an X that is not numeric."""
    name = type(estimator).__name__
    for parameter in ("regressor", "estimator"):
        if isinstance(getattr(estimator, parameter, None), Pipeline):
            scaled = "; where it only scales and shifts y, output='logit' explains what is inside"
            return (
                f"The steps of the pipeline inside {name} come after it: put them before, as in "
                f"make_pipeline(encoder, {name}({parameter}=..., ...))"
                f"{scaled if parameter == 'regressor' else ''}."
            )
    return (
        "Put an encoder before it, in one pipeline; of an ensemble of pipelines output='logit' "
        "explains the mean over them."
    )


def _at(scores, x):
    try:
        return scores(x)
    except ValueError as error:
        if not np.isnan(x).any():
            raise
        raise ValueError(
            f"X must be finite for {type(scores.estimator).__name__}, got NaN: put an imputer "
            "before it, in one pipeline."
        ) from error


def _broadcast(baseline, x):
    try:
        whole = np.broadcast_to(baseline, x.shape)
    except ValueError:
        raise ValueError(
            f"baseline must broadcast to X, with shape {x.shape} or {x.shape[1:]}, got "
            f"{np.shape(baseline)}."
        ) from None
    return whole if len(baseline) == len(x) and np.ndim(baseline) == x.ndim else whole[:1]


def _index(target, scores, x, at_input):
    n_samples, n_columns = at_input.shape
    if isinstance(target, str) and target == "predicted":
        if scores.classes is None and n_columns > 1:
            raise ValueError(
                f"target must be the index of one of the {n_columns} outputs, or 'all', where an "
                "estimator predicts several, got 'predicted'."
            )
        if scores.classes is None:
            return at_input.argmax(axis=1)
        target = scores.predicted(x)  # which need not be what scores highest
    labels = np.broadcast_to(np.asarray(target), (n_samples,))
    known = np.arange(n_columns) if scores.classes is None else np.asarray(scores.classes)
    found = labels[:, None] == known[None, :]
    if not found.any(axis=1).all():
        raise ValueError(
            f"target must be 'predicted', 'all' or among {known.tolist()}, got "
            f"{labels[~found.any(axis=1)].tolist()[0]!r}."
        )
    return found.argmax(axis=1)
