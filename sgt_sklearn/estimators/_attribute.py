"""Gradient explanations of a fitted net."""

from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import get_len
from skorch.utils import to_numpy, to_tensor

from sgt_sklearn import attribution
from sgt_sklearn._random import seed_from
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.attribution import SALIENCY_OUTPUTS, first_output, logits_from, output_scalar
from sgt_sklearn.estimators._inputs import as_columns, map_arrays, split_input, writable
from sgt_sklearn.estimators._parameters import infer_likelihood

METHODS = (
    "saliency",
    "input_x_gradient",
    "integrated_gradients",
    "path_gradient",
    "smooth_grad",
)
# gradients, in output units per input unit; the others are in output units already
_GRADIENTS = ("saliency", "path_gradient", "smooth_grad")
_CELLS_PER_BATCH = 2**20


class AttributionMixin:
    """Adds ``attribute`` to a skorch net."""

    def attribute(
        self,
        X,
        *,
        method="saliency",
        target="predicted",
        output="logit",
        baseline=None,
        batch_size=None,
        n_steps=50,
        n_samples=25,
        noise_level=0.1,
        standardized=False,
        random_state=None,
    ):
        """Explain the net's output by its gradient with respect to the input.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Inputs, as for `predict`. Of a dict, tuple or DataFrame, what `guided_input` names is
            explained.
        method : {"saliency", "input_x_gradient", "integrated_gradients", "path_gradient", \
"smooth_grad"}, default="saliency"
            See :mod:`sgt_sklearn.attribution`. Values are signed.
        target : "predicted", "all", label or array-like of shape (n_samples,), default="predicted"
            Classification: the label(s) whose output is explained. Regression: the index of the
            output; "predicted" is the only output, or the sum of the standardised outputs.
        output : {"logit", "log_proba", "margin"}, default="logit"
            Classification: what is explained of the target; "margin" is its logit minus the mean
            logit.
        baseline : array-like that broadcasts to X, default=None
            Start of the path of "integrated_gradients" and "path_gradient"; None is the training
            mean of each feature (of each channel of images), 0 where it is unknown.
        batch_size : int, default=None
            Rows a pass; None fits it to the size of a row. Memory is that of one batch.
        n_steps : int, default=50
            Points on the path.
        n_samples : int, default=25
            Noisy copies for "smooth_grad".
        noise_level : float, default=0.1
            Noise of "smooth_grad" in standard deviations of each feature.
        standardized : bool, default=False
            Multiply gradients (saliency, path_gradient, smooth_grad) by the standard deviation of
            each feature in training, so that features in different units compare.
        random_state : int, RandomState instance or None, default=None
            Seed of the noise of "smooth_grad", which is drawn batch by batch.

        Returns
        -------
        ndarray of the shape of X, or (n_samples, n_outputs, ...) for ``target="all"``
            Attributions in units of y (classification: of the logit) per unit of X;
            input_x_gradient and integrated_gradients in units of y.

        Raises
        ------
        NotFittedError
            If the net is not fitted.
        ValueError
            If a name or label is unknown, or shapes do not fit.
        TypeError
            If X is not one floating-point array, or the module has no gradient path to it.

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from sgt_sklearn import SaliencyGuidedClassifier
        >>> X, y = load_iris(return_X_y=True)
        >>> net = SaliencyGuidedClassifier(max_epochs=2, random_state=0).fit(X, y)
        >>> net.attribute(X[:5], method="integrated_gradients").shape
        (5, 4)
        """
        self.check_is_fitted()
        if method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
        if output not in SALIENCY_OUTPUTS:
            raise ValueError(f"output must be one of {SALIENCY_OUTPUTS}, got {output!r}.")
        _check_counts(n_steps=n_steps, n_samples=n_samples, batch_size=batch_size)
        inputs = self._attribution_input(X)
        x, _ = split_input(inputs, self.guided_input)
        _check_explainable(x)
        statistics = self._statistics_ or FeatureStatistics.from_array(to_numpy(x))
        explain = _Explainer(self, method, output, n_steps, n_samples)
        explain.noise_scale = explain.tensor(noise_level * statistics.scale)
        if random_state is not None:
            explain.seed(seed_from(random_state))
        baseline = self._path_baseline(baseline, x)
        target = _check_target(target, len(x))
        rows = batch_size or max(1, min(1024, _CELLS_PER_BATCH // max(1, x[0].numel())))
        values = []
        with self._unguided():
            for start in range(0, len(x), rows):
                part = slice(start, start + rows)
                values.append(
                    explain(
                        map_arrays(lambda data, part=part: data[part], inputs),
                        target[part] if isinstance(target, np.ndarray) else target,
                        baseline[part] if len(baseline) == len(x) else baseline,
                    )
                )
        values = np.concatenate(values)
        if standardized and method in _GRADIENTS:
            values = values * np.asarray(statistics.scale, dtype=values.dtype)
        return values

    @contextmanager
    def _unguided(self):
        """Inside, the net's passes are none of a training step that may be under way."""
        guidance = self._guidance_
        if guidance is None:
            yield
            return
        self._guidance_ = None
        try:
            yield
        finally:
            self._guidance_ = guidance

    def _attribution_input(self, X):
        """Tensors, floating-point ones in the dtype of the module."""
        X = as_columns(X)
        if not isinstance(X, (np.ndarray, torch.Tensor, dict, tuple)):
            raise TypeError(
                "X must be one array or tensor to be explained, or a dict or tuple of them, got "
                f"{type(X).__name__}."
            )
        if get_len(X) == 0:
            raise ValueError("X must have at least one row, got 0 rows.")
        return self._cast(map_arrays(lambda data: torch.as_tensor(writable(data)), X))

    def _path_baseline(self, baseline, x):
        if baseline is None:
            mean = 0.0 if self._statistics_ is None else self._statistics_.mean
            return torch.as_tensor(np.asarray(mean), dtype=x.dtype).expand(1, *x.shape[1:])
        baseline = torch.as_tensor(np.asarray(baseline), dtype=x.dtype)
        shapes = (tuple(x.shape), tuple(x.shape[1:]))
        try:
            fits = torch.broadcast_shapes(baseline.shape, x.shape) == x.shape
        except RuntimeError:
            fits = False
        if not fits:
            raise ValueError(
                f"baseline must broadcast to X, with shape {shapes[0]} or {shapes[1]}, got "
                f"{tuple(baseline.shape)}."
            )
        return baseline.expand(x.shape) if baseline.ndim == x.ndim else baseline.expand_as(x[:1])

    def _label_index(self, label):
        """Index of the output that a label names."""
        if isinstance(label, (bool, np.bool_)) or not isinstance(label, (int, np.integer)):
            raise ValueError(
                "target must be 'predicted', 'all' or the indices of outputs (this net has no "
                f"labels of its own), got {label!r}."
            )
        return int(label)

    def _output_scale(self):
        """Units of y of each output, or None where outputs have none."""
        return None


class _Explainer:
    """Explains batches with one method."""

    def __init__(self, net, method, output, n_steps, n_samples):
        self.net = net
        self.method = method
        self.kind = output
        self.n_steps = n_steps
        self.n_samples = n_samples
        self.generator = None
        self.modules = [getattr(net, name + "_") for name in net._modules]
        # a net may leave its device to its module, as it does with accelerate
        devices = (p.device for module in self.modules for p in module.parameters())
        self.device = net.device or next(devices, "cpu")
        self.likelihood, self.probabilities = infer_likelihood(
            getattr(net, "criterion_", None),
            nll_of_probabilities=isinstance(net, NeuralNetClassifier),
        )
        if self.likelihood is None:
            classifier = isinstance(net, NeuralNetClassifier)
            self.likelihood = "categorical" if classifier else "gaussian"

    def tensor(self, array):
        return torch.as_tensor(
            np.asarray(array), dtype=self.net._module_dtype_ or torch.get_default_dtype()
        ).to(self.device)

    def seed(self, seed):
        self.generator = torch.Generator(device=self.device).manual_seed(seed)

    def __call__(self, inputs, target, baseline):
        x, self.rebuild = split_input(to_tensor(inputs, self.device), self.net.guided_input)
        baseline = to_tensor(baseline, self.device)
        with attribution.evaluation_mode(self.modules):
            with torch.no_grad():
                logits = self.logits(x)
            if not isinstance(target, str) or target == "predicted":
                return self.explain(x, self.scalar(logits, target), baseline)
            columns = range(self.n_outputs(logits))
            return np.stack(
                [self.explain(x, self.column(logits, j), baseline) for j in columns], axis=1
            )

    def logits(self, x):
        return logits_from(
            first_output(self.net.infer(self.rebuild(x))),
            likelihood=self.likelihood,
            probabilities=self.probabilities,
        )

    def explain(self, x, scalar, baseline):
        reduce, scale = scalar

        def function(data):
            return reduce(self.logits(data))

        method = getattr(attribution, self.method)
        options = {}
        if self.method in ("integrated_gradients", "path_gradient"):
            options = {"baseline": baseline, "n_steps": self.n_steps}
        elif self.method == "smooth_grad":
            options = {
                "noise_scale": self.noise_scale,
                "n_samples": self.n_samples,
                "generator": self.generator,
            }
        values = to_numpy(method(function, x, **options))
        if scale is None:
            return values
        scale = np.asarray(scale, dtype=values.dtype)
        return values * np.broadcast_to(scale, len(x)).reshape(-1, *(1,) * (x.ndim - 1))

    # scalars: (function of the logits, factor of the units of y)

    def n_outputs(self, logits):
        if self.likelihood == "bernoulli" and logits[0].numel() == 1:
            return 2
        return logits.shape[1] if logits.ndim > 1 else 1

    def scalar(self, logits, target):
        if isinstance(target, str):
            return self.predicted(logits)
        index = np.array([self.net._label_index(t) for t in np.atleast_1d(target)])
        n_outputs = self.n_outputs(logits)
        if (index < 0).any() or (index >= n_outputs).any():
            raise ValueError(
                f"target must name one of the {n_outputs} outputs, got index {index.max()}."
            )
        return self.column(logits, index)

    def predicted(self, logits):
        if self.likelihood == "categorical":
            return self.observed(logits.argmax(1)), None
        if self.likelihood == "bernoulli":
            return self.observed((logits > 0).to(logits.dtype)), None
        scale = self.net._output_scale()
        if scale is not None:
            scale = scale[0] if len(scale) == 1 else None
        return self.observed(None), scale

    def column(self, logits, index):
        rows = torch.as_tensor(np.broadcast_to(index, len(logits)).copy()).to(logits.device)
        if self.likelihood == "categorical":
            return self.observed(rows), None
        if self.likelihood == "bernoulli":
            if logits[0].numel() == 1:
                return self.observed(rows.to(logits.dtype)), None
            return (lambda z: _log_odds(z.gather(1, rows[:, None])[:, 0], self.kind)), None
        scale = self.net._output_scale()
        if scale is not None:
            scale = scale[index]
        return (lambda z: z.reshape(len(z), -1).gather(1, rows[:, None])[:, 0]), scale

    def observed(self, y):
        return lambda z: output_scalar(z, y, kind=self.kind, likelihood=self.likelihood)


def _check_explainable(x):
    if not x.is_floating_point():
        raise TypeError(
            f"X must be floating point to have a gradient, got {x.dtype}: convert it "
            "(X.astype('float32'))."
        )


def _log_odds(logits, kind):
    return torch.nn.functional.logsigmoid(logits) if kind == "log_proba" else logits


def _check_counts(**counts):
    for name, value in counts.items():
        if name == "batch_size" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an int of at least 1, got {value!r}.")
        if value < 1:
            raise ValueError(f"{name} must be an int of at least 1, got {value!r}.")


def _check_target(target, n_samples):
    if isinstance(target, str) and target in ("predicted", "all"):
        return target
    target = np.asarray(target)
    if target.ndim == 0:
        return np.repeat(target, n_samples)
    if target.shape != (n_samples,):
        raise ValueError(
            "target must be 'predicted', 'all', a label, or one label a row, shape "
            f"({n_samples},), got shape {target.shape}."
        )
    return target
