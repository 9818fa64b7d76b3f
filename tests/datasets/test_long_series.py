from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sgt_sklearn.datasets import load_long_series

FILES = {
    "Airline": "Airline/Airline.csv",
    "InternalBleeding16": "KDD-TSAD_135/135_UCR_Anomaly_InternalBleeding16_TEST.csv",
    "Lynx": "Lynx/Lynx.csv",
    "solar": "solar/solar.csv",
}
needs_aeon = pytest.mark.skipif(find_spec("aeon") is None, reason="pip install --no-deps aeon")


def frame(file):
    folder = Path(find_spec("aeon").submodule_search_locations[0], "datasets", "data")
    return pd.read_csv(folder / file)


@needs_aeon
@pytest.mark.parametrize("name", FILES)
def test_values_are_those_of_the_files(name):
    series = load_long_series(name)
    expected = frame(FILES[name]).iloc[:, 1].to_numpy(dtype=np.float64)
    np.testing.assert_array_equal(series.data, expected[:, None])
    assert len(series.feature_names) == 1
    assert name in series.DESCR


@needs_aeon
def test_the_description_says_where_the_pressure_is_anomalous():
    values = frame(FILES["InternalBleeding16"])
    anomalous = values["timestamp"][values["is_anomaly"] == 1]
    assert (anomalous.min(), anomalous.max()) == (4187, 4198)
    assert "4187 to 4198" in load_long_series("InternalBleeding16").DESCR


def test_unknown_name():
    with pytest.raises(ValueError, match=r"name must be one of Airline, .*got 'sunspots'"):
        load_long_series("sunspots")


@pytest.mark.parametrize("content", ["time,value\n1,2\n2,much\n", "time,value\n1\n"])
def test_a_damaged_file_is_named(content, tmp_path, monkeypatch):
    file = tmp_path / "Lynx.csv"
    file.write_text(content)
    monkeypatch.setattr("sgt_sklearn.datasets._long_series.data_path", lambda *a, **k: file)
    with pytest.raises(ValueError, match=r"Lynx\.csv must hold a number in the second column"):
        load_long_series("Lynx")


def test_missing_package_names_the_pip_line(monkeypatch):
    monkeypatch.setattr("sgt_sklearn.datasets._installed.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install --no-deps "aeon'):
        load_long_series("Lynx")
