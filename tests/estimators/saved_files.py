"""A saved estimator, and ways to change its file."""

import numpy as np
from hypothesis import strategies as st

from sgt_sklearn import SaliencyGuidedClassifier

RNG = np.random.default_rng(0)
X = RNG.standard_normal((24, 3)).astype(np.float32)
Y = np.array(["no", "yes"])[(X[:, 0] > 0).astype(int)]
PLACE = st.floats(0, 1, exclude_max=True)


def fitted(**params):
    defaults = {"max_epochs": 2, "batch_size": 8, "device": "cpu", "random_state": 0}
    return SaliencyGuidedClassifier(**defaults | {"module__hidden": (2,)} | params).fit(X, Y)


def load(path, **params):
    return SaliencyGuidedClassifier.load(path, **params)


def assert_same(loaded, net):
    np.testing.assert_array_equal(loaded.predict_proba(X), net.predict_proba(X))
    np.testing.assert_array_equal(loaded.attribute(X), net.attribute(X))
    np.testing.assert_array_equal(loaded.feature_importances_, net.feature_importances_)
    assert loaded.history == net.history
    ours, others = (n.optimizer_.state_dict() for n in (net, loaded))
    assert str(ours) == str(others)


def entries(value, path=()):
    """Yield the path of everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, item in items:
        yield from entries(item, (*path, key))


def replace(document, path, value):
    for key in path[:-1]:
        document = document[key]
    document[path[-1]] = value


def set_in(*path, to):
    """Change for ``rewritten``: another value at a path of the document."""
    return lambda document, tensors: replace(document, path, to)
