"""The example of compare_training runs and says what it should, on less."""

import importlib.util
from pathlib import Path

import matplotlib
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "compare_training.py"

pytest.importorskip("pandas")


def test_the_example(tmp_path, capsys):
    matplotlib.use("Agg")
    spec = importlib.util.spec_from_file_location("example_compare_training", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    means = example.main(max_epochs=15, n_seeds=1, folder=tmp_path)
    matplotlib.pyplot.close("all")
    assert set(means) == {"plain", "guided", "random order", "weight decay"}
    assert means["guided"]["relevance_average_precision"] > 0.6
    assert {path.name for path in tmp_path.iterdir()} == {
        "compare_training.png",
        "removal_curves.png",
    }
    printed = capsys.readouterr()
    assert "guided above all others in:" in printed.out
    assert "4 of 4: weight decay" in printed.err
