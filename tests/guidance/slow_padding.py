"""Padded series and tokens straight from the rules: one sample at a time, without its padding.

As ``slow_loop.py``, it shares with the library nothing but the draws of a ``torch.Generator``:

(a) ranking noise of shape (n_samples, n_groups), for the orders "sampled" and "random"; where
    cells are nested in groups, another of shape (n_samples, n_cells); single precision for the
    random order of tokens, which have no dtype of their own;
(b) series: one uniform tensor of the shape of the batch, or the call of a fill, as there;
(c) a permutation of the groups that would break ties; where nested, another of the cells;
(d) tokens: one uniform tensor in double precision for "marginal", or the call of a fill.

Each draw is made for padding too, and none for a batch with nothing to hide.
"""

import itertools
import math

import torch

from tests.guidance import slow_loop


class SeriesNet(torch.nn.Module):
    """Convolution over time, then the mean over the valid steps; padding may hold anything."""

    def __init__(self, n_features=3, n_outputs=3):
        super().__init__()
        self.convolution = torch.nn.Conv1d(n_features, 5, 3, padding=1)
        self.head = torch.nn.Linear(5, n_outputs)

    def forward(self, x, lengths=None):
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1], device=x.device)
        valid = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, :, None]
        x = torch.where(valid, x, 0.0)
        hidden = torch.tanh(self.convolution(x.transpose(1, 2))).transpose(1, 2)
        total = torch.where(valid, hidden, 0.0).sum(1)
        return self.head(total / lengths[:, None])


class TextNet(torch.nn.Module):
    """Embedding, convolution and mean over the tokens."""

    def __init__(self, n_tokens=9, n_outputs=3, dropout=0.0):
        super().__init__()
        self.embedding = torch.nn.Embedding(n_tokens, 4, padding_idx=0)
        self.convolution = torch.nn.Conv1d(4, 5, 3, padding=1)
        self.dropout = torch.nn.Dropout(dropout)
        self.head = torch.nn.Linear(5, n_outputs)

    def forward(self, x):
        return self.of_vectors(self.embedding(x), (x != 0)[:, :, None])

    def of_vectors(self, vectors, valid):
        vectors = torch.where(valid, self.dropout(vectors), 0.0)
        hidden = torch.tanh(self.convolution(vectors.transpose(1, 2))).transpose(1, 2)
        total = torch.where(valid, hidden, 0.0).sum(1)
        return self.head(total / valid.sum(1).clamp_min(1))


# series


def masked_series(net, x, y, lengths, setting, generator, nested=False, weight=None):
    """Hide the lowest groups of each series; padding stays as it is."""
    n, cells = len(x), x.cpu().numpy()
    lengths = lengths.tolist()
    groups = slow_loop.group_members(setting.groups, x.shape[1:])
    single = slow_loop.group_members("cell", x.shape[1:])
    statistics = slow_loop.feature_statistics(x.nan_to_num())
    levels = [groups, single] if nested else [groups]
    counted = single if nested else groups
    valid = [sum(any(c[0] < length for c in g) for g in counted) for length in lengths]
    if all(math.floor(setting.fraction * count + 1e-9) == 0 for count in valid):
        return x
    noise = [[None] * n] * 2
    if setting.order in ("sampled", "random"):
        noise = [slow_loop.draw((n, len(level)), x, generator).tolist() for level in levels]
    hidden = []
    for i in range(n):
        gradient = slow_loop.saliency(net, x[i, : lengths[i]], y[i], setting)

        def ranking(level, i=i, gradient=gradient):
            """Pairs of a group and its valid cells, the lowest first."""
            members, own_noise = levels[level], noise[level][i]
            valid = [[c for c in group if c[0] < lengths[i]] for group in members]
            able = [j for j, part in enumerate(valid) if part]
            scores = slow_loop.group_scores(
                gradient,
                [valid[j] for j in able],
                statistics,
                own_noise and [own_noise[j] for j in able],
                setting.order,
            )
            gaps = itertools.pairwise(sorted(scores))
            assert all(b - a > 1e-12 for a, b in gaps), "the example must not hang on rounding"
            order = sorted(range(len(able)), key=scores.__getitem__)
            return [(members[able[j]], valid[able[j]]) for j in order]

        lowest = ranking(0)
        n_valid = lengths[i] * x.shape[2]
        if not nested:
            k = math.floor(setting.fraction * len(lowest) + 1e-9)
            hidden.append(lowest[:k])
            continue
        k = math.floor(setting.fraction * n_valid + 1e-9)
        whole = math.floor((1 - math.sqrt(1 - setting.fraction)) * len(lowest) + 1e-9)
        first = [cell for _, part in lowest[:whole] for cell in part]
        rest = [cell for _, (cell,) in ranking(1) if cell not in first]
        hidden.append([([cell], [cell]) for cell in (first + rest)[:k]])
    values = _replacements(x, cells, lengths, setting, statistics, generator, weight)
    for level in levels:
        torch.randperm(len(level), device=x.device, generator=generator)
    masked = cells.copy()
    for i, lowest in enumerate(hidden):
        for members, part in lowest:
            for cell in part:
                masked[(i, *cell)] = values(i, cell, members, part)
    return torch.from_numpy(masked).to(x.device)


def _replacements(x, cells, lengths, setting, statistics, generator, weight):
    """Function of (sample, cell, group, its valid cells) that gives the replacement."""
    fill = setting.fill
    if callable(fill):
        called = fill(x, generator).cpu().numpy()
        return lambda i, cell, members, part: called[(i, *cell)]
    if fill == "constant":
        return lambda i, cell, members, part: setting.value
    if fill == "mean":
        return lambda i, cell, members, part: statistics[cell].mean
    uniform = slow_loop.draw(x.shape, x, generator).numpy()
    longest_first = sorted(range(len(x)), key=lambda i: -lengths[i])

    def marginal(i, cell, members, part):
        last = max(step for step, *_ in part)
        able = [j for j in longest_first if lengths[j] > last]
        behind = able[able.index(i) + 1 :] + able[: able.index(i)]
        if not behind:
            return cells[(i, *cell)]
        u = uniform[(i, *members[0])]
        return cells[(_pick(behind, weight, u), *cell)]

    def sample_uniform(i, cell, members, part):
        numbers = cells[i, : lengths[i], cell[-1]].tolist()
        return min(numbers) + uniform[(i, *cell)] * (max(numbers) - min(numbers))

    def feature_uniform(i, cell, members, part):
        low, high = statistics[cell].minimum, statistics[cell].maximum
        return low + uniform[(i, *cell)] * (high - low)

    return locals()[fill]


def _pick(choices, weight, u):
    """The choice at the share u of the way along all choices, each as long as it weighs."""
    if weight is None:
        return choices[math.floor(u * len(choices))]
    left = u * sum(float(weight[j]) for j in choices)
    for j in choices:
        left -= float(weight[j])
        if left < 0:
            return j
    raise AssertionError("the example must not hang on rounding")


def series_losses(net, x, masked, y, lengths, setting):
    """Task loss and divergence of each series, without its padding."""
    pairs = []
    for i, length in enumerate(lengths.tolist()):
        z, z_masked = (net(data[i : i + 1, :length])[0] for data in (x, masked))
        task = slow_loop.task_loss(z, y[i], setting)
        pairs.append((task, slow_loop.divergence(z, z_masked, setting)))
    return pairs


# tokens


def masked_tokens(net, x, y, setting, generator, weight=None):
    """Hide the lowest tokens of each sample; padding stays as it is."""
    rows = [[token for token in row if token != 0] for row in x.tolist()]
    shape, noise = x.shape, [None] * len(x)
    if setting.order in ("sampled", "random"):
        dtype = torch.float32 if setting.order == "random" else net.head.weight.dtype
        noise = torch.rand(shape, dtype=dtype, device=x.device, generator=generator).tolist()
    torch.randperm(shape[1], device=x.device, generator=generator)
    fill, uniform = setting.fill, None
    if fill == "marginal":
        uniform = torch.rand(shape, dtype=torch.float64, device=x.device, generator=generator)
    called = fill(x, generator) if callable(fill) else None
    masked = x.tolist()
    for i, tokens in enumerate(rows):
        scores = token_scores(net, tokens, y[i], setting, noise[i], x.device) if tokens else []
        order = sorted(range(len(tokens)), key=scores.__getitem__)
        k = math.floor(setting.fraction * len(tokens) + 1e-9)
        if 0 < k < len(tokens):
            gap = scores[order[k]] - scores[order[k - 1]]
            assert gap > 1e-12, "the example must not hang on rounding"
        hidden = set(order[:k])
        for j in hidden:
            others = [(r, token) for r, row in enumerate(rows) if r != i for token in row]
            if callable(fill):
                masked[i][j] = called[i, j].item()
            elif fill == "unknown":
                masked[i][j] = 1
            elif fill == "constant":
                masked[i][j] = int(setting.value)
            elif fill == "previous":
                kept = [tokens[p] for p in range(j) if p not in hidden]
                masked[i][j] = kept[-1] if kept else 1
            elif others:
                weights = None if weight is None else [weight[r] for r, _ in others]
                chosen = _pick(range(len(others)), weights, uniform[i, j].item())
                masked[i][j] = others[chosen][1]
    return torch.tensor(masked, dtype=x.dtype, device=x.device)


def token_scores(net, tokens, y, setting, noise, device):
    """Score of each token of a sample, from its gradient alone in the batch."""
    net.eval()
    lookup = net.embedding.weight.detach()
    vectors = lookup[torch.tensor(tokens, device=device)].requires_grad_(True)
    valid = torch.ones(1, len(tokens), 1, dtype=torch.bool, device=device)
    z = net.of_vectors(vectors[None], valid)[0]
    (gradient,) = torch.autograd.grad(slow_loop.saliency_scalar(z, y, setting), vectors)
    pairs = list(zip(gradient.tolist(), vectors.tolist(), strict=True))
    if setting.order == "signed":
        return [sum(g) / len(g) for g, _ in pairs]
    if setting.order == "random":
        return noise[: len(tokens)]
    scores = [abs(sum(a * b for a, b in zip(g, e, strict=True))) for g, e in pairs]
    if setting.order == "absolute":
        return scores
    return [
        math.log(score) - math.log(-math.log(u)) for score, u in zip(scores, noise, strict=False)
    ]
