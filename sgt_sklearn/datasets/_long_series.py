"""Single long series that the package aeon ships."""

import csv

import numpy as np
from sklearn.utils import Bunch

from sgt_sklearn.datasets._checks import check_choice
from sgt_sklearn.datasets._installed import data_path
from sgt_sklearn.datasets._time_series_files import REQUIREMENT

# name: (file, name of the feature, description)
_SERIES = {
    "Airline": (
        "Airline/Airline.csv",
        "passengers",
        "International airline passengers, in thousands a month, 1949 to 1960 (Box, Jenkins, "
        "Reinsel: Time series analysis, series G).",
    ),
    "InternalBleeding16": (
        "KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv",
        "pressure",
        "Arterial blood pressure of a pig, in mmHg, from the UCR anomaly archive (KDD Cup 2021). "
        "Steps 4187 to 4198 were made anomalous.",
    ),
    "Lynx": (
        "Lynx/Lynx.csv",
        "trappings",
        "Canadian lynx trapped a year, 1821 to 1934 (Campbell, Walker 1977).",
    ),
    "solar": (
        "solar/solar.csv",
        "generation",
        "Solar generation of Great Britain's grid in each half hour from 1 May 2021, scaled.",
    ),
}


def load_long_series(name):
    """Load one long series from the installed package aeon, for forecasting.

    The package is not imported and needs none of its dependencies, and nothing is downloaded. To
    get the files::

        pip install --no-deps "aeon==1.6.*"

    Parameters
    ----------
    name : {"Airline", "InternalBleeding16", "Lynx", "solar"}
        144 months of airline passengers, 7,501 steps of a blood pressure, 114 years of trapped
        lynx, 289 half hours of solar generation.

    Returns
    -------
    sklearn.utils.Bunch
        - data : ndarray of float64, shape (n_timesteps, 1);
        - feature_names : list of one str;
        - DESCR : str, description and source.

    Raises
    ------
    ImportError
        If aeon is not installed or does not ship the file.
    ValueError
        If `name` is none of the above, or a file is damaged.

    See Also
    --------
    sgt_sklearn.preprocessing.SlidingWindow : Cuts a series into windows and what follows them.

    Examples
    --------
    >>> from sgt_sklearn.datasets import load_long_series
    >>> load_long_series("Airline").data[:3, 0].tolist()
    [112.0, 118.0, 132.0]
    """
    check_choice("name", name, sorted(_SERIES))
    file, feature, description = _SERIES[name]
    path = data_path("aeon", "datasets", "data", *file.split("/"), requirement=REQUIREMENT)
    with path.open(newline="") as lines:
        _, *rows = csv.reader(lines)
    try:
        values = np.array([float(row[1]) for row in rows])
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} must hold a number in the second column. {error}") from error
    return Bunch(
        data=values[:, None],
        feature_names=[feature],
        DESCR=f"{name}\n\n{description}\n\nRead from the files that the Python package aeon ships "
        "(aeon/datasets/data).\n",
    )
