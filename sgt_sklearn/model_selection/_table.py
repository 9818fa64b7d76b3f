"""Values of single seeds, and their summary, as data frames."""

import math

import numpy as np

from sgt_sklearn.model_selection._trainings import PLAIN

RUN_COLUMNS = ("metric", "method", "training", "seed", "value")


def import_pandas(who):
    """Return pandas, or raise naming how to install it."""
    try:
        import pandas as pd
    except ImportError as error:
        raise ImportError(
            f"{who} returns a pandas DataFrame, and pandas is not installed. Install it with "
            "`pip install pandas`."
        ) from error
    return pd


def runs_table(runs):
    """Return values of single seeds as a frame; `runs` are tuples of `RUN_COLUMNS`."""
    return import_pandas("compare_training").DataFrame(runs, columns=list(RUN_COLUMNS))


def comparison_table(runs, trainings, seeds, chance):
    """Return the summary over seeds.

    Parameters
    ----------
    runs : list of tuple
        Values with the meaning of `RUN_COLUMNS`.
    trainings : list of str
        Names of the trainings, in the order of the rows.
    seeds : list of int
        The seeds.
    chance : list of dict
        Known chance levels of each seed by metric.
    """
    values = {}
    for metric, method, training, seed, value in runs:
        values.setdefault((metric, method), {})[training, seed] = value
    rows = []
    for (metric, method), found in values.items():
        plain = np.array([found[PLAIN, seed] for seed in seeds])
        levels = [known.get(metric, math.nan) for known in chance]
        for training in trainings:
            ours = np.array([found[training, seed] for seed in seeds])
            difference = ours - plain
            rows.append(
                {
                    "metric": metric,
                    "method": method,
                    "training": training,
                    "mean": ours.mean(),
                    "sd": _sd(ours),
                    "difference": difference.mean(),
                    "standard_error": _sd(difference) / math.sqrt(len(seeds)),
                    "wins": int((difference > 0).sum()),
                    "n_seeds": len(seeds),
                    "chance": float(np.mean(levels)),
                }
            )
    table = import_pandas("compare_training").DataFrame(rows)
    # plain data: attributes are compared and written by pandas
    table.attrs["runs"] = [dict(zip(RUN_COLUMNS, run, strict=True)) for run in runs]
    table.attrs["seeds"] = list(seeds)
    return table


def _sd(values):
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
