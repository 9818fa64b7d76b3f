"""A frame of numbers and words, and transformers of it."""

import warnings

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

N_ROWS = 60


def make_frame(seed=0):
    """Numbers and words under names that cannot be told apart by parsing."""
    rng = np.random.default_rng(seed)
    words = ["b", "b_c", "x_y", "infrequent_sklearn", "a_b"]
    frame = pd.DataFrame(
        {
            "a": rng.choice(words, N_ROWS, p=[0.4, 0.3, 0.2, 0.05, 0.05]),
            "a_b": rng.choice(["c", "d"], N_ROWS),
            "home_town": rng.choice(words, N_ROWS),
            "home": rng.choice(["town_x_y", "town_b", "none"], N_ROWS),
            "n": rng.normal(size=N_ROWS),
            "n_a": rng.normal(size=N_ROWS),
            "x1": rng.gamma(2.0, size=N_ROWS),
            "x0": rng.normal(size=N_ROWS),
        }
    )
    frame.loc[rng.random(N_ROWS) < 0.2, "n"] = np.nan
    return frame


FRAME = make_frame()
WORDS = ["a", "a_b", "home_town", "home"]
NUMBERS = ["n_a", "x1", "x0"]
TARGET = np.arange(N_ROWS) % 3
SIGNS = (FRAME["x0"] > 0).to_numpy().astype(int)


def fitted(transformer, X, y=TARGET):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # small data: bins fall together, components repeat
        return transformer.fit(X, y)


def mixed(**options):
    return ColumnTransformer(
        [
            ("words", OneHotEncoder(), ["a", "home_town"]),
            ("more", OneHotEncoder(drop="first"), ["home", "a_b"]),
            ("filled", make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), ["n"]),
            ("nothing", PCA(), []),
            ("dropped", "drop", ["x1"]),
        ],
        **{"remainder": "passthrough"} | options,
    )
