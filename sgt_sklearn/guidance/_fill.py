"""Values that replace hidden features."""

import torch

FILLS = ("sample_uniform", "feature_uniform", "marginal", "mean", "constant")


def fill_values(x, fill, *, statistics=None, value=0.0, groups=None, weight=None, generator=None):
    """Replacement values for every cell of a batch.

    Every random fill makes one draw of the full shape of `x`, so that the draws do not depend on
    what is hidden.

    Parameters
    ----------
    x : torch.Tensor of shape (n_samples, ...)
        The batch.
    fill : str or callable
        - "sample_uniform": uniform between the minimum and maximum of the sample: over all
          columns of a row of a table, per feature over time of a series, per channel of an image;
        - "feature_uniform": uniform between the training minimum and maximum of the feature;
        - "marginal": the same cells of another row of the batch, one donor row for a whole group
          and never the sample itself, drawn by `weight`; a batch of one is left unchanged;
        - "mean": the training mean of the feature;
        - "constant": `value`;
        - a callable ``(x, generator) -> tensor of the shape of x``.
    statistics : mapping of str to torch.Tensor that broadcasts to one sample, default=None
        "minimum", "maximum" and "mean" of the training data, where the fill needs them.
    value : float, default=0.0
        For "constant".
    groups : torch.Tensor of int64, shape ``x.shape[1:]``, default=None
        Labels of groups hidden as one, for "marginal"; None makes every cell its own group.
    weight : torch.Tensor of shape (n_samples,), default=None
        Sample weights, for "marginal"; None makes every other row as likely.
    generator : torch.Generator, default=None
        Source of the draw.

    Returns
    -------
    torch.Tensor of the shape of `x`
        The replacement values.

    Raises
    ------
    ValueError
        If the fill is unknown, lacks its statistics, or a callable returns another shape.

    Examples
    --------
    >>> import torch
    >>> fill_values(torch.ones(2, 2), "constant", value=-1.0)
    tensor([[-1., -1.],
            [-1., -1.]])
    """
    if callable(fill):
        values = fill(x, generator)
        if not isinstance(values, torch.Tensor) or values.shape != x.shape:
            raise ValueError(
                f"mask_fill must return a tensor of the shape of its input {tuple(x.shape)}, got "
                f"{tuple(values.shape) if hasattr(values, 'shape') else type(values).__name__}."
            )
        return values.to(device=x.device, dtype=x.dtype)
    if fill == "constant":
        return torch.full_like(x, value)
    if fill == "mean":
        return _statistic(statistics, "mean", fill).expand_as(x)
    if fill not in FILLS:
        raise ValueError(f"mask_fill must be one of {FILLS} or a callable, got {fill!r}.")
    uniform = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
    if fill == "marginal":
        return _donor_values(x, uniform, groups, weight)
    if fill == "sample_uniform":
        low, high = _sample_range(x)
    else:
        low = _statistic(statistics, "minimum", fill)
        high = _statistic(statistics, "maximum", fill)
    return low + uniform * (high - low)


def _statistic(statistics, name, fill):
    value = None if statistics is None else statistics.get(name)
    if value is None:
        raise ValueError(
            f"mask_fill={fill!r} needs the training {name} of each feature: pass it in "
            "`statistics`, or choose 'sample_uniform', 'marginal' or 'constant'."
        )
    return value


def _sample_range(x):
    axes = tuple(range(2, x.ndim)) if x.ndim > 3 else 1
    return x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)


def _donor_values(x, uniform, groups, weight):
    n = len(x)
    if n < 2:
        return x
    cells, uniform = x.flatten(1), uniform.flatten(1)
    if groups is not None:
        uniform = uniform[:, _first_members(groups.flatten())]
    rows = torch.arange(n, device=x.device).unsqueeze(1)
    if weight is None:
        # an offset of 1 .. n - 1 rows never lands on the sample itself
        donors = (rows + 1 + (uniform * (n - 1)).long().clamp_max(n - 2)) % n
    else:
        donors = _weighted_donors(uniform, weight.to(uniform), rows)
    return cells.gather(0, donors).reshape(x.shape)


def _weighted_donors(uniform, weight, rows):
    """Rows laid around a circle, as long as they weigh; each draws from the circle behind it."""
    ends = weight.cumsum(0)
    position = ends.unsqueeze(1) + uniform * (ends[-1] - weight).unsqueeze(1)
    position = torch.where(position >= ends[-1], position - ends[-1], position)
    donors = torch.searchsorted(ends, position.contiguous(), right=True).clamp_max(len(ends) - 1)
    # rounding at the end of the way round
    return torch.where(donors == rows, (rows - 1) % len(ends), donors)


def _first_members(labels):
    """Position of the first cell of each cell's group."""
    order = torch.argsort(labels, stable=True)
    starts = torch.ones_like(labels, dtype=torch.bool)
    starts[1:] = labels[order][1:] != labels[order][:-1]
    return order[starts][labels]
