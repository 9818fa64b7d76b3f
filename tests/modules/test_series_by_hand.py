"""Networks for series against slow loops over their formulas, and against torch's own layers."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from sgt_sklearn.modules import GRU, LSTM, TCN, InputCellAttentionLSTM, TransformerEncoder
from tests.modules.series_cases import LENGTHS, build, series

ATOL = 1e-12


def arrays(module):
    return {name: value.detach().numpy() for name, value in module.state_dict().items()}


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def relu(a):
    return np.maximum(a, 0)


def close(actual, expected):
    np.testing.assert_allclose(actual.detach().numpy(), expected, atol=ATOL, rtol=1e-10)


# pooling


def pooled_by_hand(name, features, score=None):
    if name == "attention":
        hidden = np.tanh(features @ score["0.weight"].T + score["0.bias"])
        weights = np.exp(hidden @ score["2.weight"][0])
        return (weights / weights.sum()) @ features
    return {"max": features.max(0), "mean": features.mean(0), "last": features[-1]}[name]


@pytest.mark.parametrize("pooling", ["max", "mean", "last", "attention"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
def test_pooling_reduces_the_valid_steps(pooling, lengths):
    net = LSTM(4, 3, hidden=6, pooling=pooling).double()
    x = series()
    hiddens = net.recurrence(x)[0].detach().numpy()
    score = arrays(net.pooling.score) if pooling == "attention" else None
    weights = arrays(net.head)
    for i, row in enumerate(hiddens):
        valid = row if lengths is None else row[: lengths[i]]
        expected = pooled_by_hand(pooling, valid, score) @ weights["weight"].T + weights["bias"]
        given = None if lengths is None else torch.tensor(lengths)
        close(net(x, given)[i], expected)


# recurrences


def lstm_by_hand(x, weights, biases, activation, order):
    """Hidden states of one series; `order` tells where input, forget, candidate, output lie."""
    w_ih, w_hh = weights
    size = w_hh.shape[1]
    hidden, cell, hiddens = np.zeros(size), np.zeros(size), []
    for step in x:
        parts = (w_ih @ step + w_hh @ hidden + biases).reshape(4, size)
        enter, forget, candidate, out = (parts[order.index(gate)] for gate in "ifgo")
        cell = sigmoid(forget) * cell + sigmoid(enter) * activation(candidate)
        hidden = sigmoid(out) * activation(cell)
        hiddens.append(hidden)
    return np.array(hiddens)


def gru_by_hand(x, w_ih, w_hh, b_ih, b_hh, activation):
    size = w_hh.shape[1]
    hidden, hiddens = np.zeros(size), []
    for step in x:
        from_x, from_h = (
            (w_ih @ step + b_ih).reshape(3, size),
            (w_hh @ hidden + b_hh).reshape(3, size),
        )
        reset, update = sigmoid(from_x[:2] + from_h[:2])
        candidate = activation(from_x[2] + reset * from_h[2])
        hidden = (1 - update) * candidate + update * hidden
        hiddens.append(hidden)
    return np.array(hiddens)


def layers_by_hand(net, kind, activation, x):
    """Hidden states of the last layer for one series."""
    state = arrays(net.recurrence)
    n_layers = len([name for name in state if "weight_hh" in name])
    for layer in range(n_layers):
        if activation == "tanh":
            s = {
                name[: -len("_l0")]: v for name, v in state.items() if name.endswith(f"_l{layer}")
            }
        else:  # the dropout between two layers counts in a Sequential
            s = {
                name.split(".")[1]: v
                for name, v in state.items()
                if name.startswith(f"{2 * layer}.")
            }
        function = {"tanh": np.tanh, "relu": relu}[activation]
        bias = s["bias_ih"] if "bias_ih" in s else s["bias"]
        if kind is GRU:
            x = gru_by_hand(x, s["weight_ih"], s["weight_hh"], bias, s["bias_hh"], function)
        else:
            bias = bias + s.get("bias_hh", 0)
            order = "ifgo" if activation == "tanh" else "ifog"
            x = lstm_by_hand(x, (s["weight_ih"], s["weight_hh"]), bias, function, order)
    return x


@pytest.mark.parametrize("cls", [LSTM, GRU])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_hidden_states_equal_a_loop_over_the_formulas(cls, activation, n_layers):
    net = cls(4, 3, hidden=5, n_layers=n_layers, activation=activation).double()
    x = series()
    hiddens = net._features(x, None)
    for i in range(len(x)):
        close(hiddens[i], layers_by_hand(net, cls, activation, x[i].numpy()))


@pytest.mark.parametrize("cls", [LSTM, GRU])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_gradients_equal_finite_differences(cls, activation):
    net = cls(4, 3, hidden=5, activation=activation).double()
    x = series(n_steps=4).requires_grad_()
    torch.autograd.gradcheck(lambda x: net(x, torch.tensor([2, 1, 4, 3])), x)


def test_relu_hidden_states_are_not_negative_and_some_are_zero():
    hiddens = GRU(4, 3, hidden=16)._features(series(torch.float32), None)
    assert (hiddens >= 0).all()
    assert (hiddens == 0).any()


# input-cell attention


def attended_by_hand(net, x):
    score = arrays(net.score)
    rows = []
    for t in range(len(x)):
        seen = x[: t + 1]
        scores = score["2.weight"] @ np.tanh(score["0.weight"] @ seen.T)
        scores = np.exp(scores - scores.max(1, keepdims=True))
        rows.append((scores / scores.sum(1, keepdims=True) @ seen).ravel())
    return np.array(rows)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_input_cell_attention_equals_a_loop_over_the_steps(activation):
    net = InputCellAttentionLSTM(
        4, 3, hidden=5, n_hops=3, attention_size=7, activation=activation
    ).double()
    x = series()
    for i, row in enumerate(x.numpy()):
        matrices = attended_by_hand(net, row)
        close(net._attended(x)[i], matrices)
        hidden = layers_by_hand(net, LSTM, activation, matrices)[-1]
        head = arrays(net.head)
        close(net(x)[i], hidden @ head["weight"].T + head["bias"])


def test_input_cell_attention_survives_scores_that_tower_over_earlier_ones():
    net = InputCellAttentionLSTM(4, 3, hidden=5, n_hops=3, attention_size=7).double()
    with torch.no_grad():
        net.score[2].weight.mul_(5_000)
    x = series().requires_grad_()
    attended = net._attended(x)
    close(attended[0], attended_by_hand(net, x[0].detach().numpy()))
    (gradient,) = torch.autograd.grad(attended.sum(), x)
    assert gradient.isfinite().all()


# temporal convolutions


def convolution_by_hand(x, weight, bias, dilation):
    out = np.tile(bias, (len(x), 1))
    width = weight.shape[2]
    for t in range(len(x)):
        for j in range(width):
            source = t - (width - 1 - j) * dilation
            if source >= 0:
                out[t] += weight[:, :, j] @ x[source]
    return out


def norm_by_hand(x, weight, bias):
    deviation = np.sqrt(x.var(1, keepdims=True) + 1e-5)
    return (x - x.mean(1, keepdims=True)) / deviation * weight + bias


@pytest.mark.parametrize("normalization", [None, "layer"])
@pytest.mark.parametrize(("channels", "kernel_size"), [((5, 5, 6), 3), ((4,), 2), ((4, 4), 1)])
def test_tcn_equals_a_loop_over_the_steps(normalization, channels, kernel_size):
    net = TCN(
        4, 3, channels=channels, kernel_size=kernel_size, normalization=normalization
    ).double()
    x = series(n_steps=20)
    for i, row in enumerate(x.numpy()):
        for block, module in enumerate(net.blocks):
            state, h = arrays(module), row
            stride = 3 if normalization is None else 4
            for start in (0, stride):
                h = convolution_by_hand(
                    h, state[f"layers.{start}.weight"], state[f"layers.{start}.bias"], 2**block
                )
                if normalization is not None:
                    name = f"layers.{start + 1}"
                    h = norm_by_hand(h, state[f"{name}.weight"], state[f"{name}.bias"])
                h = relu(h)
            if "shortcut.weight" in state:
                row = row @ state["shortcut.weight"][:, :, 0].T + state["shortcut.bias"]
            row = relu(h + row)
        head = arrays(net.head)
        close(net(x)[i], row.max(0) @ head["weight"].T + head["bias"])


@pytest.mark.parametrize(
    ("channels", "kernel_size", "expected"),
    [((4,), 2, 3), ((4, 4), 3, 13), ((4, 4, 4), 5, 57), ((4,), 1, 1), ((4,) * 4, 3, 61)],
)
def test_the_receptive_field_is_what_gradients_reach(channels, kernel_size, expected):
    net = TCN(2, 3, channels=channels, kernel_size=kernel_size, activation="softplus").double()
    assert net.receptive_field == expected
    x = torch.randn(1, expected + 4, 2, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(net._features(x, None)[0, -1].sum(), x)
    reached = gradient[0].abs().sum(1) > 0
    assert reached.tolist() == [False] * 4 + [True] * expected


def test_the_default_tcn_sees_a_series_of_50_steps():
    assert TCN(50, 2).receptive_field >= 50


def test_tcn_takes_the_activation_everywhere():
    net = TCN(4, 3, activation=nn.ELU)
    assert len([m for m in net.modules() if isinstance(m, nn.ELU)]) == 3 * len(net.blocks)
    assert not [m for m in net.modules() if isinstance(m, nn.ReLU)]


# attention


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
def test_attention_equals_torchs_multihead_attention(causal, lengths):
    net = TransformerEncoder(8, 3, hidden=8, n_heads=2, causal=causal).double()
    x = torch.randn(4, 9, 8, dtype=torch.float64)
    own = net.layers[0].attention
    reference = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.float64)
    reference.load_state_dict(
        {
            "in_proj_weight": own.project.weight,
            "in_proj_bias": own.project.bias,
            "out_proj.weight": own.out.weight,
            "out_proj.bias": own.out.bias,
        }
    )
    later = torch.ones(9, 9, dtype=torch.bool).triu(1) if causal else None
    padding = None if lengths is None else torch.arange(9) >= torch.tensor(lengths)[:, None]
    expected, _ = reference(x, x, x, key_padding_mask=padding, attn_mask=later)
    actual = own(x, net._seen(x, None if lengths is None else torch.tensor(lengths)))
    torch.testing.assert_close(actual, expected, atol=ATOL, rtol=1e-10)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_with_layer_norm_it_is_torchs_encoder(causal, activation):
    net = TransformerEncoder(
        4,
        3,
        hidden=8,
        n_heads=2,
        feedforward=7,
        activation=activation,
        normalization="layer",
        causal=causal,
    ).double()
    layer = nn.TransformerEncoderLayer(
        8, 2, 7, dropout=0.0, activation=activation, batch_first=True, norm_first=True
    )
    reference = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8), enable_nested_tensor=False)
    names = {
        "self_attn.in_proj_": "attention.project.",
        "self_attn.out_proj.": "attention.out.",
        "linear1.": "feedforward.0.",
        "linear2.": "feedforward.2.",
    }
    state = net.state_dict()
    reference = reference.double()
    reference.load_state_dict(
        {theirs: state[rename(theirs, names)] for theirs in reference.state_dict()}
    )
    x, lengths = series(), torch.tensor(LENGTHS)
    embedded = net.embed(x) + sinusoids_by_hand(9, 8)
    later = torch.ones(9, 9, dtype=torch.bool).triu(1) if causal else None
    padding = torch.arange(9) >= lengths[:, None]
    expected = reference(embedded, mask=later, src_key_padding_mask=padding)
    actual = net._features(x, lengths)
    torch.testing.assert_close(actual[~padding], expected[~padding], atol=1e-6, rtol=1e-6)


def rename(name, names):
    for before, after in names.items():
        name = name.replace(before, after)
    return name


def sinusoids_by_hand(n_steps, size):
    waves = np.empty((n_steps, size))
    half = (size + 1) // 2
    for t in range(n_steps):
        for j in range(size):
            angle = t / 10_000 ** ((j % half) / half)
            waves[t, j] = math.sin(angle) if j < half else math.cos(angle)
    return torch.from_numpy(waves)


@pytest.mark.parametrize("hidden", [8, 7])
def test_a_layer_without_normalisation_by_hand(hidden):
    net = TransformerEncoder(4, 3, hidden=hidden, n_heads=1, feedforward=5, n_layers=1).double()
    x = series()
    h = (net.embed(x) + sinusoids_by_hand(9, hidden)).detach()
    layer = net.layers[0]
    query, key, value = layer.attention.project(h).chunk(3, 2)
    weights = (query @ key.mT / math.sqrt(hidden)).softmax(2)
    h = h + layer.attention.out(weights @ value)
    first, last = layer.feedforward[0], layer.feedforward[2]
    h = h + last(first(h).clamp(min=0))
    expected = functional.linear(h.mean(1), net.head.weight, net.head.bias)
    torch.testing.assert_close(net(x), expected, atol=1e-6, rtol=1e-6)


def test_order_matters_by_positions_or_the_causal_mask_alone():
    x = series()
    turned = x.flip(1)
    for options, matters in (
        ({"positions": False}, False),
        ({"positions": True}, True),
        ({"positions": False, "causal": True}, True),
    ):
        net = TransformerEncoder(4, 3, hidden=8, n_heads=2, **options).double()
        assert torch.allclose(net(x), net(turned), atol=1e-10) != matters


@pytest.mark.parametrize("name", ["n_layers", "n_heads", "feedforward"])
def test_sizes_of_a_transformer(name):
    default = TransformerEncoder(4, 3)
    assert len(default.layers) == 2
    assert all(layer.attention.n_heads == 4 for layer in default.layers)
    assert default.layers[0].feedforward[0].out_features == 128
    assert not [m for m in default.modules() if isinstance(m, nn.LayerNorm)]
    other = TransformerEncoder(4, 3, **{name: 1})
    sizes = {
        "n_layers": len(other.layers),
        "n_heads": other.layers[0].attention.n_heads,
        "feedforward": other.layers[0].feedforward[0].out_features,
    }
    assert sizes[name] == 1


# causality

CAUSAL = [
    "TCN-max",
    "TCN-max-normalization=layer",
    "LSTM-last-n_layers=2",
    "LSTM-last-activation=relu-n_layers=2",
    "GRU-max",
    "GRU-max-activation=tanh",
    "InputCellAttentionLSTM-last",
    "TransformerEncoder-mean-causal=True",
    "TransformerEncoder-mean-causal=True-normalization=layer",
]


@pytest.mark.parametrize("case", CAUSAL)
@pytest.mark.parametrize("step", [0, 4, 8])
def test_features_of_a_step_do_not_depend_on_later_steps(case, step):
    net = build(case)
    x = series().requires_grad_()
    (gradient,) = torch.autograd.grad(net._features(x, None)[:, step].square().sum(), x)
    assert not gradient[:, step + 1 :].any()
    assert gradient[:, step].abs().sum(1).min() > 0


def test_a_transformer_looks_both_ways_unless_it_is_causal():
    x = series().requires_grad_()
    features = build("TransformerEncoder-mean")._features(x, None)
    (gradient,) = torch.autograd.grad(features[:, 4].square().sum(), x)
    assert gradient.abs().sum(2).min() > 0
