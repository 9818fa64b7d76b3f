"""Networks for series in all their options, and numbers that give each of them something to do."""

from functools import partial

import torch

from sgt_sklearn.modules import GRU, LSTM, TCN, InputCellAttentionLSTM, TransformerEncoder

N_FEATURES, N_OUTPUTS, N_STEPS = 4, 3, 9
LENGTHS = (7, 1, 9, 4)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}

SMALL = {
    TCN: {"channels": (5, 6), "kernel_size": 3},
    LSTM: {"hidden": 6},
    GRU: {"hidden": 6},
    InputCellAttentionLSTM: {"hidden": 6, "n_hops": 3, "attention_size": 5},
    TransformerEncoder: {"hidden": 8, "n_heads": 2, "feedforward": 7},
}
VARIANTS = {
    TCN: [{}, {"normalization": "layer"}],
    LSTM: [{}, {"activation": "relu"}, {"n_layers": 2}, {"activation": "relu", "n_layers": 2}],
    GRU: [{}, {"activation": "tanh"}, {"n_layers": 2}, {"activation": "tanh", "n_layers": 2}],
    InputCellAttentionLSTM: [{}, {"activation": "relu", "n_layers": 2}],
    TransformerEncoder: [
        {},
        {"normalization": "layer"},
        {"causal": True},
        {"positions": False},
        {"causal": True, "normalization": "layer"},
    ],
}
POOLINGS = {
    cls: ("max", "mean", "last") + (("attention",) if issubclass(cls, LSTM | GRU) else ())
    for cls in SMALL
}


def _cases():
    for cls, variants in VARIANTS.items():
        for variant in variants:
            for pooling in POOLINGS[cls]:
                options = SMALL[cls] | variant | {"pooling": pooling}
                words = [cls.__name__, pooling, *(f"{k}={v}" for k, v in variant.items())]
                yield "-".join(words), partial(cls, N_FEATURES, N_OUTPUTS, **options)


CASES = dict(_cases())


def build(case, dtype=torch.float64, device="cpu", seed=0, **options):
    torch.manual_seed(seed)
    return CASES[case](**options).to(device, dtype)


def series(dtype=torch.float64, device="cpu", n_steps=N_STEPS, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(len(LENGTHS), n_steps, N_FEATURES, generator=generator, dtype=torch.float64)
    return x.to(device, dtype)


def with_padding(x, value):
    """Put a value, or noise, behind the end of each series."""
    x = x.clone()
    for row, length in zip(x, LENGTHS, strict=True):
        row[length:] = 100 * torch.randn_like(row[length:]) if value == "noise" else value
    return x
