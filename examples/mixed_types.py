"""
Tables of mixed types: one-hot columns explained as one
=======================================================

A network sees a table after encoding: "embarked" has become four columns, "cabin_deck" nine. What
is hidden in training, explained and scored should be the variable and not its parts.
:func:`sgt_sklearn.preprocessing.feature_groups` reads from the fitted transformer which columns
belong together, and :func:`sgt_sklearn.inspection.explain` names the variables of the table.

The data are the passengers of the Titanic, which scikit-learn ships among its test data.
"""

# %%
import gzip
import re
import sys
from importlib.resources import files

import numpy as np
import pandas as pd
import torch
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.inspection import explain
from sgt_sklearn.metrics import get_interpretability_scorer, sufficiency_gap
from sgt_sklearn.model_selection import one_standard_error_refit
from sgt_sklearn.preprocessing import feature_groups

torch.set_num_threads(1)


def load_titanic():
    """Passengers as a frame of numbers and words, and who survived."""
    folder = files("sklearn.datasets.tests.data.openml") / "id_40945"
    text = gzip.decompress((folder / "data-v1-dl-16826755.arff.gz").read_bytes()).decode()
    header, rows = re.split(r"@data\s*", text, maxsplit=1, flags=re.IGNORECASE)
    names = re.findall(r"^@attribute '(.*?)'", header, re.IGNORECASE | re.MULTILINE)
    with_rows = pd.DataFrame(split_rows(rows), columns=names).replace("?", np.nan)
    X = pd.DataFrame(
        {
            "passenger_class": with_rows["pclass"].astype(str),
            "sex": with_rows["sex"],
            "age": with_rows["age"].astype(float),
            "siblings_and_spouses": with_rows["sibsp"].astype(float),
            "parents_and_children": with_rows["parch"].astype(float),
            "fare": with_rows["fare"].astype(float),
            "embarked": with_rows["embarked"].fillna("unknown"),
            "cabin_deck": with_rows["cabin"].str[0].fillna("unknown"),
        }
    )
    return X, with_rows["survived"].to_numpy(dtype=int)


def split_rows(rows):
    """Fields of the lines of an ARFF file."""
    field = re.compile(r'"((?:[^"\\]|\\.)*)"|([^,"]+)')
    return [
        [quoted or plain for quoted, plain in field.findall(line)]
        for line in rows.splitlines()
        if line.strip()
    ]


X, y = load_titanic()
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
print(X.head(3).to_string(index=False))

# %%
# Labels before the fit
# ---------------------
# The network needs its labels before it is fitted, and the transformer knows them after it is
# fitted: so the transformer is fitted alone, once. Naming the categories keeps the columns the
# same in every fold of a cross-validation, whatever rows it sees.

numbers = ["age", "siblings_and_spouses", "parents_and_children", "fare"]
words = ["passenger_class", "sex", "embarked", "cabin_deck"]
encoder = ColumnTransformer(
    [
        (
            "numbers",
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            numbers,
        ),
        ("words", OneHotEncoder(categories=[sorted(X[name].unique()) for name in words]), words),
    ],
    sparse_threshold=0,
)
groups = feature_groups(encoder.fit(X_train))
print(f"\n{X.shape[1]} columns become {len(groups)}:", *dict.fromkeys(groups), sep="\n  ")

# %%
# Three trainings
# ---------------
# "marginal" takes what is hidden from another passenger, one for a whole group, so that every
# masked row has exactly one cabin deck.

settings = {
    "plain": {"consistency_weight": 0},
    "guided, columns apart": {"mask_fill": "marginal"},
    "guided, groups": {"mask_fill": "marginal", "feature_groups": groups},
}
models = {
    name: make_pipeline(encoder, SaliencyGuidedClassifier(max_epochs=25, random_state=0, **params))
    for name, params in settings.items()
}
rows = []
for name, model in models.items():
    model.fit(X_train, y_train)
    gap = sufficiency_gap(model, X_test, y_test, groups=groups, random_state=0)
    rows.append((name, model.score(X_test, y_test), gap))
table = pd.DataFrame(rows, columns=["training", "accuracy", "sufficiency gap"])
print(f"\n{table.round(3).to_string(index=False)}")

# %%
# Choosing how much to guide
# --------------------------
# Accuracy first, explanations second: of the settings whose accuracy is within one standard error
# of the best, the rule for `refit` takes the one with the best gaps. Names of the scorers tell it
# which is which.

search = GridSearchCV(
    models["guided, groups"],
    {"saliencyguidedclassifier__consistency_weight": [0, 1.0, 3.0]},
    scoring={
        "accuracy": "accuracy",
        "comprehensiveness_gap": get_interpretability_scorer("comprehensiveness_gap"),
        "sufficiency_gap": get_interpretability_scorer("sufficiency_gap"),
    },
    refit=one_standard_error_refit,
    cv=3,
    n_jobs=2,
)
search.fit(X_train, y_train)
found = pd.DataFrame(search.cv_results_["params"])
found.columns = found.columns.str.removeprefix("saliencyguidedclassifier__")
for name in search.scoring:
    found[name] = search.cv_results_[f"mean_test_{name}"]
found["chosen"] = np.where(found.index == search.best_index_, "<-", "")
print(f"\n{found.round(3).to_string(index=False)}")

# %%
# Explanations by original column
# -------------------------------
# The search is explained as it is. Integrated gradients add up to the change of the logit since a
# mean passenger, and what the columns of a variable contribute is summed.

explanation = explain(search, X_test, method="integrated_gradients", target=1)
contributions = explanation.to_frame()
print("\ncontribution to the logit of survival, three passengers")
print(X_test.head(3).to_string())
print(contributions.head(3).round(2).to_string())

strength = explanation.mean_abs()
strength = pd.Series(strength, index=explanation.feature_names).sort_values(ascending=False)
print("\nmean absolute contribution")
print(strength.round(3).to_string())

# %%
# Do they add up?
# ---------------
# The logits of passengers and of the mean passenger, from the network itself.

pipeline = search.best_estimator_
net, encoded = pipeline[-1], pipeline[:-1].transform(X_test).astype(np.float32)
mean = pipeline[:-1].transform(X_train).astype(np.float32).mean(axis=0, keepdims=True)
logits = net.forward(encoded)[:, 1] - net.forward(mean)[:, 1]
difference = np.abs(contributions.sum(axis=1) - logits.numpy())
print(f"\nlargest difference to the change of the logit: {difference.max():.4f}")

# %%
# What this must show
# -------------------

accuracy, gap = table.set_index("training")[["accuracy", "sufficiency gap"]].T.to_numpy()
expectations = {
    "the data are complete": X.shape == (1309, 8),
    "every column is a group": set(groups) == set(X.columns),
    "all nets predict": accuracy.min() > 0.75,
    "guidance by groups helps the explanations": gap[2] > gap[0],
    "explanations name the columns": list(contributions) == list(X.columns),
    "contributions add up": difference.max() < 0.02,
    "sex matters most": strength.index[0] == "sex",
    "the search keeps the accuracy": np.mean(search.predict(X_test) == y_test) > 0.75,
    "what is chosen is guided": found["consistency_weight"][search.best_index_] > 0,
}
failures = [what for what, holds in expectations.items() if not holds]
for what in failures:
    print(f"NOT AS EXPECTED: {what}", file=sys.stderr)
if __name__ == "__main__":
    sys.exit(len(failures) > 0)
