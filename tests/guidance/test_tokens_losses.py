"""Passes, gradients and losses of batches of tokens."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sgt_sklearn.attribution import captured_embedding
from sgt_sklearn.guidance import MASK_ORDERS, Masking, masked_input, passes_agree
from tests.guidance.token_cases import losses_of, make_batch, make_net


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("order", MASK_ORDERS)
def test_shared_pass_equals_the_separate_one(order, frozen, device):
    net, (x, y) = make_net(device), make_batch(device)
    net.embedding.weight.requires_grad_(not frozen)
    masking = Masking(order=order, fill="marginal")
    with captured_embedding(net.embedding, x) as captured:
        output = net(x)
    results = [
        losses_of(net, x, y, masking=masking, **options)
        for options in (
            {},
            {"saliency_pass": "shared"},
            {"saliency_pass": "shared", "output": output, "embedded": captured.output},
            {"saliency_pass": "shared", "output": output},
            {"output": output},
        )
    ]
    trained = [p for p in net.parameters() if p.requires_grad]
    gradients = [torch.autograd.grad(sum(r), trained, retain_graph=True) for r in results]
    for result, gradient in zip(results[1:], gradients[1:], strict=True):
        torch.testing.assert_close(result, results[0], atol=1e-14, rtol=0)
        torch.testing.assert_close(gradient, gradients[0], atol=1e-14, rtol=0)


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ({}, [(True, 1), (False, 1), (True, 1)]),
        ({"saliency_pass": "shared"}, [(True, 1), (True, 1)]),
        ({"masking": Masking(fill="unknown", order="random")}, [(True, 1), (True, 1)]),
        ({"masking": Masking(fill="unknown", fraction=0.1)}, [(True, 1)]),
    ],
    ids=["separate", "shared", "random", "nothing hidden"],
)
def test_saliency_runs_in_evaluation_mode_unless_shared(options, calls, device):
    net, (x, y) = make_net(device, dropout=0.5), make_batch(device)
    seen = []
    net.register_forward_pre_hook(lambda module, args: seen.append((module.training, 1)))
    losses_of(net, x, y, **options)
    assert seen == calls
    assert all(m.training for m in net.modules())


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_gradients_of_parameters_are_left_to_the_caller(saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    kept = torch.ones_like(net.embedding.weight)
    net.embedding.weight.grad = kept
    total = sum(losses_of(net, x, y, saliency_pass=saliency_pass))
    assert net.embedding.weight.grad is kept
    assert (kept == 1).all()
    assert all(p.grad is None for p in net.parameters() if p is not net.embedding.weight)
    assert len(net.embedding._forward_hooks) == 0
    total.backward()
    assert net.head.weight.grad is not None


@pytest.mark.parametrize("saliency_pass", ["separate", "shared"])
def test_a_frozen_embedding_is_ranked_by_as_a_trained_one(saliency_pass, device):
    net, (x, y) = make_net(device), make_batch(device)
    results = []
    for trained in (True, False):
        net.embedding.weight.requires_grad_(trained)
        results.append(losses_of(net, x, y, saliency_pass=saliency_pass))
    torch.testing.assert_close(*results, atol=0, rtol=0)
    sum(results[1]).backward()
    assert net.embedding.weight.grad is None
    # also where nothing at all is trained
    net.requires_grad_(False)
    masked = [masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding)]
    net.requires_grad_(True)
    masked.append(masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding))
    assert torch.equal(*masked)


def test_a_masked_batch_serves_again(device):
    net, (x, y) = make_net(device), make_batch(device)
    masked = masked_input(net, x, y, Masking(fill="unknown"), embedding=net.embedding)
    _, consistency = losses_of(net, x, y, masked_x=masked, saliency_pass="shared")
    clean, hidden = net(x), net(masked)
    expected = F.kl_div(
        hidden.log_softmax(1), clean.log_softmax(1), log_target=True, reduction="sum"
    )
    torch.testing.assert_close(consistency, expected / len(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_probe_of_the_modes_takes_tokens(dropout, device):
    net, (x, _) = make_net(device, dropout=dropout), make_batch(device)
    assert passes_agree(net, [net], x) == (dropout == 0, dropout > 0)


def test_forked_masked_pass_of_tokens_is_seeded_by_the_generator(device):
    net, (x, y) = make_net(device, dropout=0.5), make_batch(device)
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(0)
        generator = torch.Generator(device).manual_seed(seed)
        losses = losses_of(net, x, y, generator=generator, fork_generators=True)
        results.append(losses[1].item())
    assert results[0] == results[1] != results[2]


def test_both_terms_of_tokens_are_weighted_means(device):
    net, (x, y) = make_net(device), make_batch(device)
    weight = torch.arange(7.0, dtype=torch.float64, device=device)
    masking = Masking(fill="unknown")
    losses = losses_of(
        net, x, y, masking=masking, weight=weight, loss=nn.CrossEntropyLoss(reduction="none")
    )
    masked = masked_input(net, x, y, masking, embedding=net.embedding)
    clean, hidden = net(x).log_softmax(1), net(masked).log_softmax(1)
    terms = -clean.gather(1, y[:, None])[:, 0], (clean.exp() * (clean - hidden)).sum(1)
    for value, term in zip(losses, terms, strict=True):
        torch.testing.assert_close(value, (weight * term).sum() / 21, atol=1e-12, rtol=0)
