"""Tokens: ranked, hidden and explained at their embedding; padding takes part in nothing."""

import math

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation, LayerIntegratedGradients
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from skorch import NeuralNetClassifier
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from sgt_sklearn.modules import TextCNN
from sgt_sklearn.preprocessing import TokenEncoder
from tests.estimators.sequences import (
    LABELS,
    LENGTHS,
    LONGEST,
    TARGETS,
    TEXTS,
    TOKENS,
    VOCABULARY,
    N,
    assert_same_parameters,
    make,
    module_of,
    outputs,
)

ESTIMATORS = {SaliencyGuidedClassifier: LABELS, SaliencyGuidedRegressor: TARGETS}
PADDING = TOKENS == 0
WIDER = np.pad(TOKENS, ((0, 0), (0, 4)))
METHODS = ("saliency", "input_x_gradient", "integrated_gradients", "path_gradient")


def alone(i):
    """A text without its padding."""
    return TOKENS[i : i + 1, : LENGTHS[i]]


# padding


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("module", TEXTS)
def test_padded_batch_is_its_texts_one_by_one(module, cls, device):
    net = make(module, device, cls).fit(TOKENS, ESTIMATORS[cls])
    one_by_one = [outputs(net, alone(i))[0] for i in range(N)]
    for X in (TOKENS, WIDER):
        np.testing.assert_allclose(outputs(net, X), one_by_one, rtol=1e-5, atol=1e-5)
    for method in METHODS:
        own = [net.attribute(alone(i), method=method, n_steps=4)[0] for i in range(N)]
        for X in (TOKENS, WIDER):
            values = net.attribute(X, method=method, n_steps=4)
            np.testing.assert_array_equal(np.isnan(values), X == 0)
            for i, row in enumerate(values):
                np.testing.assert_allclose(row[: LENGTHS[i]], own[i], rtol=1e-4, atol=1e-6)
    values = net.attribute(WIDER, target="all")
    assert values.shape == (N, 3 if cls is SaliencyGuidedClassifier else 1, LONGEST + 4)
    np.testing.assert_array_equal(np.isnan(values).all(axis=1), WIDER == 0)
    assert net.n_features_in_ == 1
    with pytest.raises(AttributeError, match="feature_importances_"):
        _ = net.feature_importances_


def test_types_of_ids(device, deterministic_cuda):
    net = make("text_cnn", device).fit(TOKENS, LABELS)
    for X in (TOKENS.astype(np.int32), TOKENS.astype(np.uint8), TOKENS.tolist(), TOKENS[:, ::1]):
        assert_same_parameters(net, make("text_cnn", device).fit(X, LABELS))
        np.testing.assert_array_equal(net.predict_proba(X), net.predict_proba(TOKENS))
        np.testing.assert_array_equal(net.attribute(X), net.attribute(TOKENS))


@pytest.mark.parametrize("module", TEXTS)
def test_texts_of_weight_0_have_no_influence(module, device, deterministic_cuda):
    weight = np.linspace(0.5, 3, N)
    weight[[1, 6]] = 0
    X = TOKENS.copy()
    X[1, 0], X[6, 0] = 40, 50  # the vocabulary is that of the others
    kept = np.flatnonzero(weight)
    net = make(module, device).fit(X, LABELS, sample_weight=weight)
    expected = make(module, device).fit(X[kept], LABELS[kept], sample_weight=weight[kept])
    assert_same_parameters(net, expected)
    assert net.module_.embedding.num_embeddings == VOCABULARY or X[kept].max() < VOCABULARY - 1


# what a step hides


@pytest.mark.parametrize("fill", ["auto", "unknown", "previous", "marginal", "constant", "own"])
@pytest.mark.parametrize("order", ["auto", "signed", "sampled", "random"])
def test_padding_is_never_hidden_and_hides_nothing(order, fill, device, masked_batches):
    fills = {"own": lambda x, generator: torch.full_like(x, 7)}
    params = {"mask_order": order, "mask_fill": fills.get(fill, fill), "mask_value": 3}
    make("text_cnn", device, **params, mask_fraction=0.7).fit(TOKENS, LABELS)
    n_changed = 0
    for batch, masked, _ in masked_batches:
        padding = batch == 0
        assert (masked[padding] == 0).all() and (masked[~padding] != 0).all()
        for i, (row, new) in enumerate(zip(batch, masked, strict=True)):
            changed = row != new
            n_changed += int(changed.sum())
            assert changed.sum() <= math.floor(0.7 * (row != 0).sum() + 1e-9)
            if fill in ("auto", "unknown", "constant", "own"):
                value = {"constant": 3, "own": 7}.get(fill, 1)
                assert (new[changed] == value).all()
            elif fill == "previous":
                for j in changed.nonzero()[:, 0].tolist():
                    kept = [t for t, c in zip(row[:j], changed[:j], strict=True) if not c]
                    # of the tokens before it, none or all of which are as they were
                    assert new[j] in (*kept, 1)
            else:
                others = batch[torch.arange(len(batch)) != i]
                assert torch.isin(new[changed], others[others != 0]).all()
    assert n_changed > 20


@pytest.mark.parametrize("saliency_pass", ["shared", "separate"])
@pytest.mark.parametrize("order", ["absolute", "signed"])
@pytest.mark.parametrize("module", TEXTS)
def test_training_step_by_hand(module, order, saliency_pass, device, masked_batches):
    if (module, order) == ("text_bag", "signed"):
        pytest.skip("all tokens of a mean tie")
    # without a learning rate, the module of the step is that of the end
    fixed = {"lr": 0.0, "max_epochs": 1, "batch_size": N, "iterator_train__shuffle": False}
    params = {"mask_order": order, "mask_fill": "constant", "mask_value": 1}
    X = np.where(TOKENS == 1, 2, TOKENS)
    net = make(module, device, saliency_pass=saliency_pass, **fixed, **params).fit(X, LABELS)
    module = module_of(net)
    ((_, masked, codes),) = masked_batches
    task, consistency = [], []
    for i, length in enumerate(LENGTHS):
        row, own = masked[i : i + 1, :length], torch.from_numpy(X[i : i + 1, :length])
        hidden = (row != own)[0]
        assert hidden.sum() == length // 2
        vectors, gradient = at_embedding(module, own, lambda z, c=codes[i]: z[0, c] - z[0].mean())
        scores = (gradient * vectors).sum(2).abs() if order == "absolute" else gradient.mean(2)
        if hidden.any():
            slack = 1e-6 * scores.abs().max()
            assert scores[0, hidden].max() <= scores[0, ~hidden].min() + slack
        z, z_masked = (module(ids)[0].log_softmax(0).detach() for ids in (own, row))
        task.append(-z[codes[i]].item())
        consistency.append((z.exp() * (z - z_masked)).sum().item())
    assert net.history[0, "train_task_loss"] == pytest.approx(np.mean(task), abs=1e-5)
    assert net.history[0, "train_consistency_loss"] == pytest.approx(
        np.mean(consistency), rel=1e-3, abs=1e-7
    )


def at_embedding(module, ids, scalar, embedding=None, point=lambda vectors: vectors):
    """Vectors of tokens, and the gradient of a scalar of the output by a point beside them."""
    embedding = embedding or module.embedding
    weight = embedding.weight.detach()
    vectors = weight[ids]
    leaf = point(vectors).clone().requires_grad_(True)
    handle = embedding.register_forward_hook(lambda *args: leaf)
    output = module(ids)
    handle.remove()
    (gradient,) = torch.autograd.grad(scalar(output), leaf)
    return vectors, gradient


# attributions


@pytest.mark.parametrize("module", TEXTS)
@pytest.mark.parametrize("target", ["a", "c"])
def test_attributions_are_those_of_captum(module, target, device):
    net = make(module, device, max_epochs=6).fit(TOKENS, LABELS)
    found = {
        method: net.attribute(TOKENS, method=method, target=target, n_steps=20)
        for method in METHODS
    }
    inner = module_of(net)
    ids, code = torch.from_numpy(TOKENS), "abc".index(target)
    product = LayerGradientXActivation(inner, inner.embedding).attribute(ids, target=code)
    expected = product.sum(2).detach().numpy()
    np.testing.assert_allclose(found["input_x_gradient"][~PADDING], expected[~PADDING], atol=1e-5)

    _, gradient = at_embedding(inner, ids, lambda z: z[:, code].sum())
    expected = gradient.norm(dim=2).numpy()
    np.testing.assert_allclose(found["saliency"][~PADDING], expected[~PADDING], atol=1e-5)

    # captum's baseline is one of ids: that of padding is a vector of zeros
    assert not inner.embedding.weight[0].any()
    path = LayerIntegratedGradients(inner, inner.embedding).attribute(
        ids, baselines=torch.zeros_like(ids), target=code, n_steps=20, method="gausslegendre"
    )
    expected = path.sum(2).detach().numpy()
    np.testing.assert_allclose(
        found["integrated_gradients"][~PADDING], expected[~PADDING], atol=1e-5
    )
    # complete: the sum over the tokens is the difference to the output at the baseline
    with torch.no_grad():
        handle = inner.embedding.register_forward_hook(lambda m, a, out: torch.zeros_like(out))
        start = inner(ids)[:, code]
        handle.remove()
        difference = (inner(ids)[:, code] - start).numpy()
    total = np.nansum(found["integrated_gradients"], axis=1)
    np.testing.assert_allclose(total, difference, atol=2e-2 * np.abs(difference).max() + 1e-4)


@pytest.mark.parametrize("module", TEXTS)
def test_paths_by_hand(module, device):
    net = make(module, device).fit(TOKENS, LABELS)
    n_steps, start = 7, np.full(LONGEST, 4)
    options = {"target": "b", "n_steps": n_steps, "baseline": start}
    found = {
        method: net.attribute(TOKENS, method=method, **options)
        for method in ("integrated_gradients", "path_gradient")
    }
    inner, ids = module_of(net), torch.from_numpy(TOKENS)
    first = inner.embedding.weight.detach()[4].expand(N, LONGEST, -1)
    total = 0
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    for share, weight in zip((points + 1) / 2, weights / 2, strict=True):
        vectors, gradient = at_embedding(
            inner,
            ids,
            lambda z: z[:, 1].sum(),
            point=lambda v, share=share: first + share * (v - first),
        )
        total = total + weight * gradient
    expected = {
        "integrated_gradients": (total * (vectors - first)).sum(2).numpy(),
        "path_gradient": total.norm(dim=2).numpy(),
    }
    for method, values in found.items():
        np.testing.assert_allclose(values[~PADDING], expected[method][~PADDING], atol=1e-5)


@pytest.mark.parametrize("module", TEXTS)
def test_noise_is_that_of_the_embedding(module, device, deterministic_cuda):
    net = make(module, device).fit(TOKENS, LABELS)
    options = {"method": "smooth_grad", "n_samples": 4}
    first = net.attribute(TOKENS, **options, random_state=3)
    np.testing.assert_array_equal(first, net.attribute(TOKENS, **options, random_state=3))
    if module == "text_bag":
        return  # linear, so that no noise moves its gradient
    assert not np.allclose(first, net.attribute(TOKENS, **options, random_state=4), equal_nan=True)
    quiet = net.attribute(TOKENS, **options, noise_level=0.0)
    np.testing.assert_allclose(quiet, net.attribute(TOKENS), rtol=1e-4, atol=1e-6)


# raw strings

TEXTS_OF_ALL = [
    ["good", "fine", "great"][i % 3] + " plot of the film " * (i % 2) + " no" * (i % 4)
    for i in range(24)
]
KINDS = np.array(["x", "y", "z"])[np.arange(24) % 3]


@pytest.mark.parametrize("module", TEXTS)
def test_pipeline_of_raw_strings(module, device):
    model = make_pipeline(TokenEncoder(), make(module, device, max_epochs=40, lr=0.02))
    assert model.fit(TEXTS_OF_ALL, KINDS).score(TEXTS_OF_ALL, KINDS) == 1.0
    # words that were never met, and no words at all
    assert model.predict(["good heavens", "", "!"])[0] == "x"


def test_searches_and_splits_of_raw_strings(device):
    model = make_pipeline(TokenEncoder(), make("text_cnn", device, max_epochs=40, lr=0.02))
    assert cross_val_score(model, TEXTS_OF_ALL, KINDS, cv=2, error_score="raise").mean() == 1.0
    grid = {"saliencyguidedclassifier__mask_fill": ["unknown", "previous", "marginal"]}
    few = clone(model).set_params(saliencyguidedclassifier__max_epochs=1)
    search = GridSearchCV(few, grid, cv=2, error_score="raise").fit(TEXTS_OF_ALL, KINDS)
    assert search.predict_proba(TEXTS_OF_ALL).shape == (24, 3)


def test_default_network_of_raw_strings(device):
    net = SaliencyGuidedClassifier("text_cnn", max_epochs=2, device=device, random_state=0)
    model = make_pipeline(TokenEncoder(), net).fit(TEXTS_OF_ALL, KINDS)
    assert net.module_.embedding.num_embeddings == len(model[0].vocabulary_) + 2
    assert net.history[:, "mask_fraction"] == [0.5, 0.5]


# modules of the user's own


class Own(nn.Module):
    """Notes what it gets; its embedding lies below another module."""

    def __init__(self, vocabulary_size, n_outputs, padding_idx=0, frozen=False):
        super().__init__()
        self.lower = nn.ModuleDict({"emb": nn.Embedding(vocabulary_size, 4, padding_idx)})
        self.lower["emb"].weight.requires_grad_(not frozen)
        self.output = nn.Linear(4, n_outputs)

    def forward(self, X):
        inside = (X != 0)[:, :, None]
        hidden = (torch.tanh(self.lower["emb"](X)) * inside).sum(1)
        return self.output(hidden / inside.sum(1).clamp_min(1))


class Flat(Own):
    def __init__(self, vocabulary_size, n_outputs):
        super().__init__(vocabulary_size, n_outputs)
        self.emb = self.lower.pop("emb")
        self.lower["emb"] = nn.Identity()

    def forward(self, X):
        hidden = torch.tanh(self.emb(X)) * (X != 0)[:, :, None]
        return self.output(hidden.sum(1))


class GuidedNet(SaliencyGuidedMixin, NeuralNetClassifier):
    pass


@pytest.mark.parametrize("saliency_pass", ["shared", "separate", "auto"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("padding_idx", [0, None])
@pytest.mark.parametrize("cls", [SaliencyGuidedClassifier, GuidedNet])
def test_module_of_ones_own(cls, padding_idx, frozen, saliency_pass, device, masked_batches):
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "train_split": None,
        "verbose": 0,
        "module__frozen": frozen,
        "module__padding_idx": padding_idx,
        "embedding": "lower.emb",
        "saliency_pass": saliency_pass,
        "lr": 0.0,
    }
    if cls is GuidedNet:
        settings |= {"module__vocabulary_size": VOCABULARY, "module__n_outputs": 3}
    y = np.arange(N) % 3
    net = make(Own, device, cls, **settings).fit(TOKENS, y)
    assert net.module_.lower["emb"].num_embeddings == VOCABULARY  # told from the data
    values = net.attribute(WIDER)  # of any width
    np.testing.assert_array_equal(np.isnan(values), (WIDER == 0) & (padding_idx == 0))
    assert net.predict(WIDER).shape == (N,)
    inner = module_of(net)
    embedding = inner.lower["emb"]
    assert embedding.weight.requires_grad != frozen
    for batch, masked, codes in masked_batches:
        assert (masked[batch == 0] == 0).all()
        vectors, gradient = at_embedding(
            inner,
            batch,
            lambda z, c=codes: (z.gather(1, c[:, None])[:, 0] - z.mean(1)).sum(),
            embedding,
        )
        scores = (gradient * vectors).sum(2).abs()
        for row, new, score in zip(batch, masked, scores, strict=True):
            length = int((row != 0).sum())
            lowest = score[:length].argsort()[: length // 2]
            expected = row.clone()
            expected[lowest] = 1
            assert torch.equal(new, expected)


@pytest.mark.parametrize("module", [Flat, TextCNN])
def test_names_of_embeddings(module, device):
    name = "emb" if module is Flat else "embedding"
    net = make(module, device, embedding=name).fit(TOKENS, LABELS)
    assert net.n_features_in_ == 1
    assert np.isfinite(net.attribute(TOKENS)[~PADDING]).all()
    plain = make(module, device, embedding=name, consistency_weight=0).fit(TOKENS, LABELS)
    assert not np.array_equal(net.predict_proba(TOKENS), plain.predict_proba(TOKENS))


def test_rows_of_padding_only_in_a_module_of_ones_own(device, masked_batches):
    X = TOKENS.copy()
    X[[2, 5]] = 0
    net = make(Own, device, embedding="lower.emb").fit(X, LABELS)
    for batch, masked, _ in masked_batches:
        assert (masked[batch == 0] == 0).all()
    assert np.isnan(net.attribute(X)[2]).all()
    assert np.isfinite(net.history[:, "train_loss"]).all()


class WithLengths(nn.Module):
    """Padding of any id, told by lengths."""

    def __init__(self):
        super().__init__()
        self.emb, self.output = nn.Embedding(VOCABULARY, 4), nn.Linear(4, 3)

    def forward(self, X, lengths):
        inside = (torch.arange(X.shape[1], device=X.device) < lengths[:, None])[:, :, None]
        return self.output((torch.tanh(self.emb(X)) * inside).sum(1))


def test_lengths_beside_tokens(device, masked_batches):
    X = {"X": np.where(PADDING, 5, TOKENS), "lengths": np.array(LENGTHS)}
    net = make(WithLengths, device, embedding="emb", batch_size=N, mask_fraction=1.0)
    net.set_params(iterator_train__shuffle=False).fit(X, LABELS)
    for batch, masked, _ in masked_batches:
        np.testing.assert_array_equal(batch, X["X"])
        np.testing.assert_array_equal(masked, np.where(PADDING, 5, 1))
    np.testing.assert_array_equal(np.isnan(net.attribute(X)), PADDING)
