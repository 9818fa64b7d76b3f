"""What all networks for series hold to."""

import copy
import inspect
import pickle

import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import passes_agree
from sgt_sklearn.modules import (
    GRU,
    LSTM,
    TCN,
    InputCellAttentionLSTM,
    StandardizedInput,
    TransformerEncoder,
)
from tests.modules.series_cases import (
    CASES,
    LENGTHS,
    N_OUTPUTS,
    N_STEPS,
    SMALL,
    TOLERANCE,
    build,
    series,
    with_padding,
)

CLASSES = list(SMALL)


def outputs_and_gradient(net, x, lengths=None):
    """Outputs, and the gradient of a sum that weighs each output differently."""
    x = x.clone().requires_grad_()
    output = net(x) if lengths is None else net(x, lengths)
    weights = torch.arange(1.0, N_OUTPUTS + 1, dtype=x.dtype, device=x.device)
    (gradient,) = torch.autograd.grad((output.square() * weights).sum(), x)
    return output.detach(), gradient


# padding


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("padding", ["noise", float("nan")], ids=str)
def test_a_padded_batch_equals_its_samples_one_by_one(case, dtype, padding, device):
    net, x = build(case, dtype, device), series(dtype, device)
    padded = with_padding(x, padding)
    outputs, gradients = outputs_and_gradient(net, padded, torch.tensor(LENGTHS, device=device))
    assert outputs.shape == (len(LENGTHS), N_OUTPUTS)
    for i, length in enumerate(LENGTHS):
        output, gradient = outputs_and_gradient(net, x[i : i + 1, :length])
        tolerance = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
        torch.testing.assert_close(outputs[i], output[0], **tolerance)
        torch.testing.assert_close(gradients[i, :length], gradient[0], **tolerance)
        assert gradient.abs().sum() > 0
        assert not gradients[i, length:].any()


@pytest.mark.parametrize("case", CASES)
def test_the_value_of_padding_is_irrelevant_to_every_bit(case, device):
    net, x = build(case, torch.float32, device), series(torch.float32, device)
    lengths = torch.tensor(LENGTHS, device=device)
    results = []
    for padding in (0.0, "noise", float("nan"), float("inf")):
        net.zero_grad()
        output = net(with_padding(x, padding), lengths)
        output.square().sum().backward()
        results.append([output.detach(), *(p.grad.clone() for p in net.parameters())])
    for result in results[1:]:
        for value, expected in zip(result, results[0], strict=True):
            assert torch.equal(value, expected)
            assert value.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_full_lengths_are_no_lengths(case):
    net, x = build(case), series()
    full = torch.full((len(x),), N_STEPS)
    torch.testing.assert_close(net(x, full), net(x), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_padding_only_gives_numbers(case, device):
    net, x = build(case, torch.float32, device), series(torch.float32, device)
    lengths = torch.tensor([0, *LENGTHS[1:]], device=device)
    outputs, gradients = outputs_and_gradient(net, x, lengths)
    assert outputs.isfinite().all()
    assert not gradients[0].any()
    assert gradients.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_series_and_lengths_may_be_named(case):
    net, x, lengths = build(case), series(), torch.tensor(LENGTHS)
    assert torch.equal(net(X=x, lengths=lengths), net(x, lengths))


@pytest.mark.parametrize("case", CASES)
def test_series_of_any_length(case):
    net = build(case)
    for n_steps in (1, 2, 300):
        output = net(series(n_steps=n_steps))
        assert output.isfinite().all()
        assert output.std(0).min() > 0


# training


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
def test_without_dropout_training_and_evaluation_agree_to_the_bit(case, lengths, device):
    net, x = build(case, torch.float32, device), series(torch.float32, device)
    lengths = None if lengths is None else torch.tensor(lengths, device=device)
    assert passes_agree(lambda x: net(x, lengths), [net], x) == (True, False)
    trained = net.train()(x, lengths)
    with torch.no_grad():  # where torch's LSTM takes another kernel
        torch.testing.assert_close(net.eval()(x, lengths), trained, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("case", CASES)
def test_half_precision_by_autocast(case, device):
    net, x = build(case, torch.float32, device), series(torch.float32, device)
    lengths = torch.tensor(LENGTHS, device=device)
    expected, _ = outputs_and_gradient(net, x, lengths)
    with torch.autocast(device, torch.bfloat16):
        output = net(x, lengths)
    torch.testing.assert_close(output.float(), expected, atol=0.1, rtol=0.1)
    output.float().sum().backward()
    assert all(p.grad.isfinite().all() and p.dtype == p.grad.dtype for p in net.parameters())


@pytest.mark.parametrize("case", CASES)
def test_dropout_acts_in_training_alone(case, device):
    net, x = build(case, torch.float32, device, dropout=0.4), series(torch.float32, device)
    without = build(case, torch.float32, device).eval()
    assert passes_agree(net, [net], x) == (False, True)
    net.eval()
    assert torch.equal(net(x), without(x))


@pytest.mark.parametrize(
    ("cls", "options", "path", "n_dropouts"),
    [
        (TCN, {"channels": (4, 5)}, "blocks", 4),
        (TCN, {"channels": (4, 5)}, "", 4),
        (LSTM, {"n_layers": 3, "activation": "relu"}, "recurrence", 2),
        (LSTM, {"n_layers": 3, "activation": "relu"}, "", 3),
        (GRU, {"n_layers": 3}, "recurrence", 2),
        (GRU, {"activation": "tanh"}, "", 1),
        (TransformerEncoder, {"n_layers": 3}, "layers", 3),
        (TransformerEncoder, {"n_layers": 3}, "", 4),
    ],
    ids=str,
)
def test_where_dropout_stands(cls, options, path, n_dropouts):
    for dropout, expected in ((0.3, n_dropouts), (0.0, 0)):
        net = cls(4, 3, dropout=dropout, **options)
        layers = [m for m in net.get_submodule(path).modules() if isinstance(m, nn.Dropout)]
        assert [layer.p for layer in layers] == [dropout] * expected


@pytest.mark.parametrize("cls", [LSTM, GRU])
def test_torchs_layers_drop_between_layers(cls):
    assert cls(4, 3, activation="tanh", n_layers=2, dropout=0.3).recurrence.dropout == 0.3
    assert cls(4, 3, activation="tanh", dropout=0.3).recurrence.dropout == 0


def test_a_transformer_drops_embedded_steps_and_what_each_sub_layer_adds():
    torch.manual_seed(0)
    net = TransformerEncoder(4, 3, hidden=64, n_layers=1, dropout=0.5)
    layer, x = net.layers[0], series(torch.float32)
    inputs = []
    layer.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    net(x)
    assert (inputs[0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
    for name in ("attention", "feedforward"):
        # what the other adds is silenced, so that the layer's own share shows
        twin = copy.deepcopy(layer)
        other = twin.feedforward[2] if name == "attention" else twin.attention.out
        nn.init.zeros_(other.weight)
        nn.init.zeros_(other.bias)
        h = torch.randn(8, 9, 64)
        unchanged = (twin(h, False) == h).float().mean().item()
        assert unchanged == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("case", CASES)
def test_training_moves_every_parameter(case, device):
    net, x = build(case, torch.float32, device), series(torch.float32, device)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    y = torch.arange(len(x), device=device) % N_OUTPUTS
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x, torch.tensor(LENGTHS, device=device)), y)
        loss.backward()
        optimizer.step()
    for name, parameter in net.named_parameters():
        assert (parameter != before[name]).any(), name


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_default_network_learns_to_tell_trends_apart(cls, device):
    torch.manual_seed(0)
    x = torch.randn(64, 20, 2, device=device)
    y = torch.arange(64, device=device) % 2
    x[:, 8:12, 0] += 2 * (2 * y[:, None] - 1)
    net = cls(2, 2).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.95


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("n_steps", [50, 400])
def test_outputs_and_gradients_start_at_a_sane_size(cls, n_steps):
    torch.manual_seed(0)
    x = torch.randn(16, n_steps, 50, requires_grad=True)
    output = cls(50, 3)(x)
    (gradient,) = torch.autograd.grad(output.sum(), x)
    assert 1e-3 < output.std() < 10
    sizes = gradient.flatten(1).norm(dim=1)
    assert sizes.isfinite().all()
    assert 1e-4 < sizes.min() <= sizes.max() < 100


@pytest.mark.parametrize("cls", [LSTM, InputCellAttentionLSTM])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("n_layers", [1, 2])
def test_the_forget_gates_of_an_lstm_start_at_bias_1(cls, activation, n_layers):
    net = cls(4, 3, hidden=5, n_layers=n_layers, activation=activation)
    state = net.recurrence.state_dict()
    biases = [value for name, value in state.items() if "bias" in name]
    per_layer = len(biases) // n_layers
    for layer in range(n_layers):
        total = sum(biases[layer * per_layer : (layer + 1) * per_layer])
        assert torch.equal(total[5:10], torch.ones(5))
        assert (total[:5].abs() < 1).all()


@pytest.mark.parametrize("cls", [LSTM, GRU])
def test_relu_candidates_start_by_he_et_al(cls):
    net = cls(50, 3, hidden=200, activation="relu")
    (layer,) = net.recurrence
    candidates, gates = layer.weight_ih[-200:], layer.weight_ih[:-200]
    assert candidates.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.05)
    assert gates.abs().max() <= 200**-0.5
    for name, bias in layer.named_parameters():
        if "bias" in name:
            assert not bias[-200:].any()
            assert bias[:200].any()


# copies


@pytest.mark.parametrize("case", CASES)
def test_weights_go_into_another_network_and_through_copies(case):
    net, x, lengths = build(case), series(), torch.tensor(LENGTHS)
    other = build(case, seed=5)
    assert not torch.equal(other(x, lengths), net(x, lengths))
    other.load_state_dict(net.state_dict())
    for same in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(same(x, lengths), net(x, lengths))
        assert list(same.state_dict()) == list(net.state_dict())


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_copy_trains_by_itself(cls):
    net = cls(4, 3)
    twin = copy.deepcopy(net)
    before = net.head.weight.detach().clone()
    twin(series(torch.float32)).sum().backward()
    assert all(p.grad is None for p in net.parameters())
    torch.optim.SGD(twin.parameters(), lr=1.0).step()
    assert torch.equal(net.head.weight, before)
    assert not torch.equal(twin.head.weight, before)


# standardised input


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
@pytest.mark.parametrize("padding", ["noise", float("nan")], ids=str)
def test_standardising_leaves_padding_irrelevant(cls, padding):
    torch.manual_seed(0)
    net = StandardizedInput(cls(4, 3, **SMALL[cls]), [1.0, 2, 3, 4], [1.0, 0, 2, 3]).double()
    x = series()
    outputs, gradients = outputs_and_gradient(net, with_padding(x, padding), torch.tensor(LENGTHS))
    for i, length in enumerate(LENGTHS):
        output, gradient = outputs_and_gradient(net, x[i : i + 1, :length])
        torch.testing.assert_close(outputs[i], output[0], atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(gradients[i, :length], gradient[0], atol=1e-10, rtol=1e-10)
        assert not gradients[i, length:].any()


def test_lengths_reach_only_modules_that_get_them():
    class Recorder(nn.Module):
        def forward(self, *args):
            self.args = args
            return args[0]

    net = StandardizedInput(Recorder(), [0.0], [1.0])
    net(torch.ones(2, 3, 1))
    assert len(net.module.args) == 1
    lengths = torch.tensor([1, 2])
    net(X=torch.ones(2, 3, 1), lengths=lengths)
    assert net.module.args[1] is lengths


# options


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_options_are_named_and_change_the_network(cls):
    parameters = inspect.signature(cls).parameters
    assert list(parameters)[:2] == ["n_features", "n_outputs"]
    kinds = {p.kind for name, p in parameters.items() if name not in ("n_features", "n_outputs")}
    assert kinds == {inspect.Parameter.KEYWORD_ONLY}


@pytest.mark.parametrize(
    ("cls", "options", "n_parameters"),
    [
        (TCN, {"channels": (5,), "kernel_size": 2}, (8 + 1) * 5 + (10 + 1) * 5 + 25 + 18),
        (TCN, {"channels": (4, 4), "kernel_size": 3}, 4 * (12 + 1) * 4 + 15),
        (TCN, {"channels": (4,), "normalization": "layer"}, 2 * (13 * 4 + 8) + 15),
        (LSTM, {"hidden": 5}, 4 * 5 * (4 + 5 + 2) + 18),
        (LSTM, {"hidden": 5, "activation": "relu"}, 4 * 5 * (4 + 5 + 1) + 18),
        (LSTM, {"hidden": 5, "n_layers": 2}, 4 * 5 * (4 + 5 + 2 + 5 + 5 + 2) + 18),
        (LSTM, {"hidden": 5, "pooling": "attention"}, 4 * 5 * 11 + 30 + 5 + 18),
        (GRU, {"hidden": 5}, 3 * 5 * (4 + 5 + 2) + 18),
        (GRU, {"hidden": 5, "activation": "tanh"}, 3 * 5 * (4 + 5 + 2) + 18),
        (
            InputCellAttentionLSTM,
            {"hidden": 5, "n_hops": 2, "attention_size": 7},
            4 * 5 * (8 + 5 + 2) + 4 * 7 + 7 * 2 + 18,
        ),
        (
            TransformerEncoder,
            {"hidden": 6, "n_heads": 3, "n_layers": 1, "feedforward": 7},
            5 * 6 + 4 * 7 * 6 + 7 * 7 + 8 * 6 + 21,
        ),
        (
            TransformerEncoder,
            {"hidden": 6, "n_heads": 3, "n_layers": 2, "feedforward": 7, "normalization": "layer"},
            5 * 6 + 2 * (4 * 7 * 6 + 7 * 7 + 8 * 6) + 5 * 12 + 21,
        ),
    ],
    ids=str,
)
def test_parameters_of_the_sizes(cls, options, n_parameters):
    assert sum(p.numel() for p in cls(4, 3, **options).parameters()) == n_parameters


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        *(
            (cls, {"pooling": "sum"}, r"pooling must be one of \[.*'last'.*\], got 'sum'")
            for cls in CLASSES
        ),
        *(
            (cls, {"dropout": value}, r"dropout must be in \[0, 1\), got ")
            for cls in CLASSES
            for value in (-0.1, 1.0, float("nan"))
        ),
        *(
            (cls, {"activation": "ReLU"}, "activation must be one of .*'relu'.*, got 'ReLU'")
            for cls in CLASSES
        ),
        *(
            (cls, {"normalization": "batch"}, r"normalization must be None or one of \['layer'\]")
            for cls in (TCN, TransformerEncoder)
        ),
        *(
            (cls, {"pooling": "attention"}, "pooling must be one of .*, got 'attention'")
            for cls in (TCN, TransformerEncoder)
        ),
        *(
            (cls, {name: value}, f"{name} must be an integer of at least 1, got {value}")
            for cls, names in {
                LSTM: ("hidden", "n_layers"),
                GRU: ("hidden", "n_layers"),
                InputCellAttentionLSTM: ("hidden", "n_layers", "n_hops", "attention_size"),
                TransformerEncoder: ("hidden", "n_layers", "n_heads", "feedforward"),
                TCN: ("kernel_size",),
            }.items()
            for name in names
            for value in (0, 2.5)
        ),
        (TCN, {"channels": ()}, r"channels must be a tuple of .* got \(\)"),
        (TCN, {"channels": (4, 0)}, r"channels must be a tuple of .* got \(4, 0\)"),
        (TCN, {"channels": 4.5}, "channels must be .* got 4.5"),
        (TransformerEncoder, {"hidden": 8, "n_heads": 3}, "n_heads must divide hidden=8, got 3"),
    ],
    ids=str,
)
def test_bad_options(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(4, 3, **options)
