"""Saliency guided training straight from the formulas: slow, cell by cell, in float64.

It shares with the library nothing but the draws of a ``torch.Generator``, which are, for each
batch with anything to hide, in this order:

(a) ranking noise of shape (n_samples, n_groups), for the orders "sampled" and "random";
(b) one uniform tensor of the shape of the batch, for the fills "sample_uniform",
    "feature_uniform" and "marginal" (where the number of a group's first cell names the donor);
    a callable fill is called with the batch and the generator instead;
(c) a permutation of the groups that would break ties, unless all are hidden.

It refuses examples whose mask hangs on a tie, so that no tie has to be broken.
"""

import dataclasses
import itertools
import math
from collections import defaultdict

import torch
from torch.nn.modules.batchnorm import _BatchNorm


@dataclasses.dataclass(frozen=True)
class Setting:
    """What the formulas of the method leave open."""

    order: str = "absolute"
    output: str = "margin"
    fill: object = "constant"
    divergence: object = "categorical_kl"
    likelihood: str = "categorical"
    groups: object = "cell"
    fraction: float = 0.5
    value: float = 0.25
    weight: float = 0.7


def train(net, X, y, batches, setting, generator, lr, fractions=None):
    """Train in place by gradient descent; return (task, consistency) of each step."""
    statistics = feature_statistics(X)
    losses = []
    for step, rows in enumerate(batches):
        if fractions is not None:
            setting = dataclasses.replace(setting, fraction=fractions[step])
        x, targets = X[rows], y[rows]
        net.train()
        clean = outputs(net, x)
        task = sum(map(task_loss, clean, targets, [setting] * len(x))) / len(x)
        buffers = [b.clone() for b in net.buffers()]
        masked_x = masked_batch(net, x, targets, setting, statistics, generator)
        net.train()
        consistency = torch.zeros((), dtype=x.dtype, device=x.device)
        if masked_x is not None:
            pairs = zip(clean, outputs(net, masked_x), strict=True)
            consistency = sum(divergence(z, z_masked, setting) for z, z_masked in pairs) / len(x)
        parameters = list(net.parameters())
        gradients = torch.autograd.grad(task + setting.weight * consistency, parameters)
        with torch.no_grad():
            for w, gradient in zip(parameters, gradients, strict=True):
                w -= lr * gradient
            for buffer, value in zip(net.buffers(), buffers, strict=True):
                buffer.copy_(value)
        losses.append((task.item(), consistency.item()))
    return losses


def outputs(net, x):
    """Outputs one sample at a time; of the whole batch where batch norm mixes the samples."""
    if net.training and any(isinstance(m, _BatchNorm) for m in net.modules()):
        return list(net(x))
    return [net(x[i : i + 1])[0] for i in range(len(x))]


# the mask


def masked_batch(net, x, y, setting, statistics, generator):
    """Hide the k lowest groups of each sample; None where k is 0."""
    groups = group_members(setting.groups, x.shape[1:])
    k = math.floor(setting.fraction * len(groups) + 1e-9)
    if k == 0:
        return None
    noise = [None] * len(x)
    if setting.order in ("sampled", "random"):
        noise = draw((len(x), len(groups)), x, generator).tolist()
    hidden = []
    for i in range(len(x)):
        gradient = saliency(net, x[i], y[i], setting)
        scores = group_scores(gradient, groups, statistics, noise[i], setting.order)
        ranking = sorted(range(len(groups)), key=scores.__getitem__)
        if k < len(groups):
            gap = scores[ranking[k]] - scores[ranking[k - 1]]
            assert gap > 1e-12, "the example must not hang on rounding"
        hidden.append([groups[j] for j in ranking[:k]])
    cells = x.cpu().numpy()
    values = replacements(x, cells, setting, statistics, generator)
    if k < len(groups):
        torch.randperm(len(groups), device=x.device, generator=generator)
    masked = cells.copy()
    for i, lowest in enumerate(hidden):
        for members in lowest:
            for cell in members:
                masked[(i, *cell)] = values(i, cell, members[0])
    return torch.from_numpy(masked).to(x.device)


def cells_of(shape):
    """Index of every cell of a sample, the last axis fastest."""
    return list(itertools.product(*map(range, shape)))


def group_members(groups, shape):
    """Cells of each group, groups in the order of their labels."""
    label = {
        "cell": lambda cell: cell,
        "feature": lambda cell: cell[-1],
        "pixel": lambda cell: cell[1:],
    }.get(groups if isinstance(groups, str) else None, lambda cell: groups[cell])
    members = defaultdict(list)
    for cell in cells_of(shape):
        members[label(cell)].append(cell)
    return [members[name] for name in sorted(members)]


def saliency(net, sample, y, setting):
    """Input gradient of one sample, with the network in evaluation mode."""
    net.eval()
    leaf = sample.clone().requires_grad_(True)
    scalar = saliency_scalar(net(leaf[None])[0], y, setting)
    (gradient,) = torch.autograd.grad(scalar, leaf)
    return gradient.cpu().numpy()


def saliency_scalar(z, y, setting):
    if setting.likelihood == "gaussian":
        return sum(z)
    if setting.likelihood == "bernoulli":
        terms = [(2 * y_l - 1) * z_l for y_l, z_l in zip(y, z, strict=True)]
        if setting.output == "log_proba":
            terms = [-torch.log(1 + torch.exp(-t)) for t in terms]
        return sum(terms)
    return {
        "log_proba": log_softmax(z)[y],
        "logit": z[y],
        "margin": z[y] - sum(z) / len(z),
    }[setting.output]


def group_scores(gradient, groups, statistics, noise, order):
    scores = []
    for j, members in enumerate(groups):
        if order == "random":
            scores.append(noise[j])
            continue
        if order == "signed":
            terms = [float(gradient[cell]) for cell in members]
        else:
            terms = [abs(float(gradient[cell])) * statistics[cell].sd for cell in members]
        score = sum(terms) / len(terms)
        if order == "sampled":
            score = math.log(score) - math.log(-math.log(noise[j]))
        scores.append(score)
    return scores


@dataclasses.dataclass(frozen=True)
class Statistics:
    minimum: float
    maximum: float
    mean: float
    sd: float


def feature_of(cell):
    """The column of a table, the feature of a series, the channel of an image."""
    return cell[0] if len(cell) == 3 else cell[-1]


def feature_statistics(X):
    """Statistics of each cell's feature over the training data."""
    values = defaultdict(list)
    samples, cells = X.cpu().numpy(), cells_of(X.shape[1:])
    for sample in samples:
        for cell in cells:
            values[feature_of(cell)].append(float(sample[cell]))
    statistics = {}
    for feature, numbers in values.items():
        mean = sum(numbers) / len(numbers)
        variance = sum((v - mean) ** 2 for v in numbers) / len(numbers)
        statistics[feature] = Statistics(min(numbers), max(numbers), mean, math.sqrt(variance))
    return {cell: statistics[feature_of(cell)] for cell in cells}


def replacements(x, cells, setting, statistics, generator):
    """Function of (sample, cell, first cell of its group) that gives the replacement."""
    fill, n = setting.fill, len(cells)
    if callable(fill):
        called = fill(x, generator).cpu().numpy()
        return lambda i, cell, first: called[(i, *cell)]
    if fill == "constant":
        return lambda i, cell, first: setting.value
    if fill == "mean":
        return lambda i, cell, first: statistics[cell].mean
    uniform = draw(x.shape, x, generator).numpy()

    def marginal(i, cell, first):
        if n == 1:
            return cells[(i, *cell)]
        offset = 1 + math.floor(uniform[(i, *first)] * (n - 1))
        return cells[((i + offset) % n, *cell)]

    def sample_uniform(i, cell, first):
        peers = [c for c in cells_of(cells.shape[1:]) if same_range(c, cell)]
        numbers = [float(cells[(i, *c)]) for c in peers]
        return min(numbers) + uniform[(i, *cell)] * (max(numbers) - min(numbers))

    def feature_uniform(i, cell, first):
        low, high = statistics[cell].minimum, statistics[cell].maximum
        return low + uniform[(i, *cell)] * (high - low)

    return {
        "marginal": marginal,
        "sample_uniform": sample_uniform,
        "feature_uniform": feature_uniform,
    }[fill]


def same_range(a, b):
    """A row of a table has one range; a series one a feature; an image one a channel."""
    return len(a) == 1 or feature_of(a) == feature_of(b)


def draw(shape, x, generator):
    return torch.rand(shape, dtype=x.dtype, device=x.device, generator=generator).cpu()


# the loss


def log_softmax(z):
    log_total = torch.log(sum(torch.exp(z_c) for z_c in z))
    return [z_c - log_total for z_c in z]


def sigmoid(z):
    return 1 / (1 + torch.exp(-z))


def task_loss(z, y, setting):
    """Loss of one sample, as the mean-reduced criterion of the likelihood has it."""
    if setting.likelihood == "categorical":
        return -log_softmax(z)[y]
    if setting.likelihood == "gaussian":
        return sum((z_l - y_l) ** 2 for z_l, y_l in zip(z, y, strict=True)) / len(z)
    terms = [
        y_l * torch.log(sigmoid(z_l)) + (1 - y_l) * torch.log(1 - sigmoid(z_l))
        for y_l, z_l in zip(y, z, strict=True)
    ]
    return -sum(terms) / len(z)


def divergence(z, z_masked, setting):
    """Divergence of one sample's clean and masked output."""
    if callable(setting.divergence):
        return setting.divergence(z[None], z_masked[None])[0]
    if setting.divergence == "categorical_kl":
        pairs = zip(log_softmax(z), log_softmax(z_masked), strict=True)
        return sum(torch.exp(log_p) * (log_p - log_q) for log_p, log_q in pairs)
    terms = []
    for a, b in zip(z, z_masked, strict=True):
        if setting.divergence == "squared_difference":
            terms.append((a - b) ** 2)
        else:
            p, q = sigmoid(a), sigmoid(b)
            terms.append(p * torch.log(p / q) + (1 - p) * torch.log((1 - p) / (1 - q)))
    return sum(terms) / len(terms)
