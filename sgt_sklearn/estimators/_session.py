"""A fit that fails leaves the estimator as it was; a seeded fit leaves global generators alone."""

import copy
from contextlib import contextmanager, nullcontext

import torch
from numpy.random import RandomState
from skorch.callbacks import Callback
from torch.nn.parameter import is_lazy

from sgt_sklearn._random import isolated_generators, seed_from
from sgt_sklearn.estimators._parameters import check_guidance_parameters


@contextmanager
def fit_session(net, *, fresh):
    """Run the body of a fit; undo its effects if it raises.

    Parameters
    ----------
    net : SaliencyGuidedMixin
        The net that is fitted.
    fresh : bool
        Whether the fit starts anew; else it goes on from the current modules, optimizers and
        generators.

    Yields
    ------
    None
        Sessions do not nest: inside a session another one is a no-op.
    """
    if net._session_:
        yield
        return
    check_guidance_parameters(net.get_guidance_params())
    snapshot = _Snapshot(net, fresh)
    try:
        net._session_ = True
        if fresh:
            net._generator_states_ = None
        net._seed_ = None if net.random_state is None else seed_from(net.random_state)
        with _generators(net) as reached:
            yield
        net._generator_states_ = None if reached is None else {**reached, **net._mask_state_}
        net._mask_state_ = {}
    except BaseException:
        snapshot.restore(net)
        raise
    finally:
        vars(net).pop("_session_", None)
        vars(net).pop("_weights_", None)


def _generators(net):
    if net._seed_ is None:
        return nullcontext()
    cuda = net._may_use_cuda()
    return isolated_generators(seed=net._seed_, state=net._generator_states_, cuda=cuda)


class _Snapshot:
    """State of a net, deep where training writes in place and shallow elsewhere."""

    def __init__(self, net, fresh):
        self.attributes = dict(vars(net))
        self.n_epochs = len(net.history_ or ())
        # instances passed as parameters are trained in place, in skorch too; a fresh fit builds
        # everything else anew
        names = ("module", "criterion", *(() if fresh else _component_names(net)))
        components = [getattr(net, name, None) for name in names]
        modules = dict.fromkeys(m for m in components if isinstance(m, torch.nn.Module))
        self.modules = [_ModuleState(s) for m in modules for s in m.modules()]
        # parameters and all buffers, also those that a state dict leaves out
        self.tensors = [_TensorState(t) for m in modules for t in (*m.parameters(), *m.buffers())]
        self.optimizers = [
            (o, copy.deepcopy(o.state_dict()))
            for o in components
            if isinstance(o, torch.optim.Optimizer)
        ]
        state = net.random_state
        self.random_state = state.get_state() if isinstance(state, RandomState) else None
        self.callbacks = [(c, dict(vars(c))) for c in _callback_instances(net)]

    def restore(self, net):
        for state in (*self.modules, *self.tensors):
            state.restore()
        for optimizer, state in self.optimizers:
            optimizer.load_state_dict(state)
        for callback, attributes in self.callbacks:
            vars(callback).clear()
            vars(callback).update(attributes)
        if self.random_state is not None:
            net.random_state.set_state(self.random_state)
        vars(net).clear()
        vars(net).update(self.attributes)
        if net.history_ is not None:
            del net.history_[self.n_epochs :]


class _ModuleState:
    """Attributes of one module without its children; a move to a device replaces buffers."""

    def __init__(self, module):
        self.module, self.cls, self.training = module, type(module), module.training
        self.attributes, self.buffers = dict(vars(module)), dict(module._buffers.items())
        # torch writes parameters, buffers, children and hooks into dictionaries of the module
        own = [value for name, value in self.attributes.items() if name in _DICTIONARIES]
        self.contents = [(value, dict(value)) for value in own if isinstance(value, dict)]

    def restore(self):
        if type(self.module) is not self.cls:
            self.module.__class__ = self.cls  # a lazy module became an ordinary one
        vars(self.module).clear()
        vars(self.module).update(self.attributes)
        for dictionary, content in self.contents:
            dictionary.clear()
            dictionary.update(content)
        # of scripted modules these two are no attributes
        for name, buffer in self.buffers.items():
            self.module._buffers[name] = buffer
        self.module.training = self.training


_DICTIONARIES = {k for k, v in vars(torch.nn.Module()).items() if isinstance(v, dict)}


class _TensorState:
    """Value, device, dtype and gradient of one parameter or buffer."""

    def __init__(self, tensor):
        self.tensor, self.cls = tensor, type(tensor)
        self.requires_grad, self.gradient = tensor.requires_grad, None
        if is_lazy(tensor):
            self.value = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
            return
        self.value = tensor.detach().clone()
        if tensor.is_leaf and tensor.grad is not None:
            self.gradient = _TensorState(tensor.grad)

    def restore(self):
        tensor, value = self.tensor, self.value
        if tensor.is_leaf:
            tensor.requires_grad = self.requires_grad
        if is_lazy(tensor):
            return
        tensor.grad = None
        if (tensor.shape, tensor.dtype, tensor.device) == (value.shape, value.dtype, value.device):
            with torch.no_grad():
                tensor.copy_(value)
        else:
            tensor.data = value
        if type(tensor) is not self.cls:
            tensor.__class__ = self.cls
        if self.gradient is not None:
            self.gradient.restore()
            tensor.grad = self.gradient.tensor


def _component_names(net):
    return [name + "_" for name in (*net._modules, *net._criteria, *net._optimizers)]


def _callback_instances(net):
    named = [*(getattr(net, "callbacks_", None) or ())]
    if isinstance(net.callbacks, (list, tuple)):
        named += net.callbacks
    instances = [item[-1] if item and isinstance(item, (list, tuple)) else item for item in named]
    return [c for c in instances if isinstance(c, Callback)]
