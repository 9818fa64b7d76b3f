"""Texts, windows and series of other libraries reach the networks as they should."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.preprocessing import SlidingWindow, TokenEncoder, from_channels_first, pad_series

PLAIN = ["the", "plot", "was", "what", "one", "expects", "of", "films", "like", "this"]


def make_texts(n, seed=0):
    """Texts of 1 to 8 words; one of them decides the class."""
    rng = np.random.default_rng(seed)
    texts, y = [], []
    for i in range(n):
        words = rng.choice(PLAIN, rng.integers(0, 8)).tolist()
        words.insert(rng.integers(0, len(words) + 1), ["great", "awful"][i % 2])
        texts.append(" ".join(words))
        y.append(["fresh", "rotten"][i % 2])
    return texts, y


def text_model(device, **parameters):
    net = SaliencyGuidedClassifier(
        "text_bag", max_epochs=20, device=device, random_state=0, **parameters
    )
    return make_pipeline(TokenEncoder(), net)


def test_raw_strings(device):
    texts, y = make_texts(200)
    new, y_new = make_texts(60, seed=1)
    model = text_model(device).fit(texts, y)
    assert model.score(new, y_new) == 1.0
    # words that the vocabulary lacks, and texts without any
    assert len(model.predict(["great unheard words", "", "?"])) == 3

    encoder, net = model
    # the gradient alone is the same for all tokens of a mean
    values = net.attribute(encoder.transform(new), method="input_x_gradient", target="fresh")
    n_found = 0
    for row, tokens in zip(values, encoder.tokens_out(new), strict=True):
        assert np.isfinite(row[: len(tokens)]).all()
        assert np.isnan(row[len(tokens) :]).all()
        n_found += tokens[np.abs(row[: len(tokens)]).argmax()] in ("great", "awful")
    # one of up to eight words by chance
    assert n_found > 50


def test_search_over_the_encoder(device):
    texts, y = make_texts(120)
    # a vocabulary of one word lacks those that decide
    search = GridSearchCV(
        text_model(device), {"tokenencoder__max_features": [1, None]}, cv=3, error_score="raise"
    ).fit(pd.Series(texts), pd.Series(y))
    assert search.best_params_ == {"tokenencoder__max_features": None}
    assert search.best_score_ > 0.85


def test_given_vocabulary_needs_its_size(device):
    texts, y = make_texts(60)
    vocabulary = ["great", "awful", "absent", "never"]
    encoder = TokenEncoder(vocabulary=vocabulary)
    net = SaliencyGuidedClassifier(
        "text_bag",
        module__vocabulary_size=len(vocabulary) + 2,
        max_epochs=2,
        device=device,
        random_state=0,
    )
    model = make_pipeline(encoder, net).fit(texts, y)
    assert net.module_.embedding.num_embeddings == 6
    assert len(model.predict(["never absent"])) == 1


@pytest.mark.parametrize("target_columns", [0, None])
def test_forecast(target_columns, device):
    steps = np.arange(300)
    series = np.stack([np.sin(steps / 4), np.cos(steps / 7)], axis=1)
    windows = SlidingWindow(16, horizon=4, target_columns=target_columns)
    X, y = windows.make(series)
    net = SaliencyGuidedRegressor(
        max_epochs=15, consistency_weight=0, device=device, random_state=0
    )
    scores = cross_val_score(net, X, y, cv=windows.time_series_split(2))
    assert scores[-1] > 0.8
    forecast = net.fit(X, y).predict(windows.last(series))
    assert forecast.shape == (1, y.shape[1])
    truth = np.array([np.sin(np.arange(300, 304) / 4), np.cos(np.arange(300, 304) / 7)]).T
    truth = truth[:, :1] if target_columns == 0 else truth
    assert np.abs(forecast - truth.ravel()).mean() < 0.3


def test_one_step_forecast_has_one_output(device):
    X, y = SlidingWindow(8).make(np.sin(np.arange(60) / 4))
    net = SaliencyGuidedRegressor(max_epochs=1, device=device, random_state=0).fit(X, y)
    assert net.predict(X).shape == (len(X),)


def test_forms_of_ragged_series_fit_alike(device):
    rng = np.random.default_rng(0)
    of_aeon = [rng.normal(size=(2, 5 + i % 4)) for i in range(40)]
    y = np.arange(40) % 2
    series = from_channels_first(of_aeon)
    as_array = np.full((40, 8, 2), np.nan)
    for row, x in zip(as_array, series, strict=True):
        row[: len(x)] = x
    converted = make_pipeline(
        FunctionTransformer(from_channels_first),
        SaliencyGuidedClassifier(max_epochs=3, device=device, random_state=0),
    )
    expected = converted.fit(of_aeon, y).predict_proba(of_aeon)
    for X in (series, as_array, pad_series(series)):
        net = SaliencyGuidedClassifier(max_epochs=3, device=device, random_state=0).fit(X, y)
        np.testing.assert_allclose(net.predict_proba(X), expected, rtol=1e-5, atol=1e-6)
