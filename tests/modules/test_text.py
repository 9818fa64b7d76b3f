"""Networks for text."""

import copy
import inspect
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import passes_agree
from sgt_sklearn.modules import (
    LSTM,
    TextBag,
    TextCNN,
    TextLSTM,
    TextTransformer,
    TransformerEncoder,
)

SIZE, N_OUTPUTS = 12, 3
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# one token alone, fewer tokens than a window is wide, and the unknown token inside and at the end
TOKENS = torch.tensor(
    [[5, 0, 0, 0, 0, 0, 0], [2, 3, 1, 9, 11, 4, 6], [7, 1, 0, 0, 0, 0, 0], [8, 8, 2, 10, 1, 0, 0]]
)
LENGTHS = (1, 7, 2, 5)

VARIANTS = {
    TextBag: [{}, {"hidden": (5, 6)}],
    TextCNN: [{"channels": 4}, {"channels": 4, "widths": (1, 9), "activation": "tanh"}],
    TextLSTM: [
        {"hidden": 6, "pooling": pooling, **more}
        for pooling in ("max", "mean", "last", "attention")
        for more in ({}, {"activation": "relu", "n_layers": 2})
    ],
    TextTransformer: [
        {"hidden": 8, "n_heads": 2, "feedforward": 7, "pooling": pooling, **more}
        for pooling in ("mean", "max", "last")
        for more in ({}, {"causal": True, "normalization": "layer"}, {"positions": False})
    ],
}
CASES = {
    f"{cls.__name__}-{i}": partial(cls, SIZE, N_OUTPUTS, embedding_size=5, **options)
    for cls, variants in VARIANTS.items()
    for i, options in enumerate(variants)
}


def build(case, dtype=torch.float64, device="cpu", seed=0, **options):
    torch.manual_seed(seed)
    return CASES[case](**options).to(device, dtype)


def outputs_and_gradient(net, x):
    """Outputs, and the gradient by the embedding's output of a sum that weighs each output."""
    kept = []
    handle = net.embedding.register_forward_hook(lambda module, args, output: kept.append(output))
    output = net(x)
    handle.remove()
    (embedded,) = kept
    weights = torch.arange(1.0, N_OUTPUTS + 1, dtype=output.dtype, device=output.device)
    (gradient,) = torch.autograd.grad((output.square() * weights).sum(), embedded)
    return output.detach(), gradient


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_a_padded_batch_equals_its_texts_one_by_one(case, dtype, device):
    net, x = build(case, dtype, device), TOKENS.to(device)
    outputs, gradients = outputs_and_gradient(net, x)
    assert outputs.shape == (len(x), N_OUTPUTS)
    tolerance = {"atol": TOLERANCE[dtype], "rtol": TOLERANCE[dtype]}
    for i, length in enumerate(LENGTHS):
        output, gradient = outputs_and_gradient(net, x[i : i + 1, :length])
        torch.testing.assert_close(outputs[i], output[0], **tolerance)
        torch.testing.assert_close(gradients[i, :length], gradient[0], **tolerance)
        assert gradient.abs().sum() > 0
        assert not gradients[i, length:].any()


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("padding", [7.0, float("nan")])
def test_padding_is_told_from_the_tokens_also_where_a_hook_replaces_the_embedding(
    case, padding, device
):
    net, x = build(case, torch.float32, device), TOKENS.to(device)
    values = torch.randn(*x.shape, 5, device=device)
    results = []
    for fill in (0.0, padding):
        replaced = torch.where((x == 0)[:, :, None], fill, values).requires_grad_()
        handle = net.embedding.register_forward_hook(lambda *_, replaced=replaced: replaced)
        net.zero_grad()
        output = net(x)
        handle.remove()
        output.square().sum().backward()
        gradients = {n: p.grad.clone() for n, p in net.named_parameters() if p.grad is not None}
        assert len(gradients) == len(list(net.parameters())) - 1
        results.append([output.detach(), replaced.grad, *gradients.values()])
    for value, expected in zip(*results, strict=True):
        assert torch.equal(value, expected)
        assert value.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_the_embedding_runs_once_and_padding_is_not_trained(case):
    net = build(case)
    assert isinstance(net.embedding, nn.Embedding)
    assert net.embedding.weight.shape == (SIZE, 5)
    assert not net.embedding.weight[0].any()
    calls = []
    net.embedding.register_forward_hook(lambda module, args, output: calls.append(args))
    net(TOKENS).square().sum().backward()
    assert len(calls) == 1
    assert calls[0][0] is TOKENS
    trained = net.embedding.weight.grad.abs().sum(1) > 0
    assert trained.nonzero().flatten().tolist() == sorted(set(TOKENS.flatten().tolist()) - {0})


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_padding_only_gives_numbers(case):
    net, x = build(case), TOKENS.clone()
    x[0] = 0
    outputs, gradients = outputs_and_gradient(net, x)
    assert outputs.isfinite().all()
    assert gradients.isfinite().all()
    torch.testing.assert_close(outputs[1:], net(TOKENS)[1:], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_texts_of_any_length(case):
    net = build(case)
    for n_tokens in (1, 2, 200):
        x = torch.randint(1, SIZE, (6, n_tokens))
        output = net(x)
        assert output.isfinite().all()


@pytest.mark.parametrize("case", CASES)
def test_without_dropout_training_and_evaluation_agree_to_the_bit(case, device):
    net, x = build(case, torch.float32, device), TOKENS.to(device)
    assert passes_agree(net, [net], x) == (True, False)


@pytest.mark.parametrize("case", CASES)
def test_dropout_acts_in_training_alone(case, device):
    net, x = build(case, torch.float32, device, dropout=0.4), TOKENS.to(device)
    assert passes_agree(net, [net], x) == (False, True)
    without = build(case, torch.float32, device)
    without.load_state_dict(
        dict(zip(without.state_dict(), net.state_dict().values(), strict=True))
    )
    assert torch.equal(net.eval()(x), without.eval()(x))


@pytest.mark.parametrize("case", CASES)
def test_weights_go_into_another_network_and_through_copies(case):
    net, other = build(case), build(case, seed=5)
    assert not torch.equal(other(TOKENS), net(TOKENS))
    other.load_state_dict(net.state_dict())
    for same in (other, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(same(TOKENS), net(TOKENS))


@pytest.mark.parametrize("cls", VARIANTS, ids=lambda cls: cls.__name__)
def test_a_default_network_learns_which_words_count(cls, device):
    torch.manual_seed(0)
    x = torch.randint(4, 30, (80, 12), device=device)
    y = torch.arange(80, device=device) % 2
    x[torch.arange(80), torch.randint(0, 8, (80,))] = 2 + y
    x[::3, 9:] = 0
    net = cls(30, 2).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(80):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    assert (net(x).argmax(1) == y).float().mean() > 0.95


# by hand


def test_the_bag_is_the_mean_over_tokens_and_a_perceptron():
    net = TextBag(SIZE, 3, embedding_size=5, hidden=(4,), activation="tanh").double()
    state = {name: v.detach().numpy() for name, v in net.state_dict().items()}
    for i, length in enumerate(LENGTHS):
        mean = np.mean([state["embedding.weight"][t] for t in TOKENS[i, :length]], axis=0)
        hidden = np.tanh(state["body.head.0.weight"] @ mean + state["body.head.0.bias"])
        expected = state["body.head.2.weight"] @ hidden + state["body.head.2.bias"]
        np.testing.assert_allclose(net(TOKENS)[i].detach().numpy(), expected, atol=1e-12)


def test_the_convolutions_equal_a_loop_over_windows():
    net = TextCNN(SIZE, 3, embedding_size=5, channels=4).double()
    state = {name: v.detach().numpy() for name, v in net.state_dict().items()}
    for i, length in enumerate(LENGTHS):
        text = [state["embedding.weight"][t] for t in TOKENS[i, :length]]
        pooled = []
        for j, width in enumerate((3, 4, 5)):
            windows = []
            for start in range(length):
                window = [*text[start : start + width], *np.zeros((width, 5))][:width]
                value = np.einsum("cdw,wd->c", state[f"body.convolutions.{j}.weight"], window)
                windows.append(np.maximum(value + state[f"body.convolutions.{j}.bias"], 0))
            pooled.append(np.max(windows, axis=0))
        expected = state["body.head.weight"] @ np.concatenate(pooled) + state["body.head.bias"]
        np.testing.assert_allclose(net(TOKENS)[i].detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("cls", "series_cls", "options"),
    [
        (TextLSTM, LSTM, {"hidden": 6, "n_layers": 2, "activation": "relu", "pooling": "mean"}),
        (
            TextTransformer,
            TransformerEncoder,
            {
                "hidden": 6,
                "n_layers": 1,
                "n_heads": 3,
                "feedforward": 5,
                "activation": "gelu",
                "normalization": "layer",
                "positions": False,
                "causal": True,
                "pooling": "max",
            },
        ),
    ],
)
def test_the_others_are_the_networks_for_series_on_embedded_tokens(cls, series_cls, options):
    net = cls(SIZE, 3, embedding_size=5, **options).double()
    series_net = series_cls(5, 3, **options).double()
    series_net.load_state_dict(net.body.state_dict())
    expected = series_net(net.embedding(TOKENS), torch.tensor(LENGTHS))
    assert torch.equal(net(TOKENS), expected)
    defaults = {name: p.default for name, p in inspect.signature(series_cls).parameters.items()}
    ours = inspect.signature(cls).parameters
    assert set(ours) == {"vocabulary_size", "embedding_size"} | set(defaults) - {"n_features"}
    differing = {n for n, d in defaults.items() if n in ours and ours[n].default != d}
    assert differing == ({"pooling"} if cls is TextLSTM else set())


# options


@pytest.mark.parametrize("cls", VARIANTS, ids=lambda cls: cls.__name__)
def test_sizes(cls):
    net = cls(20, 4, embedding_size=7)
    assert net.embedding.weight.shape == (20, 7)
    assert net(TOKENS).shape == (4, 4)
    default = cls(20, 4)
    assert default.embedding.weight.shape == (20, 64)
    spread = default.embedding.weight[1:].std().item()
    assert spread == pytest.approx(1.0 if cls is TextTransformer else 0.1, rel=0.1)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        *(
            (cls, {name: 0}, f"{name} must be an integer of at least 1, got 0")
            for cls in VARIANTS
            for name in ("vocabulary_size", "embedding_size")
        ),
        *((cls, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0") for cls in VARIANTS),
        *(
            (cls, {"activation": "ReLU"}, "activation must be one of .*, got 'ReLU'")
            for cls in VARIANTS
        ),
        (TextBag, {"hidden": (0,)}, r"hidden must be a tuple of 0 or more .* got \(0,\)"),
        (TextBag, {"hidden": 5}, "hidden must be a tuple of 0 or more .* got 5"),
        (TextCNN, {"widths": ()}, r"widths must be a tuple of 1 or more .* got \(\)"),
        (TextCNN, {"channels": 2.5}, "channels must be an integer of at least 1, got 2.5"),
        (TextLSTM, {"pooling": "sum"}, "pooling must be one of .* got 'sum'"),
        (TextTransformer, {"pooling": "attention"}, "pooling must be one of .* got 'attention'"),
    ],
    ids=str,
)
def test_bad_options(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(**{"vocabulary_size": 20, "n_outputs": 3} | options)
