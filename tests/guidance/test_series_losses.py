"""Losses of padded series, and lengths that are refused."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sgt_sklearn.guidance import Masking, masked_input, saliency_guided_loss
from tests.guidance import slow_padding
from tests.guidance.padded_cases import make_batch, make_masking, make_net
from tests.guidance.slow_loop import Setting


class Noisy(nn.Module):
    """Dropout, so that a second pass differs even where nothing is hidden."""

    def __init__(self):
        super().__init__()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.dropout(x.flatten(1) + 1)


@pytest.mark.parametrize("reduction", ["none", "mean"])
def test_a_series_with_nothing_hidden_has_no_consistency(reduction, device):
    x = torch.zeros(3, 5, 1, device=device)
    net = Noisy()
    _, consistency = saliency_guided_loss(
        net,
        x,
        torch.zeros(3, dtype=torch.int64, device=device),
        loss=F.cross_entropy,
        divergence="categorical_kl",
        masking=Masking(fraction=0.3, order="random"),
        lengths=torch.tensor([5, 3, 4], device=device),
        reduction=reduction,
    )
    if reduction == "none":
        assert consistency[1] == 0
        assert (consistency[[0, 2]] > 0).all()
    else:
        assert consistency > 0


def test_a_batch_with_nothing_hidden_takes_one_pass():
    calls = []

    def forward(x):
        calls.append(x)
        return x.flatten(1)

    x, generator = torch.zeros(2, 5, 1), torch.Generator()
    before = generator.get_state()
    _, consistency = saliency_guided_loss(
        forward,
        x,
        torch.zeros(2, dtype=torch.int64),
        loss=F.cross_entropy,
        divergence="categorical_kl",
        masking=Masking(fraction=0.3),
        lengths=torch.tensor([3, 2]),
        generator=generator,
    )
    assert len(calls) == 1
    assert consistency == 0
    assert torch.equal(generator.get_state(), before)


def test_both_terms_of_series_are_weighted_means(device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    weight = torch.arange(7.0, dtype=torch.float64, device=device)
    masking = make_masking(x, "time", fill="constant")
    options = {"modules": [net], "lengths": lengths}
    masked = masked_input(lambda d: net(d, lengths), x, y, masking, weight=weight, **options)
    losses = saliency_guided_loss(
        lambda d: net(d, lengths),
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        weight=weight,
        **options,
    )
    pairs = slow_padding.series_losses(net, x, masked, y, lengths, Setting())
    for value, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        expected = sum(w * t for w, t in zip(weight, terms, strict=True)) / 21
        torch.testing.assert_close(value, expected, atol=1e-12, rtol=0)


# errors


@pytest.mark.parametrize(
    ("lengths", "got"),
    [
        (torch.tensor([5, 0]), "got 0 to 5"),
        (torch.tensor([5, 6]), "got 5 to 6"),
        (torch.tensor([-1, 2]), "got -1 to 2"),
        (torch.tensor([5.0, 3.0]), r"got shape \(2,\) of torch.float32"),
        (torch.tensor([5]), r"got shape \(1,\) of torch.int64"),
        (torch.tensor([[5], [3]]), r"got shape \(2, 1\) of torch.int64"),
        ([5, 3], "as an int64 tensor, got <class 'list'>"),
    ],
)
def test_wrong_lengths_are_told(lengths, got):
    x = torch.zeros(2, 5, 1)
    with pytest.raises(ValueError, match=rf"lengths must be 2 integers.* 1 to 5.*{got}"):
        masked_input(None, x, None, Masking(order="random"), lengths=lengths, modules=())


def test_lengths_need_an_axis_of_steps():
    with pytest.raises(ValueError, match=r"lengths need an x of shape"):
        masked_input(None, torch.zeros(2), None, Masking(), lengths=torch.ones(2).long())
