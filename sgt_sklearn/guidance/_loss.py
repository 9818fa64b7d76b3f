"""Saliency guided training as one function."""

import math
from contextlib import nullcontext

import torch

from sgt_sklearn.attribution import (
    evaluation_mode,
    first_output,
    gradient_with_respect_to,
    logits_from,
    output_gradient,
    parent_modules,
)
from sgt_sklearn.guidance._divergence import make_divergence
from sgt_sklearn.guidance._fill import fill_values
from sgt_sklearn.guidance._modes import forked_generators, frozen_running_statistics
from sgt_sklearn.guidance._ranking import lowest_groups, ranking_scores
from sgt_sklearn.guidance._weights import weighted_loss


def masked_input(
    forward, x, y, masking, *, weight=None, generator=None, output=None, modules=None
):
    """Hide the least salient groups of features of each sample.

    Parameters
    ----------
    forward : callable
        Maps `x` to the output of the network (or a tuple whose element 0 it is).
    x : torch.Tensor of shape (n_samples, ...)
        The batch, floating point.
    y : torch.Tensor
        Targets, see :func:`sgt_sklearn.attribution.output_scalar`.
    masking : Masking
        What is hidden.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights, by which the fill "marginal" draws its donors.
    generator : torch.Generator, default=None
        Source of every random draw, on the device of `x`.
    output : torch.Tensor, default=None
        ``forward(x)`` with a graph to an `x` that requires gradients, to share that pass; None
        runs the network in evaluation mode.
    modules : iterable of torch.nn.Module, default=None
        Modules behind `forward`, if it is not a module itself.

    Returns
    -------
    torch.Tensor of the shape of `x`
        The masked batch, without a graph.

    Raises
    ------
    TypeError
        If `x` is not floating point, or the output has no gradient path to it.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.guidance import Masking, masked_input
    >>> masking = Masking(fraction=0.5, fill="constant", likelihood="gaussian")
    >>> weights = torch.tensor([[1.0, 9.0, 2.0, 8.0]])
    >>> masked_input(lambda x: x * weights, torch.ones(1, 4), None, masking)
    tensor([[0., 1., 0., 1.]])
    """
    check_differentiable(x)
    clean = x.detach()
    if masking.groups is not None and masking.groups.shape != x.shape[1:]:
        raise ValueError(
            f"groups must have the shape of one sample, {tuple(x.shape[1:])}, got "
            f"{tuple(masking.groups.shape)}."
        )
    k = masking.n_hidden(math.prod(x.shape[1:]))
    if k == 0:
        return clean
    gradient = None
    if masking.order != "random":
        gradient = _saliency(forward, x, y, masking, output, modules)
    scores = ranking_scores(
        gradient,
        order=masking.order,
        scale=masking.scale,
        groups=masking.groups,
        n_groups=masking.n_groups,
        generator=generator,
        like=clean,
    )
    values = fill_values(
        clean,
        masking.fill,
        statistics=masking.statistics,
        value=masking.fill_value,
        groups=masking.groups,
        weight=weight,
        generator=generator,
    )
    hidden = lowest_groups(scores, k, generator=generator)
    if masking.groups is not None:
        hidden = hidden[:, masking.groups.flatten()]
    return _select(hidden.reshape(clean.shape), values, clean)


def check_differentiable(x):
    """Refuse an input that guidance cannot differentiate by.

    Parameters
    ----------
    x : torch.Tensor
        Input of a network.

    Raises
    ------
    TypeError
        If it is not floating point.

    Examples
    --------
    >>> import torch
    >>> check_differentiable(torch.ones(2, 3))
    """
    if not x.is_floating_point():
        raise TypeError(
            f"Guidance needs a floating-point input to differentiate by, got {x.dtype}. Convert "
            "it (X.astype('float32')), or set consistency_weight=0 to train without guidance."
        )


def _select(mask, values, others):
    # torch.where mispredicts a branch for every other cell of such a mask; bits have no branches,
    # and unlike arithmetic they also replace NaN and infinity
    bits = _BITS[others.element_size()]
    others_bits = others.view(bits)
    chosen = others_bits ^ ((others_bits ^ values.view(bits)) & -mask.to(bits))
    return chosen.view(others.dtype)


_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


def _logits(output, masking):
    return logits_from(
        first_output(output),
        likelihood=masking.likelihood,
        probabilities=masking.probabilities,
    )


def _saliency(forward, x, y, masking, output, modules):
    def gradient(out, data, retain_graph=False):
        logits = _logits(out, masking)
        start = output_gradient(logits, y, kind=masking.output, likelihood=masking.likelihood)
        return gradient_with_respect_to(
            logits, data, output_gradient=start, retain_graph=retain_graph
        )

    if output is not None:
        return gradient(output, x, retain_graph=True)
    modules = parent_modules(forward) if modules is None else modules
    with evaluation_mode(modules), torch.enable_grad():
        leaf = x.detach().requires_grad_(True)
        return gradient(forward(leaf), leaf)


def saliency_guided_loss(
    forward,
    x,
    y,
    *,
    loss,
    divergence,
    masking,
    weight=None,
    generator=None,
    output=None,
    masked_x=None,
    modules=None,
    saliency_pass="separate",
    reduction="mean",
    fork_generators=False,
):
    """Task loss and consistency loss of one batch: saliency guided training as a pure function.

    ``task = loss(f(x), y)`` and ``consistency = D(f(x) || f(x~))``, where x~ has the least salient
    features of each sample replaced. Minimise ``task + consistency_weight * consistency``; both
    sides of the divergence carry gradient. The saliency pass leaves parameters and their gradients
    alone, runs in evaluation mode, and the masked pass does not move running statistics.

    Parameters
    ----------
    forward : torch.nn.Module or callable
        Maps `x` to the output (logits or predicted means; of a tuple, element 0 counts). Modes
        other than those of the extra passes are the caller's: put a module into training mode.
    x : torch.Tensor of shape (n_samples, ...)
        The batch, floating point, of any dtype and device.
    y : torch.Tensor
        Targets as `loss` takes them.
    loss : callable
        ``loss(output, y)``, a scalar; with `weight`, one value (or row of values) a sample.
    divergence : {"categorical_kl", "bernoulli_kl", "squared_difference"} or callable
        Divergence D, ``(output, masked_output) -> (n_samples,)``.
    masking : Masking
        What is hidden and what with.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights; both terms become ``sum w_i l_i / sum w_i`` (``reduction="sum"``: without
        the division), 0 if the weights sum to 0.
    generator : torch.Generator, default=None
        Source of every random draw, on the device of `x`; None uses torch's global generator.
    output : torch.Tensor or tuple, default=None
        ``forward(x)`` where the caller already has it.
    masked_x : torch.Tensor of the shape of `x`, default=None
        A masked batch to use again, as an optimizer that evaluates a step several times needs.
    modules : iterable of torch.nn.Module, default=None
        Modules behind `forward`, where it is neither a module nor a method of one.
    saliency_pass : {"separate", "shared"}, default="separate"
        "shared" ranks by the gradient of the clean training pass: cheaper, and the same where
        training and evaluation mode agree. A given `output` must then come from an `x` that
        requires gradients.
    reduction : {"mean", "sum", "none"}, default="mean"
        How the criterion reduces, and the consistency with it: values of several outputs of a
        sample, and without `weight` those of the batch.
    fork_generators : bool, default=False
        Run the masked pass on torch generators seeded from `generator`, so that its dropout leaves
        the draws of the clean passes as they are without guidance.

    Returns
    -------
    task : torch.Tensor
        The task loss, a scalar unless `loss` is unreduced.
    consistency : torch.Tensor
        The consistency loss, a scalar (shape (n_samples,) for ``reduction="none"``).

    Raises
    ------
    TypeError
        If `x` is not floating point, or the output has no gradient path to it.
    ValueError
        If a name is unknown, or with weights the loss is not one value a sample.

    References
    ----------
    Ismail, Corrada Bravo, Feizi. "Improving deep learning interpretability by saliency guided
    training". NeurIPS 2021. arXiv 2111.14338.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.guidance import Masking, saliency_guided_loss
    >>> generator = torch.Generator().manual_seed(0)
    >>> net = torch.nn.Linear(4, 3)
    >>> x = torch.randn(8, 4, generator=generator)
    >>> task, consistency = saliency_guided_loss(
    ...     net,
    ...     x,
    ...     torch.arange(8) % 3,
    ...     loss=torch.nn.CrossEntropyLoss(),
    ...     divergence="categorical_kl",
    ...     masking=Masking(),
    ...     generator=generator,
    ... )
    >>> (task + consistency).backward()
    """
    if saliency_pass not in ("separate", "shared"):
        raise ValueError(
            f"saliency_pass must be 'separate' or 'shared', got {saliency_pass!r}; 'auto' is for "
            "the estimators, which probe the module."
        )
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction must be 'mean', 'sum' or 'none', got {reduction!r}.")
    modules = parent_modules(forward) if modules is None else tuple(modules)
    divergence = make_divergence(divergence, reduction="sum" if reduction == "sum" else "mean")
    shared = saliency_pass == "shared"
    if output is None:
        if shared and x.is_floating_point():
            x = x.detach().requires_grad_(True)
        output = forward(x)
    task = loss(first_output(output), y)
    if weight is not None:
        task = weighted_loss(task, weight, reduction=reduction)
    if masked_x is None:
        masked_x = masked_input(
            forward,
            x,
            y,
            masking,
            weight=weight,
            generator=generator,
            output=output if shared else None,
            modules=modules,
        )
    clean = _logits(output, masking)
    if masking.n_hidden(math.prod(x.shape[1:])) == 0:
        values = clean.new_zeros(len(x))
    else:
        fork = forked_generators(x, generator) if fork_generators else nullcontext()
        with frozen_running_statistics(modules), fork:
            masked = _logits(forward(masked_x), masking)
        values = divergence(clean, masked)
        if values.shape != (len(x),):
            raise ValueError(
                f"divergence must return one value a sample, shape ({len(x)},), got "
                f"{tuple(values.shape)}; estimators take it as the parameter consistency."
            )
    if weight is not None:
        return task, weighted_loss(values, weight, reduction=reduction)
    if reduction == "none":
        return task, values
    return task, values.sum() if reduction == "sum" else values.mean()
