"""Explanations of batches with one method."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.utils import to_numpy, to_tensor

from sgt_sklearn import attribution
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.attribution import (
    captured_embedding,
    first_output,
    logits_from,
    output_scalar,
    replaced_embedding,
)
from sgt_sklearn.estimators._inputs import lengths_of, split_input
from sgt_sklearn.estimators._parameters import infer_likelihood
from sgt_sklearn.estimators._tokens import token_counts


class Explainer:
    """Explains batches of floating-point input with one method.

    Parameters
    ----------
    net : SaliencyGuidedMixin
        The fitted net.
    method : str
        Name of a function of :mod:`sgt_sklearn.attribution`.
    output : str
        What is explained of the target.
    n_steps, n_samples : int
        Points of a path, noisy copies.
    """

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

    def settle(self, x, noise_level, baseline):
        """Prepare what all batches share: the noise and the baselines of the rows of `x`."""
        _check_explainable(x)
        net = self.net
        self.statistics = net._statistics_ or FeatureStatistics.from_array(to_numpy(x))
        self.noise_scale = self.tensor(noise_level * self.statistics.scale)
        if baseline is None:
            mean = 0.0 if net._statistics_ is None else net._statistics_.mean
            mean = torch.as_tensor(np.asarray(mean), dtype=x.dtype)
            self.baseline = mean.expand(1, *x.shape[1:])
        else:
            self.baseline = _broadcast(torch.as_tensor(np.asarray(baseline), dtype=x.dtype), x)

    def n_cells(self, x):
        """Numbers that one sample takes in a pass."""
        return max(1, x[0].numel())

    def lengths(self, inputs, x):
        """Steps of each sample that are no padding, or None."""
        return lengths_of(inputs, x)

    def standardized(self, values):
        """Gradients times the standard deviation of each feature."""
        return values * np.asarray(self.statistics.scale, dtype=values.dtype)

    def tensor(self, array):
        return torch.as_tensor(
            np.asarray(array), dtype=self.net._module_dtype_ or torch.get_default_dtype()
        ).to(self.device)

    def seed(self, seed):
        self.generator = torch.Generator(device=self.device).manual_seed(seed)

    def __call__(self, inputs, target, rows):
        """Attributions of a batch, the given rows of what was settled."""
        x, self.rebuild = split_input(to_tensor(inputs, self.device), self.net.guided_input)
        baseline = self.baseline if len(self.baseline) == 1 else self.baseline[rows]
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

    # what is differentiated; that of tokens is not the input itself

    def start(self, x):
        return x

    def path_start(self, baseline):
        return baseline

    def logits_at(self, x, data):
        return self.logits(data)

    def per_cell(self, values):
        return values

    def explain(self, x, scalar, baseline):
        reduce, scale = scalar

        def function(data):
            return reduce(self.logits_at(x, data))

        method = getattr(attribution, self.method)
        options = {}
        if self.method in ("integrated_gradients", "path_gradient"):
            options = {"baseline": self.path_start(baseline), "n_steps": self.n_steps}
        elif self.method == "smooth_grad":
            options = {
                "noise_scale": self.noise_scale,
                "n_samples": self.n_samples,
                "generator": self.generator,
            }
        values = to_numpy(self.per_cell(method(function, self.start(x), **options)))
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


class TokenExplainer(Explainer):
    """Explains batches of tokens, at the output of their embedding.

    Parameters
    ----------
    embedding : torch.nn.Module
        Where the tokens become vectors.
    net, method, output, n_steps, n_samples
        As for :class:`Explainer`.
    """

    def __init__(self, embedding, *args):
        super().__init__(*args)
        self.embedding = embedding

    def settle(self, x, noise_level, baseline):
        weight = next(self.embedding.parameters(), None)
        if weight is None:
            raise TypeError(
                f"embedding must have weights, got {type(self.embedding).__name__} without."
            )
        self.n_dimensions = weight.shape[-1]
        self.noise_scale = noise_level * weight.detach().std()
        if baseline is None:
            self.baseline = torch.zeros(1, 1, 1, dtype=weight.dtype)
            return
        baseline = torch.as_tensor(np.asarray(baseline))
        if baseline.is_floating_point():
            raise ValueError(
                f"baseline must hold token ids for an input of tokens, got {baseline.dtype}."
            )
        n_tokens = getattr(self.embedding, "num_embeddings", np.inf)
        if not 0 <= baseline.min() <= baseline.max() < n_tokens:
            raise ValueError(
                f"baseline must hold token ids from 0 to {n_tokens - 1}, got "
                f"{baseline.min()} to {baseline.max()}."
            )
        self.baseline = _broadcast(baseline.to(x.dtype), x)

    def n_cells(self, x):
        return max(1, x[0].numel() * self.n_dimensions)

    def lengths(self, inputs, x):
        lengths = lengths_of(inputs, x)
        return token_counts(x, self.embedding) if lengths is None else lengths

    def standardized(self, values):
        return values  # vectors of an embedding have no units

    def start(self, x):
        with torch.no_grad(), captured_embedding(self.embedding, x) as captured:
            self.net.infer(self.rebuild(x))
        return captured.output.detach()

    def path_start(self, baseline):
        if baseline.is_floating_point():
            return baseline
        with torch.no_grad():
            return self.embedding(baseline)

    def logits_at(self, x, data):
        with replaced_embedding(self.embedding, data):
            return self.logits(x)

    def per_cell(self, values):
        if self.method in ("input_x_gradient", "integrated_gradients"):
            return values.sum(2)
        return values.norm(dim=2)


def _broadcast(baseline, x):
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


def _check_explainable(x):
    if not x.is_floating_point():
        raise TypeError(
            f"X must be floating point to have a gradient, got {x.dtype}: convert it "
            "(X.astype('float32'))."
        )


def _log_odds(logits, kind):
    return torch.nn.functional.logsigmoid(logits) if kind == "log_proba" else logits
