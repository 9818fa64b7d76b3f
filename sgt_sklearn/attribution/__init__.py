"""Gradient attributions in pure torch, shared by training and by ``attribute``."""

from sgt_sklearn.attribution._embedding import captured_embedding, replaced_embedding
from sgt_sklearn.attribution._gradient import (
    evaluation_mode,
    gradient_with_respect_to,
    input_gradient,
    parent_modules,
)
from sgt_sklearn.attribution._path import integrated_gradients, path_gradient
from sgt_sklearn.attribution._saliency import input_x_gradient, saliency, smooth_grad
from sgt_sklearn.attribution._scalars import (
    LIKELIHOODS,
    SALIENCY_OUTPUTS,
    first_output,
    logits_from,
    output_gradient,
    output_scalar,
)

__all__ = [
    "LIKELIHOODS",
    "SALIENCY_OUTPUTS",
    "captured_embedding",
    "evaluation_mode",
    "first_output",
    "gradient_with_respect_to",
    "input_gradient",
    "input_x_gradient",
    "integrated_gradients",
    "logits_from",
    "output_gradient",
    "output_scalar",
    "parent_modules",
    "path_gradient",
    "replaced_embedding",
    "saliency",
    "smooth_grad",
]
