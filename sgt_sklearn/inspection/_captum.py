"""Methods of captum on nets: by gradients, by rules on layers, by perturbations."""

import warnings
from contextlib import contextmanager

import torch
from captum import attr as captum
from captum.log import log_usage
from torch import nn

from sgt_sklearn._random import isolated_generators
from sgt_sklearn.attribution import gradient_with_respect_to
from sgt_sklearn.estimators._explainer import Explainer, TokenExplainer
from sgt_sklearn.guidance import UNKNOWN_TOKEN
from sgt_sklearn.inspection._methods import METHODS, POWERS
from sgt_sklearn.inspection._perturbed import perturbed

# what captum says of things that are meant to be, and of its own habits
_KNOWN_WARNINGS = (
    r"\s*Setting forward, backward hooks",
    r"\s*Setting backward hooks on ReLU",
    r"Input Tensor \d+ did not already require gradients",
    r"Using a non-full backward hook",
    r"Feature mask is missing some integers",
)
# rows whose values are compared with the change of the output
_CHECKED_ROWS = 8
_MISSING = 0.01


class NetModule(nn.Module):
    """A net as one module: from data and the rows that they belong to, to the explained number.

    captum repeats and cuts the rows as it repeats and cuts the data, so that they lead to what
    else belongs to a sample: its lengths, its other inputs, its target.

    Parameters
    ----------
    explainer : Explainer
        Explains the net.
    x : torch.Tensor of shape (n_samples, ...)
        A batch.
    scalar : Scalar
        The explained number.
    """

    def __init__(self, explainer, x, scalar):
        super().__init__()
        # children, so that captum finds the layers
        self.components = nn.ModuleList(explainer.net.modules)
        self.explainer, self.x, self.scalar = explainer, x, scalar

    def forward(self, data, rows):
        """Explained numbers, shape (n_rows,)."""
        return self.scalar(self.explainer.logits_at(self.x, data, rows), rows)


class StartOfRelevance(NetModule):
    """A net whose output is 1, with the gradient from which relevance is to be passed back.

    captum starts from the gradient of the output and multiplies the result by the output. That is
    right for one logit; in sums and differences each logit has to start from its own part.
    """

    def forward(self, data, rows):
        """Ones, shape (n_rows,)."""
        logits = self.explainer.logits_at(self.x, data, rows)
        parts = self.scalar(logits * logits.detach(), rows)
        return parts - parts.detach() + 1


class _OfCaptum:
    """Overrides of `Explainer` for the methods of captum that differentiate."""

    warned = False

    @property
    def power(self):
        return POWERS[METHODS[self.method].units]

    @property
    def copies(self):
        """Rows of a pass that one sample takes."""
        n_baselines = self.options.get("n_baselines", 1)
        return {
            "deep_lift": 2,
            "deep_lift_shap": 2 * n_baselines,
            "gradient_shap": self.options.get("n_samples", 1),
        }.get(self.method, 1)

    def baseline_of(self, x, baseline):
        if METHODS[self.method].baseline != "rows" or not hasattr(baseline, "shape"):
            return super().baseline_of(x, baseline)
        rows = torch.as_tensor(baseline)
        if rows.ndim == x.ndim - 1:
            rows = rows[None]
        if rows.shape[1:] != x.shape[1:] or not len(rows):
            raise ValueError(
                f"baseline must be a set of rows of X, shape (n_baselines, "
                f"{', '.join(map(str, x.shape[1:]))}), for method={self.method!r}, got shape "
                f"{tuple(rows.shape)}."
            )
        return rows.to(x.dtype)

    def baseline_at(self, x, part):
        if METHODS[self.method].baseline == "rows":
            return self.baseline
        return super().baseline_at(x, part)

    def begin(self, inputs, part):
        x = super().begin(inputs, part)
        if self.net.standardization is None:
            return x
        return (x - self.net.standardization.mean) * self.net.standardization.factor

    def seed(self, seed):
        # captum draws from the global generators, which are seeded around it
        pass

    def values_of(self, x, scalar):
        view = (StartOfRelevance if self.method == "lrp" else NetModule)(self, x, scalar)
        start = self.start(x)
        rows = torch.arange(len(x), device=start.device)
        with _only_new_warnings(), self.naming_the_method():
            return _RUN[self.method](self, view, start, rows)

    @contextmanager
    def naming_the_method(self):
        """Errors of captum as one error that names a method which works."""
        facts = METHODS[self.method]
        try:
            yield
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, AttributeError, RuntimeError, TypeError) as error:
            if facts.family != "hooks":
                raise
            text = " ".join(str(error).split())
            raise TypeError(
                f"method={self.method!r} does not work with the layers of this module: {text} "
                f"Use method={facts.instead!r}, which works with every differentiable module."
            ) from error

    def baseline_outputs(self, x, scalars):
        if METHODS[self.method].baseline != "rows":
            return super().baseline_outputs(x, scalars)
        sample, found = self.batch_baseline, []
        for i in range(len(sample)):
            self.batch_baseline = sample[i : i + 1]
            found.append(super().baseline_outputs(x, scalars))
        self.batch_baseline = sample
        return sum(found) / len(found)


class CaptumExplainer(_OfCaptum, Explainer):
    """Explains floating-point input by gradients through captum."""


class CaptumTokenExplainer(_OfCaptum, TokenExplainer):
    """Explains tokens at their embedding by gradients through captum."""


class HooksExplainer(CaptumExplainer):
    """Explains floating-point input by rules on layers."""

    copied = True


class HooksTokenExplainer(CaptumTokenExplainer):
    """Explains tokens at their embedding by rules on layers."""

    copied = True


class RelevanceExplainer(HooksExplainer):
    """Passes relevance back to the standardised input."""

    inner = True


class RelevanceTokenExplainer(HooksTokenExplainer):
    """Passes relevance back to the embedding."""

    inner = True


class _ByPerturbation:
    """Overrides of `Explainer` for methods that need no gradient."""

    whole = True
    power = 0

    def check(self, x):
        pass

    def seed(self, seed):
        pass

    def logits(self, data, rows=None):
        # all samples come at once, and pass the net in batches
        if len(data) <= self.rows:
            return super().logits(data, rows)
        if rows is None:
            rows = torch.arange(len(data), device=data.device)
        parts = [slice(i, i + self.rows) for i in range(0, len(data), self.rows)]
        return torch.cat([super(_ByPerturbation, self).logits(data[p], rows[p]) for p in parts])

    def values_of(self, x, scalar):
        space, baseline, valid = self.space(x)
        with _only_new_warnings(), torch.no_grad():
            return perturbed(
                self.method,
                lambda data, rows: scalar(self.logits(self.at(x, data, rows), rows), rows),
                space,
                baseline,
                mask=self.options.get("feature_mask"),
                valid=valid,
                options=self.options,
                n_rows=self.rows,
            )

    def at(self, x, data, rows):
        return data


class PerturbationExplainer(_ByPerturbation, Explainer):
    """Explains floating-point input by what predictions lose."""

    def space(self, x):
        return x, self.batch_baseline, self.batch_valid

    def check(self, x):
        if not x.is_floating_point():
            raise TypeError(
                f"X must be floating point, or tokens for a net that embeds them, got {x.dtype}: "
                "convert it (X.astype('float32'))."
            )


class PerturbationTokenExplainer(_ByPerturbation, TokenExplainer):
    """Explains tokens by hiding them: they become unknown, or the tokens of a baseline."""

    def check(self, x):
        TokenExplainer.check(self, x)

    def baseline_of(self, x, baseline):
        if baseline is None or isinstance(baseline, str):
            return torch.full_like(x[:1], UNKNOWN_TOKEN)
        return super().baseline_of(x, baseline)

    def logits_at_baseline(self, x):
        return self.logits(self.hidden(x))

    def hidden(self, x):
        """The baseline, padding kept."""
        valid, baseline = self.batch_valid, self.batch_baseline.expand_as(x)
        return baseline if valid is None else torch.where(valid, baseline, x)

    def space(self, x):
        if self.method == "feature_permutation":
            return x, x, self.batch_valid
        # whether each token is there: distances between ids would mean nothing
        here = torch.ones(x.shape, dtype=self.weight.dtype, device=x.device)
        return here, torch.zeros_like(here), self.batch_valid

    def at(self, x, data, rows):
        if not data.is_floating_point():
            return data
        return torch.where(data > 0.5, x[rows], self.hidden(x)[rows])

    def per_cell(self, values):
        return values


EXPLAINERS = {
    "gradient": (Explainer, TokenExplainer),
    "captum": (CaptumExplainer, CaptumTokenExplainer),
    "hooks": (HooksExplainer, HooksTokenExplainer),
    "perturbation": (PerturbationExplainer, PerturbationTokenExplainer),
}


def explainers_of(name):
    """The classes that explain floating-point input and tokens by a method."""
    if name == "lrp":
        return RelevanceExplainer, RelevanceTokenExplainer
    return EXPLAINERS[METHODS[name].family]


@contextmanager
def generators_of(seed):
    """Global generators of one's own where there is a seed."""
    if seed is None:
        yield
        return
    with isolated_generators(seed=seed):
        yield


@contextmanager
def _only_new_warnings():
    with warnings.catch_warnings():
        for message in _KNOWN_WARNINGS:
            warnings.filterwarnings("ignore", message=message)
        yield


# how each method is run: (explainer, view of the net, where to take attributions, rows)


class _NoisyGradient(captum.Saliency):
    """Gradient at ``x + scale * noise``, for captum to draw the noise of each feature's scale."""

    def __init__(self, view, x, scale):
        super().__init__(view)
        self.x, self.scale = x, scale

    @log_usage()  # whose __wrapped__ NoiseTunnel calls
    def attribute(self, inputs, additional_forward_args=None, **_):
        at = (self.x + self.scale * inputs[0]).detach().requires_grad_(True)
        with torch.enable_grad():
            output = self.forward_func(at.clone(), additional_forward_args[0])
            # the variance is a difference of sums, which single precision would not survive
            gradient = gradient_with_respect_to(output, at)
            return (gradient if gradient.device.type == "mps" else gradient.double(),)


def _vargrad(explainer, view, start, rows):
    scale = explainer.noise_scale(explainer.options["noise_level"])
    (values,) = captum.NoiseTunnel(_NoisyGradient(view, start, scale)).attribute(
        (torch.zeros_like(start),),
        nt_type="vargrad",
        nt_samples=explainer.options["n_samples"],
        # one copy at a time: memory stays that of a batch
        nt_samples_batch_size=1,
        stdevs=1.0,
        additional_forward_args=(rows,),
    )
    return values.clamp(min=0).to(start.dtype)


def _gradient_shap(explainer, view, start, rows):
    return captum.GradientShap(view).attribute(
        start,
        explainer.path_start(),
        n_samples=explainer.options["n_samples"],
        additional_forward_args=(rows,),
    )


def _deep_lift(explainer, view, start, rows):
    baseline = explainer.path_start().expand_as(start)
    values = captum.DeepLift(view).attribute(start, baseline, additional_forward_args=(rows,))
    _warn_if_incomplete(explainer, view, start, rows, baseline[:_CHECKED_ROWS, None], values)
    return values


def _deep_lift_shap(explainer, view, start, rows):
    baseline = explainer.path_start()
    values = captum.DeepLiftShap(view).attribute(
        start, _at_least_two(baseline), additional_forward_args=(rows,)
    )
    each = baseline.expand(len(start[:_CHECKED_ROWS]), *baseline.shape)
    _warn_if_incomplete(explainer, view, start, rows, each, values)
    return values


def _at_least_two(baseline):
    # captum refuses a single one, whose mean is itself
    return baseline if len(baseline) > 1 else baseline.expand(2, *baseline.shape[1:])


def _warn_if_incomplete(explainer, view, start, rows, baselines, values):
    """Compare sums of values with the change of the output; baselines have shape (n, m, ...)."""
    if explainer.warned:
        return
    n, m = baselines.shape[:2]
    with torch.no_grad():
        change = view(start[:n], rows[:n])
        before = view(baselines.reshape(n * m, *start.shape[1:]), rows[:n].repeat_interleave(m))
        change = change - before.reshape(n, m).mean(1)
        values = values[:n].flatten(1)
        missing = (values.sum(1) - change).abs() / (values.abs().sum(1) + change.abs() + 1e-12)
    worst = float(missing.max())
    if worst <= _MISSING:
        return
    explainer.warned = True
    warnings.warn(
        f"Values of method={explainer.method!r} do not add up to the change of the output; "
        f"{worst:.0%} of it is missing or too much in a row. Its rules fit layers such as nn.ReLU "
        "that are used once, those of max pooling roughly, and there are none for functions that "
        "forward() calls, recurrent layers and attention. Use method='integrated_gradients'.",
        UserWarning,
        stacklevel=2,
    )


def _guided(kind):
    def run(explainer, view, start, rows):
        if not any(isinstance(layer, nn.ReLU) for layer in view.modules()):
            raise TypeError(
                "it changes the gradient at torch.nn.ReLU layers, of which the module has none."
            )
        return kind(view).attribute(start, additional_forward_args=(rows,))

    return run


class _Relevance(captum.LRP):
    """Layers that only give another shape pass relevance on as they pass gradients."""

    def _get_layers(self, model):
        super()._get_layers(model)
        passing = (nn.Flatten, nn.Unflatten, nn.Identity)
        self.layers = [layer for layer in self.layers if not isinstance(layer, passing)]

    def _check_and_attach_rules(self):
        try:
            super()._check_and_attach_rules()
        except TypeError as error:
            without = next(layer for layer in self.layers if not hasattr(layer, "rule"))
            raise TypeError(f"it has no rule for {type(without).__name__}.") from error


def _lrp(explainer, view, start, rows):
    return _Relevance(view).attribute(start, additional_forward_args=(rows,))


_RUN = {
    "vargrad": _vargrad,
    "gradient_shap": _gradient_shap,
    "deep_lift": _deep_lift,
    "deep_lift_shap": _deep_lift_shap,
    "guided_backprop": _guided(captum.GuidedBackprop),
    "deconvolution": _guided(captum.Deconvolution),
    "lrp": _lrp,
}
