"""What the networks for series share: padding, pooling over steps, and the way to the output."""

import torch
from torch import nn

POOLINGS = ("max", "mean", "last")


def valid_steps(X, lengths):
    """Which steps are no padding: bool of shape (n_samples, n_timesteps), or None for all."""
    if lengths is None:
        return None
    return torch.arange(X.shape[1], device=X.device) < lengths[:, None]


def without_padding(X, lengths):
    """Set padding to zero, whatever it held, so that neither value nor gradient can pass it."""
    if lengths is None:
        return X
    return torch.where(valid_steps(X, lengths)[:, :, None], X, 0)


class Pooling(nn.Module):
    """Reduce features of shape (n_samples, n_timesteps, size) over the valid steps.

    Parameters
    ----------
    name : {"max", "mean", "last", "attention"}
        The reduction. "attention" is the mean weighted by softmax(u . tanh(W h + b)) with learned
        W, b and u (Yang et al., NAACL 2016).
    size : int
        Number of features.
    """

    def __init__(self, name, size):
        super().__init__()
        self.name = name
        if name == "attention":
            self.score = nn.Sequential(nn.Linear(size, size), nn.Tanh(), nn.Linear(size, 1, False))

    def forward(self, features, lengths):
        """Pool; a sample without a valid step counts as one of one step."""
        lengths = None if lengths is None else lengths.clamp(min=1)
        return getattr(self, f"_{self.name}")(features, lengths)

    def _max(self, features, lengths):
        return _filled(features, lengths, -torch.inf).amax(1)

    def _mean(self, features, lengths):
        if lengths is None:
            return features.mean(1)
        return _filled(features, lengths, 0).sum(1) / lengths[:, None]

    def _last(self, features, lengths):
        if lengths is None:
            return features[:, -1]
        return features[torch.arange(len(features), device=features.device), lengths - 1]

    def _attention(self, features, lengths):
        weight = _filled(self.score(features), lengths, -torch.inf).softmax(1)
        return (weight.transpose(1, 2) @ features).squeeze(1)

    def extra_repr(self):
        return repr(self.name)


def _filled(features, lengths, value):
    if lengths is None:
        return features
    return features.masked_fill(~valid_steps(features, lengths)[:, :, None], value)


class SeriesModule(nn.Module):
    """Features of each step, pooled over the valid steps, then a linear map to the outputs.

    A subclass defines ``_features(X, lengths)``, which maps (n_samples, n_timesteps, n_features),
    zero at padding, to (n_samples, n_timesteps, size). Valid steps must not depend on padding.

    Parameters
    ----------
    size : int
        Number of features of a step after ``_features``.
    n_outputs : int
        Number of outputs.
    pooling : str
        Name of a `Pooling`.
    dropout : float
        Dropout probability of the pooled features.
    """

    def __init__(self, size, n_outputs, pooling, dropout):
        super().__init__()
        self.pooling = Pooling(pooling, size)
        self.dropout = make_dropout(dropout)
        self.head = nn.Linear(size, n_outputs)

    def forward(self, X, lengths=None):
        """Compute the outputs.

        Parameters
        ----------
        X : torch.Tensor of shape (n_samples, n_timesteps, n_features)
            Series.
        lengths : torch.Tensor of int64, shape (n_samples,), default=None
            Number of valid steps of each series; what lies behind them has no effect. None: all.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_outputs)
            Logits of the classes, or regression targets.
        """
        features = self._features(without_padding(X, lengths), lengths)
        return self.head(self.dropout(self.pooling(features, lengths)))


def make_dropout(p):
    """Dropout, or what passes everything on (and draws nothing) where it would do nothing."""
    return nn.Dropout(p) if p > 0 else nn.Identity()
