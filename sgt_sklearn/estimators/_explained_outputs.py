"""Which number an explanation is about: one a sample, of the outputs of a net."""

import numpy as np
import torch
from torch.nn import functional

from sgt_sklearn.attribution import output_scalar


class Scalar:
    """One number a sample.

    Parameters
    ----------
    reduce : callable
        Maps logits and `index` to shape (n_samples,).
    index : torch.Tensor of shape (n_samples, ...) or None
        What is explained of each sample.
    scale, shift : float or ndarray of shape (n_samples,), default=None
        What turns the number into units of y; None is 1 and 0.
    """

    def __init__(self, reduce, index=None, scale=None, shift=None):
        self.reduce = reduce
        self.index = index
        self.scale, self.shift = scale, shift

    def __call__(self, logits, rows=None):
        """Numbers of logits, which are those of all samples or of the given rows."""
        index = self.index
        if index is not None:
            index = index.to(logits.device)
            if rows is not None:
                index = index[rows]
        return self.reduce(logits, index)

    def in_units(self, values):
        """Numbers of all samples in units of y."""
        values = values if self.scale is None else values * self.scale
        return values if self.shift is None else values + self.shift


class Scalars:
    """The scalars of a net.

    Parameters
    ----------
    net : ExplainedNet
        The net.
    kind : {"logit", "log_proba", "margin", "probability"}
        What is explained of a target.
    """

    def __init__(self, net, kind):
        self.net, self.kind, self.likelihood = net, kind, net.likelihood

    def n_outputs(self, logits):
        """Number of targets that there are."""
        if self.likelihood == "bernoulli" and logits[0].numel() == 1:
            return 2
        return logits.shape[1] if logits.ndim > 1 else 1

    def predicted(self, logits):
        """Scalar of what the net predicts, in a regression of the only output or of their sum."""
        if self.likelihood == "categorical":
            return Scalar(self._observed, self.net.compared(logits).argmax(1))
        if self.likelihood == "bernoulli":
            threshold = self.net.threshold
            above = logits > 0 if threshold == 0.5 else torch.sigmoid(logits) > threshold
            return Scalar(self._observed, above.to(logits.dtype))
        scale, shift = self.net.output_scale(), self.net.output_shift()
        if scale is None or len(scale) > 1:
            return Scalar(self._observed)
        return Scalar(self._observed, None, scale[0], shift[0])

    def column(self, index, n_samples):
        """Scalar of outputs by their index, one for all samples or one a sample."""
        index = np.broadcast_to(np.asarray(index), (n_samples,))
        highest = int(index.max())

        def reduce(logits, rows):
            _check_index(highest, self.n_outputs(logits))
            return self._of_column(logits, rows)

        if (index < 0).any():
            _check_index(int(index.min()), None)
        scale, shift = self.net.output_scale(), self.net.output_shift()
        if self.likelihood != "gaussian":
            scale = None
        if scale is not None:
            _check_index(highest, len(scale))
            scale, shift = scale[index], shift[index]
        return Scalar(
            reduce, torch.as_tensor(index.copy()), scale, None if scale is None else shift
        )

    def labelled(self, labels):
        """Scalar of labels, one a sample."""
        labels = np.atleast_1d(labels)
        places = {label: self.net.label_index(label) for label in dict.fromkeys(labels.tolist())}
        index = [places[label] for label in labels.tolist()]
        return self.column(index, len(index))

    def _of_column(self, logits, index):
        if self.likelihood == "categorical":
            return self._observed(logits, index)
        if self.likelihood == "gaussian":
            return logits.reshape(len(logits), -1).gather(1, index[:, None])[:, 0]
        if logits[0].numel() == 1:
            return self._observed(logits, index.to(logits.dtype))
        picked = logits.gather(1, index[:, None])[:, 0]
        if self.kind == "probability":
            return torch.sigmoid(picked)
        return functional.logsigmoid(picked) if self.kind == "log_proba" else picked

    def _observed(self, logits, index):
        if self.kind != "probability" or self.likelihood == "gaussian":
            kind = "logit" if self.kind == "probability" else self.kind
            return output_scalar(logits, index, kind=kind, likelihood=self.likelihood)
        return output_scalar(logits, index, kind="log_proba", likelihood=self.likelihood).exp()


def _check_index(index, n_outputs):
    if n_outputs is None or index >= n_outputs:
        known = "the outputs" if n_outputs is None else f"one of the {n_outputs} outputs"
        raise ValueError(f"target must name {known}, got index {index}.")
