"""Parameter names that a net does not take, and the ones that were meant."""

import inspect
from difflib import get_close_matches

import torch

from sgt_sklearn.estimators._named import NAMED_MODULES

_EARLY_STOPPING = (
    "callbacks=[skorch.callbacks.EarlyStopping()] with train_split=skorch.dataset.ValidSplit(0.1)"
)
_DECAY = "optimizer__weight_decay with optimizer=torch.optim.AdamW"
_MOMENTUM = "optimizer__momentum with optimizer=torch.optim.SGD"
# names in scikit-learn and other libraries: what a net of skorch calls it
_ELSEWHERE = (
    dict.fromkeys(("epochs", "n_epochs", "num_epochs", "max_iter", "n_iter"), "max_epochs")
    | dict.fromkeys(("learning_rate", "learning_rate_init", "eta", "eta0"), "lr")
    | dict.fromkeys(("alpha", "weight_decay", "l2", "reg_lambda"), _DECAY)
    | dict.fromkeys(("momentum", "nesterovs_momentum"), _MOMENTUM)
    | dict.fromkeys(("early_stopping", "n_iter_no_change", "patience", "tol"), _EARLY_STOPPING)
    | dict.fromkeys(
        ("validation_fraction", "validation_split"), "train_split=skorch.dataset.ValidSplit(0.1)"
    )
    | dict.fromkeys(("seed", "random_seed", "rng"), "random_state")
    | dict.fromkeys(("loss", "loss_function", "loss_fn", "objective"), "criterion")
    | dict.fromkeys(("model", "net", "network", "architecture", "estimator"), "module")
    | dict.fromkeys(("lambda_", "lam", "lambd"), "consistency_weight")
    | {"solver": "optimizer", "shuffle": "iterator_train__shuffle"}
)
# the same for arguments of a module, by those that modules have
_OF_MODULES = (
    dict.fromkeys(
        ("hidden_layer_sizes", "hidden_layers", "hidden_size", "hidden_sizes", "hidden_units"),
        ("hidden", "channels"),
    )
    | dict.fromkeys(("hidden_dim", "hidden_dims", "units", "layers"), ("hidden", "channels"))
    | dict.fromkeys(("dropout_rate", "dropout_prob", "p"), ("dropout",))
    | dict.fromkeys(("num_layers", "depth", "n_hidden_layers"), ("n_layers",))
    | dict.fromkeys(("embedding_dim", "d_model"), ("embedding_size", "size"))
)
_ARGUMENTS_OF_MODULES = {"hidden", "channels", "dropout", "activation", "n_layers", *_OF_MODULES}
_SIZES_OF_LAYERS = {"hidden_layer_sizes", "hidden_layers", "hidden_sizes", "layers"}


def module_arguments(module):
    """Names of the arguments of a `module` parameter, or None where it takes any.

    Parameters
    ----------
    module : object
        The parameter of a net: a name, a module class or instance.

    Returns
    -------
    list of str or None
        Of "auto" the arguments of all networks that it may stand for.
    """
    if isinstance(module, str):
        names = ("mlp", "tcn", "cnn") if module == "auto" else (module,)
        known = [NAMED_MODULES[name][1] for name in names if name in NAMED_MODULES]
        return list(dict.fromkeys(n for one in known for n in _arguments(one)))
    return _arguments(type(module) if isinstance(module, torch.nn.Module) else module)


def _arguments(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    if any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters):
        return None
    return [p.name for p in parameters]


def with_hints(unknown, module, known, prefixes):
    """Names that a net does not take, each with a hint in brackets where there is one.

    Parameters
    ----------
    unknown : iterable of str
        The names.
    module : object
        The parameter `module` of the net.
    known : iterable of str
        Names that it takes.
    prefixes : iterable of str
        Prefixes of the names that go on to a part of the net.

    Returns
    -------
    str
        The names, sorted, with commas between.

    Examples
    --------
    >>> with_hints(["epochs", "hiddn"], "mlp", ["max_epochs"], ["module"])
    'epochs (use max_epochs), hiddn (did you mean module__hidden?)'
    """
    hints = {name: _hint(name, module, known, prefixes) for name in sorted(unknown)}
    return ", ".join(f"{name} ({hint})" if hint else name for name, hint in hints.items())


def _hint(name, module, known, prefixes):
    arguments = module_arguments(module) or []
    meant = next((a for a in _OF_MODULES.get(name, (name,)) if a in arguments), None)
    if meant is not None:
        example = (
            "=(64, 64)" if name in _SIZES_OF_LAYERS and meant in ("hidden", "channels") else ""
        )
        return f"use module__{meant}{example}"
    if name in _ARGUMENTS_OF_MODULES and arguments:
        return f"the module takes {', '.join(f'module__{argument}' for argument in arguments)}"
    if name in _ELSEWHERE:
        return f"use {_ELSEWHERE[name]}"
    for prefix in sorted(prefixes, key=len, reverse=True):
        if name.startswith(prefix + "_"):  # one underscore instead of two
            rest = name[len(prefix) :].lstrip("_")
            return f"did you mean {prefix}__{rest}?"
    head, separator, tail = name.partition("__")
    if separator:
        close = get_close_matches(head, list(prefixes), n=1)
        return f"did you mean {close[0]}__{tail}?" if close else ""
    candidates = {n: n for n in known} | {n: f"module__{n}" for n in arguments}
    close = get_close_matches(name, list(candidates), n=1)
    return f"did you mean {candidates[close[0]]}?" if close else ""


def check_arguments(prefix, function, arguments):
    """Refuse arguments that a module, criterion or optimizer does not take.

    Parameters
    ----------
    prefix : str
        Prefix of the arguments, such as "module".
    function : callable or torch.nn.Module
        The class, or an instance of it.
    arguments : mapping
        What was given, by names without the prefix.

    Raises
    ------
    TypeError
        Naming those that it does not take, the nearest that it does, and all of them.
    """
    constructor = type(function) if isinstance(function, torch.nn.Module) else function
    known = _arguments(constructor)
    unknown = [] if known is None else [name for name in arguments if name not in known]
    if not unknown:
        return
    parts = []
    for name in unknown:
        meant = next((a for a in _OF_MODULES.get(name, ()) if a in known), None)
        close = [meant] if meant else get_close_matches(name, known, n=1)
        hints = [f" (did you mean {prefix}__{one}?)" for one in close]
        parts.append(f"{prefix}__{name}{''.join(hints)}")
    raise TypeError(
        f"{getattr(constructor, '__name__', constructor)} takes no {', '.join(parts)}; it takes "
        f"{', '.join(f'{prefix}__{name}' for name in known)}."
    )
