"""State of the guidance during one fit: settings resolved for the data, and the current step."""

import dataclasses
from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn._random import isolated_generators
from sgt_sklearn._statistics import FeatureStatistics, steps_of
from sgt_sklearn.attribution import captured_embedding, first_output, parent_modules
from sgt_sklearn.estimators._inputs import lengths_of, split_input
from sgt_sklearn.estimators._masking import make_masking
from sgt_sklearn.estimators._parameters import (
    DIVERGENCE_OF,
    infer_likelihood,
    is_auto,
    kind_of_tensor,
    resolve_auto,
    scheduled_fraction,
    unwrap,
)
from sgt_sklearn.estimators._tokens import check_fill_is_no_padding, embedding_of, token_counts
from sgt_sklearn.estimators._weights import WeightedDataset, split_weight
from sgt_sklearn.guidance import (
    check_differentiable,
    make_divergence,
    masked_input,
    passes_agree,
    saliency_guided_loss,
)


class Guidance:
    """Turns the guidance parameters of a net into losses, batch by batch.

    Parameters
    ----------
    net : SaliencyGuidedMixin
        The net; only its parameters, criterion and modules are read.
    statistics : callable
        Returns the :class:`FeatureStatistics` of the training data, or None where there are none.
    seed : int or None
        Seed of the private generator of masks and fills; None draws one from torch's generator.
    state : torch.Tensor or None
        State of that generator to go on from.
    """

    def __init__(self, net, statistics, seed, state=None):
        self._net = net
        self._statistics = statistics
        self._seed, self._state = seed, state
        self.generator = None
        self._masking = None
        self._settings = None
        self._shape = None
        self._epoch = None
        self.shared = self._stochastic = self._probed = None
        self._parameters = self._components = None
        self._took_part = False
        self.end_step()

    def get_state(self):
        """State for `set_state` in another process; None before the first guided batch."""
        if self.generator is None:
            return None
        probed = self._probed
        if self._shape is not None:
            probed = (tuple(self._shape), not self._moded, self._stochastic)
        state, device = self.generator.get_state(), str(self.generator.device)
        return {"generator": state, "device": device, "probed": probed}

    def set_state(self, state):
        """Go on with the draws, and with the pass that was chosen for inputs of that shape."""
        self.generator = torch.Generator(device=state["device"])
        self.generator.set_state(state["generator"])
        self._probed, self._took_part = state["probed"], True

    # the current step

    def begin_step(self, epoch):
        """Start a training step; forget what an earlier one kept."""
        self.end_step()
        if epoch != self._epoch:
            self._epoch, self._parameters = epoch, None
            self._set_fraction()
        net = self._net
        components = [getattr(net, name + "_", None) for name in (*net._modules, *net._criteria)]
        if components != self._components:
            # the first step, or a callback has built them anew
            self._components, self._shape, self._parameters = components, None, None
        self.in_step = True

    def end_step(self):
        """End the step and return its (task, consistency) losses, if there were any."""
        losses = getattr(self, "losses", None)
        self.in_step, self.losses = False, None
        # clean passes, whether one of them has its loss, and (clean, masked) batches
        self.passes, self._compared, self.masked = [], False, []
        return losses

    def check_took_part(self):
        """Raise where overrides of the net have led the first training batch past the guidance."""
        self._took_part = self._took_part or self.losses is not None
        if not self._took_part:
            past, call = "infer", "infer(X, ...)"
            if self.passes:
                past, call = "get_loss", "get_loss(y_pred, y_true, X=X, training=True)"
            raise TypeError(
                f"Guidance adds its term in {past}, which the training step of "
                f"{type(self._net).__name__} does not reach: call self.{call} in the step, and "
                f"super().{call} where you override it. Or set consistency_weight=0 to train "
                "without guidance."
            )

    def check_differentiable_output(self, output):
        """Raise for the output of an infer that ran without gradients, and so without guidance."""
        if not torch.is_grad_enabled() or not isinstance(output, torch.Tensor):
            return
        if not output.requires_grad:
            raise TypeError(
                "Guidance needs an output with a gradient path to the input, but infer of "
                f"{type(self._net).__name__} ran under torch.no_grad(), or detached its output: "
                "freeze parameters by requires_grad_(False) instead. Or set consistency_weight=0 "
                "to train without guidance."
            )

    def run(self, inputs, forward, beside):
        """Make the clean pass of a batch and keep it for its loss.

        Parameters
        ----------
        inputs : tensor, dict or tuple
            Inputs of the module.
        forward : callable
            Runs the module on such inputs.
        beside : callable
            The same, for saliency and masked passes.

        Returns
        -------
        torch.Tensor or tuple
            Output of the module.
        """
        x, rebuild = split_input(inputs, self._net.guided_input)
        embedding = embedding_of(self._net, x)
        if embedding is None:
            check_differentiable(x)
        x = self._prepare(x, embedding, lambda data: beside(rebuild(data)))
        with captured_embedding(embedding, x) if self._captures else nullcontext() as embedded:
            output = forward(rebuild(x))
        if self._compared:
            # of an earlier evaluation of the step, whose graph is not needed any more
            self.passes, self._compared = [], False
        lengths = lengths_of(inputs, x)
        if lengths is None and embedding is not None:
            lengths = token_counts(x, embedding)
            # in a row of padding only nothing is hidden, as it has no token
            lengths = None if lengths is None else lengths.clamp_min(1)
        kept = {
            "lengths": lengths,
            "embedding": embedding,
            "embedded": embedded.output if self._captures else None,
        }
        kept = {name: value for name, value in kept.items() if value is not None}
        self.passes.append(_Pass(x, lambda data: beside(rebuild(data)), output, kept))
        return output

    def _prepare(self, x, embedding, forward):
        if self._shape != x.shape[1:]:
            self._settle(x, embedding, forward)
        self._captures = self.shared and embedding is not None
        if not self.shared or embedding is not None or x.requires_grad:
            return x  # what requires gradients passes them on to what it was computed from
        return x.detach().requires_grad_(True)

    def loss(self, output, y, task, weight=None):
        """Task and consistency loss of a batch.

        Parameters
        ----------
        output : torch.Tensor or tuple
            What `run` has returned for the batch.
        y : torch.Tensor
            Targets.
        task : torch.Tensor
            The task loss; with weights, unreduced.
        weight : torch.Tensor of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        torch.Tensor
            The total that is trained on.
        """
        clean = self._pass_of(output)
        self._compared = True
        task, consistency = saliency_guided_loss(
            clean.forward,
            clean.x,
            y,
            loss=lambda output, y: task,
            divergence=self._divergence,
            masking=self._masking,
            generator=self.generator,
            output=clean.output,
            masked_x=self._masked_input(clean, y, weight),
            modules=self._moded,
            weight=weight,
            reduction=self._reduction,
            fork_generators=self._stochastic,
            **clean.structure,
        )
        if self.losses is None:
            self.losses = (task.detach(), consistency.detach())
        if consistency.ndim and task.ndim > 1:
            consistency = consistency.reshape(-1, *(1,) * (task.ndim - 1))
        return torch.add(task, consistency, alpha=float(self._net.consistency_weight))

    def _pass_of(self, output):
        for kept in self.passes:
            if output is kept.output or output is first_output(kept.output):
                return kept
        net = type(self._net)
        if not _is_ours(net.infer):
            raise TypeError(
                f"Guidance compares what infer returns, which {net.__name__}.infer changes after "
                "the fact: define infer in a class of its own, and put the mixin before it, as in "
                "class Guided(SaliencyGuidedMixin, ThatClass)."
            )
        # get_loss of a subclass may reshape or choose before it calls the mixin's
        kept, output = self.passes[-1], first_output(output)
        if _is_ours(net.get_loss) or len(self.passes) > 1 or len(output) != len(kept.x):
            raise TypeError(
                "Guidance compares what infer returns with what it returns for the masked input, "
                f"but the get_loss of {net.__name__} got an output of shape {tuple(output.shape)} "
                f"that is none of those of the {len(self.passes)} calls of infer in this step: "
                "call get_loss with each output as infer returned it, and add up the losses; what "
                "joins or changes outputs belongs into infer of a class of its own, behind the "
                "mixin, as in class Guided(SaliencyGuidedMixin, ThatClass). Or set "
                "consistency_weight=0 to train without guidance."
            )
        return kept

    def _masked_input(self, clean, y, weight):
        # kept, so that an optimizer that evaluates a step several times sees one function of each
        # batch; a step may have several
        for x, masked_x in self.masked:
            if x.shape == clean.x.shape and torch.equal(x, clean.x):
                return masked_x
        masked_x = masked_input(
            clean.forward,
            clean.x,
            y,
            self._masking,
            weight=weight,
            generator=self.generator,
            output=clean.output if self.shared else None,
            modules=self._moded,
            **clean.structure,
        )
        self.masked.append((clean.x.detach(), masked_x))
        return masked_x

    def trained_parameters(self):
        """Parameters that are trained now; layers may be frozen and thawed in between."""
        net = self._net
        if self._parameters is None:
            # an optimizer of the user's may have tensors that belong to no module
            groups = [g for name in net._optimizers for g in getattr(net, name + "_").param_groups]
            own = [p for group in groups for p in group["params"]]
            learnable = [p for _, p in net.get_all_learnable_params()]
            self._parameters = list(dict.fromkeys((*learnable, *own)))
        return [p for p in self._parameters if p.requires_grad]

    # settled on the first batch

    def _settle(self, x, embedding, forward):
        net = self._net
        if self.generator is None:
            self.generator = torch.Generator(device=x.device)
            # one device's generator does not take another's state, as after unpickling elsewhere
            known = self._state is not None
            if known and len(self._state) == len(self.generator.get_state()):
                self.generator.set_state(self._state)
            elif self._seed is not None:
                self.generator.manual_seed(self._seed)
            else:
                self.generator.manual_seed(int(torch.randint(2**62, ()).item()))
            net._separate_noise(self.generator)
        self._shape = x.shape[1:]
        self._kind = kind_of_tensor(x.ndim, tokens=embedding is not None)
        self._settings = resolve_auto(net.get_guidance_params(), self._kind)
        self._criterion = unwrap(net.criterion_)
        self._modules = [
            m for name in net._modules for m in parent_modules(getattr(net, name + "_", None))
        ]
        likelihood, _ = infer_likelihood(
            self._criterion, nll_of_probabilities=isinstance(net, NeuralNetClassifier)
        )
        self._divergence = net.consistency
        if is_auto(net.consistency):
            if likelihood is None:
                raise ValueError(
                    "consistency='auto' knows CrossEntropyLoss, NLLLoss, BCEWithLogitsLoss, "
                    f"BCELoss and MSELoss, got {type(self._criterion).__name__}: pass consistency="
                    "'categorical_kl', 'bernoulli_kl', 'squared_difference' or a callable "
                    "(output, masked_output) -> (n_samples,)."
                )
            self._divergence = DIVERGENCE_OF[likelihood]
        reduction = getattr(self._criterion, "reduction", "mean")
        # criteria have other ways to average, such as KLDivLoss with "batchmean"
        self._reduction = reduction if reduction in ("sum", "none") else "mean"
        self._divergence = make_divergence(
            self._divergence, reduction="sum" if self._reduction == "sum" else "mean"
        )
        check_fill_is_no_padding(embedding, self._settings["mask_fill"], net.mask_value)
        self._base_masking = make_masking(net, x, self._settings, self._kind, self._statistics)
        self._set_fraction()
        self._choose_pass(x, forward)

    def _set_fraction(self):
        if self._settings is None or self._epoch is None:
            return
        # read anew in each epoch: a callback may set it
        settings = resolve_auto(self._net.get_guidance_params(), self._kind)
        fraction = scheduled_fraction(
            settings["mask_fraction"],
            settings["mask_schedule"],
            self._epoch,
            self._net.max_epochs,
        )
        self._masking = self._base_masking.with_fraction(fraction)
        self._net.history.record("mask_fraction", fraction)

    def _choose_pass(self, x, forward):
        requested = self._net.saliency_pass
        shape, agree, self._stochastic = self._probed or (None, None, None)
        self._probed = None
        if shape != tuple(self._shape):
            agree, self._stochastic = passes_agree(forward, self._modules, x)
        # modules whose modes the extra passes must set; where modes agree, there are none
        self._moded = () if agree else self._modules
        compiled = any(hasattr(s, "_orig_mod") for m in self._modules for s in m.modules())
        if self._settings["mask_order"] == "random":
            self.shared = False
        elif compiled and requested == "shared":
            raise ValueError(
                "saliency_pass='shared' keeps the graph of the clean pass, which compiled modules "
                "refuse: use 'auto' or 'separate' with compile=True."
            )
        elif requested == "auto":
            self.shared = agree and not compiled
        else:
            self.shared = requested == "shared"


@dataclasses.dataclass(eq=False)
class _Pass:
    """A clean forward pass of a training step."""

    x: torch.Tensor
    forward: object
    output: object
    structure: dict  # padding and embedding, as guidance.masked_input takes them


def _is_ours(method):
    return method.__module__.startswith("sgt_sklearn.")


def inside_criterion(criterion, get_loss, function):
    """Loss that `get_loss` returns if the criterion's value is replaced by a function of it.

    A `get_loss` of the user's that scales or weighs what the criterion returns does so with
    whatever the function adds.

    Parameters
    ----------
    criterion : torch.nn.Module or callable
        The criterion.
    get_loss : functools.partial
        Computes the loss, calling the criterion or not.
    function : callable
        Applied to the first value of the criterion, or else to the loss.

    Returns
    -------
    torch.Tensor
        The loss.
    """
    values = []

    def replace(*args):
        if not values:
            values.append(function(args[-1]))
            return values[0]

    own = not get_loss.func.__module__.startswith("skorch.")
    if not own or not isinstance(criterion, torch.nn.Module):
        return function(get_loss())
    handle = criterion.register_forward_hook(replace)
    try:
        loss = get_loss()
    finally:
        handle.remove()
    return loss if values else function(loss)


def training_statistics(net, X, weight=None):
    """Statistics of the features of an array, or of the batches of any other training data."""
    if isinstance(X, (np.ndarray, torch.Tensor)):
        return FeatureStatistics.from_array(to_numpy(X), weight)
    dataset = X if is_dataset(X) else net.get_dataset(X)
    if weight is not None:
        dataset = WeightedDataset(dataset, weight)
    with nullcontext() if net.random_state is None else isolated_generators(seed=0):
        batches = net._whole(net.get_iterator(dataset))
        return FeatureStatistics.from_batches(
            _part_and_weight(unpack_data(batch)[0], net.guided_input) for batch in batches
        )


def _part_and_weight(inputs, guided_input):
    inputs, weight = split_weight(inputs)
    part, _ = split_input(inputs, guided_input)
    lengths = lengths_of(inputs, part)
    part, weight = to_numpy(part), None if weight is None else to_numpy(weight)
    return (part, weight) if lengths is None else steps_of(part, to_numpy(lengths), weight)
