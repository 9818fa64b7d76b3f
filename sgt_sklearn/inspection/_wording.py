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
    sizes = {
        "tabular": "x {} features",
        "series": "x {} steps x {} features",
        "image": "x {} channels x {} x {} pixels",
        "tokens": "x {} tokens",
    }
    shape = explanation.data.shape[1:]
    size = sizes.get(explanation.kind, "of shape {}")
    size = size.format(*shape) if explanation.kind in sizes else size.format(shape)
    n_samples = len(explanation)
    longest = " at most" if explanation.lengths is not None else ""
    return (
        f"Explanation of {n_samples} sample{'s' * (n_samples != 1)} {size}{longest} by "
        f"{method_name(explanation)}, {explained_name(explanation)}"
    )


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
        label = distinct.pop()
        # regressors number their outputs
        of = f"output {label}" if explanation.output == "prediction" else label_text(label)
        return f"{output} of {of}"
    return f"{output} of each sample's target"


def label_text(label):
    """A class in words: strings in quotes, numbers as they are."""
    return f"'{label}'" if isinstance(label, str) else f"class {label}"


def value_name(explanation):
    """What one value is, with its unit: title of colour bars and of the axis of bars."""
    explained = explained_name(explanation)
    if explanation.temporal_rescaling:
        return f"relevance (0 to 1) for the {explained}"
    per = "standard deviation" if explanation.standardized else "unit of X"
    if explanation.method in GRADIENTS:
        if explanation.kind == "tokens" and explanation.method in _NORMS_OF_TOKENS:
            return f"size of the gradient of the {explained} at each token"
        return f"{explained} per {per}"
    if explanation.method == "vargrad":
        return f"variance of the gradient of the {explained}"
    return f"contribution to the {explained}"
