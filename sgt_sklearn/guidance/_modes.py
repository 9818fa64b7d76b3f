"""Module modes around the extra forward passes."""

from contextlib import contextmanager

import torch

from sgt_sklearn.attribution import evaluation_mode, first_output


@contextmanager
def frozen_running_statistics(modules):
    """Normalise by batch statistics without moving the running ones.

    Parameters
    ----------
    modules : iterable of torch.nn.Module
        The modules, submodules included.

    Yields
    ------
    None
        Tracking is switched on again on leaving.
    """
    # written to the instance, because restoring the buffers instead would break autograd's
    # version counters between forward and backward
    frozen = [
        (m, *_FROZEN[isinstance(m, torch.nn.modules.instancenorm._InstanceNorm)])
        for module in modules
        for m in module.modules()
        if m.training and vars(m).get("track_running_stats")
    ]
    before = [getattr(m, name) for m, name, _ in frozen]
    for module, name, value in frozen:
        setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name, _), value in zip(frozen, before, strict=True):
            setattr(module, name, value)


# instance normalisation updates the statistics that it has, whether told to track them or not
_FROZEN = {False: ("track_running_stats", False), True: ("momentum", 0.0)}


@contextmanager
def forked_generators(x, generator):
    """Run on torch generators seeded from a private one, and give the global state back."""
    seed = torch.randint(2**62, (), device=x.device, generator=generator).item()
    # torch.random.fork_rng and torch.manual_seed do the same for every device there is, which in
    # each step takes longer than the pass through a small network
    in_use = [torch.default_generator]
    if x.device.type == "cuda":
        index = torch.cuda.current_device() if x.device.index is None else x.device.index
        in_use.append(torch.cuda.default_generators[index])
    states = [g.get_state() for g in in_use]
    try:
        for g in in_use:
            g.manual_seed(seed)
        yield
    finally:
        for g, state in zip(in_use, states, strict=True):
            g.set_state(state)


def passes_agree(forward, modules, x):
    """Whether training and evaluation mode compute the same, so that one pass can serve both.

    Dropout and batch normalisation make them differ. The probe leaves buffers and torch's
    generators as they were.

    Parameters
    ----------
    forward : callable
        Maps `x` to the output.
    modules : iterable of torch.nn.Module
        The modules behind `forward`.
    x : torch.Tensor
        A batch.

    Returns
    -------
    agree : bool
        Equal outputs, no draw from a torch generator, and no changed buffer.
    stochastic : bool
        Whether training mode drew from a torch generator.

    Raises
    ------
    ValueError
        If the module changes its input in place.
    TypeError
        If it returns neither a tensor nor a tuple that starts with one.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.guidance import passes_agree
    >>> net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout())
    >>> passes_agree(net, [net], torch.ones(2, 3))
    (False, True)
    """
    tensors = [t for m in modules for t in (*m.parameters(), *m.buffers())]
    if any(torch.nn.parameter.is_lazy(t) for t in tensors):
        with evaluation_mode(modules), torch.no_grad():
            forward(x.detach().clone())  # the first pass initialises lazy modules
    buffers = [b for module in modules for b in module.buffers()]
    before = [b.clone() for b in buffers]
    devices = [x.device] if x.device.type == "cuda" else []
    # gradients stay enabled: some layers (TransformerEncoderLayer) take another path without
    with torch.random.fork_rng(devices=devices), torch.enable_grad():
        states = _generator_states(x)
        probe = x.detach().clone()
        trained = _detached(forward(probe))
        if probe._version:
            raise ValueError(
                "The module changes its input in place, but guidance needs the input again: make "
                "its first layers work on a copy (inplace=False)."
            )
        stochastic = any(
            not torch.equal(a, b) for a, b in zip(states, _generator_states(x), strict=True)
        )
        moved = any(not torch.equal(a, b) for a, b in zip(before, buffers, strict=True))
        with torch.no_grad():
            for buffer, value in zip(buffers, before, strict=True):
                buffer.copy_(value)
        with evaluation_mode(modules):
            evaluated = _detached(forward(probe))
    return not stochastic and not moved and torch.equal(trained, evaluated), stochastic


def _detached(output):
    first = first_output(output)
    if not isinstance(first, torch.Tensor):
        raise TypeError(
            "Guidance compares outputs that are a tensor, or the first entry of a tuple, but the "
            f"module returns {type(output).__name__}: return (prediction, ...), or train without "
            "guidance (of the estimators, consistency_weight=0)."
        )
    return first.detach()


def _generator_states(x):
    states = [torch.get_rng_state()]
    if x.device.type == "cuda":
        states.append(torch.cuda.get_rng_state(x.device))
    return states
