"""LSTM with input-cell attention for series."""

import torch
from torch import nn

from sgt_sklearn.modules._layers import check_sizes
from sgt_sklearn.modules._recurrent import LSTM


class InputCellAttentionLSTM(LSTM):
    """LSTM whose cell reads, at each step, an attention over all inputs up to then.

    At step t, ``A_t = softmax(W_2 tanh(W_1 X_t))`` over the steps of ``X_t = (x_1, ..., x_t)`` has
    one row a hop, and the LSTM reads the rows of ``M_t = A_t X_t``, so that late states have a
    short way back to early inputs. All steps are computed at once, which holds
    ``n_samples * n_hops * n_timesteps**2`` weights in memory.

    Parameters
    ----------
    n_features : int
        Number of features of a step; inputs have shape (n_samples, n_timesteps, n_features).
    n_outputs : int
        Number of outputs: logits of the classes, or regression targets.
    hidden : int, default=64
        Size of the hidden state.
    n_layers : int, default=1
        Number of layers; each reads the hidden states of the one before.
    n_hops : int, default=10
        Rows of the attention matrix (r in the paper).
    attention_size : int, default=50
        Rows of ``W_1`` (d_a in the paper).
    activation : {"tanh", "relu"}, default="tanh"
        Activation of the LSTM's candidates and cell.
    pooling : {"last", "mean", "max", "attention"}, default="last"
        How the hidden states of the valid steps become one vector.
    dropout : float, default=0.0
        Dropout probability between layers and after pooling.

    Raises
    ------
    ValueError
        If an option is none of these.

    References
    ----------
    A. A. Ismail, M. Gunady, L. Pessoa, H. Corrada Bravo, S. Feizi. Input-Cell Attention Reduces
    Vanishing Saliency of Recurrent Neural Networks. NeurIPS 2019, arXiv 1910.12370.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import InputCellAttentionLSTM
    >>> net = InputCellAttentionLSTM(n_features=6, n_outputs=4)
    >>> net(torch.zeros(2, 100, 6), lengths=torch.tensor([100, 7])).shape
    torch.Size([2, 4])
    """

    def __init__(
        self,
        n_features,
        n_outputs,
        *,
        hidden=64,
        n_layers=1,
        n_hops=10,
        attention_size=50,
        activation="tanh",
        pooling="last",
        dropout=0.0,
    ):
        check_sizes(n_hops=n_hops, attention_size=attention_size)
        super().__init__(
            n_hops * n_features,
            n_outputs,
            hidden=hidden,
            n_layers=n_layers,
            activation=activation,
            pooling=pooling,
            dropout=dropout,
        )
        self.score = nn.Sequential(
            nn.Linear(n_features, attention_size, bias=False),
            nn.Tanh(),
            nn.Linear(attention_size, n_hops, bias=False),
        )

    def _attended(self, X):
        # the score of an input is the same at every step; only what it competes with grows
        scores = self.score(X).transpose(1, 2)[:, None]
        later = torch.ones(X.shape[1], X.shape[1], dtype=torch.bool, device=X.device).triu(1)
        # a softmax of each step by itself: running sums of exponentials underflow where a late
        # score towers over the early ones
        weights = scores.masked_fill(later[:, None], -torch.inf).softmax(-1)
        return (weights.flatten(1, 2) @ X).view(*X.shape[:2], -1)

    def _features(self, X, lengths):
        return super()._features(self._attended(X), lengths)
