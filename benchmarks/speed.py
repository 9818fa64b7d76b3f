"""What guidance costs: ratios of CPU time, measured in interleaved pairs within one run.

Exits with 1 if the whole interval of a ratio lies above its bound.
"""

import sys
import time
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from _report import describe, markdown_table, parser, publish, render, save_json, start
from skorch import NeuralNetClassifier
from torch.nn import functional as F
from tqdm import tqdm

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.guidance import Masking, saliency_guided_loss
from sgt_sklearn.modules import CNN, MLP

LEARNING_RATE = 3e-3
GUIDED_FITS = "guided fit / plain fit"


@dataclass(frozen=True)
class Shape:
    """Size of a training task, and of its network."""

    name: str
    n_samples: int
    sample: tuple
    n_classes: int
    batch_size: int
    epochs: int

    def data(self, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.random((self.n_samples, *self.sample), dtype=np.float32)
        return X, rng.integers(self.n_classes, size=self.n_samples)

    def module(self, **kwargs):
        if len(self.sample) == 1:
            return partial(MLP, self.sample[0], self.n_classes, **kwargs)
        return partial(CNN, *self.sample, self.n_classes, **kwargs)


TABLE = Shape("MLP, 20,000 x 30, batch 256", 20_000, (30,), 2, 256, 12)
SMALL_TABLE = Shape("MLP, 569 x 30, batch 32", 569, (30,), 2, 32, 40)
IMAGES = Shape("CNN, 28 x 28, batch 32", 1280, (1, 28, 28), 10, 32, 2)
LARGE_BATCHES = Shape("CNN, 28 x 28, batch 128", 1280, (1, 28, 28), 10, 128, 2)
SERIES = Shape("50 steps x 50 features, batch 32", 640, (50, 50), 2, 32, 3)


# what is timed: functions without arguments that do the same number of steps


def estimator_fit(shape, **params):
    """Fit of our estimator with its default network."""
    X, y = shape.data()

    def run():
        SaliencyGuidedClassifier(
            lr=LEARNING_RATE,
            max_epochs=shape.epochs,
            batch_size=shape.batch_size,
            device="cpu",
            random_state=0,
            **params,
        ).fit(X, y)

    return run


def explicit_fit(cls, shape, **params):
    """Fit of a skorch net class with everything named, ours or skorch's own."""
    X, y = shape.data()

    def run():
        torch.manual_seed(0)
        cls(
            shape.module(),
            criterion=torch.nn.CrossEntropyLoss,
            optimizer=torch.optim.Adam,
            lr=LEARNING_RATE,
            max_epochs=shape.epochs,
            batch_size=shape.batch_size,
            iterator_train__shuffle=True,
            train_split=None,
            verbose=0,
            device="cpu",
            **params,
        ).fit(X, y)

    return run


def hand_written_fit(shape, *, guided=False, dropout=0.0):
    """The loop that one writes without a library, with the pure function if guided."""
    X, y = shape.data()
    axes = (0,) if X.ndim == 2 else (0, 2, 3)
    X = (X - X.mean(axes, keepdims=True)) / X.std(axes, keepdims=True)
    inputs, targets = torch.from_numpy(X), torch.from_numpy(y)
    guide = _guided_loss(inputs, "separate" if dropout else "shared") if guided else None

    def run():
        torch.manual_seed(0)
        net = shape.module(dropout=dropout)()
        parameters = list(net.parameters())
        optimizer = torch.optim.Adam(parameters, lr=LEARNING_RATE)
        losses = []
        for _ in range(shape.epochs):
            total = 0.0
            for rows in torch.randperm(len(inputs)).split(shape.batch_size):
                x, target = inputs[rows], targets[rows]
                loss = guide(net, x, target) if guided else F.cross_entropy(net(x), target)
                optimizer.zero_grad()
                loss.backward(inputs=parameters)
                optimizer.step()
                total += loss.detach() * len(rows)
            losses.append(total.item() / len(inputs))

    return run


def _guided_loss(inputs, saliency_pass):
    axes = (0,) if inputs.ndim == 2 else (0, 2, 3)
    masking = Masking(
        fill="feature_uniform" if inputs.ndim == 2 else "sample_uniform",
        scale=inputs.std(axes),
        minimum=inputs.amin(axes),
        maximum=inputs.amax(axes),
    )
    generator = torch.Generator().manual_seed(0)

    def guided_loss(net, x, target):
        task, consistency = saliency_guided_loss(
            net,
            x,
            target,
            loss=F.cross_entropy,
            divergence="categorical_kl",
            masking=masking,
            generator=generator,
            saliency_pass=saliency_pass,
        )
        return task + consistency

    return guided_loss


def guided_fits(shape, bound, note="", **params):
    """Case: guided fit over plain fit of the same network."""
    runs = (
        estimator_fit(shape, **params),
        estimator_fit(shape, consistency_weight=0, **params),
    )
    return GUIDED_FITS, shape.name + note, bound, runs


def guided_loops(shape, bound, dropout=0.0):
    """Case: the pure function in a hand-written loop over the same loop without it."""
    note = ", dropout .1 (separate pass)" if dropout else ""
    runs = (
        hand_written_fit(shape, guided=True, dropout=dropout),
        hand_written_fit(shape, dropout=dropout),
    )
    return "guided / plain, hand-written loop", shape.name + note, bound, runs


def series_fits(name, module, bound):
    """Case: guided fit of a network for series with dropout, masking in every epoch."""
    shape = replace(SERIES, name=f"{name}, {SERIES.name}")
    return guided_fits(
        shape,
        bound,
        note=", dropout .1 (separate pass)",
        module=module,
        module__dropout=0.1,
        mask_schedule="constant",
    )


def switched_off(shape, note="", **params):
    """Case: our classifier with consistency_weight=0 over skorch's, same arguments."""
    ours = partial(SaliencyGuidedClassifier, consistency_weight=0)
    runs = (
        explicit_fit(ours, shape, **params),
        explicit_fit(NeuralNetClassifier, shape, **params),
    )
    return "consistency_weight=0 / skorch net", shape.name + note, 1.02, runs


def cases():
    """List (what, where, bound or None, (numerator, denominator))."""
    fewer = Shape("MLP, 20,000 x 30, batch 256", 20_000, (30,), 2, 256, 4)
    more_images = Shape("CNN, 28 x 28, batch 32", 1280, (1, 28, 28), 10, 32, 4)
    plain = partial(SaliencyGuidedClassifier, consistency_weight=0)
    default_epochs = replace(TABLE, epochs=SaliencyGuidedClassifier().max_epochs)
    smaller = Shape("MLP, 569 x 30, batch 32", 569, (30,), 2, 32, 30)
    # num_workers=0 is the default; naming it makes our estimator take skorch's DataLoader path
    dropout = {"note": ", dropout .1 (separate pass)", "module__dropout": 0.1}
    loader = {"note": ", both through DataLoader", "iterator_train__num_workers": 0}
    return [
        guided_fits(TABLE, 2.45),
        guided_fits(SMALL_TABLE, 2.45),
        guided_fits(TABLE, 2.45, note=", hidden (128, 128)", module__hidden=(128, 128)),
        guided_fits(IMAGES, 2.8),
        guided_fits(LARGE_BATCHES, 2.8),
        guided_fits(SMALL_TABLE, None, **dropout),
        guided_fits(IMAGES, None, **dropout),
        series_fits("LSTM", "lstm", 3.5),
        series_fits("TCN", "tcn", 2.85),
        series_fits("Transformer", "transformer", 2.7),
        guided_loops(TABLE, 2.45),
        guided_loops(SMALL_TABLE, 2.45),
        guided_loops(IMAGES, 2.8),
        guided_loops(TABLE, None, dropout=0.1),
        switched_off(fewer),
        switched_off(fewer, **loader),
        switched_off(smaller, **loader),
        switched_off(more_images, **loader),
        (
            "plain fit / hand-written loop, same module",
            TABLE.name,
            1.15,
            (explicit_fit(plain, TABLE), hand_written_fit(TABLE)),
        ),
        (
            "plain fit / hand-written loop, same module",
            f"{TABLE.name}, {default_epochs.epochs} epochs (the default)",
            1.15,
            (explicit_fit(plain, default_epochs), hand_written_fit(default_epochs)),
        ),
        (
            "plain fit / hand-written loop, standardised outside",
            TABLE.name,
            1.15,
            (estimator_fit(TABLE, consistency_weight=0), hand_written_fit(TABLE)),
        ),
        (
            "plain fit / hand-written loop, standardised outside",
            f"{TABLE.name}, {default_epochs.epochs} epochs (the default)",
            1.15,
            (
                estimator_fit(default_epochs, consistency_weight=0),
                hand_written_fit(default_epochs),
            ),
        ),
    ]


# measuring


def cpu_seconds(run):
    start = time.process_time()
    run()
    return time.process_time() - start


def interleaved_times(runs, n_pairs):
    """CPU seconds of shape (n_pairs, 2); who goes first alternates."""
    for run in runs:
        run()
    times = np.empty((n_pairs, 2))
    for pair in range(n_pairs):
        for side in (0, 1) if pair % 2 else (1, 0):
            times[pair, side] = cpu_seconds(runs[side])
    return times


def median_with_interval(values, seed=0, level=0.95, n_resamples=5000):
    """Median and its bootstrap percentile interval."""
    rng = np.random.default_rng(seed)
    medians = np.median(rng.choice(values, (n_resamples, len(values))), axis=1)
    tail = (1 - level) / 2
    return float(np.median(values)), *map(float, np.quantile(medians, (tail, 1 - tail)))


def measure(what, where, bound, runs, n_pairs):
    times = interleaved_times(runs, n_pairs)
    ratio, low, high = median_with_interval(times[:, 0] / times[:, 1])
    return {
        "what": what,
        "where": where,
        "ratio": round(ratio, 3),
        "interval": [round(low, 3), round(high, 3)],
        "bound": bound,
        "seconds": np.median(times, axis=0).round(4).tolist(),
        "holds": None if bound is None else low <= bound,
    }


# pages


def row(result):
    low, high = result["interval"]
    bound, verdict = "", ""
    if result["bound"] is not None:
        bound = f"{result['bound']:g}"
        verdict = "holds" if result["holds"] else "does not hold"
    where = [result["what"], result["where"]]
    return [*where, f"{result['ratio']:.2f}", f"{low:.2f} to {high:.2f}", bound, verdict]


def whole(settings, results):
    """Return the table of all cases and its caption, for docs/results.md."""
    table = markdown_table(
        ["CPU time of", "network and data", "ratio", "95 % interval", "bound", ""],
        [row(result) for result in results],
    )
    bounded = [result["holds"] for result in results if result["bound"] is not None]
    return (
        f"{table}\n\n{sum(bounded)} of {len(bounded)} bounds hold. "
        f"Median over {settings['pairs']} interleaved pairs with its bootstrap interval; a bound "
        "is missed if the whole interval lies above it.\nPlain and guided fits share "
        "initialisation and batches. " + describe(settings)
    )


def summary(results):
    """Return what a guided fit costs, for README."""
    fits = [result["ratio"] for result in results if result["what"] == GUIDED_FITS]
    return (
        f"**It costs time.** A guided fit takes {min(fits):.1f} to {max(fits):.1f} times the CPU "
        f"time of a plain one ([{len(fits)} cases](docs/results.md#speed))."
    )


def pages(content):
    """Return the summary for README and the whole for docs/results.md."""
    return summary(content["results"]), whole(content["settings"], content["results"])


def main():
    arguments = parser(__doc__, renders=True)
    arguments.add_argument("--only", default="", help="run the cases whose text contains this")
    arguments.add_argument("--pairs", type=int, help="pairs a case (default: 31)")
    options = arguments.parse_args()
    if options.render:
        render("speed", pages, arguments, options)
        return
    n_pairs = options.pairs or (5 if options.quick else 31)
    settings = start("speed", options, pairs=n_pairs, seed=0)
    if options.write and options.only:
        raise SystemExit("--write needs all cases: leave --only out.")
    chosen = [case for case in cases() if options.only in f"{case[0]} {case[1]}"]
    results = []
    for case in (bar := tqdm(chosen)):
        bar.set_description(f"{case[0]}: {case[1]}"[:70])
        results.append(measure(*case, n_pairs))
        tqdm.write(" | ".join(row(results[-1])))
    content = {"settings": settings, "results": results}
    print(pages(content)[1])
    if options.write:
        save_json("speed", content)
        publish("speed", content, pages)
    missed = [result for result in results if result["holds"] is False]
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
