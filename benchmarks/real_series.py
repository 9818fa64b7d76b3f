"""Real series: whether guidance, decay or random masks cost accuracy where they might be adopted.

There is no truth to compare gradients with, so the gaps to a random order stand in for it.
"""

import statistics
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from _report import ROOT, describe, markdown_table, parser, save_json, start, write_pages
from time_series_study import ARMS, Training
from tqdm import tqdm

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.datasets import load_time_series
from sgt_sklearn.metrics import comprehensiveness_gap, sufficiency_gap

PAGE = ROOT / "docs" / "time_series_study.md"
REGRESSION = ("Covid3Month",)
DATA = (
    "ItalyPowerDemand",
    "GunPoint",
    "ArrowHead",
    "BasicMotions",
    "JapaneseVowels",
    *REGRESSION,
)
MODULES = ("tcn", "lstm")
METRIC_ROWS = 200
N_DRAWS = 2
MEASURES = {
    "score": "accuracy (Covid3Month: R2)",
    "comprehensiveness_gap": "comprehensiveness gap",
    "sufficiency_gap": "sufficiency gap",
}


@dataclass(frozen=True)
class Arm:
    """A training of the study with a decay that is given, not tuned."""

    training: Training
    decay: float = 0.0

    def params(self):
        # spelled out, as the optimizer of "auto" has a decay of its own for some networks
        optimizer = {"optimizer": torch.optim.Adam}
        if self.decay:
            optimizer = {
                "optimizer": torch.optim.AdamW,
                "optimizer__weight_decay": self.decay,
            }
        return self.training.guidance | optimizer


TRAININGS = {
    "plain": Arm(ARMS["plain"]),
    "guided": Arm(ARMS["guided"]),
    "random order": Arm(ARMS["control"]),
    "decay .3": Arm(ARMS["plain"], 0.3),
    "decay 1": Arm(ARMS["plain"], 1.0),
    "decay 3": Arm(ARMS["plain"], 3.0),
    "guided, decay .3": Arm(ARMS["guided"], 0.3),
    "guided, decay 1": Arm(ARMS["guided"], 1.0),
    "guided, decay 3": Arm(ARMS["guided"], 3.0),
    "random order, decay 1": Arm(ARMS["control"], 1.0),
    "random order, decay 3": Arm(ARMS["control"], 3.0),
}


def load(name, split):
    """Series and targets of the training or test part that the data set comes with."""
    data = load_time_series(name, split=split)
    y = np.asarray(data.target, dtype=float) if name in REGRESSION else data.target
    return data.data, y


def measure(module, name, arm, seed):
    cls = SaliencyGuidedRegressor if name in REGRESSION else SaliencyGuidedClassifier
    model = cls(module, random_state=seed, **arm.params()).fit(*load(name, "train"))
    X, y = load(name, "test")
    options = {"random_state": seed, "n_draws": N_DRAWS}
    return {
        "score": model.score(X, y),
        "comprehensiveness_gap": comprehensiveness_gap(model, X[:METRIC_ROWS], **options),
        "sufficiency_gap": sufficiency_gap(model, X[:METRIC_ROWS], **options),
    }


def chance(name):
    """Score of the most frequent class, or of the mean."""
    if name in REGRESSION:
        return 0.0
    (_, y_train), (_, y) = load(name, "train"), load(name, "test")
    labels, counts = np.unique(y_train, return_counts=True)
    return float(np.mean(y == labels[counts.argmax()]))


def cell(values, plain):
    """Mean, and of what is compared with plain the seeds in which it is above and below."""
    text = f"{statistics.mean(values):.3f}"
    if values is plain:
        return text
    above = sum(a > b for a, b in zip(values, plain, strict=True))
    below = sum(a < b for a, b in zip(values, plain, strict=True))
    return f"{text} (+{above} -{below})"


def table(module, measure_name, runs):
    rows = []
    for name, found in runs.items():
        values = {arm: [run[measure_name] for run in seeds] for arm, seeds in found.items()}
        level = chance(name) if measure_name == "score" else 0.0
        cells = [cell(of_arm, values["plain"]) for of_arm in values.values()]
        rows.append([name, *cells, f"{level:.3f}"])
    return markdown_table([f"{module}: {MEASURES[measure_name]}", *TRAININGS, "chance"], rows)


PAIRS = (
    ("guided", "plain"),
    ("guided", "random order"),
    ("guided", "decay .3"),
    ("guided", "decay 1"),
    ("guided", "decay 3"),
    ("decay .3", "plain"),
    ("decay 1", "plain"),
    ("decay 3", "plain"),
    ("guided, decay .3", "plain"),
    ("guided, decay .3", "guided"),
    ("guided, decay .3", "decay .3"),
    ("guided, decay 1", "plain"),
    ("guided, decay 1", "guided"),
    ("guided, decay 1", "decay 1"),
    ("guided, decay 1", "random order, decay 1"),
    ("guided, decay 3", "guided"),
)


def pairs(module, runs):
    """Pairs of data set and seed in which one training is above and below another."""
    rows = []
    for one, other in PAIRS:
        cells = []
        for name in MEASURES:
            differences = [
                ours[name] - theirs[name]
                for found in runs.values()
                for ours, theirs in zip(found[one], found[other], strict=True)
            ]
            above, below = (sum(sign * d > 0 for d in differences) for sign in (1, -1))
            cells.append(f"+{above} -{below} of {len(differences)}")
        rows.append([f"{one} / {other}", *cells])
    header = [f"{module}, above and below: one / other", *MEASURES.values()]
    return markdown_table(header, rows)


def report(settings, runs):
    tables = "\n\n".join(
        text
        for module, found in runs.items()
        for text in (pairs(module, found), *(table(module, name, found) for name in MEASURES))
    )
    return (
        f"{tables}\n\nMean over {len(settings['seeds'])} seeds, which set `random_state`; the "
        "split is the one that the data come with. In brackets the seeds in which it lies above "
        "and below plain. Networks at their defaults but for what the columns say. "
        f"Gaps on the first {METRIC_ROWS} test series, {N_DRAWS} draws. {describe(settings)}"
    )


def main():
    arguments = parser(__doc__.split("\n")[0])
    arguments.add_argument("--data", nargs="+", choices=DATA, help="run these data sets only")
    arguments.add_argument("--modules", nargs="+", choices=MODULES, help="and these networks")
    options = arguments.parse_args()
    if options.write and (options.data or options.modules):
        raise SystemExit("--write needs all data sets and networks: leave the choices out.")
    torch.set_flush_denormal(True)  # training slows down where weights decay to tiny numbers
    names = options.data or (DATA[:1] if options.quick else DATA)
    modules = options.modules or (MODULES[:1] if options.quick else MODULES)
    seeds = [0] if options.quick else [0, 1, 2]
    settings = start("real_series", options, modules=list(modules), data=list(names), seeds=seeds)
    runs = {module: {name: {arm: [] for arm in TRAININGS} for name in names} for module in modules}
    tasks = list(product(modules, names, TRAININGS, seeds))
    for module, name, label, seed in tqdm(tasks, unit="net"):
        runs[module][name][label].append(measure(module, name, TRAININGS[label], seed))
    text = report(settings, runs)
    print(text)
    if options.write:
        save_json("real_series", {"settings": settings, "runs": runs})
        write_pages("real_series", text, [PAGE])


if __name__ == "__main__":
    main()
