"""The optimizer that belongs to a module."""

from contextlib import contextmanager

from skorch import NeuralNet

from sgt_sklearn.estimators._meant_names import check_arguments
from sgt_sklearn.estimators._named import default_optimizer
from sgt_sklearn.estimators._parameters import is_auto


class OptimizerMixin:
    """Resolves ``optimizer="auto"`` and ``lr="auto"`` where an optimizer is built."""

    _optimizer_defaults_ = None

    def set_params(self, **kwargs):
        """Set parameters; those of an initialised optimizer change it, as in skorch.

        Parameters
        ----------
        **kwargs
            Values by name, names as in `get_params`.

        Returns
        -------
        self
            The estimator.
        """
        if is_auto(kwargs.get("lr")) and self.initialized_:
            # skorch would write the word into the parameter groups
            self.lr = kwargs.pop("lr")
            for group in self.optimizer_.param_groups:
                group["lr"] = self._optimizer_settings()[1]
        return super().set_params(**kwargs)

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Parameter groups and arguments of an optimizer.

        Parameters
        ----------
        prefix : str
            Name of the optimizer.
        named_parameters : iterable of (str, torch.nn.Parameter)
            What it trains.

        Returns
        -------
        args, kwargs
            Positional and keyword arguments.
        """
        with self._resolved_optimizer():
            args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
            if prefix == "optimizer":
                kwargs = self._optimizer_defaults_ | kwargs
        return args, kwargs

    def _initialize_optimizer(self, *args, **kwargs):
        # recipes override initialize_optimizer and call self.optimizer
        with self._resolved_optimizer():
            if type(self).initialize_optimizer is NeuralNet.initialize_optimizer:
                given = self.get_params_for("optimizer").keys() - {"param_groups"}
                check_arguments("optimizer", self.optimizer, given)
            return super()._initialize_optimizer(*args, **kwargs)

    def _optimizer_settings(self):
        """Class, learning rate and further arguments in use."""
        optimizer, lr, defaults = default_optimizer(self.module)
        if not is_auto(self.optimizer):
            # settings found for one optimizer say nothing of another
            _, lr, defaults = default_optimizer(None)
            optimizer = self.optimizer
        return optimizer, lr if is_auto(self.lr) else self.lr, defaults

    @contextmanager
    def _resolved_optimizer(self):
        """Inside, the parameters `optimizer` and `lr` hold what they stand for."""
        if self._optimizer_defaults_ is not None:
            yield
            return
        given = self.optimizer, self.lr
        self.optimizer, self.lr, self._optimizer_defaults_ = self._optimizer_settings()
        try:
            yield
        finally:
            self.optimizer, self.lr = given
            del self._optimizer_defaults_
