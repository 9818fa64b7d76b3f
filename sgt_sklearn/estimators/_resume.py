"""The state of a fit between two epochs: taken out, put back, and the events to do so."""

import dis
import inspect
import random
import signal
from contextlib import contextmanager

import torch
from skorch.callbacks import Callback, EpochScoring
from skorch.history import History
from torch.nn.parameter import is_lazy

from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.estimators._generators import (
    find_generators,
    generator_states,
    is_generator,
    restore_generator_states,
)
from sgt_sklearn.estimators._plain import NotPlainError, from_plain, to_plain

_SCALARS = (type(None), bool, int, float, str)
# what a resumed fit may do otherwise
_FREE_PARAMETERS = {"callbacks", "verbose", "device"}
_REPORTING = "skorch.callbacks.logging"
# filled and used within an epoch
_EPOCH_CACHES = ("y_trues_", "y_preds_")


class ResumeMixin:
    """Lets one callback keep the state of a fit between epochs, and give it back to a later fit.

    That callback has the methods

    - ``_prepare_fit(net, settings, data, epochs, start)``, called before the train split draws;
      `start` are the states of the generators then. Returns the `start` of the fit to go on with
      and the number of epochs that are left, or None for a new fit.
    - ``_begin_epochs(net, datasets, saves)``, called before the first epoch; `saves` is False
      where parameters have no shape yet.
    - ``_end_epoch(net)``, called after all callbacks have ended an epoch.
    - ``_begin_end(net, interrupted)`` and ``_end_fit(net, interrupted)``, called before and after
      the callbacks' ``on_train_end``; `interrupted` tells Ctrl-C from a callback that stops.
    """

    _resumption_ = None

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        keeper = _find_keeper(self)
        if keeper is None:
            return super().fit_loop(X, y, epochs, **fit_params)
        self._resumption_ = resumption = _Resumption(keeper, self._guidance_)
        try:
            self._go_on(resumption, X, y, epochs, fit_params)
        except KeyboardInterrupt as error:
            resumption.interrupted = not _is_raised(error)
            raise
        return self

    def _go_on(self, resumption, X, y, epochs, fit_params):
        keeper = resumption.keeper
        start = to_plain(generator_states(resumption.generators(self)), "the generators")
        epochs = self.max_epochs if epochs is None else epochs
        settings = _settings(self, keeper, epochs)
        data = {"X": X, "y": y, "sample_weight": self._weights_, **fit_params}
        data.pop("_routing_method", None)
        found = keeper._prepare_fit(self, settings, data, epochs, start)
        if found is not None:
            start, epochs = found
            resumption.start = start
            with _fitting("start of the fit"):
                restore_generator_states(from_plain(start), resumption.generators(self))
        super().fit_loop(X, y, epochs, **fit_params)
        resumption.begin(self)

    def get_iterator(self, dataset, training=False):
        iterator = super().get_iterator(dataset, training=training)
        resumption = self._resumption_
        if resumption is not None and not resumption.begun:
            # its data set and its sampler may hold generators
            resumption.roots["iterator_train" if training else "iterator_valid"] = iterator
        return iterator

    def notify(self, method_name, **cb_kwargs):
        resumption = self._resumption_
        if resumption is None:
            super().notify(method_name, **cb_kwargs)
            return
        ends = method_name == "on_train_end"
        if method_name == "on_epoch_begin":
            resumption.begin(self, **cb_kwargs)
        elif ends:
            resumption.keeper._begin_end(self, resumption.interrupted)
        super().notify(method_name, **cb_kwargs)
        if method_name == "on_epoch_end":
            resumption.keeper._end_epoch(self)
        elif ends:
            vars(self).pop("_resumption_", None)
            resumption.keeper._end_fit(self, resumption.interrupted)

    def get_training_state(self):
        """State of a fit between two epochs, for :meth:`set_training_state`.

        It holds parameters and buffers, gradients, optimizers, schedules and all else that
        callbacks know, the history, parameters that are numbers or texts (a callback may have
        changed them), and every random generator. A subclass with a state of its own adds it.

        Returns
        -------
        dict
            Tensors on the CPU and Python primitives: ``torch.save`` writes it, and
            ``torch.load(weights_only=True)`` reads it.

        Raises
        ------
        TypeError
            If a callback keeps something that is neither data nor has a ``state_dict``, or a
            module or an optimizer a tensor of another class.
        """
        modules = _modules(self)
        optimizers = {name: getattr(self, name + "_") for name in self._optimizers}
        resumption = self._resumption_ or _Resumption()
        statistics, guidance = self._statistics_, resumption.guidance
        state = {
            "modules": {name: _module_state(module) for name, module in modules.items()},
            "optimizers": {name: opt.state_dict() for name, opt in optimizers.items()},
            "history": list(self.history),
            "parameters": _scalar_parameters(self),
            "statistics": None if statistics is None else dict(vars(statistics)),
            "guidance": None if guidance is None else guidance.get_state(),
            "generators": generator_states(resumption.generators(self)),
        }
        try:
            state = {name: to_plain(value, name) for name, value in state.items()}
        except NotPlainError as error:
            raise TypeError(
                f"The state of this {type(self).__name__} cannot be saved: {error}, which only "
                "pickle could keep."
            ) from error
        state["callbacks"] = {
            name: _callback_state(self, callback, name)
            for name, callback in self.callbacks_
            if not _only_reports(callback) and callback is not resumption.keeper
        }
        return state

    def set_training_state(self, state):
        """Go on from a state in a net that was initialised with the same parameters.

        Parameters
        ----------
        state : dict
            From :meth:`get_training_state`.

        Returns
        -------
        self
            The net.

        Raises
        ------
        ValueError
            If the state is damaged or does not fit the net, which may have been changed in part.
        """
        with _fitting("training state"):
            self._set_training_state(state)
        return self

    def _set_training_state(self, state):
        device = self.device
        plain = {k: from_plain(v, device) for k, v in state.items() if k != "callbacks"}
        for name, module in _modules(self).items():
            _set_module_state(module, plain["modules"][name])
        for name in self._optimizers:
            _set_optimizer_state(getattr(self, name + "_"), plain["optimizers"][name])
        resumption = self._resumption_ or _Resumption()
        for name, callback in self.callbacks_:
            if not _only_reports(callback) and callback is not resumption.keeper:
                _set_callback_state(callback, state["callbacks"][name], device)
        self.history_ = History(dict(epoch) for epoch in plain["history"])
        for name, value in plain["parameters"].items():
            if getattr(self, name) != value:
                setattr(self, name, value)
        if plain["statistics"] is not None:
            self._statistics_ = FeatureStatistics(**plain["statistics"])
        if plain["guidance"] is not None and resumption.guidance is not None:
            resumption.guidance.set_state(plain["guidance"])
        # last: what came before may draw
        restore_generator_states(plain["generators"], resumption.generators(self))
        if resumption.start is not None and resumption.start["python"] == random.getstate():
            # a fit that does not use Python's generator leaves it alone
            random.setstate(resumption.python)


class _Resumption:
    """What a net knows, during a fit, about the callback that keeps its state."""

    def __init__(self, keeper=None, guidance=None):
        self.keeper, self.guidance = keeper, guidance
        self.roots = {}
        self.begun = self.interrupted = False
        self.start, self.python = None, random.getstate()

    def generators(self, net):
        """Generators that the net and its data hold, beside the global ones."""
        roots = dict(_parameters(net))
        roots |= {f"callbacks.{name}": callback for name, callback in net.callbacks_}
        return find_generators(roots | _modules(net) | self.roots, besides=[net, self.keeper])

    def begin(self, net, **datasets):
        """Before the first epoch, or instead of it where none is left."""
        if not self.begun:
            self.begun = True
            self.keeper._begin_epochs(net, datasets, saves=not _has_lazy_parameters(net))


def _find_keeper(net):
    keepers = [cb for _, cb in net.callbacks_ if hasattr(cb, "_prepare_fit")]
    if not keepers:
        return None
    name = type(keepers[0]).__name__
    if len(keepers) > 1:
        raise ValueError(f"callbacks must hold one {name}, got {len(keepers)}.")
    if net._accelerated_:
        raise ValueError(
            f"{name} cannot resume training with AccelerateMixin, whose processes and gradient "
            "scaler have states of their own: leave one of the two out."
        )
    return keepers[0]


@contextmanager
def _fitting(what):
    """Report as one error whatever a damaged or foreign state runs into."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise ValueError(
            f"The {what} does not fit this net, or is damaged ({type(error).__name__}: {error})."
        ) from error


def _is_raised(error):
    """Whether a statement raised a KeyboardInterrupt (to stop the fit), and not Ctrl-C did."""
    handler = getattr(signal.getsignal(signal.SIGINT), "__code__", None)
    trace = error.__traceback__
    while trace.tb_next is not None:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code is not handler and code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]


# settings


def _parameters(net):
    params = net.get_params(deep=False)
    return {
        name: value
        for name, value in params.items()
        if name not in _FREE_PARAMETERS and not name.startswith(("callbacks__", "_"))
    }


def _scalar_parameters(net):
    return {k: v for k, v in _parameters(net).items() if type(v) in _SCALARS}


def _settings(net, keeper, epochs):
    """Everything beside the data that a fit depends on, by name."""
    settings = {"estimator": type(net), **_parameters(net), "device": str(net.device)}
    for name, callback in net.callbacks_:
        if callback is keeper or _only_reports(callback):
            continue
        settings[f"callbacks__{name}"] = type(callback)
        for key in _constructor_parameters(callback):
            settings[f"callbacks__{name}__{key}"] = getattr(callback, key, None)
    return {**settings, "epochs to train": epochs, "epochs trained before": len(net.history)}


def _constructor_parameters(callback):
    parameters = inspect.signature(type(callback)).parameters
    names = [k for k, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if len(names) < len(parameters):
        names += [k for k in vars(callback) if not k.endswith("_") and k not in names]
    return names


def _only_reports(callback):
    return type(callback).__module__ == _REPORTING


# modules and optimizers


def _modules(net):
    components = {name: getattr(net, name + "_") for name in (*net._modules, *net._criteria)}
    return {k: m for k, m in components.items() if isinstance(m, torch.nn.Module)}


def _has_lazy_parameters(net):
    return any(is_lazy(p) for module in _modules(net).values() for p in module.parameters())


def _module_state(module):
    state = module.state_dict()
    parameters = dict(module.named_parameters())
    return {
        "state_dict": state,
        "buffers": {name: b for name, b in module.named_buffers() if name not in state},
        "trained": {name: p.requires_grad for name, p in parameters.items()},
        # accumulation goes on past the end of an epoch
        "gradients": {name: p.grad for name, p in parameters.items()},
    }


def _set_module_state(module, state):
    module.load_state_dict(state["state_dict"])
    for name, value in state["buffers"].items():
        owner, _, attribute = name.rpartition(".")
        buffers = module.get_submodule(owner)._buffers
        if buffers[attribute] is not None and buffers[attribute].shape == value.shape:
            buffers[attribute].copy_(value)
        else:
            buffers[attribute] = value
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(state["trained"][name])
        parameter.grad = _moved(state["gradients"][name], parameter.device)


def _set_optimizer_state(optimizer, state):
    optimizer.load_state_dict(state)
    # torch has cast the states to the dtypes of the parameters
    restored = optimizer.state_dict()["state"]
    for key, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and restored[key][name].dtype != value.dtype:
                restored[key][name] = value.to(restored[key][name].device)


def _moved(tensor, device):
    return None if tensor is None else tensor.to(device)


# callbacks


def _callback_state(net, callback, name):
    """State of a callback: its own ``state_dict``, or its attributes."""
    try:
        if _has_state(callback):
            return {"state_dict": to_plain(callback.state_dict(), "state_dict()")}
        return _attributes_state(net, callback)
    except NotPlainError as error:
        raise TypeError(
            f"The state of the callback {name!r} ({type(callback).__name__}) cannot be saved: "
            f"{error}, which is neither data nor has state_dict and load_state_dict. Give the "
            "callback these two methods (an empty dict says that there is nothing to save)."
        ) from error


def _attributes_state(net, callback):
    names = (*net._modules, *net._criteria, *net._optimizers)
    elsewhere = [net, *(getattr(net, n + "_") for n in names), *(c for _, c in net.callbacks_)]
    parameters = _constructor_parameters(callback)
    values, parts = {}, {}
    for key, value in vars(callback).items():
        if any(value is other for other in elsewhere):
            continue
        if isinstance(callback, EpochScoring) and key in _EPOCH_CACHES:
            continue
        if _has_state(value):
            parts[key] = {"state_dict": to_plain(value.state_dict(), f"{key}.state_dict()")}
        elif isinstance(value, Callback):
            parts[key] = _attributes_state(net, value)
        elif not callable(value) and not is_generator(value):
            try:
                values[key] = to_plain(value, key)
            except NotPlainError:
                # parameters are settings, unless they are data that the callback changes
                if key not in parameters:
                    raise
    return {"values": values, "parts": parts}


def _set_callback_state(callback, state, device):
    if "state_dict" in state:
        callback.load_state_dict(from_plain(state["state_dict"], device))
        return
    vars(callback).update(from_plain(state["values"], device))
    for key, part in state["parts"].items():
        if getattr(callback, key, None) is None:
            raise ValueError(
                f"{type(callback).__name__} makes its attribute {key} during training only; "
                "on_train_begin has to"
            )
        _set_callback_state(getattr(callback, key), part, device)


def _has_state(value):
    methods = ("state_dict", "load_state_dict")
    return not isinstance(value, type) and all(hasattr(value, name) for name in methods)
