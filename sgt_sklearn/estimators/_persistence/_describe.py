"""An estimator as a JSON document and named tensors."""

import inspect
import json
import platform
import re
import warnings
from importlib.metadata import PackageNotFoundError, version

import torch
from torch.nn.parameter import is_lazy

from sgt_sklearn.estimators._mixin import _TRANSIENT
from sgt_sklearn.estimators._parameters import unwrap
from sgt_sklearn.estimators._persistence._codec import Encoder, NotDataError
from sgt_sklearn.estimators._persistence._names import is_named, name_of
from sgt_sklearn.exceptions import PersistenceError

_LIBRARIES = ("sgt-sklearn", "torch", "skorch", "scikit-learn", "numpy", "safetensors")
# what initialisation builds anew, or has a section of its own
_NOT_ATTRIBUTES = {
    *("callbacks_", "virtual_params_", "init_context_", "prefixes_"),
    *("cuda_dependent_attributes_", "initialized_", "history_"),
    *("_device_", "_mask_state_"),
    *_TRANSIENT,
}
_STATE_NAME = re.compile(r"_?[A-Za-z]\w*_", re.ASCII)


def describe(net):
    """Everything that makes a fitted estimator.

    Parameters
    ----------
    net : SaliencyGuidedEstimator
        A fitted estimator.

    Returns
    -------
    document : dict
        JSON values.
    tensors : dict of str to torch.Tensor
        Tensors that the document refers to.

    Raises
    ------
    PersistenceError
        For state that is no data.
    """
    _check_loadable(net)
    encoder = Encoder()
    try:
        # modules first, so that weights have the names that they have in the module
        state = {
            "modules": {
                name: _describe_module(encoder, name, getattr(net, name, None))
                for name in module_names(net)
            },
            "optimizers": {
                name: _describe_optimizer(encoder, name, getattr(net, name))
                for name in optimizer_names(net)
            },
            "attributes": {
                name: encoder.encode(value, f"attributes.{name}")
                for name, value in vars(net).items()
                if is_state(net, name)
            },
            "history": _history(encoder, net),
        }
    except NotDataError as error:
        raise PersistenceError(
            f"{type(net).__name__} cannot be saved without pickle: {error}. Delete it before "
            "saving (what load rebuilds need not be kept), or use pickle or joblib."
        ) from error
    document = {
        "class": name_of(type(net)),
        "versions": _versions(),
        "device": device_type(net),
        "parameters": {
            name: _describe_parameter(encoder, name, value)
            for name, value in net.get_params(deep=False).items()
        },
        **state,
        "callbacks": [_describe_callback(encoder, *item) for item in net.callbacks_],
        "metadata_requests": _metadata_requests(net),
    }
    return document, encoder.tensors


def module_names(net):
    """Attributes that hold modules and criteria."""
    return [name + "_" for name in (*net._modules, *net._criteria)]


def optimizer_names(net):
    """Attributes that hold optimizers."""
    return [name + "_" for name in net._optimizers]


def device_type(net):
    """Kind of device that the module is on."""
    module = unwrap(net.module_)
    parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
    return next((p.device.type for p in parameters), "cpu")


def is_state(net, name):
    """Whether an attribute is fitted state, which `attributes` keeps."""
    return (
        _STATE_NAME.fullmatch(name) is not None
        and name not in _NOT_ATTRIBUTES
        and name not in (*module_names(net), *optimizer_names(net))
        and not _is_code(inspect.getattr_static(type(net), name, None))
    )


def is_callback_state(callback, name):
    """Whether an attribute of a callback is state."""
    code = _is_code(inspect.getattr_static(type(callback), name, None))
    return _STATE_NAME.fullmatch(name) is not None and not code


def _is_code(member):
    return callable(member) or hasattr(member, "__get__")


def _check_loadable(net):
    if getattr(net, "_trimmed_for_prediction", False):
        raise PersistenceError(
            f"{type(net).__name__} was trimmed for prediction and cannot be saved: save it before "
            "trim_for_prediction()."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice that fit has given already
            net._validate_params()
    except ValueError as error:
        raise PersistenceError(
            f"{type(net).__name__} has attributes that its constructor does not take: {error}. "
            "Names of attributes that are no parameters end in an underscore."
        ) from error


def _versions():
    versions = {"python": platform.python_version()}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:  # run from a checkout that is not installed
            versions[name] = "unknown"
    return versions


def _describe_parameter(encoder, name, value):
    try:
        return encoder.encode(value, f"parameters.{name}")
    except NotDataError as error:
        return {"$object": error.what}


def _describe_module(encoder, name, module):
    module = unwrap(module)
    record = {"class": name_of(type(module))}
    if not isinstance(module, torch.nn.Module):
        return record
    state = module.state_dict()
    versions = getattr(state, "_metadata", {})
    record |= {"tensors": [], "buffers": [], "extra": {}, "training": module.training}
    record["versions"] = {key: data["version"] for key, data in versions.items() if data}
    for key, value in state.items():
        if not isinstance(value, torch.Tensor):
            record["extra"][key] = encoder.encode(value, f"{name}.{key}")
            continue
        if is_lazy(value):
            raise PersistenceError(f"{name}.{key} has no values yet: fit the estimator first.")
        record["tensors"].append(key)
        encoder.add_tensor(value, f"{name}.{key}")
    for key, buffer in module.named_buffers(remove_duplicate=False):
        if key not in state:
            record["buffers"].append(key)
            encoder.add_tensor(buffer, f"{name}.{key}")
    parameters = module.named_parameters(remove_duplicate=False)
    record["frozen"] = [key for key, parameter in parameters if not parameter.requires_grad]
    return record


def _describe_optimizer(encoder, name, optimizer):
    return {
        "class": name_of(type(optimizer)),
        "state": encoder.encode(dict(optimizer.state_dict()), name),
    }


def _history(encoder, net):
    # one record a batch: too long for the header, which the format limits
    text = json.dumps(encoder.encode(list(net.history_ or ()), "history_"), allow_nan=False)
    return encoder.add_tensor(
        torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8), "history_"
    )


def _describe_callback(encoder, name, callback):
    attributes = {}
    for key, value in vars(callback).items():
        # what else a callback holds, such as a schedule, it makes anew when training begins
        if not is_callback_state(callback, key) or is_named(value):
            continue
        try:
            attributes[key] = encoder.encode(value, f"callbacks.{name}.{key}")
        except NotDataError:
            continue
    return {"name": name, "class": name_of(type(callback)), "attributes": attributes}


def _metadata_requests(net):
    if "_metadata_request" not in vars(net):
        return {}
    methods = vars(net._metadata_request).items()
    return {name: dict(m.requests) for name, m in methods if getattr(m, "requests", None)}
