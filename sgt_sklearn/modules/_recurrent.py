"""Recurrent networks for series: LSTM and GRU."""

import torch
from torch import nn

from sgt_sklearn.modules._layers import check_choice, check_dropout, check_sizes
from sgt_sklearn.modules._sequence import POOLINGS, SeriesModule, make_dropout

_ACTIVATIONS = ("relu", "tanh")
_POOLINGS = (*POOLINGS, "attention")


class _ReLULayer(nn.Module):
    """A recurrent layer of our own; torch's layers know no gates with ReLU.

    The input enters all steps by one product before the loop, with one bias. Weights start as in
    torch's layers, uniform within 1 / sqrt(hidden), but for the candidates (the last gate): those
    of the input by He et al. and biases at 0. From smaller ones training has to grow the loop
    through the hidden state instead, which then explodes.
    """

    n_gates: int

    def __init__(self, n_features, hidden):
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(self.n_gates * hidden, n_features))
        self.weight_hh = nn.Parameter(torch.empty(self.n_gates * hidden, hidden))
        self.bias = nn.Parameter(torch.empty(self.n_gates * hidden))
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5)
        nn.init.kaiming_normal_(self.weight_ih.data[-hidden:], nonlinearity="relu")
        nn.init.zeros_(self.bias.data[-hidden:])

    def _projected(self, X):
        # steps first, so that those of one time lie together
        return nn.functional.linear(X.transpose(0, 1), self.weight_ih, self.bias)


class _ReLULSTM(_ReLULayer):
    """Gates in the order input, forget, output, candidate."""

    n_gates = 4

    def __init__(self, n_features, hidden):
        super().__init__(n_features, hidden)
        nn.init.ones_(self.bias.data[hidden : 2 * hidden])

    def forward(self, X):
        size = self.weight_hh.shape[1]
        projected = self._projected(X)
        hidden = cell = projected.new_zeros(len(X), size)  # of its dtype also under autocast
        recurrent = self.weight_hh.t()
        hiddens = []
        for step in projected.unbind(0):
            gates, candidate = torch.addmm(step, hidden, recurrent).split((3 * size, size), 1)
            enter, keep, out = gates.sigmoid().chunk(3, 1)
            cell = torch.addcmul(enter * candidate.relu(), keep, cell)
            hidden = out * cell  # which is never negative, so that its ReLU is itself
            hiddens.append(hidden)
        return torch.stack(hiddens, 1)


class _ReLUGRU(_ReLULayer):
    """Gates in the order reset, update, candidate, as torch.nn.GRU has them."""

    n_gates = 3

    def __init__(self, n_features, hidden):
        super().__init__(n_features, hidden)
        self.bias_hh = nn.Parameter(torch.empty(self.n_gates * hidden))
        nn.init.uniform_(self.bias_hh, -(hidden**-0.5), hidden**-0.5)
        nn.init.zeros_(self.bias_hh.data[-hidden:])

    def forward(self, X):
        size = self.weight_hh.shape[1]
        projected = self._projected(X)
        hidden = projected.new_zeros(len(X), size)  # of its dtype also under autocast
        recurrent = self.weight_hh.t()
        gates, candidates = projected.split((2 * size, size), 2)
        hiddens = []
        for gate, candidate in zip(gates.unbind(0), candidates.unbind(0), strict=True):
            from_gates, from_candidate = torch.addmm(self.bias_hh, hidden, recurrent).split(
                (2 * size, size), 1
            )
            reset, update = (gate + from_gates).sigmoid().chunk(2, 1)
            candidate = torch.addcmul(candidate, reset, from_candidate).relu()
            hidden = torch.lerp(candidate, hidden, update)
            hiddens.append(hidden)
        return torch.stack(hiddens, 1)


def _relu_layers(layer, n_features, hidden, n_layers, dropout):
    layers = [layer(n_features, hidden)]
    for _ in range(n_layers - 1):
        layers += [make_dropout(dropout), layer(hidden, hidden)]
    return nn.Sequential(*layers)


def _torch_layers(layers, n_features, hidden, n_layers, dropout):
    # torch warns of a dropout between layers where there is one layer
    between = dropout if n_layers > 1 else 0.0
    return layers(n_features, hidden, n_layers, batch_first=True, dropout=between)


class _Recurrent(SeriesModule):
    def __init__(self, n_outputs, hidden, n_layers, activation, pooling, dropout):
        check_sizes(hidden=hidden, n_layers=n_layers)
        check_choice("activation", activation, _ACTIVATIONS)
        check_choice("pooling", pooling, _POOLINGS)
        check_dropout(dropout)
        super().__init__(hidden, n_outputs, pooling, dropout)

    def _features(self, X, lengths):
        # what comes after the last valid step moves no earlier one, so nothing need be packed
        hiddens = self.recurrence(X)
        return hiddens[0] if isinstance(hiddens, tuple) else hiddens


class LSTM(_Recurrent):
    """Long short-term memory network.

    The bias of the forget gates starts at 1, without which long series train badly.

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
    activation : {"tanh", "relu"}, default="tanh"
        Activation of candidates and cell. "relu" does not saturate, so that its gradients say
        more, but runs step by step in Python.
    pooling : {"last", "mean", "max", "attention"}, default="last"
        How the hidden states of the valid steps become one vector; "attention" weighs them by a
        learned score.
    dropout : float, default=0.0
        Dropout probability between layers and after pooling.

    Raises
    ------
    ValueError
        If an option is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import LSTM
    >>> net = LSTM(n_features=6, n_outputs=4)
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
        activation="tanh",
        pooling="last",
        dropout=0.0,
    ):
        super().__init__(n_outputs, hidden, n_layers, activation, pooling, dropout)
        if activation == "relu":
            self.recurrence = _relu_layers(_ReLULSTM, n_features, hidden, n_layers, dropout)
        else:
            self.recurrence = _torch_layers(nn.LSTM, n_features, hidden, n_layers, dropout)
            with torch.no_grad():
                for layer in range(n_layers):
                    # the two biases of torch are added to each other
                    for name, value in (("bias_ih", 1.0), ("bias_hh", 0.0)):
                        bias = getattr(self.recurrence, f"{name}_l{layer}")
                        bias[hidden : 2 * hidden] = value


class GRU(_Recurrent):
    """Gated recurrent network, with ReLU candidates and max pooling over time.

    Networks with tanh saturate: their gradients say little of what they use. ReLU candidates and
    max pooling are the default for that reason.

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
    activation : {"relu", "tanh"}, default="relu"
        Activation of the candidates.
    pooling : {"max", "mean", "last", "attention"}, default="max"
        How the hidden states of the valid steps become one vector; "attention" weighs them by a
        learned score.
    dropout : float, default=0.0
        Dropout probability between layers and after pooling.

    Raises
    ------
    ValueError
        If an option is none of these.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.modules import GRU
    >>> net = GRU(n_features=6, n_outputs=4)
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
        activation="relu",
        pooling="max",
        dropout=0.0,
    ):
        super().__init__(n_outputs, hidden, n_layers, activation, pooling, dropout)
        if activation == "relu":
            self.recurrence = _relu_layers(_ReLUGRU, n_features, hidden, n_layers, dropout)
        else:
            self.recurrence = _torch_layers(nn.GRU, n_features, hidden, n_layers, dropout)
