"""What guided training does: plain, guided and control training on tables and images.

A seed sets split, generated data and `random_state`. Each finished (data, seed, model) is saved
at once, and a run that was cut off goes on where it stopped if no code has changed since.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import _data
import numpy as np
import torch
from _effects_pages import pages
from _report import ROOT, parser, publish, render, save_json, start
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


# models


def estimator(study, split, seed, **params):
    cls = SaliencyGuidedClassifier if split.classifies else SaliencyGuidedRegressor
    return cls(random_state=seed, **(study.params | params))


def fitted(study, split, seed, **params):
    """Fit an estimator with changed parameters; return it and what it was tuned to."""
    return estimator(study, split, seed, **params).fit(split.X_train, split.y_train), {}


def paper(study, split, seed):
    return fitted(study, split, seed, **paper_settings(study.kind))


def best_weight_decay(scores):
    """Return the decay of the best score; of several the largest, as `compare_training` does."""
    return max(scores, key=lambda value: (scores[value], value))


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
    best = best_weight_decay(scores)
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


def main():
    arguments = parser(__doc__.split("\n")[0], renders=True)
    arguments.add_argument("--data", nargs="+", choices=STUDIES, help="run these data sets only")
    arguments.add_argument(
        "--resume", action="store_true", help="go on although the code has changed"
    )
    options = arguments.parse_args()
    if options.render:
        render("effects", pages, arguments, options)
        return
    if options.write and options.data:
        raise SystemExit("--write needs all data sets: leave --data out.")
    settings = start(
        "effects",
        options,
        data=options.data or list(QUICK if options.quick else STUDIES),
        seeds=[0] if options.quick else [0, 1, 2, 3, 4],
        image_epochs=IMAGES["params"]["max_epochs"],
        weight_decays=list(WEIGHT_DECAYS),
        of_tied_decays="largest",
        metric_rows=METRIC_ROWS,
        n_draws=N_DRAWS,
        code=fingerprint(),
    )
    content = {"settings": settings, "runs": run_all(settings, options.resume)}
    print(pages(content)[1])
    if options.write:
        save_json("effects", content)
        publish("effects", content, pages)


if __name__ == "__main__":
    main()
