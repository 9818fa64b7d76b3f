"""Whether a saved state fits an optimizer, before torch takes it unseen."""

import torch

from sgt_sklearn.estimators._persistence._codec import require

# these keep, for each parameter, numbers and tensors of its shape
_ELEMENTWISE = (
    *("ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Muon", "NAdam", "RAdam"),
    *("RMSprop", "Rprop", "SGD", "SparseAdam"),
)


def check_optimizer_state(optimizer, state, path):
    """Refuse a state that would fail, or mislead, in a later step.

    Parameters
    ----------
    optimizer : torch.optim.Optimizer
        A new optimizer.
    state : object
        What a file holds for it.
    path : str
        For messages.

    Raises
    ------
    PersistenceError
        Naming what does not fit.
    """
    fits = isinstance(state, dict) and set(state) == {"state", "param_groups"}
    require(fits, path, "an optimizer's state and param_groups", state)
    groups, own_groups = state["param_groups"], optimizer.state_dict()["param_groups"]
    fits = isinstance(groups, list) and len(groups) == len(own_groups)
    require(fits, path, f"{len(own_groups)} parameter groups", groups)
    for group, own in zip(groups, own_groups, strict=True):
        fits = isinstance(group, dict) and group.get("params") == own["params"]
        require(fits, path, f"groups of the parameters {own['params']}", group)
        for key, value in group.items():
            # schedules add settings of their own, which are numbers
            require(
                _is_alike(own.get(key), value), path, f"a setting like {own.get(key)!r}", value
            )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    states = state["state"]
    fits = isinstance(states, dict) and set(states) <= set(range(len(parameters)))
    require(fits, path, f"states of parameters 0 .. {len(parameters) - 1}", states)
    for index, values in states.items():
        require(isinstance(values, dict), path, "states by name", values)
        if type(optimizer) in _elementwise():
            for key, value in values.items():
                _check_elementwise(key, value, parameters[index].shape, f"{path} ({key})")


def _elementwise():
    return {getattr(torch.optim, name, None) for name in _ELEMENTWISE}


def _check_elementwise(key, value, shape, path):
    if key == "step":
        fits = isinstance(value, (int, float)) or getattr(value, "numel", int)() == 1
        require(fits, path, "a number", value)
    elif isinstance(value, torch.Tensor):
        fits = value.numel() == 1 or value.shape == shape
        require(fits, path, f"of shape {tuple(shape)}", tuple(value.shape))
    else:
        require(value is None and key == "momentum_buffer", path, "a tensor", value)


def _is_alike(own, value):
    if isinstance(own, (list, tuple)):
        fits = isinstance(value, (list, tuple)) and len(own) == len(value)
        return fits and all(_is_alike(x, y) for x, y in zip(own, value, strict=True))
    if isinstance(own, (float, int, torch.Tensor)) and not isinstance(own, bool):
        return isinstance(value, (float, int, torch.Tensor)) and not isinstance(value, bool)
    if isinstance(value, (list, tuple)):
        return own is None and all(_is_alike(None, item) for item in value)
    return value is None or isinstance(value, (bool, float, int, str, torch.Tensor))
