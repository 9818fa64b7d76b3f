"""What the numbers of an explanation are, in words and units."""

import numpy as np

GRADIENTS = ("saliency", "path_gradient", "smooth_grad", "guided_backprop", "deconvolution")
_OUTPUTS = {
    "logit": "logit",
    "log_proba": "log probability",
    "margin": "margin",
    "probability": "probability",
    "prediction": "prediction",
}
_NORMS_OF_TOKENS = ("saliency", "path_gradient", "smooth_grad")


def describe(explanation):
    """One line: how many samples of what, by which method, of which output."""
    shape = explanation.data.shape[1:]
    units = {
        "tabular": ("feature",),
        "series": ("step", "feature"),
        "tokens": ("token",),
    }
    if explanation.kind == "image":
        size = f"x {counted(shape[0], 'channel')} x {shape[1]} x {shape[2]} pixels"
    elif explanation.kind == "other":
        size = f"of shape {shape}"
    else:
        named = zip(shape, units[explanation.kind], strict=True)
        size = "x " + " x ".join(counted(n, what) for n, what in named)
        if explanation.lengths is not None:
            size = size.replace("x ", "x up to ", 1)
    return (
        f"Explanation of {counted(len(explanation), 'sample')} {size} by "
        f"{method_name(explanation)}, {explained_name(explanation)}"
    )


def counted(n, what):
    """Such as "1 sample" and "2 samples"."""
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def method_name(explanation):
    """The method, and what was done to it."""
    rescaled = " with temporal rescaling" if explanation.temporal_rescaling else ""
    return explanation.method + rescaled


def explained_name(explanation):
    """What is explained, such as "logit of 'malignant'"."""
    output = _OUTPUTS.get(explanation.output, explanation.output)
    if explanation.classes is not None:
        return f"{output} of each of {len(explanation.classes)} outputs"
    labels = explanation.target
    if labels is None:
        # one output has no logit of a class
        return "prediction" if output in ("logit", "margin") else output
    distinct = set(np.asarray(labels).tolist())
    if len(distinct) == 1:
        return f"{output} of {label_text(distinct.pop(), explanation.output)}"
    return f"{output} of each sample's target"


def label_text(label, output="logit"):
    """A target in words: strings in quotes, numbers as the class or output of that number."""
    if isinstance(label, str):
        return f"'{label}'"
    # regressors number their outputs
    return f"output {label}" if output == "prediction" else f"class {label}"


def target_text(explanation, i):
    """The target of a sample in words."""
    return label_text(explanation.target[i : i + 1].tolist()[0], explanation.output)


def sample_name(explanation, i):
    """The name of a sample in the index, or its number."""
    return f"sample {i if explanation.index is None else explanation.index[i]}"


def is_unsigned(explanation):
    """Whether values are sizes, without a direction."""
    if explanation.temporal_rescaling or explanation.method == "vargrad":
        return True
    return explanation.kind == "tokens" and explanation.method in _NORMS_OF_TOKENS


def value_name(explanation):
    """What one value is, with its unit: title of colour bars and of the axis of bars."""
    explained = explained_name(explanation)
    if explanation.temporal_rescaling:
        return f"relevance (0 to 1) for the {explained}"
    per = _unit(explanation)
    if explanation.method in GRADIENTS:
        if explanation.kind == "tokens" and explanation.method in _NORMS_OF_TOKENS:
            return f"size of the gradient of the {explained} at each token"
        return f"{explained} per {per}"
    if explanation.method == "vargrad":
        of = f"variance of the gradient of the {explained}"
        return of if explanation.kind == "tokens" else f"{of} per {per}"
    return f"contribution to the {explained}"


def _unit(explanation):
    """What gradients are divided by."""
    if explanation.standardized:
        return "standard deviation"
    if explanation.transformed:
        return "unit of the network's input"
    # columns of a table have units of their own
    return "unit of the feature" if explanation.kind == "tabular" else "unit of input"


def is_contribution(explanation):
    """Whether values are shares of the explained output, which may be added."""
    no_shares = explanation.temporal_rescaling or explanation.method == "vargrad"
    return not no_shares and explanation.method not in GRADIENTS


def number_text(value, signed=True):
    """A number to three digits, with a true minus sign."""
    text = f"{float(value):+.3g}" if signed else f"{float(value):.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def datum_text(value):
    """A value of the data in words."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    text = f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)
    return text.replace("-", "\N{MINUS SIGN}") if number else text


def output_text(explanation, i):
    """The explained output of a sample, such as "logit 2.1, at the baseline 0.3", or ""."""
    if explanation.explained_output is None:
        return ""
    text = f"{explanation.output} {number_text(explanation.explained_output[i], signed=False)}"
    if explanation.baseline_output is None:
        return text
    at_baseline = number_text(explanation.baseline_output[i], signed=False)
    return f"{text}, at the baseline {at_baseline}"
