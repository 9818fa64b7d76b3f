"""Saliency guided training as one function."""

import math
from contextlib import nullcontext

import torch

from sgt_sklearn.attribution import captured_embedding, first_output, parent_modules
from sgt_sklearn.guidance._divergence import make_divergence
from sgt_sklearn.guidance._masked_input import (
    anything,
    check_differentiable,
    masked_input,
    output_logits,
)
from sgt_sklearn.guidance._modes import forked_generators, frozen_running_statistics
from sgt_sklearn.guidance._padding import valid_cells, without_full
from sgt_sklearn.guidance._weights import weighted_loss


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
    lengths=None,
    embedding=None,
    embedded=None,
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
        The batch, floating point, of any dtype and device; with `embedding` tokens of shape
        (n_samples, n_tokens), int64, where 0 is padding and 1 the unknown token.
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
    lengths : torch.Tensor of int64, shape (n_samples,), default=None
        Number of steps (axis 1 of `x`) of each series, 1 or more; see :func:`masked_input`.
        `forward` gets `x` alone: a module that needs lengths too is
        ``lambda x: module(x, lengths)``, with ``modules=[module]``. The consistency of a series
        too short to have anything hidden is 0.
    embedding : torch.nn.Module, default=None
        For tokens: the module behind `forward` that embeds them, in one call; see
        :func:`masked_input`.
    embedded : torch.Tensor of shape (n_samples, n_tokens, n_dimensions), default=None
        What `embedding` returned where `output` is given and ``saliency_pass="shared"``; without
        it the saliency of tokens is a pass of its own then.

    Returns
    -------
    task : torch.Tensor
        The task loss, a scalar unless `loss` is unreduced.
    consistency : torch.Tensor
        The consistency loss, a scalar (shape (n_samples,) for ``reduction="none"``).

    Raises
    ------
    TypeError
        If `x` is neither floating point nor tokens with an embedding, or the output has no
        gradient path to it.
    ValueError
        If a name is unknown, groups, lengths or the fill do not fit `x`, with weights the loss is
        not one value a sample, the embedding is not called once on all tokens, or the order
        "signed" finds all tokens tied.

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
    if embedding is not None:
        check_differentiable(x, embedding)
    if output is None:
        if embedded is not None:
            raise ValueError("embedded must come with the output that was made from it.")
        capture = nullcontext()
        if embedding is not None and shared and masked_x is None:
            capture = captured_embedding(embedding, x)
        elif shared and x.is_floating_point():
            x = x.detach().requires_grad_(True)
        with capture as captured:
            output = forward(x)
        embedded = None if captured is None else captured.output
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
            lengths=lengths,
            embedding=embedding,
            embedded=embedded if shared else None,
        )
    clean = output_logits(output, masking)
    valid = valid_cells(x, without_full(lengths, x), tokens=embedding is not None)
    k = masking.n_hidden(math.prod(x.shape[1:]), valid)
    if not anything(k):
        values = clean.new_zeros(len(x))
    else:
        fork = forked_generators(x, generator) if fork_generators else nullcontext()
        with frozen_running_statistics(modules), fork:
            masked = output_logits(forward(masked_x), masking)
        values = divergence(clean, masked)
        if values.shape != (len(x),):
            raise ValueError(
                f"divergence must return one value a sample, shape ({len(x)},), got "
                f"{tuple(values.shape)}; estimators take it as the parameter consistency."
            )
        if isinstance(k, torch.Tensor):
            values = torch.where(k > 0, values, 0)
    if weight is not None:
        return task, weighted_loss(values, weight, reduction=reduction)
    if reduction == "none":
        return task, values
    return task, values.sum() if reduction == "sum" else values.mean()
