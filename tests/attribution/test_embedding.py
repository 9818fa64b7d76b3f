import pytest
import torch
from torch import nn

from sgt_sklearn.attribution import (
    captured_embedding,
    gradient_with_respect_to,
    replaced_embedding,
)


class Bag(nn.Module):
    """Mean of a nonlinear map of the embedded tokens."""

    def __init__(self, calls=1, in_place=False, keyword=False):
        super().__init__()
        self.embedding = nn.Embedding(7, 4, padding_idx=0)
        self.head = nn.Linear(4, 3)
        self.calls, self.in_place, self.keyword = calls, in_place, keyword

    def forward(self, x):
        hidden = torch.zeros(*x.shape, 4, dtype=self.head.weight.dtype, device=x.device)
        for _ in range(self.calls):
            hidden = hidden + self.embedding(input=x) if self.keyword else self.embedding(x)
        if self.in_place:
            hidden *= 2
        return self.head(torch.tanh(hidden).mean(1))


def make_bag(device="cpu", **options):
    return Bag(**options).to(device, torch.float64)


def make_tokens(device="cpu", n=4, n_tokens=5):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 7, (n, n_tokens), generator=generator).to(device)


def gradient_by_hand(net, x):
    """Gradient of the sum of outputs, with the embedding looked up by indexing."""
    factor = 2 if net.in_place else 1
    vectors = net.embedding.weight.detach()[x].requires_grad_(True)
    output = torch.tanh(factor * vectors).mean(1) @ net.head.weight.T + net.head.bias
    (gradient,) = torch.autograd.grad(output.sum(), vectors)
    return gradient


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("keyword", [False, True])
def test_the_captured_output_is_differentiated_by(frozen, in_place, keyword, device):
    net, x = make_bag(device, in_place=in_place, keyword=keyword), make_tokens(device)
    net.embedding.weight.requires_grad_(not frozen)
    expected = net(x)
    with captured_embedding(net.embedding, x) as captured:
        assert captured.output is None
        output = net(x)
    torch.testing.assert_close(output, expected, rtol=0, atol=0)
    torch.testing.assert_close(captured.output.detach(), net.embedding.weight.detach()[x])
    gradient = gradient_with_respect_to(output, captured.output, retain_graph=True)
    torch.testing.assert_close(gradient, gradient_by_hand(net, x))
    assert all(p.grad is None for p in net.parameters())
    # the pass still trains the module
    output.sum().backward()
    assert (net.embedding.weight.grad is None) == frozen
    assert net.head.weight.grad is not None


def test_values_are_returned_in_place_of_the_embedding_and_only_inside(device):
    net, x = make_bag(device), make_tokens(device)
    expected = net(x)
    values = torch.randn(4, 5, 4, dtype=torch.float64, device=device, requires_grad=True)
    with replaced_embedding(net.embedding, values):
        output = net(x)
    by_hand = torch.tanh(values).mean(1) @ net.head.weight.T + net.head.bias
    torch.testing.assert_close(output, by_hand)
    gradients = [torch.autograd.grad(z.sum(), values)[0] for z in (output, by_hand)]
    torch.testing.assert_close(*gradients)
    assert torch.equal(net(x), expected)


@pytest.mark.parametrize("how", ["captured", "replaced"])
@pytest.mark.parametrize(("calls", "told"), [(0, "not at all"), (2, "more than once")])
def test_an_embedding_is_called_exactly_once(how, calls, told):
    net, x = make_bag(calls=calls), make_tokens()
    values = torch.zeros(4, 5, 4, dtype=torch.float64)
    context = {
        "captured": lambda: captured_embedding(net.embedding, x),
        "replaced": lambda: replaced_embedding(net.embedding, values),
    }[how]
    message = rf"Embedding was called {told}.*embedding='embedding'"
    with pytest.raises(ValueError, match=message), context():
        net(x)
    # nothing is left behind
    assert len(net.embedding._forward_hooks) == 0


@pytest.mark.parametrize("how", ["captured", "replaced"])
def test_an_error_in_the_pass_is_not_replaced_by_ours(how):
    net, x = make_bag(), make_tokens()
    values = torch.zeros(4, 5, 4, dtype=torch.float64)
    contexts = {
        "captured": captured_embedding(net.embedding, x),
        "replaced": replaced_embedding(net.embedding, values),
    }
    with pytest.raises(RuntimeError, match="stop"), contexts[how]:
        raise RuntimeError("stop")
    assert len(net.embedding._forward_hooks) == 0


class _Returns(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda x: x.float(), r"\(4, 5\) of torch.float32"),
        (lambda x: x.T[..., None].float(), r"\(5, 4, 1\) of torch.float32"),
        (lambda x: x[:, :3, None].float(), r"\(4, 3, 1\) of torch.float32"),
        (lambda x: x[..., None], r"\(4, 5, 1\) of torch.int64"),
        (lambda x: (x[..., None].float(),), "tuple"),
    ],
    ids=["bag", "time first", "trimmed", "integers", "tuple"],
)
def test_an_embedding_returns_one_vector_a_token(function, got):
    module, x = _Returns(function), make_tokens()
    message = rf"embedding must return .*\(4, 5, .*got .*{got}"
    with pytest.raises(ValueError, match=message), captured_embedding(module, x):
        module(x)


def test_exchanged_axes_are_told_where_the_shape_is_the_same():
    module, x = nn.Embedding(7, 2), make_tokens(n=5)
    message = "axes of samples and tokens exchanged"
    with pytest.raises(ValueError, match=message), captured_embedding(module, x):
        module(x.T)
    with captured_embedding(module, x) as captured:
        module(x)
    assert captured.output.shape == (5, 5, 2)


def test_replacing_values_have_the_shape_of_the_output():
    module, x = nn.Embedding(7, 2), make_tokens()
    message = r"values must have .*\(4, 5, 2\), got \(5, 2\)"
    with pytest.raises(ValueError, match=message), replaced_embedding(module, torch.zeros(5, 2)):
        module(x)
