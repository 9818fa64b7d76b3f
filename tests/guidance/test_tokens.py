"""Masks of tokens against the slow loop, and against the samples one by one."""

import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import (
    MASK_ORDERS,
    TOKEN_FILLS,
    Masking,
    masked_input,
    saliency_guided_loss,
)
from tests.guidance import slow_loop
from tests.guidance.slow_loop import Setting
from tests.guidance.token_cases import N_TOKENS, ROWS, make_batch, make_net, mask_both


def shuffled(x, generator):
    """Fill of a user: any token from the given generator."""
    return torch.randint(1, N_TOKENS, x.shape, device=x.device, generator=generator)


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("fill", [*TOKEN_FILLS, shuffled], ids=str)
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_masks_equal_the_slow_loop(order, fill, fraction, device):
    net, (x, y) = make_net(device), make_batch(device)
    masking = Masking(order=order, fill=fill, fill_value=2.0, fraction=fraction)
    masked, expected = mask_both(net, x, y, masking)
    assert masked.dtype == x.dtype
    assert torch.equal(masked, expected)
    assert (masked != x).any()


@pytest.mark.parametrize("output", ["log_proba", "logit", "margin"])
@pytest.mark.parametrize("weighted", [False, True])
def test_masks_of_every_output_and_of_weights_equal_the_slow_loop(output, weighted, device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = None
    if weighted:
        weight = torch.tensor([1.0, 0.5, 0.0, 3.0, 2.0, 5.0, 1.5], device=device).double()
    masking = Masking(output=output, fill="marginal")
    masked, expected = mask_both(net, x, y, masking, weight)
    assert torch.equal(masked, expected)


@pytest.mark.parametrize("fill", ["unknown", "previous", "constant"])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
@pytest.mark.parametrize("order", ["absolute", "signed"])
def test_padded_batch_equals_its_samples_one_by_one(fill, saliency_pass, order, device):
    net, (x, y) = make_net(device), make_batch(device)
    masking = Masking(fill=fill, fill_value=3, order=order)
    losses = saliency_guided_loss(
        net,
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        embedding=net.embedding,
        saliency_pass=saliency_pass,
        reduction="none",
    )
    _, expected = mask_both(net, x, y, masking)
    pairs = []
    for i, row in enumerate(ROWS):
        if not row:
            row = [0]
        z, z_masked = (net(data[i : i + 1, : len(row)])[0] for data in (x, expected))
        task = slow_loop.task_loss(z, y[i], Setting())
        pairs.append((task, slow_loop.divergence(z, z_masked, Setting())))
        alone = x[i : i + 1, : len(row)], y[i : i + 1]
        if len(set(row)) > 1:  # alone, "signed" cannot do with one token
            masked = masked_input(net, *alone, masking, embedding=net.embedding)
            assert torch.equal(masked, expected[i : i + 1, : len(row)])
    for values, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        torch.testing.assert_close(values, torch.stack(terms), atol=1e-10, rtol=0)
    both = [sum(losses).sum(), sum(task + divergence for task, divergence in pairs)]
    gradients = [torch.autograd.grad(total, net.parameters()) for total in both]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=0)
