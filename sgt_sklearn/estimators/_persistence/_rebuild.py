"""An estimator from a JSON document and named tensors; every value of them is checked."""

import json
import re
from collections import OrderedDict
from contextlib import contextmanager
from itertools import chain
from numbers import Real

import numpy as np
import torch
from skorch.dataset import Dataset
from skorch.history import History
from torch.nn.parameter import is_lazy

from sgt_sklearn._random import isolated_generators
from sgt_sklearn.estimators._checks import check_training_parameters
from sgt_sklearn.estimators._named import accepted_sizes, named_module
from sgt_sklearn.estimators._parameters import check_guidance_parameters, unwrap
from sgt_sklearn.estimators._persistence._attributes import check_attributes
from sgt_sklearn.estimators._persistence._codec import Decoder, require
from sgt_sklearn.estimators._persistence._describe import (
    device_type,
    is_callback_state,
    is_state,
    module_names,
    optimizer_names,
)
from sgt_sklearn.estimators._persistence._names import check_policy, known_names, name_of
from sgt_sklearn.estimators._persistence._optimizer import check_optimizer_state
from sgt_sklearn.estimators._session import fit_session
from sgt_sklearn.exceptions import PersistenceError

_SECTIONS = {
    "class": str,
    "device": str,
    "parameters": dict,
    "attributes": dict,
    "modules": dict,
    "optimizers": dict,
    "callbacks": list,
    "metadata_requests": dict,
    "history": str,
}
_PARAMETER_NAME = re.compile(r"[A-Za-z](\w*[A-Za-z0-9])?", re.ASCII)
_HARMLESS_COMPILE = {"compile__mode", "compile__fullgraph", "compile__dynamic"}
# what a parameter may be that a file names, lest something known is called as something else
_CLASS_OF = {
    "module": torch.nn.Module,
    "criterion": torch.nn.Module,
    "optimizer": torch.optim.Optimizer,
    "iterator_train": torch.utils.data.DataLoader,
    "iterator_valid": torch.utils.data.DataLoader,
    "dataset": Dataset,
}


def rebuild(cls, document, tensors, trusted, given):
    """Build the estimator that :func:`describe` described.

    Parameters
    ----------
    cls : type
        Class of the estimator.
    document : dict
        JSON values.
    tensors : dict of str to torch.Tensor
        Tensors that the document refers to.
    trusted : Trusted
        What the document may name beside what is known.
    given : dict
        Parameters that replace those of the document.

    Returns
    -------
    estimator
        A fitted instance of `cls`.

    Raises
    ------
    PersistenceError
        For a document that describes no estimator of this class.
    """
    for section, kind in _SECTIONS.items():
        value = document.get(section)
        require(isinstance(value, kind), section, f"a JSON {kind.__name__}", value)
    _check_class(cls, document["class"])
    decoder = Decoder(tensors, trusted)
    parameters = _parameters(cls, document["parameters"], decoder, given)
    with _explaining("its parameters make no estimator"):
        net = cls(**parameters | given)
        check_training_parameters(net)
        check_guidance_parameters(net.get_guidance_params())
    net._settle_device()
    _check_device(net.device)
    decoder.device = net.device or "cpu"
    attributes = _attributes(net, document["attributes"], decoder)
    history = _history(decoder, document["history"])
    vars(net).update(attributes)
    random_state = net.random_state
    drawn = isinstance(random_state, np.random.RandomState)
    before = random_state.get_state() if drawn else None
    # building draws initial weights, which nobody sees, from no generator of the user's
    building = _explaining("its estimator cannot be built")
    with building, isolated_generators(seed=0), fit_session(net, fresh=True):
        _check_sizes(net, tensors, given)
        net.initialize()
        for name in attributes:
            # what a module or optimizer of the estimator is called is known only now
            require(is_state(net, name), f"attributes.{name}", "fitted state", name)
        _restore_modules(net, document["modules"], decoder, given)
        _restore_optimizers(net, document["optimizers"], decoder, given)
        _restore_callbacks(net, document["callbacks"], decoder)
        _restore_requests(net, document["metadata_requests"])
        moved = device_type(net) != document["device"]
        check_attributes(net, attributes, moved)
    if drawn:
        random_state.set_state(before)
    vars(net).update(attributes)
    if moved:
        # states of generators do not carry over to generators of another kind
        net._generator_states_ = None
    net.history_ = history
    return net


@contextmanager
def _explaining(what):
    try:
        yield
    except PersistenceError:
        raise
    except Exception as error:
        raise PersistenceError(f"{what}: {type(error).__name__}: {error}") from error


def _check_class(cls, saved):
    own = name_of(cls)
    # a class of the user's may have moved from a script to a module
    moved = not saved.startswith("sgt_sklearn.") and saved.endswith("." + cls.__qualname__)
    if saved != own and not moved:
        raise PersistenceError(
            f"it holds a {saved}, not a {own}: use {saved.rpartition('.')[2]}.load(path)."
        )


def _parameters(cls, section, decoder, given):
    values, lacking = {}, {}
    for name, value in section.items():
        if name in given:
            continue
        path = f"parameters.{name}"
        method = callable(getattr(cls, name, None))  # which a value would hide
        require(_PARAMETER_NAME.fullmatch(name) and not method, path, "a parameter", name)
        decoder.missing = []
        values[name] = decoder.decode(value, path)
        if name.endswith("__policy"):
            check_policy(path, values[name])
        if decoder.missing:
            lacking[name] = ", ".join(decoder.missing)
        elif not _is_harmless(name, values[name]):
            lacking[name] = repr(values[name])
        elif name in _CLASS_OF and not _is_trusted(values[name]):
            member, base = values[name], _CLASS_OF[name]
            fits = isinstance(member, str) or (
                isinstance(member, type) and issubclass(member, base)
            )
            require(fits, path, f"a {base.__name__} class", member)
    if lacking:
        needed = "; ".join(f"{name} ({text})" for name, text in lacking.items())
        example = next(iter(lacking))
        raise PersistenceError(
            f"it needs parameters that have to be passed to load: {needed}. Pass each by its "
            f"name, as in {cls.__name__}.load(path, {example}=...), or classes and functions "
            "together as trusted=[...]."
        )
    return values


def _is_harmless(name, value):
    """Whether a parameter of plain data cannot make torch run or unpickle what a file says."""
    if name == "torch_load_kwargs":
        return value in (None, {}, {"weights_only": True})
    if name == "compile__backend":
        return value in ("inductor", "eager", "aot_eager")
    # others, such as options, may name the compiler to run
    return not name.startswith("compile__") or name in _HARMLESS_COMPILE


def _is_trusted(member):
    return callable(member) and member not in known_names().values()


def _check_device(device):
    if device is None:
        return
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:
        raise PersistenceError(
            f"device={device!r} is not available here: pass device='cpu' or device='auto' to load."
        ) from error


def _attributes(net, section, decoder):
    values = {}
    for name, value in section.items():
        path = f"attributes.{name}"
        require(is_state(net, name), path, "fitted state", name)
        decoder.missing = []
        values[name] = decoder.decode(value, path)
        if decoder.missing:
            names = ", ".join(decoder.missing)
            raise PersistenceError(
                f"{path} holds {names}, which has to be passed to load: trusted=[...]."
            )
    return values


def _history(decoder, name):
    tensor = decoder.tensor(name, "history")
    require(tensor.dtype == torch.uint8 and tensor.ndim == 1, "history", "text", tensor.dtype)
    try:
        value = json.loads(tensor.numpy().tobytes())
    except (ValueError, RecursionError) as error:
        raise PersistenceError(f"history is no JSON: {error}.") from error
    epochs = decoder.decode(value, "history")
    fits = isinstance(epochs, list) and all(
        isinstance(epoch, dict)
        and isinstance(epoch.get("batches"), list)
        and all(isinstance(batch, dict) for batch in epoch["batches"])
        for epoch in epochs
    )
    require(fits, "history", "a list of epochs with batches", value)
    history = History()
    history.extend(epochs)
    return history


def _check_sizes(net, tensors, given):
    """Compare shapes before any memory is taken, as a file may tell of a module of any size."""
    module, sizes = net.module, net._sizes_
    prefix = "module_."
    if isinstance(module, str):
        module, prefix = named_module(module, net._input_kind_), "module_."
        if net._input_kind_ != "tokens":
            prefix = "module_.module."  # behind the standardisation of its input
    if module in known_names().values():
        arguments = accepted_sizes(module, sizes) | net.get_params_for("module")
        _check_shapes(module, arguments, prefix, tensors)
    criterion, arguments = net.criterion, net.get_params_for("criterion")
    replaced = "criterion" in given or any(key.startswith("criterion__") for key in given)
    if not replaced and not isinstance(criterion, str) and criterion in known_names().values():
        _check_shapes(criterion, arguments, "criterion_.", tensors)


def _check_shapes(cls, arguments, prefix, tensors):
    with torch.device("meta"):
        module = cls(**arguments)
    for key, value in module.state_dict().items():
        if is_lazy(value):
            continue  # takes the shape of what it is given
        saved = tensors.get(prefix + key)
        if saved is None or saved.shape != value.shape:
            raise PersistenceError(
                f"tensor {prefix + key!r} must have the shape {tuple(value.shape)} that its "
                f"parameters tell, got {'none' if saved is None else tuple(saved.shape)}."
            )


# modules


def _restore_modules(net, section, decoder, given):
    names = module_names(net)
    require(set(section) == set(names), "modules", f"the modules {names}", list(section))
    for name in names:
        component, record = unwrap(getattr(net, name)), section[name]
        if _is_replaced(name, component, record, given) and name[:-1] in net._criteria:
            continue  # what was passed comes as it is
        fits = isinstance(record, dict) and isinstance(component, torch.nn.Module)
        fits = fits and _has_lists(record, "tensors", "buffers", "frozen")
        fits = fits and isinstance(record.get("extra"), dict)
        if isinstance(component, torch.nn.Module) or set(record or ()) != {"class"}:
            require(fits, f"modules.{name}", "a torch module and its tensors", record)
            with _explaining(f"the tensors of {name} do not fit {type(component).__name__}"):
                _restore_module(name, component, record, decoder, net.device)


def _has_lists(record, *keys):
    lists = [record.get(key) for key in keys]
    return all(isinstance(x, list) and all(isinstance(k, str) for k in x) for x in lists)


def _is_replaced(name, component, record, given):
    prefix = name[:-1]
    saved = record.get("class") if isinstance(record, dict) else None
    arguments = any(key.startswith(prefix + "__") for key in given)
    return arguments or (prefix in given and saved != name_of(type(component)))


def _restore_module(name, module, record, decoder, device):
    state = OrderedDict(
        (key, decoder.tensor(f"{name}.{key}", f"modules.{name}")) for key in record["tensors"]
    )
    for key, value in record["extra"].items():
        state[key] = decoder.decode(value, f"modules.{name}.{key}")
    versions = record.get("versions")
    require(isinstance(versions, dict), f"modules.{name}.versions", "versions by name", versions)
    state._metadata = {key: {"version": version} for key, version in versions.items()}
    parameters = dict(module.named_parameters(remove_duplicate=False))
    buffers = dict(module.named_buffers(remove_duplicate=False))
    precisions = {}
    for key, own in chain(parameters.items(), buffers.items()):
        saved = state.get(key)
        if isinstance(saved, torch.Tensor) and not is_lazy(own):
            # the whole module may have been built in, or cast to, another precision
            expected = own.dtype
            if own.is_floating_point() and saved.is_floating_point():
                expected = precisions.setdefault(own.dtype, saved.dtype)
            fits = saved.dtype == expected
            require(fits, f"tensor {name}.{key}", f"of {expected}", saved.dtype)
            own.data = own.data.to(saved.dtype)
    module.load_state_dict(state)
    for key in record["buffers"]:
        _restore_buffer(module, key, buffers.get(key), decoder, name, device)
    frozen = set(record["frozen"])
    for key, parameter in parameters.items():
        if parameter.is_floating_point():
            parameter.requires_grad_(key not in frozen)
    module.train(record.get("training") is True)


def _restore_buffer(module, key, own, decoder, name, device):
    """Set a buffer that state dicts leave out; its shape may have changed in training."""
    saved = decoder.tensor(f"{name}.{key}", f"modules.{name}")
    owner, _, leaf = key.rpartition(".")
    owner = module.get_submodule(owner)
    require(leaf in owner._buffers, f"modules.{name}.buffers", "buffers of the module", key)
    if own is not None and (own.shape, own.dtype) == (saved.shape, saved.dtype):
        own.copy_(saved)
    else:
        owner._buffers[leaf] = saved.to(device if own is None else own.device)


# optimizers, callbacks


def _restore_optimizers(net, section, decoder, given):
    names = optimizer_names(net)
    require(set(section) == set(names), "optimizers", f"the optimizers {names}", list(section))
    for name in names:
        optimizer, record, prefix = getattr(net, name), section[name], name[:-1]
        path = f"optimizers.{name}"
        require(isinstance(record, dict), path, "an optimizer", record)
        same = record.get("class") == name_of(type(optimizer))
        if f"{prefix}__param_groups" in given or (not same and prefix in given):
            continue  # another optimizer starts anew
        require(same, path, f"an optimizer {name_of(type(optimizer))}", record.get("class"))
        with _explaining(f"the state of {name} does not fit"):
            state = decoder.decode(record.get("state"), path)
            check_optimizer_state(optimizer, state, path)
            optimizer.load_state_dict(state)
            arguments = {
                key: value
                for key, value in given.items()
                if key.startswith(prefix + "__") or (key == "lr" and prefix == "optimizer")
            }
            net.set_params(**arguments)


def _restore_callbacks(net, section, decoder):
    callbacks = dict(net.callbacks_)
    for record in section:
        path = "callbacks"
        fits = isinstance(record, dict) and set(record) == {"name", "class", "attributes"}
        fits = fits and isinstance(record["name"], str) and isinstance(record["attributes"], dict)
        require(fits, path, "names, classes and attributes of callbacks", record)
        callback = callbacks.get(record["name"])
        if callback is None or name_of(type(callback)) != record["class"]:
            continue
        for key, value in record["attributes"].items():
            path = f"callbacks.{record['name']}.{key}"
            require(is_callback_state(callback, key), path, "state of a callback", key)
            decoder.missing = []
            value, own = decoder.decode(value, path), vars(callback).get(key)
            kind = Real if isinstance(own, Real) else type(own)
            fits = own is None or isinstance(value, kind) or bool(decoder.missing)
            require(fits, path, f"of {kind.__name__}", value)
            if not decoder.missing:
                vars(callback)[key] = value


def _restore_requests(net, section):
    if not section:
        return
    requests = net._get_metadata_request()
    with _explaining("its metadata requests do not fit"):
        for method, aliases in section.items():
            for name, alias in aliases.items():
                getattr(requests, method).add_request(param=name, alias=alias)
    net._metadata_request = requests
