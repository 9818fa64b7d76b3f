"""Batches of padded series, and their masks by the library and by the slow loop."""

import numpy as np
import torch

from sgt_sklearn.guidance import Masking, masked_input
from tests.guidance import slow_padding
from tests.guidance.slow_loop import Setting, feature_statistics, group_members

LENGTHS = [5, 2, 4, 5, 1, 3, 6]
N_STEPS, N_FEATURES = 6, 3
GROUPS = {
    "cell": "cell",
    "time": np.arange(N_STEPS)[:, None].repeat(N_FEATURES, 1),
    "feature": "feature",
    # of unequal sizes, in an order that is not that of their first cells, some cut by the padding
    "labels": np.arange(N_STEPS * N_FEATURES).reshape(N_STEPS, N_FEATURES)[::-1] // 4,
    "nested": np.arange(N_STEPS)[:, None].repeat(N_FEATURES, 1),
}


def make_batch(device="cpu", padding=0.0, lengths=LENGTHS):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((len(lengths), N_STEPS, N_FEATURES)) * [0.4, 1.0, 2.0] - 0.2
    for row, length in zip(x, lengths, strict=True):
        row[length:] = padding
    y = torch.arange(len(lengths)) % 3
    return torch.from_numpy(x).to(device), y.to(device), torch.tensor(lengths, device=device)


def make_net(device="cpu"):
    torch.manual_seed(3)
    return slow_padding.SeriesNet().to(device, torch.float64)


def labels_of(groups, device="cpu"):
    members = group_members(groups, (N_STEPS, N_FEATURES))
    labels = torch.empty(N_STEPS, N_FEATURES, dtype=torch.int64)
    for label, cells in enumerate(members):
        for cell in cells:
            labels[cell] = label
    return labels.to(device)


def make_masking(x, groups="cell", **options):
    """Settings with the statistics of the slow loop."""
    statistics = feature_statistics(x.nan_to_num())
    rows = [statistics[0, feature] for feature in range(N_FEATURES)]
    tensors = {
        name: torch.tensor([getattr(row, field) for row in rows], dtype=x.dtype)
        for name, field in [
            *(("scale", "sd"), ("minimum", "minimum"), ("maximum", "maximum"), ("mean", "mean"))
        ]
    }
    labels = None if groups == "cell" else labels_of(GROUPS[groups])
    masking = Masking(groups=labels, nested=groups == "nested", **tensors, **options)
    return masking.to(x.device, x.dtype)


def mask_both(net, x, y, lengths, masking, groups, weight=None):
    """Masked batch of the library and of the slow loop, with equal generators."""
    setting = Setting(
        order=masking.order,
        output=masking.output,
        fill=masking.fill,
        groups=GROUPS[groups],
        fraction=masking.fraction,
        value=masking.fill_value,
    )
    generators = [torch.Generator(x.device).manual_seed(5) for _ in range(2)]
    masked = masked_input(
        lambda data: net(data, lengths),
        x,
        y,
        masking,
        generator=generators[0],
        modules=[net],
        lengths=lengths,
        weight=weight,
    )
    expected = slow_padding.masked_series(
        net, x, y, lengths, setting, generators[1], nested=masking.nested, weight=weight
    )
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    return masked, expected
