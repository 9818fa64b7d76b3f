"""Which cells of a batch are padding, and how many groups are not."""

import torch

PADDING_TOKEN = 0


def without_full(lengths, x):
    """Check lengths; None where no series is shorter than the array.

    Parameters
    ----------
    lengths : torch.Tensor of int64, shape (n_samples,), or None
        Number of steps of each series.
    x : torch.Tensor of shape (n_samples, n_timesteps, ...)
        The padded batch.

    Returns
    -------
    torch.Tensor of int64, shape (n_samples,), or None
        The lengths on the device of `x`, if there is padding.

    Raises
    ------
    ValueError
        If they are not one integer a sample, 1 to the number of steps.
    """
    if lengths is None:
        return None
    if x.ndim < 2:
        raise ValueError(
            f"lengths need an x of shape (n_samples, n_timesteps, ...), got {tuple(x.shape)}."
        )
    must_be = f"lengths must be {len(x)} integers, one a sample, 1 to {x.shape[1]}"
    is_tensor = isinstance(lengths, torch.Tensor)
    if not is_tensor or lengths.is_floating_point() or lengths.shape != (len(x),):
        got = f"shape {tuple(lengths.shape)} of {lengths.dtype}" if is_tensor else type(lengths)
        raise ValueError(f"{must_be}, as an int64 tensor, got {got}.")
    if len(x) == 0:
        return None
    shortest, longest = lengths.min().item(), lengths.max().item()
    if shortest < 1 or longest > x.shape[1]:
        raise ValueError(
            f"{must_be}, the number of steps of x, got {shortest} to {longest}: leave empty "
            "series out."
        )
    return None if shortest == x.shape[1] else lengths.to(x.device, torch.int64)


def valid_cells(x, lengths, tokens=False):
    """Mark the cells that are not padding.

    Parameters
    ----------
    x : torch.Tensor of shape (n_samples, n_timesteps, ...)
        The padded batch.
    lengths : torch.Tensor of int64, shape (n_samples,), or None
        Number of steps of each series.
    tokens : bool, default=False
        Whether `x` holds tokens, of which 0 is padding.

    Returns
    -------
    torch.Tensor of bool, the shape of `x`, or None
        None without lengths and tokens: every cell is valid.
    """
    if tokens:
        valid = x != PADDING_TOKEN
        return valid if lengths is None else valid & valid_cells(x, lengths)
    if lengths is None:
        return None
    steps = torch.arange(x.shape[1], device=x.device)
    valid = steps < lengths.unsqueeze(1)
    return valid.reshape(*valid.shape, *(1,) * (x.ndim - 2)).expand(x.shape)


def valid_members(valid, groups, n_groups):
    """Count the valid cells of each group.

    Parameters
    ----------
    valid : torch.Tensor of bool, shape (n_samples, ...)
        Cells that are not padding.
    groups : torch.Tensor of int64, shape ``valid.shape[1:]``, or None
        Labels of the groups; None makes every cell its own group.
    n_groups : int or None
        Number of groups; needed with `groups`.

    Returns
    -------
    torch.Tensor of int64, shape (n_samples, n_groups)
        The counts.
    """
    counts = valid.flatten(1).long()
    if groups is None:
        return counts
    return counts.new_zeros(len(counts), n_groups).index_add_(1, groups.flatten(), counts)


def shares(fraction, counts):
    """``floor(fraction * count + 1e-9)`` of each count, in double precision on every device."""
    hidden = [int(fraction * count + 1e-9) for count in counts.tolist()]
    return torch.tensor(hidden, dtype=torch.int64, device=counts.device)
