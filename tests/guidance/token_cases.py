"""Batches and networks of tokens."""

import torch
from torch import nn

from sgt_sklearn.guidance import Masking, masked_input, saliency_guided_loss
from tests.guidance import slow_padding
from tests.guidance.slow_loop import Setting

N_TOKENS = 9
ROWS = [
    [3, 4, 5, 6, 7, 8],
    [2, 5],
    [8, 2, 3, 4],
    [5],
    [7, 3, 3, 8, 2],
    [],
    [6, 1, 4, 2, 5, 7],
]


def padded(rows, n=None):
    width = n or max(map(len, rows))
    return torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])


def make_batch(device="cpu", rows=ROWS):
    x = padded(rows, 6)
    return x.to(device), (torch.arange(len(rows)) % 3).to(device)


def make_net(device="cpu", **options):
    torch.manual_seed(3)
    return slow_padding.TextNet(N_TOKENS, **options).to(device, torch.float64)


def mask_both(net, x, y, masking, weight=None):
    """Masked batch of the library and of the slow loop, with equal generators."""
    generators = [torch.Generator(x.device).manual_seed(5) for _ in range(2)]
    masked = masked_input(
        net, x, y, masking, weight=weight, generator=generators[0], embedding=net.embedding
    )
    setting = Setting(
        order=masking.order,
        output=masking.output,
        fill=masking.fill,
        fraction=masking.fraction,
        value=masking.fill_value,
    )
    expected = slow_padding.masked_tokens(net, x, y, setting, generators[1], weight)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    return masked, expected


class MeanBag(nn.Module):
    """Mean of the embedded tokens, then a layer."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(N_TOKENS, 4, padding_idx=0)
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3))

    def forward(self, x):
        valid = (x != 0)[:, :, None]
        return self.layers((self.embedding(x) * valid).sum(1) / valid.sum(1).clamp_min(1))


def losses_of(net, x, y, **options):
    defaults = {
        "loss": nn.CrossEntropyLoss(),
        "divergence": "categorical_kl",
        "masking": Masking(fill="marginal"),
        "generator": torch.Generator(x.device).manual_seed(1),
        "embedding": net.embedding,
    }
    return saliency_guided_loss(net, x, y, **defaults | options)
