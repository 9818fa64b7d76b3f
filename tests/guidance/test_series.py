"""Masks of padded series against the slow loop, and against the series one by one."""

import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import FILLS, MASK_ORDERS, masked_input, saliency_guided_loss
from tests.guidance import slow_padding
from tests.guidance.fidelity_cases import jitter
from tests.guidance.padded_cases import (
    GROUPS,
    N_STEPS,
    make_batch,
    make_masking,
    make_net,
    mask_both,
)
from tests.guidance.slow_loop import Setting


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fill", [*FILLS, jitter], ids=str)
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_masks_equal_the_slow_loop(order, fill, groups, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    masking = make_masking(x, groups, order=order, fill=fill, fill_value=0.25)
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    assert (masked != x).any()
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("fraction", [0.0, 0.1, 0.3, 0.75, 0.9])
@pytest.mark.parametrize("groups", GROUPS)
def test_masks_of_every_share_equal_the_slow_loop(groups, fraction, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    masking = make_masking(x, groups, fraction=fraction, fill="marginal")
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("groups", GROUPS)
def test_weighted_donors_equal_the_slow_loop(groups, device):
    net, (x, y, lengths) = make_net(device), make_batch(device)
    weight = torch.tensor([1.0, 0.5, 0.0, 3.0, 2.0, 0.25, 1.5], device=device)
    masking = make_masking(x, groups, fill="marginal")
    masked, expected = mask_both(net, x, y, lengths, masking, groups, weight.double())
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0)


# the padded batch and the series one by one


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fill", ["constant", "mean"])
@pytest.mark.parametrize("order", ["absolute", "signed"])
@pytest.mark.parametrize("padding", [0.0, 1e6, torch.nan])
@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_padded_batch_equals_its_series_one_by_one(
    order, fill, groups, padding, saliency_pass, device
):
    net, (x, y, lengths) = make_net(device), make_batch(device, padding)
    masking = make_masking(x, groups, order=order, fill=fill, fill_value=0.25, fraction=0.4)
    masked, expected = mask_both(net, x, y, lengths, masking, groups)
    torch.testing.assert_close(masked, expected, atol=1e-10, rtol=0, equal_nan=True)
    losses = saliency_guided_loss(
        lambda data: net(data, lengths),
        x,
        y,
        loss=nn.CrossEntropyLoss(reduction="none"),
        divergence="categorical_kl",
        masking=masking,
        modules=[net],
        lengths=lengths,
        saliency_pass=saliency_pass,
        reduction="none",
    )
    pairs = slow_padding.series_losses(net, x, expected, y, lengths, Setting())
    for values, terms in zip(losses, zip(*pairs, strict=True), strict=True):
        torch.testing.assert_close(values, torch.stack(terms), atol=1e-10, rtol=0)
    both = [sum(losses).sum(), sum(task + divergence for task, divergence in pairs)]
    gradients = [torch.autograd.grad(total, net.parameters()) for total in both]
    torch.testing.assert_close(*gradients, atol=1e-10, rtol=0)


def test_each_series_alone_gets_the_mask_that_it_gets_in_the_batch():
    net, (x, y, lengths) = make_net(), make_batch()
    masking = make_masking(x, fill="constant", fill_value=99.0)
    masked = masked_input(
        lambda data: net(data, lengths), x, y, masking, modules=[net], lengths=lengths
    )
    for i, length in enumerate(lengths.tolist()):
        alone = masked_input(net, x[i : i + 1, :length], y[i : i + 1], masking)
        assert torch.equal(masked[i, :length], alone[0])


# no padding


@pytest.mark.parametrize("order", MASK_ORDERS)
@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("fraction", [0.5, 1.0])
def test_lengths_of_full_series_change_nothing(order, fill, groups, fraction, device):
    net, (x, y, lengths) = make_net(device), make_batch(device, lengths=[N_STEPS] * 7)
    masking = make_masking(x, groups, order=order, fill=fill, fraction=fraction)
    results, states = [], []
    for told in (None, lengths):
        generator = torch.Generator(device).manual_seed(0)
        results.append(masked_input(net, x, y, masking, lengths=told, generator=generator))
        states.append(generator.get_state())
    assert torch.equal(*results)
    assert torch.equal(*states)
