import itertools

import pytest
import torch
from torch import nn

from sgt_sklearn.modules import CNN, MLP

ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}
MAKERS = {
    "mlp": lambda **options: MLP(**{"n_features": 4, "n_outputs": 3} | options),
    "cnn": lambda **options: CNN(
        **{"n_channels": 3, "height": 6, "width": 5, "n_outputs": 3} | options
    ),
}
SHAPES = {"mlp": (4,), "cnn": (3, 6, 5)}
NORMALIZATIONS = {
    ("mlp", "batch"): nn.BatchNorm1d,
    ("mlp", "layer"): nn.LayerNorm,
    ("cnn", "batch"): nn.BatchNorm2d,
    ("cnn", "group"): nn.GroupNorm,
}


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


def layers_of(net, cls):
    return [m for m in net.modules() if type(m) is cls]


# shapes and sizes


@pytest.mark.parametrize("hidden", [(), (7,), (7, 5, 6)])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_mlp_has_the_parameters_of_its_sizes(hidden, normalization, device):
    net = MLP(4, 3, hidden=hidden, normalization=normalization).to(device)
    assert net(torch.randn(8, 4, device=device)).shape == (8, 3)
    sizes = [4, *hidden, 3]
    expected = sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    if normalization is not None:
        expected += 2 * sum(hidden)
    assert n_parameters(net) == expected


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 5), (1, 1), (1, 9)])
@pytest.mark.parametrize("channels", [(), (4,), (4, 5, 6)])
@pytest.mark.parametrize("hidden", [(), (7, 5)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
@pytest.mark.parametrize("normalization", [None, "batch", "group"])
def test_cnn_has_the_parameters_of_its_sizes(
    height, width, channels, hidden, kernel_size, normalization, device
):
    net = CNN(
        2,
        height,
        width,
        3,
        channels=channels,
        kernel_size=kernel_size,
        hidden=hidden,
        normalization=normalization,
    ).to(device)
    assert net(torch.randn(8, 2, height, width, device=device)).shape == (8, 3)
    expected, size = 0, 2
    for n in channels:
        expected += (size * kernel_size**2 + 1) * n + (0 if normalization is None else 2 * n)
        size, height, width = n, (height + 1) // 2, (width + 1) // 2
    sizes = [size * height * width, *hidden, 3]
    expected += sum((a + 1) * b for a, b in itertools.pairwise(sizes))
    assert n_parameters(net) == expected


def test_defaults():
    assert n_parameters(MLP(4, 3)) == 5 * 32 + 33 * 3
    convolutions = (25 + 1) * 16 + (16 * 25 + 1) * 32
    assert n_parameters(CNN(1, 28, 28, 10)) == convolutions + (32 * 49 + 1) * 64 + 65 * 10
    for net in (MLP(4, 3), CNN(1, 28, 28, 10)):
        kinds = {type(m).__name__ for m in net.modules()}
        assert kinds <= {"MLP", "CNN", "Linear", "Conv2d", "ReLU", "MaxPool2d", "Flatten"}


@pytest.mark.parametrize("kind", MAKERS)
def test_training_moves_every_parameter(kind, device):
    net = MAKERS[kind](normalization="batch", dropout=0.1, activation="softplus").to(device)
    before = [p.detach().clone() for p in net.parameters()]
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(8, *SHAPES[kind], device=device), torch.arange(8, device=device) % 3
    nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
    # a bias before batch norm has no effect
    for p, old, (name, _) in zip(net.parameters(), before, net.named_parameters(), strict=True):
        assert name == "0.bias" or (p != old).any(), name


# layers to choose


@pytest.mark.parametrize(("kind", "name"), NORMALIZATIONS)
def test_normalization_stands_between_each_map_and_its_activation(kind, name):
    sizes = {"hidden": (5, 6)} if kind == "mlp" else {"channels": (5, 6)}
    net = MAKERS[kind](normalization=name, **sizes)
    assert len(layers_of(net, NORMALIZATIONS[kind, name])) == 2
    for i, layer in enumerate(net):
        if type(layer) is NORMALIZATIONS[kind, name]:
            assert isinstance(net[i - 1], (nn.Linear, nn.Conv2d))
            assert isinstance(net[i + 1], nn.ReLU)
    for other in NORMALIZATIONS.values():
        assert other is NORMALIZATIONS[kind, name] or not layers_of(net, other)


def test_group_normalization_has_one_group():
    (layer,) = layers_of(MAKERS["cnn"](normalization="group", channels=(6,)), nn.GroupNorm)
    assert layer.num_groups == 1
    assert layer.num_channels == 6


@pytest.mark.parametrize("kind", MAKERS)
def test_dropout_follows_each_hidden_layer(kind):
    net = MAKERS[kind](dropout=0.3, hidden=(5, 6))
    assert [layer.p for layer in layers_of(net, nn.Dropout)] == [0.3, 0.3]
    for i, layer in enumerate(net):
        if isinstance(layer, nn.Dropout):
            assert isinstance(net[i - 1], nn.ReLU)
    assert layers_of(MAKERS[kind](dropout=0.0), nn.Dropout) == []


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("activation", [*ACTIVATIONS, nn.ELU])
def test_activation_by_name_or_class(kind, activation):
    net = MAKERS[kind](activation=activation, hidden=(5, 6))
    expected = ACTIVATIONS.get(activation, activation)
    n_layers = 2 if kind == "mlp" else 4
    assert len(layers_of(net, expected)) == n_layers
    for other in {*ACTIVATIONS.values(), nn.ELU} - {expected}:
        assert layers_of(net, other) == []


# errors


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("dropout", [-0.1, 1.0, 7, float("nan")])
def test_dropout_outside_0_to_1_is_a_value_error(kind, dropout):
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got "):
        MAKERS[kind](dropout=dropout)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("name", ["dropout", "activation", "normalization"])
def test_a_wrong_value_is_refused_also_where_no_layer_would_use_it(kind, name):
    no_layers = {"hidden": ()} | ({"channels": ()} if kind == "cnn" else {})
    value = 7 if name == "dropout" else "wrong"
    with pytest.raises(ValueError, match=f"{name} must be .* got "):
        MAKERS[kind](**{name: value}, **no_layers)


@pytest.mark.parametrize("kind", MAKERS)
def test_unknown_activation_is_a_value_error(kind):
    with pytest.raises(ValueError, match=r"activation must be one of .*'relu'.* got 'ReLU'"):
        MAKERS[kind](activation="ReLU")


@pytest.mark.parametrize(
    ("kind", "name", "choices"), [("mlp", "group", "layer"), ("cnn", "layer", "group")]
)
def test_unknown_normalization_is_a_value_error(kind, name, choices):
    message = f"normalization must be None or one of .*'batch', '{choices}'.* got '{name}'"
    with pytest.raises(ValueError, match=message):
        MAKERS[kind](normalization=name)


@pytest.mark.parametrize("kernel_size", [2, 4])
def test_an_even_kernel_is_a_value_error(kernel_size):
    with pytest.raises(ValueError, match=f"kernel_size must be odd, got {kernel_size}"):
        MAKERS["cnn"](kernel_size=kernel_size)
