"""Transformer encoder for series."""

import math

import torch
from torch import nn
from torch.nn import functional

from sgt_sklearn.modules._layers import check_choice, check_layers, check_sizes, make_activation
from sgt_sklearn.modules._sequence import POOLINGS, SeriesModule, make_dropout, valid_steps

_NORMALIZATIONS = {"layer": nn.LayerNorm}


class _Attention(nn.Module):
    """Self-attention of several heads."""

    def __init__(self, size, n_heads):
        super().__init__()
        self.n_heads = n_heads
        self.project = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)

    def forward(self, x, seen):
        """Attend; `seen` is a mask of what each step sees, or whether it sees no later one."""
        query, key, value = (
            part.unflatten(2, (self.n_heads, -1)).transpose(1, 2)
            for part in self.project(x).chunk(3, 2)
        )
        options = {"is_causal": seen} if isinstance(seen, bool) else {"attn_mask": seen}
        attended = functional.scaled_dot_product_attention(query, key, value, **options)
        return self.out(attended.transpose(1, 2).flatten(2))


class _Layer(nn.Module):
    """Attention, then two linear maps of each step, each added to what it reads."""

    def __init__(self, size, n_heads, feedforward, activation, normalization, dropout):
        super().__init__()
        self.attention = _Attention(size, n_heads)
        self.feedforward = nn.Sequential(
            nn.Linear(size, feedforward), make_activation(activation), nn.Linear(feedforward, size)
        )
        norm = nn.Identity if normalization is None else _NORMALIZATIONS[normalization]
        self.norm1, self.norm2 = norm(size), norm(size)
        self.dropout = make_dropout(dropout)

    def forward(self, x, seen):
        x = x + self.dropout(self.attention(self.norm1(x), seen))
        return x + self.dropout(self.feedforward(self.norm2(x)))


class TransformerEncoder(SeriesModule):
    """Transformer encoder without normalisation, pooled by the mean over time.

    Without layer normalisation the gradient of an irrelevant feature is not mixed with those of
    all others of its step, and saliency is much clearer; two layers train well without it.

    Parameters
    ----------
    n_features : int
        Number of features of a step; inputs have shape (n_samples, n_timesteps, n_features).
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    hidden : int, default=64
        Size of a step inside, after a linear map of its features.
    n_layers : int, default=2
        Number of layers.
    n_heads : int, default=4
        Attention heads of a layer; divides `hidden`.
    feedforward : int, default=128
        Size between the two linear maps after each attention.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation between these two.
    normalization : {"layer"} or None, default=None
        Layer normalisation before each attention, before each pair of maps, and after the last.
    positions : bool, default=True
        Whether sines and cosines of the time are added to the embedded steps. They know no
        largest length. Without them the order of steps has no effect, unless `causal`.
    causal : bool, default=False
        Whether a step sees only itself and earlier steps.
    pooling : {"mean", "max", "last"}, default="mean"
        How the valid steps become one vector.
    dropout : float, default=0.0
        Dropout probability of the embedded steps and of what each sub-layer adds.

    Raises
    ------
    ValueError
        If an option is none of these.

    References
    ----------
    A. Vaswani et al. Attention Is All You Need. NeurIPS 2017, arXiv 1706.03762.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TransformerEncoder
    >>> net = TransformerEncoder(n_features=6, n_outputs=4)
    >>> net(torch.zeros(2, 100, 6), lengths=torch.tensor([100, 7])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_features,
        n_outputs,
        *,
        hidden=64,
        n_layers=2,
        n_heads=4,
        feedforward=128,
        activation="relu",
        normalization=None,
        positions=True,
        causal=False,
        pooling="mean",
        dropout=0.0,
    ):
        check_sizes(hidden=hidden, n_layers=n_layers, n_heads=n_heads, feedforward=feedforward)
        if hidden % n_heads:
            raise ValueError(f"n_heads must divide hidden={hidden}, got {n_heads!r}.")
        check_layers(activation, normalization, dropout, normalizations=_NORMALIZATIONS)
        check_choice("pooling", pooling, POOLINGS)
        super().__init__(hidden, n_outputs, pooling, 0.0)
        self.positions = positions
        self.causal = causal
        self.embed = nn.Linear(n_features, hidden)
        self.embed_dropout = make_dropout(dropout)
        self.layers = nn.ModuleList(
            _Layer(hidden, n_heads, feedforward, activation, normalization, dropout)
            for _ in range(n_layers)
        )
        self.norm = nn.Identity() if normalization is None else nn.LayerNorm(hidden)

    def _features(self, X, lengths):
        x = self.embed(X)
        if self.positions:
            x = x + _sinusoids(x)
        x = self.embed_dropout(x)
        seen = self._seen(X, lengths)
        for layer in self.layers:
            x = layer(x, seen)
        return self.norm(x)

    def _seen(self, X, lengths):
        if lengths is None:
            return bool(self.causal)
        # a series of padding only sees its first step: a softmax over nothing is NaN
        seen = valid_steps(X, lengths.clamp(min=1))[:, None, None]
        if not self.causal:
            return seen
        n_steps = X.shape[1]
        return seen & torch.ones(n_steps, n_steps, dtype=torch.bool, device=X.device).tril()


def _sinusoids(x):
    """Sines and cosines of the step, of wavelengths from 2 pi to 10,000 times that."""
    n_steps, size = x.shape[1:]
    n_waves = (size + 1) // 2
    rates = torch.arange(n_waves, dtype=torch.float32, device=x.device)
    rates = torch.exp(rates * (-math.log(10_000) / n_waves))
    angles = torch.arange(n_steps, dtype=torch.float32, device=x.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)[:, :size].to(x.dtype)
