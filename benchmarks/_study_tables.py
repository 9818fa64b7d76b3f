"""Tables of the time series study, as markdown; what has not run is left out."""

import statistics
from itertools import product

from _report import markdown_table
from _study import above, mean, value

FITTED = 0.99


def number(x):
    return "-" if x is None else f"{x:.3f}"


def titled(module, seeds):
    return f"{module}, {len(seeds)} seed{'s' * (len(seeds) > 1)}"


def overview(results, module, arms, kinds, seeds):
    """Gradient average precision: a row an arm, mean over seeds and wins against plain."""
    rows, base = [], results.many(module, kinds, seeds, arms["plain"])
    for name, training in arms.items():
        found = results.many(module, kinds, seeds, training)
        if found is None:
            continue
        cells, means, wins = [], [], 0
        for kind in kinds:
            values = [value(result, "saliency") for result in found[kind]]
            means.append(mean(values))
            text = number(means[-1])
            if base is not None and name != "plain":
                won = above(values, [value(result, "saliency") for result in base[kind]])
                wins += won
                text += f" ({won})"
            cells.append(text)
        total = f"{wins}/{len(kinds) * len(seeds)}" if base is not None and name != "plain" else ""
        rows.append([name, *cells, number(mean(means)), total])
    chance = [results.chance(kind) for kind in kinds]
    if rows and None not in chance:
        values = [found["random"]["ap"] for found in chance]
        rows.append(["chance", *map(number, values), number(mean(values)), ""])
    header = [f"{titled(module, seeds)}: average precision of the gradient", *kinds]
    header += ["mean", "above plain"]
    return markdown_table(header, rows) if rows else ""


SHORT = {
    "saliency": "grad",
    "input_x_gradient": "grad x input",
    "integrated_gradients": "IG",
    "path_gradient": "path",
}


def details(results, module, arms, kinds, seeds):
    """Accuracy, confidence and all explanations: a row a kind and arm, mean over seeds."""
    rows = []
    for kind in kinds:
        for name, training in arms.items():
            found = [results.of(module, kind, seed, training) for seed in seeds]
            if None in found:
                continue
            unfitted = sum(result["train_accuracy"] < FITTED for result in found)
            row = [f"{kind}, {name}"]
            for measure in ("train_accuracy", "test_accuracy", "confidence"):
                text = number(mean(result[measure] for result in found))
                row.append(text + (f" !{unfitted}" if unfitted and "train" in measure else ""))
            for score in ("ap", "aupr"):
                row += [number(mean(value(r, m, score) for r in found)) for m in SHORT]
            rows.append(row)
        if rows and (chance := results.chance(kind)):
            levels = [number(chance["random"][score]) for score in ("ap", "aupr") for _ in SHORT]
            rows.append([f"{kind}, chance", "", "0.500", "", *levels])
    header = [titled(module, seeds), "train acc.", "test acc.", "confidence"]
    header += [f"{score} {short}" for score in ("AP", "AUPR") for short in SHORT.values()]
    return markdown_table(header, rows) if rows else ""


def verdict(holds, text):
    return f"- {'**holds**' if holds else '**does not hold**'}: {text}"


def expectations(results, arms, seeds):
    """The lines that were expected before the study ran, each with what came out."""
    kinds = ("rare_time", "rare_feature", "moving_rare_time")
    arms_and_controls = (
        ("guided", "control"),
        ("guided_decay", "control_decay"),
        ("ramp", "ramp_control"),
    )
    for kind, (arm, control) in product(kinds, arms_and_controls):
        found = [
            [results.of("tcn", kind, seed, arms[name]) for seed in seeds]
            for name in (arm, "plain", control)
        ]
        if any(None in values for values in found):
            continue
        ours, plain, random = ([value(r, "saliency") for r in values] for values in found)
        gains, over_control, n = above(ours, plain, by=0.1), above(ours, random), len(seeds)
        yield verdict(
            gains == over_control == n,
            f"TCN, {kind}: average precision of the gradient of {arm} at least .10 above plain "
            f"in {gains} of {n} seeds and above {control} in {over_control} of {n} "
            f"({number(mean(ours))} against {number(mean(plain))} and {number(mean(random))})",
        )


PAIRS = (
    ("guided", "plain"),
    ("guided", "control"),
    ("guided", "decay"),
    ("guided_decay", "plain"),
    ("guided_decay", "decay"),
    ("guided_decay", "control_decay"),
    ("control_decay", "plain"),
    ("control_decay", "decay"),
    ("paper", "plain"),
    ("ramp", "plain"),
    ("ramp", "ramp_control"),
)


def pairs(results, module, arms, kinds, seeds):
    """Paired wins in gradient average precision: a row a pair of arms."""
    rows = []
    for one, other in PAIRS:
        both = [results.many(module, kinds, seeds, arms[name]) for name in (one, other)]
        if None in both:
            continue
        wins, differences = [], []
        for kind in kinds:
            ours, theirs = ([value(r, "saliency") for r in found[kind]] for found in both)
            wins.append(above(ours, theirs))
            if None not in ours + theirs:
                differences += [a - b for a, b in zip(ours, theirs, strict=True)]
        total = f"{sum(wins)}/{len(kinds) * len(seeds)}"
        shown = f"{statistics.mean(differences):+.3f}" if differences else "-"
        rows.append(
            [f"{one} above {other}", *(f"{won}/{len(seeds)}" for won in wins), total, shown]
        )
    header = [f"{titled(module, seeds)}: in which", *kinds, "all", "mean difference"]
    return markdown_table(header, rows) if rows else ""


def decay_table(results, modules, decays):
    rows = []
    for module in modules:
        if (grid := results.grid(module)) is not None:
            tuned = results.tuned(module)
            cells = [
                f"{accuracy:.3f} / {number(precision)}" for accuracy, precision in grid.values()
            ]
            rows.append([module, *cells, f"{tuned:g}"])
    header = [
        "accuracy / average precision of the gradient",
        *map("{:g}".format, decays),
        "chosen",
    ]
    return markdown_table(header, rows) if rows else ""


def candidates_table(results, module, candidates, kinds, seeds):
    """Everything that was tried on the tuning kinds, best first.

    Those that ran with the first seed only, and were given up then, stand behind the others.
    """
    tried = {}
    for name, training in candidates.items():
        for some in (seeds, seeds[:1]):
            if (found := results.many(module, kinds, some, training)) is not None:
                tried[name] = found
                break

    def scored(name, n_seeds, method="saliency"):
        return [value(r, method) for kind in kinds for r in tried[name][kind][:n_seeds]]

    def rank(name):
        n_seeds = len(tried[name][kinds[0]])
        return -n_seeds, -(mean(scored(name, n_seeds)) or 0)

    rows = []
    for name in sorted(tried, key=rank):
        n_seeds = len(tried[name][kinds[0]])
        found = [result for kind in kinds for result in tried[name][kind]]
        ours = scored(name, n_seeds)
        accuracy = statistics.mean(result["test_accuracy"] for result in found)
        unfitted = sum(result["train_accuracy"] < FITTED for result in found)
        split = [mean(value(r, "saliency") for r in tried[name][kind]) for kind in kinds]
        wins = []
        for other in ("plain", "decay", "control"):
            theirs = scored(other, n_seeds) if other in tried else []
            paired = other != name and len(theirs) == len(ours)
            wins.append(f"{above(ours, theirs)}/{len(ours)}" if paired else "")
        mark = f" !{unfitted}" if unfitted else ""
        rows.append(
            [
                name,
                n_seeds,
                f"{accuracy:.3f}{mark}",
                *map(number, split),
                number(mean(ours)),
                *wins,
            ]
            + [number(mean(scored(name, n_seeds, m))) for m in SHORT if m != "saliency"]
        )
    header = [module, "seeds", "test acc.", *(f"AP grad {kind}" for kind in kinds), "mean"]
    header += ["above plain", "above decay", "above control"]
    header += [f"AP {short}" for method, short in SHORT.items() if method != "saliency"]
    return markdown_table(header, rows) if rows else ""
