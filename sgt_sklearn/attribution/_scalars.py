"""The scalar per sample whose input gradient explains a network's output."""

import torch
from torch.nn import functional as F

LIKELIHOODS = ("categorical", "bernoulli", "gaussian")
SALIENCY_OUTPUTS = ("log_proba", "logit", "margin")


def first_output(output):
    """Return the tensor that carries the prediction: element 0 of a tuple of outputs.

    Parameters
    ----------
    output : torch.Tensor or tuple or list
        What a module's ``forward`` returned.

    Returns
    -------
    torch.Tensor
        The prediction.

    Examples
    --------
    >>> import torch
    >>> first_output((torch.zeros(2), "attention weights"))
    tensor([0., 0.])
    """
    return output[0] if isinstance(output, (tuple, list)) else output


def output_scalar(output, y, *, kind, likelihood):
    """Reduce a network's output to one scalar a sample.

    Parameters
    ----------
    output : torch.Tensor of shape (n_samples, n_classes, ...) or (n_samples, ...)
        Logits for "categorical" (classes on axis 1) and "bernoulli", predicted means for
        "gaussian".
    y : torch.Tensor or None
        "categorical": class indices of shape (n_samples, ...) or soft labels with the shape of
        `output`. "bernoulli": 0/1 targets with as many elements as `output`. "gaussian": ignored.
    kind : {"log_proba", "logit", "margin"}
        With z the logits: ``log p(y | x)``; ``z_y`` (Bernoulli: ``sum_l (2 y_l - 1) z_l``); or
        ``z_y - mean_c z_c`` (Bernoulli: the same as "logit"). For "gaussian" every kind is the sum
        of the outputs.
    likelihood : {"categorical", "bernoulli", "gaussian"}
        The distribution that the outputs parametrise.

    Returns
    -------
    torch.Tensor of shape (n_samples,)
        The scalars; their sum has the per-sample gradients as its input gradient.

    Raises
    ------
    ValueError
        If `kind` or `likelihood` is unknown.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 3.0]])
    >>> output_scalar(z, torch.tensor([1]), kind="margin", likelihood="categorical")
    tensor([1.])
    """
    _check_names(kind, likelihood)
    if likelihood == "gaussian":
        return output.flatten(1).sum(1) if output.ndim > 1 else output
    if likelihood == "bernoulli":
        return _bernoulli_scalar(output, y, kind)
    return _categorical_scalar(output, y, kind)


def _bernoulli_scalar(output, y, kind):
    # (2y - 1) z is the logit of the observed outcome
    signed = (2 * y.reshape(output.shape).to(output.dtype) - 1) * output
    if kind == "log_proba":
        signed = F.logsigmoid(signed)
    return signed.flatten(1).sum(1) if signed.ndim > 1 else signed


def _categorical_scalar(output, y, kind):
    values = F.log_softmax(output, dim=1) if kind == "log_proba" else output
    if y.is_floating_point():
        picked = (values * y.to(values.dtype)).sum(1)
    else:
        picked = values.gather(1, y.long().unsqueeze(1)).squeeze(1)
    if kind == "margin":
        picked = picked - output.mean(1)
    return picked.flatten(1).sum(1) if picked.ndim > 1 else picked


def output_gradient(output, y, *, kind, likelihood):
    """Gradient of :func:`output_scalar` with respect to the output, in closed form.

    Started from here, the backward pass to the input is spared the operations of the scalar.

    Parameters
    ----------
    output, y, kind, likelihood
        As for :func:`output_scalar`.

    Returns
    -------
    torch.Tensor of the shape of `output`
        The gradient, without a graph.

    Raises
    ------
    ValueError
        If `kind` or `likelihood` is unknown.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[1.0, 3.0]])
    >>> output_gradient(z, torch.tensor([1]), kind="margin", likelihood="categorical")
    tensor([[-0.5000,  0.5000]])
    """
    _check_names(kind, likelihood)
    output = output.detach()
    if likelihood == "gaussian":
        return torch.ones_like(output)
    if likelihood == "bernoulli":
        sign = 2 * y.reshape(output.shape).to(output.dtype) - 1
        return sign * torch.sigmoid(-sign * output) if kind == "log_proba" else sign
    shift = 1 / output.shape[1] if kind == "margin" else 0.0
    if y.is_floating_point():
        gradient = y.to(output.dtype) - shift
    else:
        gradient = torch.full_like(output, -shift)
        gradient.scatter_(1, y.long().unsqueeze(1), 1.0 - shift)
    if kind == "log_proba":
        return gradient - output.softmax(1) * gradient.sum(1, keepdim=True)
    return gradient


def _check_names(kind, likelihood):
    if kind not in SALIENCY_OUTPUTS:
        raise ValueError(f"kind must be one of {SALIENCY_OUTPUTS}, got {kind!r}.")
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"likelihood must be one of {LIKELIHOODS}, got {likelihood!r}.")


def logits_from(output, *, likelihood, probabilities):
    """Return logits: the output itself, or those of an output that holds probabilities.

    Parameters
    ----------
    output : torch.Tensor
        Output of a module.
    likelihood : {"categorical", "bernoulli", "gaussian"}
        The distribution that the output parametrises.
    probabilities : bool
        Whether the output holds probabilities.

    Returns
    -------
    torch.Tensor of the shape of `output`
        ``log p`` (categorical; logits up to a constant), ``log p - log(1 - p)`` (Bernoulli), or
        the output.

    Examples
    --------
    >>> import torch
    >>> logits_from(torch.tensor([0.5]), likelihood="bernoulli", probabilities=True)
    tensor([0.])
    """
    if not probabilities or likelihood == "gaussian":
        return output
    eps = torch.finfo(output.dtype).eps
    if likelihood == "bernoulli":
        return torch.log(output + eps) - torch.log(1 - output + eps)
    return torch.log(output + eps)
