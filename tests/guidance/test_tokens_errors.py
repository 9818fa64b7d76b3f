"""What cannot be done with tokens, and is refused."""

import pytest
import torch
from torch import nn

from sgt_sklearn.attribution import captured_embedding
from sgt_sklearn.guidance import Masking, masked_input, saliency_guided_loss
from tests.guidance.token_cases import N_TOKENS, ROWS, MeanBag, losses_of, make_batch, make_net


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_a_gradient_that_is_the_same_for_all_tokens_cannot_rank(saliency_pass, dtype, device):
    net, (x, y) = MeanBag().to(device, dtype), make_batch(device)
    options = {
        "loss": nn.CrossEntropyLoss(),
        "divergence": "categorical_kl",
        "embedding": net.embedding,
        "saliency_pass": saliency_pass,
    }
    masking = Masking(order="signed", fill="previous")
    with pytest.raises(ValueError, match='mask_order="absolute"'):
        saliency_guided_loss(net, x, y, masking=masking, **options)
    for order in ("absolute", "sampled", "random"):
        saliency_guided_loss(net, x, y, masking=Masking(order=order, fill="previous"), **options)


@pytest.mark.parametrize("rows", [[[2], [5]], [[], [3]], [[4, 4, 4], [5]], [[]]])
def test_samples_that_cannot_tell_do_not_make_a_tie(rows):
    net, (x, y) = MeanBag(), make_batch(rows=rows)
    masking = Masking(order="signed", fill="unknown", fraction=1.0)
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert torch.equal(masked, (x != 0).long())


def test_one_sample_without_a_tie_is_enough():
    class Gated(MeanBag):
        def forward(self, x):
            hidden = self.embedding(x)
            hidden = torch.cat([hidden[:-1], torch.tanh(3 * hidden[-1:])])
            valid = (x != 0)[:, :, None]
            return self.layers((hidden * valid).sum(1) / valid.sum(1).clamp_min(1))

    net, (x, y) = Gated(), make_batch()
    masking = Masking(order="signed", fill="unknown")
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert ((masked != x).sum(1) <= (x != 0).sum(1) // 2).all()


def test_a_gradient_that_has_vanished_is_no_tie_of_the_pooling():
    net, (x, y) = MeanBag(), make_batch()
    nn.init.zeros_(net.layers[2].weight)
    masking = Masking(order="signed", fill="constant", fill_value=0)
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    assert ((masked == 0) & (x != 0)).sum(1).tolist() == [len(row) // 2 for row in ROWS]


# errors


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize(("calls", "told"), [(0, "not at all"), (2, "more than once")])
def test_the_embedding_must_be_called_exactly_once(saliency_pass, calls, told):
    class Net(MeanBag):
        def forward(self, x):
            vectors = self.layers[0].weight.new_zeros(*x.shape, 4)
            for _ in range(calls):
                vectors = vectors + self.embedding(x)
            return self.layers(vectors.mean(1))

    net, (x, y) = Net(), make_batch()
    with pytest.raises(ValueError, match=rf"must call exactly once.*called {told}"):
        losses_of(net, x, y, saliency_pass=saliency_pass)
    assert all(m.training for m in net.modules())
    assert len(net.embedding._forward_hooks) == 0


def test_the_embedding_must_return_a_vector_a_token():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.EmbeddingBag(N_TOKENS, 3)

        def forward(self, x):
            return self.embedding(x)

    net, (x, y) = Net(), make_batch()
    with pytest.raises(ValueError, match=r"embedding must return one vector a token.*\(7, 3\)"):
        losses_of(net, x, y)


def test_integers_without_an_embedding_are_told_its_name():
    x, y = make_batch()
    with pytest.raises(TypeError, match=r"embedding='embedding'.*astype\('float32'\)"):
        masked_input(make_net(), x, y, Masking(fill="unknown"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
@pytest.mark.parametrize("order", ["absolute", "random"])
def test_an_embedding_is_for_integers(dtype, order):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(TypeError, match=f"embedding is for tokens.*{dtype}"):
        losses_of(net, x.to(dtype), y, masking=Masking(fill="unknown", order=order))


def test_tokens_have_two_axes():
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=r"Tokens must have shape .*got \(7, 6, 1\)"):
        losses_of(net, x[:, :, None], y, saliency_pass="shared")


@pytest.mark.parametrize("fraction", [0.0, 0.5])
@pytest.mark.parametrize("fill", ["sample_uniform", "feature_uniform", "mean"])
def test_fills_of_floats_do_not_fill_tokens(fill, fraction):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=rf"mask_fill must be one of .*tokens, got '{fill}'"):
        losses_of(net, x, y, masking=Masking(fill=fill, fraction=fraction))


@pytest.mark.parametrize("fraction", [0.0, 0.5])
@pytest.mark.parametrize("fill", ["unknown", "previous"])
def test_fills_of_tokens_do_not_fill_floats(fill, fraction):
    masking = Masking(fill=fill, fraction=fraction)
    with pytest.raises(ValueError, match=f"mask_fill='{fill}' replaces tokens"):
        masked_input(nn.Linear(4, 3), torch.zeros(2, 4), torch.zeros(2).long(), masking)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0.5, r"mask_value must be the id of a token .*got 0.5"),
        (-1, r"mask_value must be ids of tokens, 0 to 8, got -1"),
        (9, r"mask_value must be ids of tokens, 0 to 8, got 9"),
    ],
)
def test_a_constant_is_the_id_of_a_token(value, message):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=message):
        losses_of(net, x, y, masking=Masking(fill="constant", fill_value=value))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (
            lambda x, generator: x.float(),
            r"integer tensor .*, got \(7, 6\) of torch.float32",
        ),
        (lambda x, generator: x[:, :3], r"integer tensor .*\(7, 6\), got \(7, 3\) of torch.int64"),
        (lambda x, generator: 1, r"integer tensor .*\(7, 6\), got \(\) of int"),
        (lambda x, generator: x - 100, r"mask_fill must return ids of tokens, 0 to 8, got -9\d"),
        (lambda x, generator: x + 100, r"mask_fill must return ids of tokens, 0 to 8, got 10\d"),
    ],
)
def test_a_callable_returns_ids(function, message):
    net, (x, y) = make_net(), make_batch()
    with pytest.raises(ValueError, match=message):
        losses_of(net, x, y, masking=Masking(fill=function))


def test_what_was_embedded_comes_with_its_output():
    net, (x, y) = make_net(), make_batch()
    with captured_embedding(net.embedding) as captured:
        output = net(x)
    masking, embedded = Masking(fill="unknown"), captured.output
    options = {"embedding": net.embedding}
    with pytest.raises(ValueError, match="embedded must come with the output"):
        losses_of(net, x, y, embedded=embedded, saliency_pass="shared")
    with pytest.raises(ValueError, match=r"embedded must come with .* without output"):
        masked_input(net, x, y, masking, embedded=embedded, **options)
    with pytest.raises(ValueError, match=r"embedded must .*\(7, 6, n_dimensions\), got \(7, 5, 4"):
        masked_input(net, x, y, masking, output=output, embedded=embedded[:, 1:], **options)


def test_no_gradient_path_to_the_embedding_is_a_type_error():
    class Cut(MeanBag):
        def forward(self, x):
            return self.layers(self.embedding(x).detach().mean(1))

    net, (x, y) = Cut(), make_batch()
    with pytest.raises(TypeError, match="no gradient path"):
        losses_of(net, x, y)
