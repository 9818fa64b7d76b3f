"""Saliency of tokens at their embedding, and the tokens that replace hidden ones."""

import torch

UNKNOWN_TOKEN = 1
TOKEN_FILLS = ("unknown", "previous", "marginal", "constant")


def token_values(gradient, embedded, x, valid, order):
    """One value a token, to rank it by.

    Parameters
    ----------
    gradient, embedded : torch.Tensor of shape (n_samples, n_tokens, n_dimensions)
        Gradient with respect to the embedded tokens, and these.
    x : torch.Tensor of int64, shape (n_samples, n_tokens)
        The tokens.
    valid : torch.Tensor of bool, shape (n_samples, n_tokens)
        Tokens that are not padding.
    order : {"signed", "absolute", "sampled"}
        The mean of the gradient over the dimensions for "signed", as in the program of the paper's
        authors; otherwise the gradient times the embedded token, summed over them.

    Returns
    -------
    torch.Tensor of shape (n_samples, n_tokens)
        The values, signed.

    Raises
    ------
    ValueError
        If the gradient alone is the same for all tokens of each sample.
    """
    if order != "signed":
        return (gradient * embedded.detach()).sum(2)
    values = gradient.mean(2)
    low, high = _range(values, valid)
    first, last = _range(x, valid)
    # one token, or one token again and again, cannot tell; nor can a gradient that has vanished
    telling = (first < last) & ((low != 0) | (high != 0))
    size = torch.maximum(low.abs(), high.abs())
    tied = high - low <= 8 * torch.finfo(values.dtype).eps * size
    if telling.any() and tied[telling].all():
        raise ValueError(
            "mask_order='signed' ranks tokens by the gradient at their embedding alone, which "
            "here is the same for all tokens of a sample, as behind a mean over them: use "
            'mask_order="absolute", which ranks by the gradient times the embedding.'
        )
    return values


def _range(values, valid):
    """Minimum and maximum of each row; 0 for rows of padding only."""
    some = valid.any(1)
    bounds = torch.finfo if values.is_floating_point() else torch.iinfo
    bounds = bounds(values.dtype)
    low = torch.where(valid, values, bounds.max).amin(1)
    high = torch.where(valid, values, bounds.min).amax(1)
    return torch.where(some, low, 0), torch.where(some, high, 0)


def replaced_tokens(
    x, hidden, fill, *, valid, value=0.0, weight=None, generator=None, n_tokens=None
):
    """Replace hidden tokens.

    Parameters
    ----------
    x : torch.Tensor of int64, shape (n_samples, n_tokens)
        The tokens: 0 is padding, 1 the unknown token.
    hidden : torch.Tensor of bool, shape (n_samples, n_tokens)
        Tokens to replace.
    fill : str or callable
        - "unknown": the unknown token;
        - "previous": the nearest kept token before it, the unknown token where there is none;
        - "marginal": a token of the other samples of the batch, each as likely, or by `weight`;
          left unchanged where there is none;
        - "constant": `value`;
        - a callable ``(x, generator) -> integer tensor of the shape of x``.
    valid : torch.Tensor of bool, shape (n_samples, n_tokens)
        Tokens that are not padding.
    value : float, default=0.0
        For "constant": an id; 0 takes tokens for padding.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights, for "marginal".
    generator : torch.Generator, default=None
        Source of the draw for "marginal", one of the shape of `x`.
    n_tokens : int, default=None
        Size of the vocabulary, to check the ids of "constant" and of a callable by.

    Returns
    -------
    torch.Tensor of the shape and dtype of `x`
        The tokens.

    Raises
    ------
    ValueError
        If the fill is unknown, or gives anything but ids of tokens.
    """
    if callable(fill):
        values = fill(x, generator)
        if not _is_like(values, x):
            kind = getattr(values, "dtype", type(values).__name__)
            raise ValueError(
                "mask_fill must return an integer tensor of the shape of its input "
                f"{tuple(x.shape)}, got {tuple(getattr(values, 'shape', ()))} of {kind}."
            )
        values = values.to(x)
        _check_ids(values[hidden], n_tokens, "mask_fill must return")
    elif fill == "unknown":
        values = torch.full_like(x, UNKNOWN_TOKEN)
    elif fill == "previous":
        values = _previous_kept(x, valid & ~hidden)
    elif fill == "marginal":
        values = _tokens_of_others(x, valid, weight, generator)
    else:
        if value != int(value):
            raise ValueError(
                f"mask_value must be the id of a token for mask_fill='constant', got {value!r}."
            )
        values = torch.full_like(x, int(value))
        _check_ids(values, n_tokens, "mask_value must be")
    return torch.where(hidden, values, x)


def check_fill(fill, tokens):
    """Raise ValueError for a fill of floating-point inputs on tokens, or the other way round."""
    if callable(fill):
        return
    if tokens and fill not in TOKEN_FILLS:
        raise ValueError(
            f"mask_fill must be one of {TOKEN_FILLS} or a callable for tokens, got {fill!r}."
        )
    if not tokens and fill in ("unknown", "previous"):
        raise ValueError(
            f"mask_fill={fill!r} replaces tokens, which are integers with an embedding; for "
            "floating-point inputs choose 'marginal', 'sample_uniform', 'feature_uniform', "
            "'mean', 'constant' or a callable."
        )


def _is_like(values, x):
    if not isinstance(values, torch.Tensor) or values.shape != x.shape:
        return False
    return not (values.is_floating_point() or values.is_complex() or values.dtype == torch.bool)


def _check_ids(values, n_tokens, must):
    if values.numel() == 0:
        return
    low, high = values.min().item(), values.max().item()
    if low < 0 or (n_tokens is not None and high >= n_tokens):
        largest = "" if n_tokens is None else f" to {n_tokens - 1}"
        got = low if low < 0 else high
        raise ValueError(f"{must} ids of tokens, 0{largest}, got {got}.")


def _previous_kept(x, kept):
    positions = torch.arange(x.shape[1], device=x.device)
    before = torch.where(kept, positions, -1).cummax(1).values
    return torch.where(before >= 0, x.gather(1, before.clamp_min(0)), UNKNOWN_TOKEN)


def _tokens_of_others(x, valid, weight, generator):
    # a batch may hold more tokens than single precision tells apart
    dtype = torch.float32 if x.device.type == "mps" else torch.float64
    uniform = torch.rand(x.shape, dtype=dtype, device=x.device, generator=generator)
    mass = valid.to(dtype)
    if weight is not None:
        mass = mass * weight.to(mass).unsqueeze(1)
    # tokens laid on a line as long as they weigh, from which each sample's own part is cut out
    ends = mass.flatten().cumsum(0)
    end = ends.reshape(x.shape)[:, -1:]
    start = torch.cat([torch.zeros_like(end[:1]), end[:-1]])
    position = uniform * (ends[-1] - (end - start))
    position = torch.where(position >= start, position + (end - start), position)
    index = torch.searchsorted(ends, position, right=True).clamp_max(ends.numel() - 1)
    rows = torch.arange(len(x), device=x.device).unsqueeze(1)
    # none of the others has a token that weighs, or rounding at the end of the line
    unchanged = (index // x.shape[1] == rows) | (mass.flatten()[index] == 0)
    return torch.where(unchanged, x, x.flatten()[index])
