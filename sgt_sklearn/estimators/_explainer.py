"""Explanations of batches with one method."""

from functools import cached_property

import numpy as np
import torch
from skorch.utils import to_numpy, to_tensor

from sgt_sklearn import attribution
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.attribution import captured_embedding, replaced_embedding
from sgt_sklearn.estimators._explained_outputs import Scalars
from sgt_sklearn.estimators._inputs import lengths_of, map_arrays, split_input
from sgt_sklearn.estimators._tokens import token_counts

# whose values are in output units; the others are gradients, in output units per input unit
CONTRIBUTIONS = ("input_x_gradient", "integrated_gradients")


class Explainer:
    """Explains batches of floating-point input with one method.

    A subclass for other methods overrides `values_of`.

    Parameters
    ----------
    net : ExplainedNet
        The fitted net.
    method : str
        Name of a function of :mod:`sgt_sklearn.attribution`.
    output : str
        What is explained of the target.
    options : dict
        Of the method, by name.
    rows : int
        Largest number of rows of a pass through the net.
    """

    copied = inner = False  # what `ExplainedNet` is asked for
    whole = False  # whether a call gets all samples, and not one batch of them
    copies = 1  # rows of a pass that one sample takes
    every = False  # whether all outputs are explained, be it the only one

    def __init__(self, net, method, output, options, rows=None):
        self.net = net
        self.method = method
        self.options = options
        self.rows = rows
        self.generator = None
        self.scalars = Scalars(net, output)

    def settle(self, inputs, x, baseline):
        """Prepare what all batches share: statistics, and the baselines of the rows of `x`."""
        self.check(x)
        self.samples, self.lengths = x, self.lengths_of(inputs, x)
        if callable(baseline):
            baseline = baseline(self)
        self.baseline = self.baseline_of(x, baseline)

    def check(self, x):
        """Refuse input that has no gradient."""
        if not x.is_floating_point():
            raise TypeError(
                f"X must be floating point to have a gradient, got {x.dtype}: convert it "
                "(X.astype('float32'))."
            )

    def baseline_of(self, x, baseline):
        """Baselines of shape (1, ...) or of the shape of `x`."""
        if baseline is None:
            mean = 0.0 if self.net.statistics is None else self.net.statistics.mean
        elif isinstance(baseline, str):
            mean = self.statistics.mean
        else:
            return broadcast(torch.as_tensor(np.asarray(baseline), dtype=x.dtype), x)
        return torch.as_tensor(np.asarray(mean), dtype=x.dtype).expand(1, *x.shape[1:])

    @cached_property
    def statistics(self):
        """Those of training, where the net knows them, else those of the samples."""
        if self.net.statistics is not None:
            return self.net.statistics
        lengths = None if self.lengths is None else to_numpy(self.lengths)
        return FeatureStatistics.from_array(to_numpy(self.samples), lengths=lengths)

    def noise_scale(self, level):
        """Standard deviation of noise of a level that is in units of the features' own."""
        scale = torch.as_tensor(np.asarray(level * self.statistics.scale))
        return scale.to(self.net.dtype or torch.get_default_dtype()).to(self.net.device)

    def n_cells(self, x):
        """Numbers that one sample takes in a pass."""
        return max(1, x[0].numel())

    def lengths_of(self, inputs, x):
        """Steps of each sample that are no padding, or None."""
        return lengths_of(inputs, x)

    def standardized(self, values):
        """Gradients times the standard deviation of each feature."""
        if not self.power:
            return values
        return values * np.asarray(self.statistics.scale**self.power, dtype=values.dtype)

    @property
    def power(self):
        """How often an input unit divides the values."""
        return 0 if self.method in CONTRIBUTIONS else 1

    def seed(self, seed):
        """Draw noise from a generator of one's own."""
        self.generator = torch.Generator(device=self.net.device).manual_seed(seed)

    def __call__(self, inputs, target, part):
        """Explain a batch, which is a part of what was settled.

        Returns
        -------
        values : ndarray of shape (n, ...) or (n, n_outputs, ...)
            Attributions.
        scalars : list of Scalar
            What they explain: one scalar, or one an output.
        logits : torch.Tensor or None
            Those of the batch, where they had to be known.
        """
        self.explained = x = self.begin(inputs, part)
        self.every = isinstance(target, str) and target == "all"
        with attribution.evaluation_mode(self.net.modules):
            if not isinstance(target, str):
                scalar = self.scalars.labelled(target)
                return self.explain(x, scalar), [scalar], None
            with torch.no_grad():
                logits = self.logits(x)
            if target == "predicted":
                scalar = self.scalars.predicted(logits)
                return self.explain(x, scalar), [scalar], logits
            columns = range(self.scalars.n_outputs(logits))
            scalars = [self.scalars.column(j, len(x)) for j in columns]
            values = np.stack([self.explain(x, scalar) for scalar in scalars], axis=1)
            return values, scalars, logits

    def begin(self, inputs, part):
        """Put a batch on the device; return its explained part."""
        self.inputs = to_tensor(inputs, self.net.device)
        x, self.rebuild = split_input(self.inputs, self.net.guided_input)
        self.batch_valid = None if self.lengths is None else self.valid_cells(x, part)
        self.batch_baseline = to_tensor(self.baseline_at(x, part), self.net.device)
        return x

    def valid_cells(self, x, part):
        """Cells of a batch that are no padding."""
        lengths = self.lengths[part].to(x.device)
        steps = torch.arange(x.shape[1], device=x.device) < lengths[:, None]
        return steps.reshape(*steps.shape, *(1,) * (x.ndim - 2)).expand_as(x)

    def baseline_at(self, x, part):
        """Baselines of a batch; padding has none."""
        baseline = self.baseline if len(self.baseline) == 1 else self.baseline[part]
        if self.batch_valid is None or baseline.ndim != x.ndim:
            return baseline
        return torch.where(self.batch_valid, baseline.to(x.device), x)

    def explain(self, x, scalar):
        values = to_numpy(self.per_cell(self.values_of(x, scalar).detach()))
        if scalar.scale is None:
            return values
        scale = np.asarray(scalar.scale, dtype=values.dtype)
        return values * np.broadcast_to(scale, len(x)).reshape(-1, *(1,) * (x.ndim - 1))

    def values_of(self, x, scalar):
        """Attributions of the shape of ``start(x)``."""
        options = dict(self.options)
        if self.method in ("integrated_gradients", "path_gradient"):
            options["baseline"] = self.path_start()
        elif self.method == "smooth_grad":
            options["noise_scale"] = self.noise_scale(options.pop("noise_level"))
            options["generator"] = self.generator
        method = getattr(attribution, self.method)
        return method(lambda data: scalar(self.logits_at(x, data)), self.start(x), **options)

    def outputs(self, x, scalars, logits=None):
        """What the scalars are at a batch of shape (n,), or (n, n_outputs) for all outputs."""
        if logits is None:
            with torch.no_grad(), attribution.evaluation_mode(self.net.modules):
                logits = self.logits(x)
        found = [s.in_units(to_numpy(s(logits)).astype(np.float64)) for s in scalars]
        return np.stack(found, axis=1) if self.every else found[0]

    def baseline_outputs(self, x, scalars):
        """What the scalars are at the baselines of a batch."""
        with torch.no_grad(), attribution.evaluation_mode(self.net.modules):
            return self.outputs(x, scalars, self.logits_at_baseline(x))

    # passes through the net: `rows` are those of the batch that data belong to, None all of them

    def logits(self, data, rows=None):
        """Logits of explained data, beside what else the batch holds."""
        rebuild = self.rebuild
        if rows is not None and not isinstance(self.inputs, torch.Tensor):
            others = map_arrays(lambda each: each[rows], self.inputs)
            rebuild = split_input(others, self.net.guided_input)[1]
        return self.net.logits(rebuild(data))

    def logits_at_baseline(self, x):
        """Logits of the baselines of a batch."""
        return self.logits(self.batch_baseline.expand_as(x))

    # what is differentiated; that of tokens is not the input itself

    def start(self, x):
        """Where attributions of a batch are taken."""
        return x

    def path_start(self):
        """Where paths to a batch begin."""
        return self.batch_baseline

    def logits_at(self, x, data, rows=None):
        """Logits of changed data of the batch."""
        return self.logits(data, rows)

    def per_cell(self, values):
        """Attributions of the shape of the input."""
        return values


class TokenExplainer(Explainer):
    """Explains batches of tokens, at the output of their embedding.

    Parameters
    ----------
    embedding : torch.nn.Module
        Where the tokens become vectors.
    net, method, output, options, rows
        As for :class:`Explainer`.
    """

    def __init__(self, embedding, *args):
        super().__init__(*args)
        self.embedding = embedding

    def check(self, x):
        weight = next(self.embedding.parameters(), None)
        if weight is None:
            raise TypeError(
                f"embedding must have weights, got {type(self.embedding).__name__} without."
            )
        self.weight = weight.detach()

    def baseline_of(self, x, baseline):
        if baseline is None or isinstance(baseline, str):
            return torch.zeros(1, 1, 1, dtype=self.weight.dtype)
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
        return broadcast(baseline.to(x.dtype), x)

    def noise_scale(self, level):
        return level * self.weight.std()

    def n_cells(self, x):
        return max(1, x[0].numel() * self.weight.shape[-1])

    def lengths_of(self, inputs, x):
        lengths = lengths_of(inputs, x)
        return token_counts(x, self.embedding) if lengths is None else lengths

    def standardized(self, values):
        return values  # vectors of an embedding have no units

    def logits_at_baseline(self, x):
        return self.logits_at(x, self.path_start().expand_as(self.start(x)))

    def start(self, x):
        with torch.no_grad(), captured_embedding(self.embedding, x) as captured:
            self.logits(x)
        return captured.output.detach()

    def path_start(self):
        baseline = self.batch_baseline
        if baseline.is_floating_point():
            return baseline
        with torch.no_grad():
            return self.embedding(baseline)

    def logits_at(self, x, data, rows=None):
        with replaced_embedding(self.embedding, data):
            return self.logits(x if rows is None else x[rows], rows)

    def per_cell(self, values):
        # variances of the dimensions add up as contributions do; gradients are a vector
        return values.norm(dim=2) if self.power == 1 else values.sum(2)


def broadcast(baseline, x):
    """Baselines of shape (1, ...) or of the shape of `x`, checked."""
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
