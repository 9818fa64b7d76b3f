"""`compare_training` on a table, on small images and on series with known relevance.

The numbers are those of the public function, with its defaults but for what `STUDIES` says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from _report import ROOT, describe, markdown_table, parser, save_json, start, write_pages
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import make_relevance_time_series
from sgt_sklearn.model_selection import compare_training

PAGE = ROOT / "docs" / "comparison.md"
N_DRAWS = 2


@dataclass(frozen=True)
class Study:
    """A data set, an estimator, and what else `compare_training` is told."""

    load: Callable
    estimator: object
    options: dict = field(default_factory=dict)


def rare_feature(n_samples=600):
    """50 steps of 50 features: 6 of them are shifted up or down by the class, for 40 steps."""
    X, y, relevance = make_relevance_time_series(
        "rare_feature", n_samples=n_samples, random_state=0
    )
    return X.astype(np.float32), y, relevance


STUDIES = {
    "breast_cancer": Study(
        lambda: (*load_breast_cancer(return_X_y=True), None),
        make_pipeline(StandardScaler(), SaliencyGuidedClassifier()),
    ),
    "digits": Study(lambda: (*load_digits(return_X_y=True), None), SaliencyGuidedClassifier()),
    "rare_feature": Study(
        rare_feature,
        SaliencyGuidedClassifier("tcn", max_epochs=25),
        {"methods": ["saliency", "integrated_gradients"]},
    ),
}


def compare(study, n_seeds):
    X, y, relevance = study.load()
    return compare_training(
        study.estimator,
        X,
        y,
        relevance=relevance,
        n_seeds=n_seeds,
        metric_params={"n_draws": N_DRAWS},
        **study.options,
    )


def cell(row):
    """Return the mean; of what is compared with plain also the difference, its error and wins."""
    if row["training"] == "plain":
        return f"{row['mean']:.3f}"
    return (
        f"{row['mean']:.3f} ({row['difference']:+.3f} ± {row['standard_error']:.3f}, "
        f"{row['wins']}/{row['n_seeds']})"
    )


def markdown(name, table):
    """Return the table of one data set: a row a metric and method, a column a training."""
    trainings = list(dict.fromkeys(table["training"]))
    rows = []
    for (metric, method), part in table.groupby(["metric", "method"], sort=False):
        cells = {row["training"]: cell(row) for _, row in part.iterrows()}
        chance = part["chance"].iloc[0]
        rows.append(
            [
                metric + (f", {method}" if method else ""),
                *(cells[training] for training in trainings),
                "" if np.isnan(chance) else f"{chance:.3g}",
            ]
        )
    return markdown_table([name, *trainings, "chance"], rows)


def report(settings, tables):
    decays = "; ".join(
        f"{name} {', '.join(f'{value:g}' for value in table.attrs['weight_decay'])}"
        for name, table in tables.items()
    )
    return (
        "\n\n".join(markdown(name, table) for name, table in tables.items())
        + f"\n\nMean over {settings['n_seeds']} seeds; in brackets the paired difference to plain "
        "± its standard error, and the seeds in which the value is above plain. "
        f"Gaps with {N_DRAWS} draws. Weight decay chosen, by seed: {decays}. {describe(settings)}"
    )


def main():
    arguments = parser(__doc__.split("\n")[0])
    arguments.add_argument("--data", nargs="+", choices=STUDIES, help="run these data sets only")
    options = arguments.parse_args()
    if options.write and options.data:
        raise SystemExit("--write needs all data sets: leave --data out.")
    torch.set_flush_denormal(True)  # training slows down where weights decay to tiny numbers
    names = options.data or (["breast_cancer"] if options.quick else list(STUDIES))
    settings = start(
        "comparison",
        options,
        data=names,
        n_seeds=2 if options.quick else 5,
        study={"rare_feature": "600 series, 25 epochs"},
    )
    tables = {name: compare(STUDIES[name], settings["n_seeds"]) for name in names}
    text = report(settings, tables)
    print(text)
    if options.write:
        runs = {name: table.attrs for name, table in tables.items()}
        save_json("comparison", {"settings": settings, "tables": runs})
        write_pages("comparison", text, [PAGE])


if __name__ == "__main__":
    main()
