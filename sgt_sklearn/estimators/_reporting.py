"""What a net says of itself: its parameters, names it does not take, that it is not fitted."""

import inspect
from itertools import chain
from types import FunctionType

from sklearn.base import BaseEstimator
from skorch import NeuralNet

from sgt_sklearn.estimators._checks import named_parameters
from sgt_sklearn.estimators._meant_names import with_hints

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_NOT_FITTED = (
    "This %(name)s instance is not fitted yet. Call 'fit' with appropriate arguments before using "
    "this estimator."
)


class ReportingMixin:
    """Shows and checks the parameters of a net as scikit-learn does those of its estimators."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if NeuralNet in cls.__mro__:
            _spell_out(cls)

    # that of scikit-learn, which skorch overrides; its printer looks for this very function
    __repr__ = BaseEstimator.__repr__

    def get_params(self, deep=True, **kwargs):
        """Return the parameters.

        Parameters
        ----------
        deep : bool, default=True
            Whether to add those of callbacks and other objects that have parameters.
        **kwargs
            Passed on to skorch.

        Returns
        -------
        dict
            Values by name.
        """
        # without what skorch notes for itself, which is no parameter to be shown or cloned
        found = super().get_params(deep=deep, **kwargs)
        return {name: value for name, value in found.items() if not name.startswith("_")}

    def _get_params_html(self, deep=True, *args, **kwargs):
        # scikit-learn would show each default of each callback as set by the user
        return super()._get_params_html(False, *args, **kwargs)

    def check_is_fitted(self, attributes=None, *args, **kwargs):
        """Raise unless the net is fitted (or initialised).

        Parameters
        ----------
        attributes : iterable of str, default=None
            Attributes that it must have; None takes its modules.
        *args, **kwargs
            As for :func:`sklearn.utils.validation.check_is_fitted`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If it is not.
        """
        if not args:
            kwargs.setdefault("msg", _NOT_FITTED)
        super().check_is_fitted(attributes, *args, **kwargs)

    def _validate_params(self):
        unknown = [name for name in self._params_to_validate if not self._passes_on(name)]
        if unknown:
            raise ValueError(self._refusal(unknown))
        super()._validate_params()

    def set_params(self, **kwargs):
        """Set parameters, as in skorch.

        Parameters
        ----------
        **kwargs
            Values by name, names as in `get_params`.

        Returns
        -------
        self
            The net.

        Raises
        ------
        ValueError
            For a name that the net does not take.
        """
        try:
            return super().set_params(**kwargs)
        except ValueError as error:
            if not str(error).startswith("Invalid parameter"):
                raise
            named = self._described(set(kwargs) - set(self.get_params(deep=False)))
            if "(" not in named:
                raise
            raise ValueError(f"{error} Got {named}.") from error

    def _passes_on(self, name):
        """Whether a name goes on to a part of the net, by its prefix."""
        return name.endswith("_") or name.partition("__")[0] in self._prefixes()

    def _prefixes(self):
        # those of modules, criteria and optimizers are noted when they are built
        return {*self.prefixes_, "module", "criterion", "optimizer"}

    def _described(self, unknown):
        unknown = [name for name in unknown if not self._passes_on(name)]
        known = named_parameters(type(self).__init__)
        return with_hints(unknown, getattr(self, "module", None), known, self._prefixes())

    def _refusal(self, unknown):
        return (
            f"{type(self).__name__} got unexpected argument(s) {self._described(unknown)}. "
            "Arguments of the module, optimizer and criterion go by module__*, optimizer__* and "
            "criterion__*; a subclass sets its own in its __init__."
        )


def _spell_out(cls):
    """Give the constructor of a net class a signature that names what **kwargs passes on.

    By it scikit-learn tells which parameters differ from their defaults, and shows those.
    """
    try:
        signature = _whole_signature(cls)
    except (TypeError, ValueError):  # a constructor that cannot be read, or has no self
        return
    own = vars(cls).get("__init__")
    if own is None:
        if signature.parameters.keys() <= inspect.signature(cls.__init__).parameters.keys():
            return  # inherited from a class that spells out the same

        def __init__(self, *args, **kwargs):
            super(cls, self).__init__(*args, **kwargs)

        __init__.__qualname__ = f"{cls.__qualname__}.__init__"
        __init__.__module__ = cls.__module__
        cls.__init__ = own = __init__
    if isinstance(own, FunctionType) and not hasattr(own, "__signature__"):
        own.__signature__ = signature


def _whole_signature(cls):
    """Signature of the constructors of all bases, as far as each passes on to the next."""
    own, groups, positional = None, [], True
    for base in cls.__mro__[:-1]:
        if "__init__" not in vars(base):
            continue
        first, *parameters = inspect.signature(base.__init__).parameters.values()
        own = own or first
        found = {p.name for group in groups for p in group}
        news = [p for p in parameters if p.kind not in _VARIADIC and p.name not in found]
        if not positional:
            # what *args takes behind named parameters is not told by position
            news = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in news]
        kinds = {p.kind for p in parameters}
        positional = positional and inspect.Parameter.POSITIONAL_OR_KEYWORD not in kinds
        groups.insert(0, news)  # those of a subclass behind those of its base
        last = [p for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
        if not last:
            break
    ordered = sorted(chain.from_iterable(groups), key=lambda p: p.kind)
    return inspect.Signature([own, *ordered, *last])
