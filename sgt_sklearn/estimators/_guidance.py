"""State of the guidance during one fit: settings resolved for the data, and the current step."""

from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import unpack_data
from skorch.utils import is_dataset, to_numpy

from sgt_sklearn._random import isolated_generators
from sgt_sklearn._statistics import FeatureStatistics
from sgt_sklearn.attribution import parent_modules
from sgt_sklearn.estimators._inputs import split_input
from sgt_sklearn.estimators._parameters import (
    DIVERGENCE_OF,
    group_labels,
    infer_likelihood,
    is_auto,
    resolve_auto,
    scheduled_fraction,
    unwrap,
)
from sgt_sklearn.estimators._weights import WeightedDataset, split_weight
from sgt_sklearn.guidance import (
    Masking,
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
        self._parameters = None
        self.end_step()

    def get_state(self):
        """State for `set_state` in another process; None before the first guided batch."""
        if self.generator is None:
            return None
        probed = self._probed or (tuple(self._shape), not self._moded, self._stochastic)
        state, device = self.generator.get_state(), str(self.generator.device)
        return {"generator": state, "device": device, "probed": probed}

    def set_state(self, state):
        """Go on with the draws, and with the pass that was chosen for inputs of that shape."""
        self.generator = torch.Generator(device=state["device"])
        self.generator.set_state(state["generator"])
        self._probed = state["probed"]

    # the current step

    def begin_step(self, epoch):
        """Start a training step; forget what an earlier one kept."""
        if epoch != self._epoch:
            self._epoch = epoch
            self._set_fraction()
        self.in_step = True

    def end_step(self):
        """End the step and return its (task, consistency) losses, if there were any."""
        losses = getattr(self, "losses", None)
        self.in_step = False
        self.x = self.output = self.forward = self.masked_x = self.losses = None
        return losses

    def prepare(self, x, forward):
        """Check the input of the module, settle everything that depends on it, and keep it."""
        x, rebuild = split_input(x, self._net.guided_input)
        check_differentiable(x)
        inputs_forward = forward

        def forward(data):
            return inputs_forward(rebuild(data))

        if self._shape != x.shape[1:]:
            self._settle(x, forward)
        if self.shared:
            x = x.detach().requires_grad_(True)
        self.x, self.forward = x, forward
        return rebuild(x)

    def loss(self, y, task_loss, weight=None):
        """Task and consistency loss of the step's batch.

        Parameters
        ----------
        y : torch.Tensor
            Targets.
        task_loss : callable
            Returns the task loss; with weights, unreduced.
        weight : torch.Tensor of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        torch.Tensor
            The total that is trained on.
        """
        if self.masked_x is None:
            # kept, so that an optimizer that evaluates a step several times sees one function
            self.masked_x = masked_input(
                self.forward,
                self.x,
                y,
                self._masking,
                generator=self.generator,
                output=self.output if self.shared else None,
                modules=self._moded,
            )
        task, consistency = saliency_guided_loss(
            self.forward,
            self.x,
            y,
            loss=lambda output, y: task_loss(),
            divergence=self._divergence,
            masking=self._masking,
            generator=self.generator,
            output=self.output,
            masked_x=self.masked_x,
            modules=self._moded,
            weight=weight,
            reduction=self._reduction,
            fork_generators=self._stochastic,
        )
        if self.losses is None:
            self.losses = (task.detach(), consistency.detach())
        if consistency.ndim and task.ndim > 1:
            consistency = consistency.reshape(-1, *(1,) * (task.ndim - 1))
        return torch.add(task, consistency, alpha=float(self._net.consistency_weight))

    def trained_parameters(self):
        """Parameters that the optimizers train now; layers may be frozen and thawed in between."""
        if self._parameters is None:
            self._parameters = [p for _, p in self._net.get_all_learnable_params()]
        return [p for p in self._parameters if p.requires_grad]

    # settled on the first batch

    def _settle(self, x, forward):
        net = self._net
        if self.generator is None:
            self.generator = torch.Generator(device=x.device)
            if self._state is not None:
                self.generator.set_state(self._state)
            elif self._seed is not None:
                self.generator.manual_seed(self._seed)
            else:
                self.generator.manual_seed(int(torch.randint(2**62, ()).item()))
            net._separate_noise(self.generator)
        self._shape = x.shape[1:]
        self._settings = resolve_auto(net.get_guidance_params(), x.ndim)
        self._criterion = unwrap(net.criterion_)
        self._modules = [
            m for name in net._modules for m in parent_modules(getattr(net, name + "_", None))
        ]
        likelihood, probabilities = infer_likelihood(
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
        if likelihood is None:
            likelihood = _LIKELIHOOD_OF.get(self._divergence, "gaussian")
        self._reduction = getattr(self._criterion, "reduction", "mean")
        self._divergence = make_divergence(
            self._divergence, reduction="sum" if self._reduction == "sum" else "mean"
        )
        self._base_masking = self._make_masking(x, likelihood, probabilities)
        self._set_fraction()
        self._choose_pass(x, forward)

    def _make_masking(self, x, likelihood, probabilities):
        settings = self._settings
        labels = group_labels(settings["feature_groups"], self._shape)
        masking = Masking(
            fraction=settings["mask_fraction"],
            order=settings["mask_order"],
            output=settings["saliency_output"],
            fill=settings["mask_fill"],
            fill_value=self._net.mask_value,
            groups=None if labels is None else torch.from_numpy(labels),
            likelihood=likelihood,
            probabilities=probabilities,
            **self._statistics_tensors(),
        )
        return masking.to(x.device, x.dtype)

    def _statistics_tensors(self):
        needed = self._settings["mask_order"] in ("absolute", "sampled")
        needed |= self._settings["mask_fill"] in ("feature_uniform", "mean")
        statistics = self._statistics() if needed else None
        if statistics is None:
            return {}
        names = ("scale", "minimum", "maximum", "mean")
        return {name: torch.as_tensor(getattr(statistics, name)) for name in names}

    def _set_fraction(self):
        if self._settings is None or self._epoch is None:
            return
        # read anew in each epoch: a callback may set it
        settings = resolve_auto(self._net.get_guidance_params(), len(self._shape) + 1)
        fraction = scheduled_fraction(
            settings["mask_fraction"],
            settings["mask_schedule"],
            self._epoch,
            self._net.max_epochs,
        )
        self._masking = self._base_masking.with_fraction(fraction)

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


_LIKELIHOOD_OF = {name: likelihood for likelihood, name in DIVERGENCE_OF.items()}


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
    return to_numpy(part), None if weight is None else to_numpy(weight)
