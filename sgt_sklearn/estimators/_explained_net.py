"""What an explanation asks of a skorch net, ours or any other."""

import copy
from collections.abc import Mapping
from contextlib import nullcontext

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.dataset import get_len
from skorch.utils import to_tensor

from sgt_sklearn.attribution import first_output, logits_from
from sgt_sklearn.estimators._inputs import as_columns, cast_floats, map_arrays, writable
from sgt_sklearn.estimators._parameters import infer_likelihood, is_auto, unwrap
from sgt_sklearn.estimators._tokens import embedding_of
from sgt_sklearn.modules import StandardizedInput


class ExplainedNet:
    """A fitted skorch net as explanations see it.

    Parameters
    ----------
    net : skorch.NeuralNet
        The net.
    copied : bool, default=False
        Work on copies of its modules, for methods that change them while they run.
    inner : bool, default=False
        Of copies, leave out the standardisation of the input that nets of ours begin with, and
        keep it as `standardization`.
    """

    def __init__(self, net, *, copied=False, inner=False):
        self.original = self.net = net
        self.standardization = None
        if copied:
            self.net = _with_copies(net)
        module = getattr(self.net, "module_", None)
        if inner and isinstance(module, StandardizedInput):
            self.standardization = module
            vars(self.net)["module_"] = module.module
        self.guided_input = getattr(net, "guided_input", "auto")
        self.statistics = getattr(net, "_statistics_", None)
        # probability above which a net with one logit predicts the second class
        self.threshold = getattr(net, "threshold", 0.5)
        # a net may leave its device to its module, as it does with accelerate
        devices = (p.device for component in self.modules for p in component.parameters())
        self.device = net.device or next(devices, "cpu")
        self.likelihood, self.probabilities = infer_likelihood(
            getattr(net, "criterion_", None),
            nll_of_probabilities=isinstance(net, NeuralNetClassifier),
        )
        if self.likelihood is None:
            classifier = isinstance(net, NeuralNetClassifier)
            self.likelihood = "categorical" if classifier else "gaussian"

    @property
    def modules(self):
        """The modules that the net is made of, what torch.compile wraps included."""
        return [getattr(self.net, name + "_") for name in self.net._modules]

    @property
    def dtype(self):
        """Type of the module's first floating-point parameter, or None."""
        module = getattr(self.net, "module_", None)
        parameters = module.parameters() if isinstance(module, torch.nn.Module) else ()
        return next((p.dtype for p in parameters if p.is_floating_point()), None)

    def unguided(self):
        """Inside, the net's passes are none of a training step that may be under way."""
        of_net = getattr(self.net, "_unguided", None)
        return nullcontext() if of_net is None else of_net()

    def tensors(self, X):
        """X as the tensors that the module gets, floating-point ones in its dtype."""
        prepare = getattr(self.original, "_attribution_input", None)
        return input_tensors(X, self.dtype) if prepare is None else prepare(X)

    def check_entries(self, inputs):
        """Refuse a dict of which nothing says what is explained."""
        unnamed = isinstance(inputs, Mapping) and "X" not in inputs
        if unnamed and not hasattr(self.net, "guided_input"):
            raise ValueError(
                f"X must have the entry 'X', which is explained, got {sorted(map(str, inputs))}: "
                "pass an array, or fit a class of SaliencyGuidedMixin and "
                f"{type(self.net).__name__}, whose parameter guided_input names another entry."
            )

    def embedding(self, x):
        """The submodule that embeds token ids, or None where x needs none."""
        if hasattr(self.net, "embedding"):
            return embedding_of(self.net, x)
        if x.is_floating_point() or x.ndim != 2:
            return None
        found = [m for c in self.modules for m in c.modules() if isinstance(m, torch.nn.Embedding)]
        if len(found) == 1:
            return found[0]
        raise TypeError(
            "X must be floating point to have a gradient, or token ids for a module with one "
            f"torch.nn.Embedding, got {x.dtype} and {len(found)} of them. Convert X "
            "(X.astype('float32')), or name the embedding: fit a class of SaliencyGuidedMixin and "
            f"{type(self.net).__name__} with embedding='...'."
        )

    def logits(self, inputs):
        """Logits, or predicted values, of the tensors of a batch."""
        return logits_from(
            first_output(self.net.infer(to_tensor(inputs, self.device))),
            likelihood=self.likelihood,
            probabilities=self.probabilities,
        )

    def compared(self, logits):
        """What `predict` takes the largest of; with labels of steps these are no logits."""
        classifies = isinstance(self.net, NeuralNetClassifier)
        if not classifies or (logits.ndim == 2 and is_auto(self.net.predict_nonlinearity)):
            return logits
        output = logits.exp() if self.probabilities else logits
        return self.net._get_predict_nonlinearity()(output)

    def label_index(self, label):
        """Index of the output that a label names."""
        of_net = getattr(self.original, "_label_index", None)
        return index_of_output(label) if of_net is None else of_net(label)

    @property
    def classes(self):
        """Labels of the outputs, or None where they are their positions."""
        decodes = getattr(self.original, "_decodes_", False)
        return self.original.classes_ if decodes else None

    def output_scale(self):
        """Units of y of each output, or None where outputs have none."""
        of_net = getattr(self.original, "_output_scale", None)
        return None if of_net is None else of_net()

    def output_shift(self):
        """Mean of y that the net adds to each output, or None."""
        return None if self.output_scale() is None else self.original._target_mean_


def input_tensors(X, dtype):
    """Tensors of an input, floating-point ones in a dtype."""
    X = as_columns(X)
    if not isinstance(X, (np.ndarray, torch.Tensor, dict, tuple)):
        raise TypeError(
            "X must be one array or tensor to be explained, or a dict or tuple of them, got "
            f"{type(X).__name__}."
        )
    if get_len(X) == 0:
        raise ValueError("X must have at least one row, got 0 rows.")
    return cast_floats(map_arrays(lambda data: torch.as_tensor(writable(data)), X), dtype)


def index_of_output(label):
    """Index of an output of a net that has no labels of its own."""
    # criteria of one logit take floating-point labels
    whole = isinstance(label, (float, np.floating)) and float(label).is_integer()
    integer = isinstance(label, (int, np.integer)) and not isinstance(label, bool)
    if not (whole or integer):
        raise ValueError(
            "target must be 'predicted', 'all' or the indices of outputs (this net has no "
            f"labels of its own), got {label!r}."
        )
    return int(label)


def _with_copies(net):
    """A net that shares everything with another but its modules."""
    twin = object.__new__(type(net))
    vars(twin).update(vars(net))
    names = [name + "_" for name in net._modules]
    try:
        copies = copy.deepcopy([unwrap(getattr(net, name)) for name in names])
    except Exception as error:
        raise TypeError(
            "module must be copyable (copy.deepcopy) for a method that changes it while it runs, "
            f"got {type(error).__name__}: {error} Use 'integrated_gradients', which leaves it as "
            "it is."
        ) from error
    vars(twin).update(zip(names, copies, strict=True), _guidance_=None)
    return twin
