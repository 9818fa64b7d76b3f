"""Series of unequal length, tokens, images, temporal rescaling and memory."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin
from sgt_sklearn.inspection import explain, temporal_saliency_rescaling
from sgt_sklearn.inspection._methods import METHODS
from sgt_sklearn.preprocessing import TokenEncoder

RNG = np.random.default_rng(0)
LENGTHS = np.array([6, 3, 5, 1, 6, 2, 4, 6])
SERIES = [RNG.standard_normal((n, 3)).astype(np.float32) for n in LENGTHS]
LABELS = np.array(["up", "down"])[np.array([x[-1, 0] > 0 for x in SERIES]).astype(int)]
TEXTS = ["good fine film", "bad film", "good good", "awful bad bad film", "fine", "bad dull plot"]
MOODS = np.array(["+", "-", "+", "-", "+", "-"])
PERTURBING = [name for name, facts in METHODS.items() if facts.family == "perturbation"]
NO_RULES = {"lrp", "guided_backprop", "deconvolution"}
SAME_ALONE = sorted(
    set(METHODS)
    - NO_RULES
    # which draw, or exchange values among rows
    - {name for name, facts in METHODS.items() if facts.random}
    - {"deep_lift"}
)


@pytest.fixture(scope="module")
def net():
    return SaliencyGuidedClassifier("lstm", max_epochs=2, random_state=0).fit(SERIES, LABELS)


@pytest.fixture(scope="module")
def reader():
    model = SaliencyGuidedClassifier("text_cnn", max_epochs=3, random_state=0, module__channels=4)
    return make_pipeline(TokenEncoder(), model).fit(TEXTS, MOODS)


@pytest.mark.parametrize("method", SAME_ALONE)
def test_padding_changes_no_value(net, method):
    """Each series has the values that it has alone, and NaN on padding."""
    found = explain(net, SERIES, method=method)
    assert found.kind == "series" and found.shape == (8, 6, 3)
    np.testing.assert_array_equal(found.lengths, LENGTHS)
    for i, x in enumerate(SERIES):
        alone = explain(net, x[None], method=method)
        np.testing.assert_allclose(found.values[i, : len(x)], alone.values[0], atol=1e-6)
        assert np.isnan(found.values[i, len(x) :]).all()
    padded = np.full((8, 6, 3), np.nan)
    for row, x in zip(padded, SERIES, strict=True):
        row[: len(x)] = x
    as_array = explain(net, padded, method=method)
    np.testing.assert_array_equal(as_array.values, found.values)


class Padding(nn.Module):
    """Reads padding, so that a change of it would show."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, X, lengths):
        assert not torch.isnan(X).any()
        inside = torch.arange(X.shape[1]) < lengths[:, None]
        total = torch.where(inside[:, :, None], X, 100 * X).sum((1, 2))
        return torch.stack([total, -total], dim=1)


@pytest.mark.parametrize(
    "method",
    ["integrated_gradients", "deep_lift", *PERTURBING],
)
def test_padding_is_never_perturbed(method):
    """Of a net whose output is the sum of X, and a hundred times the padding: x minus baseline."""
    own = NeuralNetClassifier(Padding, criterion=nn.CrossEntropyLoss).initialize()
    X = np.zeros((8, 6, 3), dtype=np.float32)
    for row, x in zip(X, SERIES, strict=True):
        row[: len(x)] = x
    options = {"n_samples": 120, "alpha": 1e-6} if method == "lime" else {}
    if method not in ("feature_permutation",):
        options["baseline"] = np.float32(0.5)
    if method == "occlusion":
        options["sliding_window_shapes"] = (1, 1)
    form = {"X": X, "lengths": LENGTHS}
    found = explain(own, form, method=method, target=0, random_state=0, **options)
    inside = np.arange(6) < LENGTHS[:, None]
    assert np.isnan(found.values[~inside]).all()
    if method != "feature_permutation":
        atol = 1e-3 if method == "kernel_shap" else 0.05 if method == "lime" else 1e-4
        np.testing.assert_allclose(found.values[inside], (X - 0.5)[inside], atol=atol)
        return
    given = (X - found.values)[inside]
    # values of other series at the same place, none of padding
    assert np.isin(given.round(4), X[inside].round(4)).all()


@pytest.mark.parametrize("n_samples", [5, None])
def test_shares_of_padding_are_not_fitted(net, n_samples):
    """Values of a short series are those that it has alone, and add up."""
    for short in (SERIES[1], SERIES[3][:, :1]):
        model = net if short.shape[1] == 3 else _of_one_feature()
        series = [short, np.ones((6, short.shape[1]), np.float32)]
        options = {"method": "kernel_shap", "random_state": 0, "target": "up"}
        options |= {} if n_samples is None else {"n_samples": n_samples}
        found, alone = (explain(model, part, **options) for part in (series, [short]))
        np.testing.assert_allclose(found.delta, 0, atol=1e-4)
        np.testing.assert_allclose(found.values[0, : len(short)], alone.values[0], atol=1e-5)
        lime = options | {"method": "lime", "alpha": 1e-4}
        found, alone = (explain(model, part, **lime).values[0] for part in (series, [short]))
        np.testing.assert_allclose(found[: len(short)], alone, atol=1e-5)


def _of_one_feature():
    model = SaliencyGuidedClassifier("lstm", max_epochs=1, random_state=0)
    return model.fit([x[:, :1] for x in SERIES], LABELS)


def test_marginal_rows_of_series(net):
    for method in ("integrated_gradients", "gradient_shap", "feature_ablation"):
        found = explain(net, SERIES, method=method, baseline="marginal", random_state=0)
        assert np.isfinite(found.values[0]).all() and np.isnan(found.values[3, 1:]).all()


def test_features_of_a_step_by_groups(net):
    each = explain(net, SERIES, method="integrated_gradients", feature_names=["a", "b", "c"])
    assert each.feature_names == ["a", "b", "c"]
    found = explain(net, SERIES, method="integrated_gradients", groups=["x", "y", "x"])
    assert found.feature_names == ["x", "y"] and found.shape == (8, 6, 2)
    np.testing.assert_allclose(found.values[:, :, 0], each.values[:, :, [0, 2]].sum(2), rtol=1e-5)
    joint = explain(net, SERIES, method="feature_ablation", groups=["x", "x", "x"])
    steps = explain(net, SERIES, method="occlusion")  # all features of a step
    np.testing.assert_allclose(joint.values[:, :, 0], steps.values[:, :, 0], atol=1e-6)


def test_segments_of_images():
    images = RNG.standard_normal((10, 1, 4, 4)).astype(np.float32)
    cnn = SaliencyGuidedClassifier("cnn", max_epochs=1, random_state=0)
    cnn.fit(images, np.arange(10) % 2)
    quarters = np.repeat(np.repeat([["a", "b"], ["c", "d"]], 2, axis=0), 2, axis=1)
    found = explain(cnn, images[:3], method="feature_ablation", groups=quarters)
    assert found.kind == "image"
    blocks = found.values.reshape(3, 2, 2, 2, 2).transpose(0, 1, 3, 2, 4).reshape(3, 4, 4)
    assert (blocks == blocks[:, :, :1]).all()
    hidden = images[:3].copy()
    hidden[:, :, :2, :2] = cnn._statistics_.mean.item()
    k = cnn.predict(images[:3])
    change = (cnn.forward(images[:3]) - cnn.forward(hidden))[np.arange(3), k]
    np.testing.assert_allclose(found.values[:, 0, 0, 0], change, atol=1e-6)
    with pytest.raises(ValueError, match=r"one label a column for method='saliency'.*ablation"):
        explain(cnn, images[:3], groups=quarters)
    with pytest.raises(ValueError, match=r"each cell of a sample, shape \(1, 4, 4\), got .*\(3,"):
        explain(cnn, images[:3], method="feature_ablation", groups=np.ones((3, 3)))


@pytest.mark.parametrize("method", ["shapley_value_sampling", "kernel_shap"])
def test_the_value_of_cells_that_were_hidden_together_counts_once(net, method):
    images = RNG.standard_normal((6, 1, 4, 4)).astype(np.float32)
    cnn = SaliencyGuidedClassifier("cnn", max_epochs=1, random_state=0)
    cnn.fit(images, np.arange(6) % 2)
    whole = explain(cnn, images, method=method, groups=np.zeros((1, 4, 4), dtype=int))
    hidden = np.broadcast_to(cnn._statistics_.mean, images.shape).astype(np.float32)
    change = (cnn.forward(images) - cnn.forward(hidden))[np.arange(6), cnn.predict(images)]
    np.testing.assert_allclose(
        whole.values, np.broadcast_to(change[:, None, None, None], images.shape), atol=1e-5
    )
    np.testing.assert_allclose(whole.delta, 0, atol=1e-5)
    quarters = np.repeat(np.repeat([["a", "b"], ["c", "d"]], 2, axis=0), 2, axis=1)
    options = {"method": method, "random_state": 0}
    every = explain(cnn, images, groups=quarters, target="all", **options)
    np.testing.assert_allclose(every.delta, 0, atol=1e-4)
    np.testing.assert_allclose(every[2:4].for_target(1).delta, 0, atol=1e-4)
    # features of a step, and segments of which padding takes a part
    columns = explain(net, SERIES, groups=["x", "y", "x"], fold=False, **options)
    assert columns.shape == (8, 6, 3)
    np.testing.assert_allclose(columns.delta, 0, atol=1e-4)
    halves = np.repeat(np.arange(2), 9).reshape(6, 3)
    np.testing.assert_allclose(explain(net, SERIES, groups=halves, **options).delta, 0, atol=1e-4)


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "deep_lift", "vargrad"])
def test_tokens_by_gradients(reader, method):
    found = explain(reader, TEXTS, method=method, random_state=0)
    assert found.kind == "tokens"
    assert [row[row != ""].tolist() for row in found.data] == [text.split() for text in TEXTS]
    assert np.isnan(found.values[1, 2:]).all() and np.isfinite(found.values[1, :2]).all()
    if found.delta is not None:
        np.testing.assert_allclose(found.delta, 0, atol=0.01)
    ids = reader[0].transform(TEXTS)
    inner = explain(reader[-1], ids, method=method, random_state=0)
    np.testing.assert_array_equal(inner.data, ids)
    np.testing.assert_array_equal(inner.values, found.values)


@pytest.mark.parametrize("method", ["feature_ablation", "occlusion", "shapley_value_sampling"])
def test_tokens_by_perturbation(reader, method):
    """A hidden token is the unknown one; padding stays padding."""
    net, ids = reader[-1], reader[0].transform(TEXTS)
    found = explain(reader, TEXTS, method=method, random_state=0)
    logits, k = net.forward(ids), (net.predict(ids) == "-").astype(int)
    if method == "shapley_value_sampling":
        np.testing.assert_allclose(found.delta, 0, atol=1e-5)
        hidden = np.where(ids == 0, 0, 1)
        change = (logits - net.forward(hidden))[np.arange(6), k]
        np.testing.assert_allclose(np.nansum(found.values, axis=1), change, atol=1e-5)
        return
    for position in range(ids.shape[1]):
        hidden = ids.copy()
        hidden[:, position] = np.where(ids[:, position] == 0, 0, 1)
        change = (logits - net.forward(hidden))[np.arange(6), k]
        expected = np.where(ids[:, position] == 0, np.nan, change)
        np.testing.assert_allclose(found.values[:, position], expected, atol=1e-6)
    another = explain(net, ids, method=method, baseline=np.full(ids.shape[1], 3))
    hidden = ids.copy()
    hidden[:, 0] = 3
    change = (logits - net.forward(hidden))[np.arange(6), k]
    np.testing.assert_allclose(another.values[:, 0], change, atol=1e-6)


def test_tokens_of_other_rows(reader):
    ids = reader[0].transform(TEXTS)
    for method in ("feature_permutation", "feature_ablation", "kernel_shap", "lime"):
        options = {} if method == "feature_permutation" else {"baseline": "marginal"}
        found = explain(reader, TEXTS, method=method, random_state=0, **options)
        assert (np.isnan(found.values) == (ids == 0)).all()
    for method in ("saliency", "feature_ablation"):
        with pytest.raises(ValueError, match="groups must be None for tokens"):
            explain(reader, TEXTS, method=method, groups=["a"] * ids.shape[1])
    for name in ("mean", "zeros"):
        with pytest.raises(ValueError, match="is none for token ids"):
            explain(reader, TEXTS, method="feature_ablation", baseline=name)


def test_tokens_of_a_plain_net():
    """The only embedding is found; of two, one has to be named."""

    class Bag(nn.Module):
        def __init__(self, n_embeddings=1):
            super().__init__()
            self.words = nn.ModuleList(nn.Embedding(9, 4) for _ in range(n_embeddings))
            self.out = nn.Linear(4, 2)

        def forward(self, X):
            return self.out(self.words[0](X).mean(1))

    ids = RNG.integers(2, 9, (5, 3))
    plain = NeuralNetClassifier(Bag, criterion=nn.CrossEntropyLoss).initialize()
    guided = type("Guided", (SaliencyGuidedMixin, NeuralNetClassifier), {})
    named = guided(plain.module_, criterion=nn.CrossEntropyLoss, embedding="words.0").initialize()
    found = explain(plain, ids, method="integrated_gradients")
    np.testing.assert_allclose(
        found.values, named.attribute(ids, method="integrated_gradients"), atol=1e-6
    )
    two = NeuralNetClassifier(
        Bag, module__n_embeddings=2, criterion=nn.CrossEntropyLoss
    ).initialize()
    with pytest.raises(TypeError, match=r"one torch.nn.Embedding, got torch.int64 and 2 of them"):
        explain(two, ids)


@pytest.fixture(scope="module")
def tcn():
    X = RNG.standard_normal((6, 4, 2)).astype(np.float32)
    model = SaliencyGuidedClassifier("tcn", max_epochs=2, random_state=0, module__channels=(4,))
    return model.fit(X, np.arange(6) % 2), X


@pytest.mark.parametrize("method", ["saliency", "integrated_gradients", "deep_lift", "occlusion"])
@pytest.mark.filterwarnings("ignore:Values of method='deep_lift' do not add up")
def test_temporal_rescaling(tcn, method):
    """Of every method, from attributions of masked copies that are computed one by one."""
    net, X = tcn
    labels = net.predict(X)
    takes = METHODS[method].baseline
    steps = {"n_steps": 3} if method == "integrated_gradients" else {}
    rescaled = explain(net, X, method=method, temporal_rescaling=True, baseline="zeros", **steps)

    def each(copies, target):
        options = {"baseline": np.zeros(copies.shape[1:]), **steps} if takes else {}
        parts = [
            explain(net, copy[None], method=method, target=label, **options).values
            for copy, label in zip(copies, target, strict=True)
        ]
        return np.concatenate(parts)

    expected = temporal_saliency_rescaling(net, X, method=each, baseline=0.0)
    np.testing.assert_allclose(rescaled.values, expected, atol=1e-3)
    assert rescaled.temporal_rescaling and rescaled.values.max() <= 1
    np.testing.assert_array_equal(rescaled.target, labels)
    np.testing.assert_array_equal(
        rescaled.values, temporal_saliency_rescaling(net, X, method=method, baseline=0.0, **steps)
    )


def test_temporal_rescaling_of_pipelines_and_searches(tcn, net):
    fitted, X = tcn
    expected = explain(fitted, X, temporal_rescaling=True).values
    pipeline = make_pipeline("passthrough", fitted)
    np.testing.assert_array_equal(temporal_saliency_rescaling(pipeline, X), expected)
    found = explain(pipeline, X, temporal_rescaling=True, feature_names=["a", "b"])
    np.testing.assert_array_equal(found.values, expected)
    ragged = explain(net, SERIES, temporal_rescaling=True)
    np.testing.assert_array_equal(ragged.lengths, LENGTHS)
    for i, own in enumerate(temporal_saliency_rescaling(net, SERIES)):
        np.testing.assert_allclose(ragged.values[i, : LENGTHS[i]], own, rtol=1e-6)
    with pytest.raises(ValueError, match=r"'zeros', 'mean' or an array.* got 'marginal'"):
        explain(fitted, X, temporal_rescaling=True, baseline="marginal")
    with pytest.raises(ValueError, match="groups must be None with temporal_rescaling"):
        explain(fitted, X, temporal_rescaling=True, groups=["a", "a"])
    search = GridSearchCV(fitted, {"max_epochs": [1]}, cv=2).fit(X, np.arange(6) % 2)
    inner = temporal_saliency_rescaling(search.best_estimator_, X)
    np.testing.assert_array_equal(temporal_saliency_rescaling(search, X), inner)


@pytest.mark.parametrize("method", sorted(set(METHODS)))
def test_passes_are_no_larger_than_a_batch(method):
    """What memory depends on; benchmarks/explanations.py measures it."""
    X = RNG.standard_normal((40, 5)).astype(np.float32)
    model = SaliencyGuidedClassifier(max_epochs=1, random_state=0).fit(X, np.arange(40) % 2)
    sizes = []
    model.module_.module.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
    options = {"n_samples": 3} if "n_samples" in METHODS[method].options else {}
    if "n_baselines" in METHODS[method].options:
        options["n_baselines"] = 2
    small = explain(model, X, method=method, batch_size=12, random_state=0, **options)
    assert 0 < max(sizes) <= 12
    if not METHODS[method].random or METHODS[method].family == "perturbation":
        whole = explain(model, X, method=method, batch_size=4000, random_state=0, **options)
        np.testing.assert_allclose(small.values, whole.values, atol=1e-6)
    elif method == "deep_lift_shap":
        again = explain(model, X, method=method, batch_size=40, random_state=0, **options)
        np.testing.assert_allclose(small.values, again.values, atol=1e-6)
