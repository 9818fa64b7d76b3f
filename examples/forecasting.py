"""
Forecasting one long series
===========================

A blood pressure, measured step by step, is cut into windows of 120 steps, from each of which the
next 20 are forecast at once. A linear model sees the same windows. The forecasts are judged in
later and later parts of the series, never on steps that training has seen; then the network says
which of the past steps each forecast rests on.

It needs the data that the package aeon ships (``pip install --no-deps "aeon==1.6.*"``) and
matplotlib; run it with ``python examples/forecasting.py``. It writes ``demo/forecasting.png``.
"""

# %%
import argparse
from pathlib import Path

import matplotlib
import numpy as np
import torch
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sgt_sklearn import SaliencyGuidedRegressor
from sgt_sklearn.datasets import load_long_series
from sgt_sklearn.preprocessing import SlidingWindow

LENGTH, HORIZON, STRIDE = 120, 20, 4
N_STEPS = 4000  # before the part of the series that was made anomalous
COLOURS = {"last value": "C7", "linear": "C0", "network, plain": "C1", "network, guided": "C2"}


def flatten(X):
    """Windows as rows of a table, for models that know no time."""
    return X.reshape(len(X), -1)


# %%
# Windows
# -------
# ``X[i]`` holds 120 steps and ``y[i]`` the 20 that follow. The splits leave a gap between training
# and test windows, so that no step is both a training and a test target.


def make_windows():
    series = load_long_series("InternalBleeding16").data[:N_STEPS]
    windows = SlidingWindow(length=LENGTH, horizon=HORIZON, stride=STRIDE)
    X, y = windows.make(series)
    return series, windows, X.astype(np.float32), y


# %%
# Models
# ------


def make_models(max_epochs):
    linear = make_pipeline(
        FunctionTransformer(flatten), StandardScaler(), RidgeCV(np.logspace(-2, 4, 13))
    )
    # a forecast starts from the last step, which with five blocks looks back over the whole window
    network = SaliencyGuidedRegressor(
        "tcn",
        module__pooling="last",
        module__channels=(32,) * 5,
        max_epochs=max_epochs,
        random_state=0,
    )
    return {
        "linear": linear,
        "network, plain": clone(network).set_params(consistency_weight=0),
        "network, guided": network,
    }


def errors(forecast, y):
    """Root mean squared error of each step ahead."""
    return np.sqrt(np.mean((forecast - y) ** 2, axis=0))


def evaluate(models, windows, X, y, n_splits):
    found = {name: [] for name in ("last value", *models)}
    for train, test in windows.time_series_split(n_splits).split(X):
        last = np.repeat(X[test, -1, :1], HORIZON, axis=1)
        found["last value"].append(errors(last, y[test]))
        for name, model in models.items():
            model.fit(X[train], y[train])
            found[name].append(errors(model.predict(X[test]), y[test]))
    return {name: np.mean(rows, axis=0) for name, rows in found.items()}


# %%
# What a forecast rests on
# ------------------------
# The gradient of one step of the forecast with respect to each step of the window, in units of the
# series. Averaged over windows it shows how far back the network looks.


def memory(network, X, step):
    return np.abs(network.attribute(X, target=step)).mean(axis=(0, 2))


def draw(path, series, windows, models, X_last, found):
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.6), layout="constrained")
    ahead = np.arange(1, HORIZON + 1)
    for name, values in found.items():
        left.plot(ahead, values, label=name, color=COLOURS[name])
    left.set(xlabel="steps ahead", ylabel="root mean squared error (mmHg)", title="Error")
    left.legend(fontsize=8)

    window = windows.last(series[:-HORIZON])
    time = np.arange(-LENGTH, HORIZON)
    middle.plot(time, series[-LENGTH - HORIZON :, 0], color="black", label="pressure")
    for name, model in models.items():
        forecast = model.predict(window.astype(np.float32))[0]
        middle.plot(time[LENGTH:], forecast, label=name, color=COLOURS[name])
    middle.axvline(-0.5, color="0.8", linewidth=1)
    middle.set(xlabel="step", ylabel="pressure (mmHg)", title="The last steps of the series")
    middle.legend(fontsize=8)

    for name in ("network, plain", "network, guided"):
        values = memory(models[name], X_last, HORIZON - 1)
        right.plot(time[:LENGTH], values / values.sum(), label=name, color=COLOURS[name])
    right.set(
        xlabel="step before the forecast",
        ylabel="share of the mean absolute gradient",
        title=f"What the forecast {HORIZON} steps ahead rests on",
    )
    right.legend(fontsize=8)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=120)


# %%
def main(max_epochs=20, n_splits=3, folder="demo"):
    torch.set_num_threads(1)
    series, windows, X, y = make_windows()
    models = make_models(max_epochs)
    found = evaluate(models, windows, X, y, n_splits)
    print(f"{len(X)} windows; root mean squared error in mmHg, mean of {n_splits} later parts")
    print(f"{'':18}{'1 ahead':>10}{f'{HORIZON} ahead':>10}{'all':>10}")
    for name, values in found.items():
        overall = np.sqrt(np.mean(values**2))
        print(f"{name:18}{values[0]:10.2f}{values[-1]:10.2f}{overall:10.2f}")
    # the models of the last split; the gap keeps its test windows unseen
    *_, (_, test) = windows.time_series_split(n_splits).split(X)
    path = Path(folder, "forecasting.png")
    draw(path, series, windows, models, X[test], found)
    print(f"wrote {path}")
    return found


if __name__ == "__main__":
    matplotlib.use("Agg")
    parser = argparse.ArgumentParser(description="Forecast one long series.")
    parser.add_argument("--epochs", type=int, default=20)
    main(parser.parse_args().epochs)
