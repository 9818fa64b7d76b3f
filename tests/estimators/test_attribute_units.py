"""Units of explanations, against finite differences and rescaled data."""

import copy

import numpy as np
import pytest

from sgt_sklearn import SaliencyGuidedRegressor
from tests.estimators.attribute_cases import (
    ALL,
    GRADIENTS,
    IMAGES,
    METHODS,
    TABLE,
    TARGETS,
    N,
    close,
    fitted,
)

pytestmark = pytest.mark.usefixtures("full_precision")


@ALL
@pytest.mark.parametrize("method", METHODS)
def test_standardized_multiplies_gradients_by_the_spread_of_the_features(name, method, device):
    kind, net = fitted(name, device)
    options = {"method": method, "n_steps": 3, "n_samples": 2, "random_state": 0}
    values = net.attribute(kind.X, **options)
    scale = kind.X.std(0) if kind.X.ndim == 2 else kind.X.std((0, 2, 3)).reshape(-1, 1, 1)
    expected = values * scale if method in GRADIENTS else values
    close(net.attribute(kind.X, standardized=True, **options), expected, tolerance=1e-5)


@pytest.mark.parametrize("name", ["classifier", "images", "regressor", "two targets"])
@pytest.mark.parametrize("factor", [2.0, 0.1, 1000.0])
def test_rescaling_a_feature_divides_its_saliency(name, factor, device):
    kind, net = fitted(name, device)
    X = kind.X.copy()
    X[:, 1] *= factor
    rescaled = copy.copy(kind)
    rescaled.X = X
    other = rescaled.fit(device)
    values, expected = other.attribute(X), net.attribute(kind.X)
    close(values[:, 1] * factor, expected[:, 1], tolerance=0.02)
    products = other.attribute(X, method="input_x_gradient")
    close(products[:, 1], net.attribute(kind.X, method="input_x_gradient")[:, 1], tolerance=0.02)


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("data", [TABLE, IMAGES], ids=["table", "images"])
def test_regression_saliency_is_the_slope_of_predict(n_outputs, data, device):
    y = np.column_stack([TARGETS, 0.01 * TABLE[:, 3]])[:, :n_outputs]
    smooth = {"module__activation": "softplus"}  # and no max pooling
    smooth |= {"module__channels": ()} if data.ndim == 4 else {}
    net = SaliencyGuidedRegressor(max_epochs=5, device=device, random_state=0, **smooth)
    net.fit(data, y if n_outputs > 1 else y[:, 0])
    values = net.attribute(data, target="all")
    flat = data.reshape(N, -1)
    for column in range(0, flat.shape[1], max(1, flat.shape[1] // 6)):
        step = np.zeros_like(flat)
        step[:, column] = 0.05 * flat[:, column].std()
        up, down = ((flat + s * step).reshape(data.shape) for s in (1, -1))
        change = np.reshape(net.predict(up).astype(float) - net.predict(down), (N, n_outputs))
        width = (up.astype(float) - down).reshape(N, -1)[:, column]
        slope = change / width[:, None]
        largest = np.abs(values).reshape(N, n_outputs, -1).max((0, 2))
        got = values.reshape(N, n_outputs, -1)[:, :, column]
        assert (np.abs(got - slope) < 0.03 * largest).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
def test_rescaling_the_target_multiplies_the_saliency(scale, device):
    params = {"max_epochs": 3, "device": device, "random_state": 0}
    one = SaliencyGuidedRegressor(**params).fit(TABLE, TARGETS)
    other = SaliencyGuidedRegressor(**params).fit(TABLE, TARGETS * scale - 7)
    for method in ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient"):
        values, expected = (net.attribute(TABLE, method=method) for net in (other, one))
        close(values / scale, expected, tolerance=1e-3)
