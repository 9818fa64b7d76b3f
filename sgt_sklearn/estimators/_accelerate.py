"""Guided training on several processes: what skorch's ``AccelerateMixin`` needs beside it."""

import sys
from contextlib import contextmanager

import numpy as np
import torch
from skorch import NeuralNet
from torch.nn.parallel import DistributedDataParallel

from sgt_sklearn.estimators._parameters import unwrap

_LOSSES = ("loss", "task_loss", "consistency_loss")


class ProcessesMixin:
    """Lets a guided net train with Hugging Face accelerate, on one process or on several.

    ``class Net(SaliencyGuidedMixin, AccelerateMixin, NeuralNetClassifier)`` trains as any net with
    skorch's ``AccelerateMixin`` does: ``DistributedDataParallel`` averages the gradients of the
    processes, each of which takes its share of the training batches. What is done here:

    - only the clean pass of a training step goes through ``DistributedDataParallel``, which
      counts on one forward a backward; saliency, masked pass, validation and callbacks work with
      the module itself. All gradients of a parameter meet before they are averaged.
    - masks, fills and (for an int `random_state`) dropout differ from process to process.
    - losses are those of the whole batch, and validation takes the whole validation set, on each
      process, so that callbacks that decide by them decide alike everywhere.
    - faults of skorch with accelerate: criteria without parameters, gradient accumulation,
      going on with a fit, and fitting anew with ``unwrap_after_train=False``.
    """

    _accelerated_ = False
    _accumulated_ = False

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        hf = sys.modules.get("skorch.hf")  # where its mixin is used, it has been imported
        cls._accelerated_ = hf is not None and issubclass(cls, hf.AccelerateMixin)
        if not cls._accelerated_:
            return
        order = [
            cls.__mro__.index(base)
            for base in (ProcessesMixin, hf.AccelerateMixin, NeuralNet)
            if base in cls.__mro__
        ]
        if order != sorted(order):
            raise TypeError(
                f"{cls.__name__} must name AccelerateMixin between SaliencyGuidedMixin and the "
                "skorch net class: class Net(SaliencyGuidedMixin, AccelerateMixin, "
                "NeuralNetClassifier). SaliencyGuidedClassifier and SaliencyGuidedRegressor "
                "contain their net class and leave no place for it."
            )

    # preparing the components

    def initialize(self):
        if self._accelerated_:
            # components built anew are not prepared, whatever the last fit left
            self._wrapped_with_accelerator = False
        return super().initialize()

    def _initialize_accelerator(self):
        with _sparing_what_does_not_train(self.accelerator):
            return super()._initialize_accelerator()

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        if self._accelerated_:
            # an interrupted fit may have stopped between the batches of a step
            self._accumulated_, self.accelerator.step = False, 0
            # the last fit has unwrapped the modules, and going on without them would train each
            # process on its own
            self._initialize_accelerator()
            self._check_processes()
        return super().fit_loop(X, y, epochs, **fit_params)

    def _check_processes(self):
        """Raise where guidance does not know how the processes work together."""
        if not self._accelerated_ or self.consistency_weight == 0:
            return
        modules = [unwrap(getattr(self, name + "_")) for name in self._modules]
        modules = [m for m in modules if isinstance(m, torch.nn.Module) and _trains(m)]
        wrapped = [m for m in modules if isinstance(m, DistributedDataParallel)]
        handler = getattr(self.accelerator, "ddp_handler", None)
        if getattr(handler, "static_graph", False) or any(m.static_graph for m in wrapped):
            raise ValueError(
                "static_graph must be False in the DistributedDataParallelKwargs of the "
                "accelerator, got True: a guided step differentiates more than once and changes "
                "with mask_schedule, and processes would come to differ without a word. Leave it "
                "out, or set consistency_weight=0 to train without guidance."
            )
        kind = self.accelerator.distributed_type
        if kind != "NO" and len(wrapped) < len(modules):
            raise ValueError(
                "Guidance on several processes needs DistributedDataParallel (accelerate's "
                f"MULTI_GPU or MULTI_CPU), got distributed_type {getattr(kind, 'value', kind)}: "
                "launch without FSDP, DeepSpeed or other sharding, or set consistency_weight=0 to "
                "train without guidance."
            )

    # passes

    @contextmanager
    def _bare_modules(self):
        """Inside, the net's modules are those that ``DistributedDataParallel`` wraps."""
        wrappers = {}
        if self._accelerated_:
            names = [name + "_" for name in self._modules]
            modules = {name: vars(self).get(name) for name in names}
            wrappers = {n: m for n, m in modules.items() if _bare(m) is not m}
        # not by setattr, with which skorch keeps track of what a net consists of
        vars(self).update({name: _bare(wrapper) for name, wrapper in wrappers.items()})
        try:
            yield
        finally:
            for name, wrapper in wrappers.items():
                # callbacks may have replaced the module, and the end of a fit unwraps it
                kept = _bare(vars(self).get(name)) is _bare(wrapper)
                if kept and self._wrapped_with_accelerator:
                    vars(self)[name] = wrapper

    def _beside_step(self, forward, **fit_params):
        """The forward for passes beside the one that a training step is made of."""
        if not self._accelerated_:
            return lambda data: forward(data, **fit_params)

        def bare_forward(data):
            with self._bare_modules():
                return forward(data, **fit_params)

        return bare_forward

    def notify(self, method_name, **cb_kwargs):
        # callbacks see parameter names and a state dict like those of one process
        with self._bare_modules():
            super().notify(method_name, **cb_kwargs)

    def _zero_grad_optimizer(self, set_to_none=None):
        if not self._accelerated_:
            return super()._zero_grad_optimizer(set_to_none)
        # accelerate zeroes in the last batch of an accumulated step, which is right after the
        # step; skorch asks before the backward pass, where it would drop the earlier batches
        going_on, self._accumulated_ = self._accumulated_, not self.accelerator.sync_gradients
        if going_on:
            return
        for name in self._optimizers:
            optimizer = getattr(self, name + "_")
            optimizer = getattr(optimizer, "optimizer", optimizer)
            optimizer.zero_grad(**({} if set_to_none is None else {"set_to_none": set_to_none}))

    # data, noise and records of several processes

    def _split(self, iterator):
        """Give each process its share of the batches."""
        if not self._accelerated_:
            return iterator
        split = self.accelerator.prepare(iterator)
        if split is not iterator:
            split.unsplit = iterator
        return split

    def _whole(self, iterator):
        """All batches on each process."""
        if not hasattr(iterator, "unsplit") or self.accelerator.num_processes == 1:
            return iterator
        from accelerate.data_loader import prepare_data_loader

        return prepare_data_loader(
            iterator.unsplit,
            self.accelerator.device,
            num_processes=1,
            process_index=0,
            put_on_device=self.accelerator.device_placement,
        )

    def _rank(self):
        return self.accelerator.process_index if self._accelerated_ else 0

    def _separate_noise(self, generator):
        """Go on with another stream on each process; the first one's stays as it is."""
        self._check_processes()  # again, as a callback may switch guidance on
        if self._rank():
            generator.manual_seed(self._seed_here(generator))

    def _seed_here(self, generator=None):
        device = "cpu" if generator is None else generator.device
        drawn = torch.randint(2**62, (), generator=generator, device=device).item()
        mixed = np.random.SeedSequence([drawn, self._rank()]).generate_state(1, np.uint64)[0]
        return int(mixed >> 1)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Run one epoch of training or validation; on several processes, as one of them would.

        Parameters
        ----------
        iterator : iterable or None
            Batches; None skips the epoch.
        training : bool
            Whether this is training or validation.
        prefix : str
            Start of the names in the history.
        step_fn : callable
            Called on each batch.
        **fit_params
            Passed on to the step.
        """
        if not self._accelerated_ or self.accelerator.num_processes == 1:
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        elif training:
            if self._rank() and self._seed_ is not None:
                torch.manual_seed(self._seed_here())
            super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
            self._share_losses(prefix)
            self._share_buffers()
        else:
            with self._bare_modules():
                super().run_single_epoch(
                    self._whole(iterator), training, prefix, step_fn, **fit_params
                )

    def _share_losses(self, prefix):
        """Replace the losses of each batch by their means over the processes."""
        batches = self.history[-1]["batches"]
        names = [f"{prefix}_{name}" for name in _LOSSES]
        names = [name for name in names if all(name in batch for batch in batches)]
        sizes = [batch[f"{prefix}_batch_size"] for batch in batches]
        sums = torch.tensor(
            [
                [size, *(size * batch[name] for name in names)]
                for size, batch in zip(sizes, batches, strict=True)
            ],
            dtype=torch.float64,
            device=self.accelerator.device,
        )
        for batch, row in zip(batches, self.accelerator.reduce(sums).tolist(), strict=True):
            size, *values = row
            batch.update({n: value / size for n, value in zip(names, values, strict=True)})

    def _share_buffers(self):
        """Take over the first process's running statistics, for equal predictions everywhere."""
        for name in self._modules:
            module = unwrap(getattr(self, name + "_"))
            if isinstance(module, DistributedDataParallel) and module.broadcast_buffers:
                for buffer in module.buffers():
                    torch.distributed.broadcast(buffer, src=0, group=module.process_group)


def _trains(module):
    return any(p.requires_grad for p in module.parameters())


def _bare(module):
    inner = unwrap(module)
    return inner.module if isinstance(inner, DistributedDataParallel) else module


@contextmanager
def _sparing_what_does_not_train(accelerator):
    """Inside, modules without trainable parameters are placed on the device and no more.

    ``DistributedDataParallel``, which accelerate puts around every module on CPU, refuses them,
    and most criteria are such modules.
    """
    prepare = accelerator.prepare

    def sparing(component, **kwargs):
        if isinstance(component, torch.nn.Module) and not _trains(component):
            return component.to(accelerator.device) if accelerator.device_placement else component
        return prepare(component, **kwargs)

    accelerator.prepare = sparing
    try:
        yield
    finally:
        del accelerator.prepare
