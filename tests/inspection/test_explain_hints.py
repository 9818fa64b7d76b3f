"""What `explain` advises where X or the estimator cannot be explained as they are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import RandomForestRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.inspection import explain
from sgt_sklearn.preprocessing import TokenEncoder

RNG = np.random.default_rng(0)
DATA = pd.DataFrame(
    {
        "age": RNG.uniform(20, 80, 40),
        "income": RNG.uniform(1, 9, 40),
        "city": np.resize(["Lima", "Oslo", "Rome"], 40),
    }
)
TARGETS = np.exp(DATA["income"] / 4 + (DATA["city"] == "Oslo"))
NUMBERS = DATA[["age", "income"]]


def encoder():
    return make_column_transformer(
        (OneHotEncoder(sparse_output=False), ["city"]), remainder="passthrough"
    )


def regressor():
    return SaliencyGuidedRegressor(max_epochs=2, random_state=0)


@pytest.mark.parametrize("final", [regressor(), RandomForestRegressor(3, random_state=0)])
def test_an_encoder_inside_a_transformed_target_regressor_goes_before_it(final):
    inside = TransformedTargetRegressor(
        make_pipeline(encoder(), final), func=np.log, inverse_func=np.exp
    ).fit(DATA, TARGETS)
    with pytest.raises(TypeError, match="X must be numeric where the final") as caught:
        explain(inside, DATA, method="feature_ablation")
    assert str(caught.value).endswith(
        "The steps of the pipeline inside TransformedTargetRegressor come after it: put them "
        "before, as in make_pipeline(encoder, TransformedTargetRegressor(regressor=..., ...)); "
        "where it only scales and shifts y, output='logit' explains what is inside."
    )
    before = make_pipeline(
        encoder(), TransformedTargetRegressor(final, func=np.log, inverse_func=np.exp)
    ).fit(DATA, TARGETS)
    np.testing.assert_allclose(before.predict(DATA), inside.predict(DATA), rtol=1e-6)
    explained = explain(before, DATA[:5], method="feature_ablation")
    assert set(explained.feature_names) == set(DATA)
    encoded = before[0].transform(DATA[:5])
    hidden = encoded.copy()
    column = list(before[0].get_feature_names_out()).index("remainder__income")
    hidden[:, column] = encoded[:, column].mean()
    np.testing.assert_allclose(
        explained.values[:, explained.feature_names.index("income")],
        before[-1].predict(encoded) - before[-1].predict(hidden),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("model", ["pipeline", "pipeline of numbers", "net"])
def test_a_row_as_series_names_the_two_brackets(model):
    data = DATA if model == "pipeline" else NUMBERS
    steps = [encoder(), StandardScaler()] if model == "pipeline" else [StandardScaler()]
    estimator = regressor() if model == "net" else make_pipeline(*steps, regressor())
    estimator.fit(data, TARGETS)
    with pytest.raises(ValueError) as caught:
        explain(estimator, data.iloc[0])
    assert str(caught.value) == (
        "X must have a row for each sample, shape (n_samples, n_features), got a Series of "
        f"{data.shape[1]} values. A single row is data.iloc[[0]] and a single column "
        "data[['name']], both with two brackets."
    )
    one = explain(estimator, data.iloc[[0]], method="integrated_gradients")
    assert one.shape == (1, data.shape[1])


def test_a_column_as_series_names_the_two_brackets():
    net = regressor().fit(NUMBERS[["age"]], TARGETS)
    with pytest.raises(ValueError, match=r"got a Series of 40 values.*data\[\['name'\]\]"):
        explain(net, NUMBERS["age"])
    assert explain(net, NUMBERS[["age"]]).shape == (40, 1)


def test_a_series_of_texts_is_explained():
    texts = pd.Series(["good film", "bad film", "good", "bad"] * 5)
    labels = np.resize([1, 0, 1, 0], 20)
    net = SaliencyGuidedClassifier("text_bag", max_epochs=1, random_state=0)
    pipeline = make_pipeline(TokenEncoder(), net).fit(texts, labels)
    assert len(explain(pipeline, texts[:3])) == 3
