"""Time series data sets that the package aeon ships."""

import numpy as np
from sklearn.utils import Bunch

from sgt_sklearn.datasets._checks import check_choice
from sgt_sklearn.datasets._installed import data_path
from sgt_sklearn.datasets._ts_format import read_ts

REQUIREMENT = "aeon==1.6.*"
_FEATURE_NAMES = {
    "ACSF1": ["power"],
    "ArrowHead": ["outline"],
    "CardanoSentiment": ["close_price", "volume"],
    "Covid3Month": ["confirmed_cases"],
    "Covid3Month_disc": ["confirmed_cases"],
    "GunPoint": ["hand_x"],
    "ItalyPowerDemand": ["power_demand"],
    "JapaneseVowels": [f"lpc_cepstrum_{i}" for i in range(1, 13)],
    "JapaneseVowels_eq": [f"lpc_cepstrum_{i}" for i in range(1, 13)],
    "OSULeaf": ["outline"],
    "PickupGestureWiimoteZ": ["acceleration_z"],
    "PickupGestureWiimoteZ_eq": ["acceleration_z"],
}
# of data sets whose files do not say it
_CONTENTS = {
    "CardanoSentiment": "Hourly close price (USD) and traded volume of the cryptocurrency Cardano "
    "during a day; the target is the normalised sentiment score of that day.",
    "Covid3Month_disc": "Covid3Month with its target, the death rate, cut into three classes.",
    "JapaneseVowels_eq": "JapaneseVowels, brought to one length.",
    "PickupGestureWiimoteZ_eq": "PickupGestureWiimoteZ, brought to one length.",
}


def load_time_series(name, *, split=None):
    """Load a time series data set from the installed package aeon.

    The package is not imported and needs none of its dependencies, and nothing is downloaded. To
    get the files::

        pip install --no-deps "aeon==1.6.*"

    Parameters
    ----------
    name : str
        Name of the data set.

        ==========================  ===========  ===========  ========  ==========
        name                        train, test  n_timesteps  features  target
        ==========================  ===========  ===========  ========  ==========
        "ACSF1"                     100, 100     1460         1         10 classes
        "ArrowHead"                 36, 175      251          1         3 classes
        "BasicMotions"              40, 40       100          6         4 classes
        "CardanoSentiment"          74, 33       24           2         number
        "Covid3Month"               140, 61      84           1         number
        "Covid3Month_disc"          140, 61      84           1         3 classes
        "GunPoint"                  50, 150      150          1         2 classes
        "ItalyPowerDemand"          67, 1029     24           1         2 classes
        "JapaneseVowels"            270, 370     7 to 29      12        9 classes
        "JapaneseVowels_eq"         270, 370     25           12        9 classes
        "OSULeaf"                   200, 242     427          1         6 classes
        "PickupGestureWiimoteZ"     50, 50       29 to 361    1         10 classes
        "PickupGestureWiimoteZ_eq"  50, 50       361          1         10 classes
        "UnitTest"                  20, 22       24           1         2 classes
        ==========================  ===========  ===========  ========  ==========

        The error for an unknown name lists what the installed release has.
    split : {"train", "test"} or None, default=None
        Which part of the published split to return; None returns both, the training part first.

    Returns
    -------
    sklearn.utils.Bunch
        - data : ndarray of float32, shape (n_samples, n_timesteps, n_features), or for series of
          unequal length a list of arrays of shape (n_timesteps_i, n_features); missing values
          are NaN;
        - target : ndarray of shape (n_samples,), for classes their position in `target_names`
          (int64), else numbers (float64); None where the files have neither;
        - target_names : list of str, the labels in the order of the file; only for classes;
        - feature_names : list of str; "x0", "x1", ... where the source does not name them;
        - train, test : ndarray of int64, positions of the two parts in `data`; only where `split`
          is None;
        - DESCR : str, description and source.

    Raises
    ------
    ImportError
        If aeon is not installed or does not ship these files.
    ValueError
        If `name` or `split` is none of the above, or a file is damaged.

    Examples
    --------
    >>> from sgt_sklearn.datasets import load_time_series
    >>> motions = load_time_series("BasicMotions", split="train")
    >>> motions.data.shape, motions.target_names
    ((40, 100, 6), ['Standing', 'Running', 'Walking', 'Badminton'])
    >>> vowels = load_time_series("JapaneseVowels")
    >>> [vowels.data[i].shape for i in vowels.test[:3]]
    [(19, 12), (17, 12), (19, 12)]
    """
    folder = data_path("aeon", "datasets", "data", requirement=REQUIREMENT)
    files = _shipped(folder)
    check_choice("name", name, sorted(files))
    if split not in (None, "train", "test"):
        raise ValueError(f"split must be 'train', 'test' or None for both, got {split!r}.")
    parts = {part: read_ts(path) for part, path in files[name].items()}
    train, test = parts["train"], parts["test"]
    if _kind(train) != _kind(test):
        raise ValueError(f"The two files of {name} in {folder} do not fit each other.")
    chosen = [train, test] if split is None else [parts[split]]
    equal = len({len(series) for part in (train, test) for series in part.series}) == 1
    data = [series for part in chosen for series in part.series]
    names = [f"x{j}" for j in range(data[0].shape[1])]
    bunch = Bunch(
        data=np.stack(data) if equal else data,
        target=None if train.target is None else np.concatenate([p.target for p in chosen]),
        feature_names=list(_FEATURE_NAMES.get(name, names)),
        DESCR=_description(name, train),
    )
    if train.labels:
        bunch.target_names = train.labels
    if split is None:
        bunch.train, bunch.test = np.split(np.arange(len(data)), [len(train.series)])
    return bunch


def _shipped(folder):
    """List the data sets that have both parts: name -> {"train": path, "test": path}."""
    files = {}
    for train in folder.glob("*/*_TRAIN.ts"):
        name = train.name.removesuffix("_TRAIN.ts")
        test = train.with_name(f"{name}_TEST.ts")
        if test.exists():
            files[name] = {"train": train, "test": test}
    return files


def _kind(part):
    return part.series[0].shape[1], part.labels, part.target is None


def _description(name, part):
    contents = part.description or _CONTENTS.get(name, "")
    return (
        f"{name}\n\n{contents}\n\nRead from the files that the Python package aeon ships "
        f"(aeon/datasets/data); published at https://www.timeseriesclassification.com.\n"
    )
