"""Callbacks that every guided net has, and how they are called."""

from skorch import NeuralNet
from skorch.callbacks import Callback, PassthroughScoring

_BATCH_EVENTS = ("on_batch_begin", "on_grad_computed", "on_batch_end")


class ListeningMixin:
    """Calls at the events of a batch only the callbacks that do something there.

    Most callbacks act once an epoch; calling their empty methods three times a batch takes a
    noticeable part of a small network's step. Who listens is found anew in every epoch.
    """

    _listeners_ = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        order = cls.__mro__
        if NeuralNet in order and order.index(NeuralNet) < order.index(ListeningMixin):
            bases = ", ".join(base.__name__ for base in cls.__bases__)
            raise TypeError(
                "SaliencyGuidedMixin must come before every skorch net class, got class "
                f"{cls.__name__}({bases}): name it first."
            )

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks of an event.

        Parameters
        ----------
        method_name : str
            Name of the event.
        **cb_kwargs
            Passed on to the callbacks.
        """
        if method_name not in _BATCH_EVENTS:
            if self._listeners_ is not None:
                self._listeners_ = None
            super().notify(method_name, **cb_kwargs)
            return
        if self._listeners_ is None:
            self._listeners_ = {
                event: [callback for _, callback in self.callbacks_ if _listens(callback, event)]
                for event in _BATCH_EVENTS
            }
        training = cb_kwargs["training"]
        if training and method_name == "on_batch_end":
            self._end_step()
        self._call_back(self, method_name, cb_kwargs)
        for callback in self._listeners_[method_name]:
            self._call_back(callback, method_name, cb_kwargs)
        if training and method_name == "on_batch_begin":
            self._begin_step()

    @property
    def _default_callbacks(self):
        callbacks = list(super()._default_callbacks)
        names = [name for name, _ in callbacks]
        position = names.index("train_loss") + 1 if "train_loss" in names else 0
        callbacks[position:position] = [
            ("train_task_loss", TaskLoss(name="train_task_loss", on_train=True)),
            (
                "train_consistency_loss",
                PassthroughScoring(name="train_consistency_loss", on_train=True),
            ),
        ]
        return callbacks


class CallingMixin:
    """Calls each callback through one method; put behind every mixin that overrides notify."""

    def notify(self, method_name, **cb_kwargs):
        """Call the callbacks of an event.

        Parameters
        ----------
        method_name : str
            Name of the event.
        **cb_kwargs
            Passed on to the callbacks.
        """
        inherited = super().notify
        if inherited.__func__ is not NeuralNet.notify:
            inherited(method_name, **cb_kwargs)
            return
        self._call_back(self, method_name, cb_kwargs)
        for _, callback in self.callbacks_:
            self._call_back(callback, method_name, cb_kwargs)

    def _call_back(self, callback, event, cb_kwargs):
        getattr(callback, event)(self, **cb_kwargs)


def _listens(callback, event):
    inherited = getattr(type(callback), event, None) is getattr(Callback, event)
    return not inherited or event in vars(callback)


class TaskLoss(PassthroughScoring):
    """Average of the task loss; without guidance it is the training loss, at no cost a batch."""

    def on_epoch_end(self, net, **kwargs):
        """Record the average of the epoch."""
        if net.consistency_weight == 0:
            if "train_loss" in net.history[-1]:
                net.history.record(self.name, net.history[-1]["train_loss"])
            return
        super().on_epoch_end(net, **kwargs)
