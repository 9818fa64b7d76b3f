"""`explain` against captum's own calls: ratios of time, differences of values, peak memory.

Exits with 1 if saliency or integrated gradients on the multi-layer perceptron are less than 3
times as fast as captum, or less than .95 times on the convolutional network, if values differ, or
if the memory of integrated gradients is not that of a batch.
"""

import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from _report import describe, markdown_table, parser, start
from captum import attr as captum

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain

BOUNDS = {"mlp": 3.0, "cnn": 0.95}
TOLERANCE = 1e-5
N_STEPS = 50
# (samples, shape of one)
SIZES = {"mlp": (5000, (30,)), "cnn": (512, (1, 28, 28))}
QUICK = {"mlp": (1000, (30,)), "cnn": (64, (1, 28, 28))}
# what the net makes of X, and the values, both of the size of X, and a batch
MEMORY = (20000, 784)
MEMORY_BOUND = 3.0


def captums(method, net, x, target):
    """captum as its documentation has it; images, of which 50 copies are large, in batches."""
    module = net.module_.eval()
    if method == "saliency":
        return captum.Saliency(module).attribute(x, target=target, abs=False)
    baseline = torch.as_tensor(net._statistics_.mean, dtype=x.dtype).expand_as(x[:1])
    return captum.IntegratedGradients(module).attribute(
        x,
        baseline,
        target=target,
        n_steps=N_STEPS,
        internal_batch_size=None if x.ndim == 2 else len(x),
    )


def measure(module, method, sizes, repeats, clock):
    """Medians of the time of both and of the ratios of neighbours, and how far values differ."""
    n, shape = sizes[module]
    X = np.random.default_rng(0).standard_normal((n, *shape)).astype(np.float32)
    y = (X.reshape(n, -1)[:, 0] > 0).astype(int)
    net = SaliencyGuidedClassifier(module, max_epochs=1, device="cpu", random_state=0)
    net.fit(X[:512], y[:512])
    target = net.predict(X)
    x, columns = torch.as_tensor(X), torch.as_tensor(target)
    options = {"n_steps": N_STEPS} if method == "integrated_gradients" else {}

    def ours():
        return explain(net, X, method=method, target=target, **options)

    ours(), captums(method, net, x[:64], columns[:64])  # the first passes set up memory
    times = []
    for i in range(repeats):
        pair = {}
        for name in ("ours", "captum") if i % 2 else ("captum", "ours"):
            began = clock()
            values = ours().values if name == "ours" else captums(method, net, x, columns)
            pair[name] = (clock() - began, values)
        times.append((pair["captum"][0], pair["ours"][0]))
    difference = np.abs(pair["ours"][1] - pair["captum"][1].detach().numpy()).max()
    times = np.array(times)
    return {
        "module": module,
        "method": method,
        "ratio": float(np.median(times[:, 0] / times[:, 1])),
        "seconds": np.median(times, axis=0),
        "difference": float(difference / np.abs(pair["ours"][1]).max()),
    }


def peak_memory(batch_size):
    """Peak of the memory that explaining adds, in sizes of X, in a process of its own."""
    run = [sys.executable, __file__, "--memory", str(batch_size)]
    return float(subprocess.run(run, capture_output=True, text=True, check=True).stdout)


def print_peak_memory(batch_size):
    torch.set_num_threads(1)
    X = np.random.default_rng(0).standard_normal(MEMORY, dtype=np.float32)
    net = SaliencyGuidedClassifier(max_epochs=1, device="cpu", random_state=0)
    net.fit(X[:256], np.arange(256) % 2)
    explain(net, X[:16], method="integrated_gradients", batch_size=16)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = kilobytes("VmRSS")
    explain(net, X, method="integrated_gradients", batch_size=batch_size, n_steps=4)
    print((kilobytes("VmHWM") - before) * 1024 / X.nbytes)


def kilobytes(name):
    """Memory of this process, as Linux tells it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])


def row(result):
    slow, fast = result["seconds"]
    return [
        f"`{result['module']}`, {result['method']}",
        f"{result['ratio']:.2f}",
        f"{slow:.3f}",
        f"{fast:.3f}",
        f"{result['difference']:.0e}",
    ]


def main():
    warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require")
    arguments = parser(__doc__)
    arguments.add_argument("--repeats", type=int, help="pairs (default: 7)")
    arguments.add_argument("--memory", type=int, metavar="BATCH_SIZE", help="print the peak alone")
    options = arguments.parse_args()
    if options.memory:
        return print_peak_memory(options.memory)
    if options.write:
        raise SystemExit("Nothing is written: leave --write out.")
    repeats = options.repeats or (3 if options.quick else 7)
    sizes = QUICK if options.quick else SIZES
    settings = start("explanations", options, pairs=repeats, seed=0)
    # time of the process counts every thread: with several, only the clock on the wall tells
    clock = time.process_time if options.threads == 1 else time.perf_counter
    methods = ("saliency", "integrated_gradients")
    # a single gradient is short: more pairs of it
    n_pairs = {"saliency": 5 * repeats, "integrated_gradients": repeats}
    results = [measure(m, name, sizes, n_pairs[name], clock) for m in sizes for name in methods]
    header = ["network, method", "times faster", "captum [s]", "explain [s]", "difference"]
    print(markdown_table(header, [row(result) for result in results]))
    memory = {size: peak_memory(size) for size in (256, 4096)}
    for size, peak in memory.items():
        print(
            f"\nPeak memory of integrated gradients on {MEMORY[0]:,} x {MEMORY[1]} with "
            f"batch_size={size:,}: {peak:.1f} times that of X."
        )
    print(f"\nMedians of {repeats} pairs, of saliency {5 * repeats}. {describe(settings)}")
    # short runs tell values, not ratios
    bounds = dict.fromkeys(BOUNDS, 0.0) if options.quick else BOUNDS
    failed = [
        result
        for result in results
        if result["difference"] > TOLERANCE or result["ratio"] < bounds[result["module"]]
    ]
    return sys.exit(1 if failed or memory[256] > MEMORY_BOUND else 0)


if __name__ == "__main__":
    main()
