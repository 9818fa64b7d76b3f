"""What guided training does: plain, guided and control training on tables and images.

A seed sets split, generated data and `random_state`. Each finished (data, seed, model) is saved
at once, and a run that was cut off goes on where it stopped if no code has changed since.
"""

import hashlib
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import _data
import numpy as np
import torch
from _report import ROOT, describe, markdown_table, parser, save_json, start, write_pages
from sklearn.model_selection import train_test_split
from tqdm import tqdm

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor, paper_settings
from sgt_sklearn.metrics import (
    get_interpretability_scorer_names,
    gini_sparseness,
    make_interpretability_scorer,
    relevance_average_precision,
    relevance_mass_accuracy,
)

CHECKPOINT = ROOT / "build" / "effects.json"
WEIGHT_DECAYS = (0.0, 0.01, 0.1, 1.0, 3.0)
N_DRAWS = 2
METRIC_ROWS = 300


@dataclass(frozen=True)
class Study:
    """A data set with what all its models share."""

    load: Callable
    kind: str = "tabular"
    params: dict = field(default_factory=dict)


IMAGES = {"kind": "image", "params": {"max_epochs": 4}}
STUDIES = {
    "breast_cancer": Study(_data.breast_cancer),
    "digits": Study(_data.digits),
    "wine + 27 noise columns": Study(_data.wine_with_noise),
    "make_classification": Study(_data.classification),
    "friedman1": Study(_data.friedman1),
    "MNIST": Study(_data.mnist, **IMAGES),
    "MNIST inverted": Study(partial(_data.mnist, inverted=True), **IMAGES),
}
SCORERS = get_interpretability_scorer_names(relevance=False)
OF_NOISE = ("neg_infidelity", "neg_max_sensitivity")
DRAWS = {"n_draws": N_DRAWS}
QUICK = ("wine + 27 noise columns", "friedman1")

# column of the tables: key of the measure
COLUMNS = {
    "score": "score",
    "compr. gap": "comprehensiveness_gap",
    "suff. gap": "sufficiency_gap",
    "compr. gap, flips": "comprehensiveness_gap_flip",
    "suff. gap, flips": "sufficiency_gap_flip",
    "removal gap": "removal_gap",
    "infid. gap": "neg_infidelity",
    "sens. gap": "neg_max_sensitivity",
    "Gini": "gini_sparseness",
    "AP of relevant": "average_precision",
    "mass outside": "mass_outside",
}


# models


def estimator(study, split, seed, **params):
    cls = SaliencyGuidedClassifier if split.classifies else SaliencyGuidedRegressor
    return cls(random_state=seed, **(study.params | params))


def fitted(study, split, seed, **params):
    """Fit an estimator with changed parameters; return it and what it was tuned to."""
    return estimator(study, split, seed, **params).fit(split.X_train, split.y_train), {}


def paper(study, split, seed):
    return fitted(study, split, seed, **paper_settings(study.kind))


def weight_decay(study, split, seed):
    """Plain training with the weight decay that is best on a quarter of the training data."""
    X, X_valid, y, y_valid = train_test_split(
        split.X_train,
        split.y_train,
        test_size=0.25,
        stratify=split.y_train if split.classifies else None,
        random_state=seed,
    )
    params = {"optimizer": torch.optim.AdamW, "consistency_weight": 0}
    scores = {}
    for value in WEIGHT_DECAYS:
        model = estimator(study, split, seed, optimizer__weight_decay=value, **params)
        scores[value] = model.fit(X, y).score(X_valid, y_valid)
    best = max(scores, key=scores.get)
    model, _ = fitted(study, split, seed, optimizer__weight_decay=best, **params)
    return model, {"weight_decay": best}


def constant(study, split, seed):
    """Predict the majority class or the mean of y: a net whose weights are zero."""
    model, _ = fitted(study, split, seed, max_epochs=1)
    with torch.no_grad():
        *weights, bias = model.module_.parameters()
        for weight in weights:
            weight.zero_()
        bias.zero_()
        if split.classifies:
            labels, counts = np.unique(split.y_train, return_counts=True)
            bias[np.searchsorted(model.classes_, labels[counts.argmax()])] = 1.0
    return model, {}


MODELS = {
    "plain": partial(fitted, consistency_weight=0),
    "guided": fitted,
    "paper setting": paper,
    "random order": partial(fitted, mask_order="random"),
    "weight decay": weight_decay,
    "lambda = 1000": partial(fitted, consistency_weight=1000.0),
    "constant": constant,
}
USELESS = ("lambda = 1000", "constant")


# measures


def scorers(classifies):
    """Every scorer that needs no truth, and the gaps in flips for classifiers.

    Gaps to a random order are means over few draws; of noise the draws are the noisy copies.
    """
    found = {
        name: make_interpretability_scorer(name, **({} if name in OF_NOISE else DRAWS))
        for name in SCORERS
    }
    if classifies:
        for name in ("comprehensiveness_gap", "sufficiency_gap"):
            found[f"{name}_flip"] = make_interpretability_scorer(name, outcome="flip", **DRAWS)
    return found


def measure(model, split):
    """Return all measures of a fitted model; model-based ones on the first test rows."""
    rows = slice(METRIC_ROWS)
    X, y = split.X_test[rows], split.y_test[rows]
    measures = {"score": model.score(split.X_test, split.y_test)}
    for name, scorer in scorers(split.classifies).items():
        measures[name] = scorer(model, X, y)
    attributions = model.attribute(X, standardized=True)
    measures["gini_sparseness"] = gini_sparseness(attributions)
    if split.relevance is not None:
        measures["average_precision"] = relevance_average_precision(attributions, split.relevance)
    if split.inside is not None:
        inside = relevance_mass_accuracy(attributions, split.inside[rows])
        measures["mass_outside"] = 1 - inside
    return {name: round(float(value), 5) for name, value in measures.items()}


def chance(split):
    """Return what no model at all gets."""
    levels = {"score": 0.0}
    if split.classifies:
        labels, counts = np.unique(split.y_train, return_counts=True)
        levels["score"] = np.mean(split.y_test == labels[counts.argmax()])
    if split.relevance is not None:
        levels["average_precision"] = split.relevance.mean()
    if split.inside is not None:
        levels["mass_outside"] = 1 - split.inside[:METRIC_ROWS].mean()
    return {name: round(float(value), 5) for name, value in levels.items()}


# running


def fingerprint():
    """Digest of the code that the results depend on."""
    paths = sorted((ROOT / "sgt_sklearn").rglob("*.py"))
    paths += [ROOT / "benchmarks" / name for name in ("_data.py", "effects.py")]
    digest = hashlib.sha256()
    for path in paths:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def load_checkpoint(settings, resume):
    """Return the finished runs of the same code and settings, or none."""
    if not CHECKPOINT.exists():
        return {}
    saved = json.loads(CHECKPOINT.read_text(encoding="utf-8"))
    if resume or saved["settings"] == settings:
        return saved["runs"]
    print(f"  the code or the settings have changed since {CHECKPOINT} was written: starting anew")
    return {}


def save_checkpoint(settings, runs):
    CHECKPOINT.parent.mkdir(exist_ok=True)
    part = CHECKPOINT.with_suffix(".part")
    part.write_text(json.dumps({"settings": settings, "runs": runs}), encoding="utf-8")
    part.replace(CHECKPOINT)


def run_all(settings, resume):
    """Return measures by "data/seed/model", going on from the checkpoint."""
    runs = load_checkpoint(settings, resume)
    tasks = [(name, seed) for name in settings["data"] for seed in settings["seeds"]]
    bar = tqdm(total=len(tasks) * len(MODELS), unit="model")
    for name, seed in tasks:
        study, split = STUDIES[name], None
        for label, build in {"chance": None, **MODELS}.items():
            key = f"{name}/{seed}/{label}"
            bar.set_description(key)
            if key not in runs:
                split = split or study.load(seed)
                if build is None:
                    runs[key] = chance(split)
                else:
                    model, tuned = build(study, split, seed)
                    runs[key] = measure(model, split) | tuned
                save_checkpoint(settings, runs)
            bar.update(build is not None)
    bar.close()
    return runs


# verdicts


@dataclass(frozen=True)
class Results:
    """Measures of all runs, asked by data set, model and name."""

    runs: dict
    data: list
    seeds: list

    @property
    def enough(self):
        """Seeds that a count needs: 4 of 5."""
        return math.ceil(0.8 * len(self.seeds))

    def values(self, data, model, measure):
        """One value a seed, None where the measure does not apply."""
        found = [self.runs[f"{data}/{seed}/{model}"].get(measure) for seed in self.seeds]
        return None if None in found else found

    def mean(self, data, model, measure):
        return statistics.mean(self.values(data, model, measure))

    def count(self, data, measure, better, *others):
        """Seeds in which `better` is above all `others`."""
        values = [self.values(data, model, measure) for model in (better, *others)]
        return sum(first > max(rest) for first, *rest in zip(*values, strict=True))

    def of_kind(self, kind):
        return [name for name in self.data if STUDIES[name].kind == kind]


def mean_with_error(values):
    """Mean and its standard error (nan for one value)."""
    values = np.asarray(values)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def verdict(holds, text):
    return f"- {'**holds**' if holds else '**does not hold**'}: {text}"


def score_verdicts(results):
    """Guided scores within one point of plain ones."""
    for data in results.data:
        plain, guided = (results.values(data, m, "score") for m in ("plain", "guided"))
        within = sum(g >= p - 0.01 for g, p in zip(guided, plain, strict=True))
        yield verdict(
            statistics.mean(guided) >= statistics.mean(plain) - 0.01,
            f"{data}: score of guided within one point of plain or better "
            f"({statistics.mean(guided):.3f} against {statistics.mean(plain):.3f}; "
            f"{within} of {len(results.seeds)} seeds)",
        )


def tabular_verdicts(results):
    """Guided above plain and above the control."""
    for data in results.of_kind("tabular"):
        for measure in ("comprehensiveness_gap", "sufficiency_gap", "average_precision"):
            if results.values(data, "plain", measure) is None:
                continue
            count = results.count(data, measure, "guided", "plain", "random order")
            means = [results.mean(data, m, measure) for m in ("guided", "plain", "random order")]
            yield verdict(
                count >= results.enough,
                f"{data}: {measure} of guided above plain and control in {count} of "
                f"{len(results.seeds)} seeds ({means[0]:.3f} against {means[1]:.3f} and "
                f"{means[2]:.3f})",
            )


def image_verdicts(results):
    """Mass outside the digit under the paper's setting, and accuracy of the defaults."""
    for data in results.of_kind("image"):
        upright = "inverted" not in data
        mass = [
            results.values(data, model, "mass_outside") for model in ("paper setting", "plain")
        ]
        ratio = statistics.mean(mass[0]) / statistics.mean(mass[1])
        lower = sum(p < q for p, q in zip(*mass, strict=True))
        expected = "at most .75 of plain" if upright else "no lower than plain"
        yield verdict(
            ratio <= 0.75 if upright else lower < results.enough,
            f"{data}: mass outside the digit with the paper's setting {expected} "
            f"({statistics.mean(mass[0]):.3f} against {statistics.mean(mass[1]):.3f}, ratio "
            f"{ratio:.2f}; lower in {lower} of {len(results.seeds)} seeds)",
        )
        guided, plain = (results.values(data, model, "score") for model in ("guided", "plain"))
        difference, error = mean_with_error(np.subtract(guided, plain))
        yield verdict(
            difference >= 0,
            f"{data}: accuracy of guided (defaults) not below plain "
            f"({statistics.mean(guided):.4f} against {statistics.mean(plain):.4f}, paired "
            f"difference {difference:+.4f}, standard error {error:.4f})",
        )


def scorer_verdicts(results):
    """No scorer may prefer a useless model."""
    for name in SCORERS:
        fooled = []
        for data in results.data:
            means = {model: results.mean(data, model, name) for model in MODELS}
            first = max(means, key=means.get)
            if first in USELESS:
                fooled.append(f"{first} on {data}")
        yield verdict(
            not fooled,
            f"{name} ranks neither lambda = 1000 nor the constant predictor first"
            + (f" (first: {'; '.join(fooled)})" if fooled else ""),
        )


def weight_decay_lines(results):
    """Guided beside tuned weight decay, for which nothing was expected."""
    for data in results.of_kind("tabular"):
        parts = []
        for measure in ("score", "comprehensiveness_gap", "sufficiency_gap", "average_precision"):
            if results.values(data, "plain", measure) is not None:
                count = results.count(data, measure, "guided", "weight decay")
                parts.append(f"{measure} {count} of {len(results.seeds)}")
        yield f"- {data}: guided above tuned weight decay in {', '.join(parts)} seeds"


def verdicts(results):
    """Return every expectation as a list of lines under headings."""
    sections = {
        "Scores": score_verdicts,
        "Gaps and average precision on tables": tabular_verdicts,
        "Images": image_verdicts,
        "Scorers": scorer_verdicts,
        "Beside weight decay": weight_decay_lines,
    }
    parts = []
    for title, lines in sections.items():
        if lines := list(lines(results)):
            parts.append(f"{title}:\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


# tables


def cell(values):
    if values is None:
        return ""
    spread = f" ({statistics.stdev(values):.3f})" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread}"


def table(results, data):
    """Return the table of one data set: a row a model, mean and standard deviation over seeds."""
    shown = {
        title: name
        for title, name in COLUMNS.items()
        if results.values(data, "plain", name) is not None
    }
    rows = []
    for model in (*MODELS, "chance"):
        cells = [cell(results.values(data, model, name)) for name in shown.values()]
        if model == "chance":
            cells = [
                text or ("0" if "gap" in title else "")
                for text, title in zip(cells, shown, strict=True)
            ]
        rows.append([model, *cells])
    return markdown_table([data, *shown], rows)


def report(settings, results):
    """Return verdicts, tables and settings as markdown."""
    tables = "\n\n".join(table(results, data) for data in results.data)
    return (
        f"{verdicts(results)}\n\n{tables}\n\n"
        f"Mean over {len(results.seeds)} seeds (standard deviation); a seed sets the split, the "
        "generated data and `random_state`.\nAll models are out of the box but for what their "
        f"name says; images train {IMAGES['params']['max_epochs']} epochs. Weight decay: AdamW, "
        f"best of {', '.join(f'{value:g}' for value in WEIGHT_DECAYS)} on a quarter of the "
        f"training data. Score: accuracy or R2 on the test data;\nother measures on its first "
        f"{METRIC_ROWS} rows, {N_DRAWS} draws. Chance: majority class or mean of y, an order or a "
        f"mass that knows nothing. {describe(settings)}"
    )


def main():
    arguments = parser(__doc__.split("\n")[0])
    arguments.add_argument("--data", nargs="+", choices=STUDIES, help="run these data sets only")
    arguments.add_argument(
        "--resume", action="store_true", help="go on although the code has changed"
    )
    options = arguments.parse_args()
    if options.write and options.data:
        raise SystemExit("--write needs all data sets: leave --data out.")
    settings = start(
        "effects",
        options,
        data=options.data or list(QUICK if options.quick else STUDIES),
        seeds=[0] if options.quick else [0, 1, 2, 3, 4],
        code=fingerprint(),
    )
    runs = run_all(settings, options.resume)
    results = Results(runs, settings["data"], settings["seeds"])
    text = report(settings, results)
    print(text)
    if options.write:
        save_json("effects", {"settings": settings, "runs": runs})
        write_pages("effects", text)


if __name__ == "__main__":
    main()
