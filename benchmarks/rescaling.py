"""Temporal saliency rescaling in batches, against one call a masked copy: ratio and difference.

Exits with 1 if the ratio of the recurrent default, the GRU, lies below 20, or if values differ.
Networks that keep a core busy with one series gain less: batches save the calls, not arithmetic.
"""

import sys
import time

import numpy as np
from _report import describe, markdown_table, parser, start
from tqdm import tqdm

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import make_relevance_time_series
from sgt_sklearn.inspection import temporal_saliency_rescaling

BOUND = 20
TOLERANCE = 1e-6
MODULES = ("tcn", "gru", "lstm", "input_cell_attention", "transformer")


def one_call_a_copy(net, X, method, baseline, quantile=0.55):
    """The definition, with one call of `attribute` for each series and each masked copy."""
    relevance = np.zeros(X.shape)
    for i, x in enumerate(X):
        label = net.predict(x[None])

        def attribute(copy, label=label):
            return net.attribute(copy[None], method=method, target=label)[0].astype(np.float64)

        relevance[i] = _one_series(attribute, x, baseline, quantile)
    return relevance


def _one_series(attribute, x, baseline, quantile):
    n_steps, n_features = x.shape
    original = attribute(x)
    changes = np.zeros(n_steps)
    for t in range(n_steps):
        copy = x.copy()
        copy[t] = baseline
        changes[t] = np.abs(original - attribute(copy)).sum()
    scores = (changes - changes.min()) / (changes.max() - changes.min())
    threshold = np.quantile(scores, quantile)
    relevance = np.zeros(x.shape)
    for t in range(n_steps):
        phi = np.full(n_features, 0.1)
        if scores[t] > threshold:
            for f in range(n_features):
                copy = x.copy()
                copy[t, f] = baseline[f]
                phi[f] = np.abs(original - attribute(copy)).sum()
            phi = (phi - phi.min()) / (phi.max() - phi.min())
        relevance[t] = scores[t] * phi
    return relevance


def measure(module, method, n_samples, clock):
    """Seconds of both for series of 50 steps of 50 features, and how far their values differ."""
    X, y, _ = make_relevance_time_series("rare_time", n_samples=n_samples, random_state=0)
    net = SaliencyGuidedClassifier(module, max_epochs=2, device="cpu", random_state=0).fit(X, y)
    baseline = np.mean(X.reshape(-1, X.shape[2]), axis=0)

    def batched(series):
        return temporal_saliency_rescaling(net, series, method=method, baseline=baseline)

    batched(X[:1])  # the first pass sets up memory
    began = clock()
    batched(X)
    between = clock()
    one_call_a_copy(net, X, method, baseline)
    ended = clock()
    batched(X)
    last = clock()
    fast, slow = (between - began + last - ended) / 2, ended - between
    # in float32 a copy that lies on a kink of the network may fall to either side of it
    net.module_.double()
    difference = np.abs(batched(X[:1]) - one_call_a_copy(net, X[:1], method, baseline)).max()
    return {
        "module": module,
        "method": method,
        "ratio": slow / fast,
        "seconds": (slow, fast),
        "difference": float(difference),
    }


def row(result):
    slow, fast = result["seconds"]
    return [
        f"`{result['module']}`, {result['method']}",
        f"{result['ratio']:.1f}",
        f"{slow:.2f}",
        f"{fast:.2f}",
        f"{result['difference']:.0e}",
    ]


def main():
    arguments = parser(__doc__)
    arguments.add_argument("--modules", nargs="+", default=MODULES, choices=MODULES)
    arguments.add_argument("--method", default="saliency", help="attribution (default: saliency)")
    arguments.add_argument("--samples", type=int, help="series (default: 16)")
    options = arguments.parse_args()
    if options.write:
        raise SystemExit("Nothing is written: leave --write out.")
    n_samples = options.samples or (2 if options.quick else 16)
    settings = start("rescaling", options, samples=n_samples, method=options.method, seed=0)
    # time of the process counts every thread: with several, only the clock on the wall tells
    clock = time.process_time if options.threads == 1 else time.perf_counter
    results = [
        measure(module, options.method, n_samples, clock) for module in tqdm(options.modules)
    ]
    header = [
        "network, method",
        "times faster",
        "one call a copy [s]",
        "batched [s]",
        "difference in float64",
    ]
    print(markdown_table(header, [row(result) for result in results]))
    print(f"\n{n_samples} series of 50 x 50. {describe(settings)}")
    failed = [
        result
        for result in results
        if result["difference"] > TOLERANCE
        or (result["module"] == "gru" and result["ratio"] < BOUND)
    ]
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
