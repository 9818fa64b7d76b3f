"""Networks for text: an embedding of the tokens, and what reads it."""

import torch
from torch import nn
from torch.nn import functional

from sgt_sklearn.modules._layers import (
    check_layers,
    check_size_tuple,
    check_sizes,
    make_activation,
)
from sgt_sklearn.modules._mlp import MLP
from sgt_sklearn.modules._recurrent import LSTM
from sgt_sklearn.modules._sequence import SeriesModule
from sgt_sklearn.modules._transformer import TransformerEncoder


class _Text(nn.Module):
    """Embed tokens, then read them as a series whose length is told by the padding.

    Parameters
    ----------
    vocabulary_size, embedding_size : int
        Shape of the embedding.
    scale : float
        Standard deviation of the embedding's initial weights.
    """

    def __init__(self, vocabulary_size, embedding_size, scale):
        check_sizes(vocabulary_size=vocabulary_size, embedding_size=embedding_size)
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size, embedding_size, padding_idx=0)
        with torch.no_grad():
            self.embedding.weight.mul_(scale)

    def forward(self, X):
        """Compute the outputs.

        Parameters
        ----------
        X : torch.Tensor of int64, shape (n_samples, n_tokens)
            Tokens: 0 is padding at the end, 1 the unknown token.

        Returns
        -------
        torch.Tensor of shape (n_samples, n_outputs)
            Logits of the classes, or regression targets.
        """
        return self.body(self.embedding(X), _lengths(X))


def _lengths(X):
    """Number of tokens up to the last that is no padding."""
    return ((X != 0) * torch.arange(1, X.shape[1] + 1, device=X.device)).amax(1)


class TextBag(_Text):
    """Bag of embeddings: the mean over the tokens, then a multi-layer perceptron.

    Parameters
    ----------
    vocabulary_size : int
        Number of token ids, padding (0) and the unknown token (1) included.
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    embedding_size : int, default=64
        Size of a token's vector.
    hidden : tuple of int, default=()
        Sizes of hidden layers between the mean and the output.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation of the hidden layers.
    dropout : float, default=0.0
        Dropout probability of the mean and after each hidden layer.

    Raises
    ------
    ValueError
        If an option is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TextBag
    >>> TextBag(vocabulary_size=9, n_outputs=2)(torch.tensor([[5, 8, 1, 0]])).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        vocabulary_size,
        n_outputs,
        *,
        embedding_size=64,
        hidden=(),
        activation="relu",
        dropout=0.0,
    ):
        check_layers(activation, None, dropout, normalizations=())
        check_size_tuple("hidden", hidden, at_least=0)
        super().__init__(vocabulary_size, embedding_size, scale=0.1)
        self.body = _Bag(embedding_size, n_outputs, hidden, activation, dropout)


class _Bag(SeriesModule):
    def __init__(self, size, n_outputs, hidden, activation, dropout):
        super().__init__(size, n_outputs, "mean", dropout)
        self.head = MLP(size, n_outputs, hidden, activation=activation, dropout=dropout)

    def _features(self, X, lengths):
        return X


class TextCNN(_Text):
    """Convolutions of several widths over the tokens, each pooled by the maximum over time.

    A window starts at every token; one that runs beyond the end sees zeros there, so that texts
    shorter than a window have one, too.

    Parameters
    ----------
    vocabulary_size : int
        Number of token ids, padding (0) and the unknown token (1) included.
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    embedding_size : int, default=64
        Size of a token's vector.
    channels : int, default=64
        Number of convolutions of each width.
    widths : tuple of int, default=(3, 4, 5)
        Widths in tokens.
    activation : {"relu", "gelu", "silu", "softplus", "tanh"} or module class, default="relu"
        Activation of the convolutions.
    dropout : float, default=0.0
        Dropout probability after pooling.

    Raises
    ------
    ValueError
        If an option is none of these.

    References
    ----------
    Y. Kim. Convolutional Neural Networks for Sentence Classification. EMNLP 2014, arXiv 1408.5882.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TextCNN
    >>> TextCNN(vocabulary_size=9, n_outputs=2)(torch.tensor([[5, 8, 1, 0]])).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        vocabulary_size,
        n_outputs,
        *,
        embedding_size=64,
        channels=64,
        widths=(3, 4, 5),
        activation="relu",
        dropout=0.0,
    ):
        check_layers(activation, None, dropout, normalizations=())
        check_sizes(channels=channels)
        check_size_tuple("widths", widths)
        super().__init__(vocabulary_size, embedding_size, scale=0.1)
        self.body = _Windows(embedding_size, n_outputs, channels, widths, activation, dropout)


class _Windows(SeriesModule):
    def __init__(self, size, n_outputs, channels, widths, activation, dropout):
        super().__init__(channels * len(widths), n_outputs, "max", dropout)
        self.convolutions = nn.ModuleList(nn.Conv1d(size, channels, width) for width in widths)
        self.activation = make_activation(activation)

    def _features(self, X, lengths):
        x = X.transpose(1, 2)
        maps = [c(functional.pad(x, (0, c.kernel_size[0] - 1))) for c in self.convolutions]
        return self.activation(torch.cat(maps, 1)).transpose(1, 2)


class TextLSTM(_Text):
    """An `LSTM` over the embedded tokens.

    Parameters
    ----------
    vocabulary_size : int
        Number of token ids, padding (0) and the unknown token (1) included.
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    embedding_size : int, default=64
        Size of a token's vector.
    hidden : int, default=64
        Size of the hidden state.
    n_layers : int, default=1
        Number of layers.
    activation : {"tanh", "relu"}, default="tanh"
        Activation of candidates and cell.
    pooling : {"max", "mean", "last", "attention"}, default="max"
        How the hidden states become one vector.
    dropout : float, default=0.0
        Dropout probability between layers and after pooling.

    Raises
    ------
    ValueError
        If an option is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TextLSTM
    >>> TextLSTM(vocabulary_size=9, n_outputs=2)(torch.tensor([[5, 8, 1, 0]])).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        vocabulary_size,
        n_outputs,
        *,
        embedding_size=64,
        hidden=64,
        n_layers=1,
        activation="tanh",
        pooling="max",
        dropout=0.0,
    ):
        super().__init__(vocabulary_size, embedding_size, scale=0.1)
        self.body = LSTM(
            embedding_size,
            n_outputs,
            hidden=hidden,
            n_layers=n_layers,
            activation=activation,
            pooling=pooling,
            dropout=dropout,
        )


class TextTransformer(_Text):
    """A `TransformerEncoder` over the embedded tokens.

    Parameters
    ----------
    vocabulary_size : int
        Number of token ids, padding (0) and the unknown token (1) included.
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    embedding_size : int, default=64
        Size of a token's vector.
    hidden : int, default=64
        Size of a step inside, after a linear map of the token's vector.
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
        Whether sines and cosines of the position are added to the embedded tokens.
    causal : bool, default=False
        Whether a token sees only itself and earlier tokens.
    pooling : {"mean", "max", "last"}, default="mean"
        How the tokens become one vector.
    dropout : float, default=0.0
        Dropout probability of the embedded tokens and of what each sub-layer adds.

    Raises
    ------
    ValueError
        If an option is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import TextTransformer
    >>> TextTransformer(vocabulary_size=9, n_outputs=2)(torch.tensor([[5, 8, 1, 0]])).shape
    torch.Size([1, 2])
    """

    def __init__(
        self,
        vocabulary_size,
        n_outputs,
        *,
        embedding_size=64,
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
        # of the size of the positions, which would drown smaller ones
        super().__init__(vocabulary_size, embedding_size, scale=1.0)
        self.body = TransformerEncoder(
            embedding_size,
            n_outputs,
            hidden=hidden,
            n_layers=n_layers,
            n_heads=n_heads,
            feedforward=feedforward,
            activation=activation,
            normalization=normalization,
            positions=positions,
            causal=causal,
            pooling=pooling,
            dropout=dropout,
        )
