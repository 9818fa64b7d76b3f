"""Token ids, against encoding by hand and the counts of scikit-learn."""

import pickle
import re
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_checks

from sgt_sklearn.preprocessing import TokenEncoder

TEXTS = [
    "The film is good, the cast is good",
    "not good",
    "I",
    "",
    "What a FILM! What a cast! What a waste of a good film",
    "the the the waste",
    "the good film",
]
NEW = ["good unheard cast", "", "the", "what what what what what what what what waste is film"]


def words(text):
    return re.findall(r"\b\w\w+\b", text.lower())


def vocabulary_by_hand(texts, min_df=1, max_features=None, max_length=None):
    """Ids by sorting (count, word) pairs of what is left after the cut."""
    documents = [words(text)[:max_length] for text in texts]
    n_times = Counter(word for document in documents for word in document)
    n_texts = {word: sum(word in document for document in documents) for word in n_times}
    pairs = [(-n, word) for word, n in n_times.items() if n_texts[word] >= min_df]
    return {word: 2 + i for i, (_, word) in enumerate(sorted(pairs)[:max_features])}


def encoded_by_hand(texts, vocabulary, max_length=None):
    rows = [[vocabulary.get(word, 1) for word in words(text)[:max_length]] for text in texts]
    rows = [row or [1] for row in rows]
    length = max(map(len, rows))
    return [row + [0] * (length - len(row)) for row in rows]


@pytest.mark.parametrize("max_length", [None, 1, 3, 6, 100])
@pytest.mark.parametrize("max_features", [None, 1, 4, 100])
@pytest.mark.parametrize("min_df", [1, 2, 3])
def test_by_hand(min_df, max_features, max_length):
    encoder = TokenEncoder(min_df=min_df, max_features=max_features, max_length=max_length)
    expected = vocabulary_by_hand(TEXTS, min_df, max_features, max_length)
    ids = encoder.fit_transform(TEXTS)
    assert encoder.vocabulary_ == expected
    assert ids.dtype == np.int64
    assert ids.tolist() == encoded_by_hand(TEXTS, expected, max_length)
    assert ids.tolist() == encoder.transform(TEXTS).tolist()
    assert encoder.transform(NEW).tolist() == encoded_by_hand(NEW, expected, max_length)
    # the network takes its number of embeddings from the largest id
    assert ids.max() == len(encoder.vocabulary_) + 1


def test_written_out():
    encoder = TokenEncoder()
    ids = encoder.fit_transform(["b a_c b", "a_c bb", "x"])
    assert encoder.vocabulary_ == {"a_c": 2, "bb": 3}
    assert ids.tolist() == [[2, 0], [2, 3], [1, 0]]
    assert encoder.transform(["bb zz a_c"]).tolist() == [[3, 1, 2]]
    assert encoder.transform(["", "?"]).tolist() == [[1], [1]]


def test_order_is_by_count_then_alphabet():
    encoder = TokenEncoder(max_features=3).fit(["dd cc bb aa", "dd dd cc", "bb zz zz"])
    assert list(encoder.vocabulary_.items()) == [("dd", 2), ("bb", 3), ("cc", 4)]


@pytest.mark.parametrize("min_df", [0.0, 0.2, 0.4, 2 / 7, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lowercase": False},
        {"stop_words": "english"},
        {"stop_words": ["the", "good"]},
        {"token_pattern": r"\w+|[^\w\s]"},
        {"token_pattern": r"\b(\w)\w+"},
        {"tokenizer": str.split, "token_pattern": None},
    ],
    ids=str,
)
def test_vocabulary_and_counts_of_count_vectorizer(options, min_df):
    vectorizer = CountVectorizer(min_df=min_df, **options).fit(TEXTS)
    encoder = TokenEncoder(min_df=min_df, **options).fit(TEXTS)
    assert set(encoder.vocabulary_) == set(vectorizer.vocabulary_)
    counts = vectorizer.transform(NEW + TEXTS).toarray()
    ids = encoder.transform(NEW + TEXTS)
    for token, column in vectorizer.vocabulary_.items():
        here = (ids == encoder.vocabulary_[token]).sum(axis=1)
        assert here.tolist() == counts[:, column].tolist()


def test_stop_words_leave_no_gap_and_do_not_count():
    encoder = TokenEncoder(stop_words=["the", "is"], max_length=3)
    assert encoder.fit(TEXTS).tokens_out(TEXTS)[0] == ["film", "good", "cast"]


@pytest.mark.parametrize(
    "form",
    [
        list,
        tuple,
        iter,
        np.array,
        pd.Series,
        lambda texts: pd.Series(texts, dtype=object, index=range(9, 9 - len(texts), -1)),
        lambda texts: np.array(texts, dtype=object),
        lambda texts: pd.DataFrame({"text": texts})["text"],
    ],
)
def test_forms_of_text(form):
    expected = TokenEncoder().fit_transform(TEXTS).tolist()
    assert TokenEncoder().fit_transform(form(TEXTS)).tolist() == expected
    assert TokenEncoder().fit(form(TEXTS)).transform(form(TEXTS)).tolist() == expected


def test_fit_returns_the_encoder_and_leaves_parameters():
    encoder = TokenEncoder(vocabulary=["good"])
    before = encoder.get_params()
    assert encoder.fit(TEXTS) is encoder
    assert encoder.get_params() == before


@pytest.mark.parametrize(
    "vocabulary",
    [
        ["the", "good", "zz"],
        iter(["the", "good", "zz"]),
        np.array(["the", "good", "zz"]),
        {"good": 3, "zz": 4, "the": 2},
        {"good": np.int64(3), "zz": 4, "the": 2},
    ],
)
def test_given_vocabulary(vocabulary):
    encoder = TokenEncoder(vocabulary=vocabulary, min_df=3, max_features=1)
    ids = encoder.fit_transform(["good is the", "zz"])
    assert ids.tolist() == [[3, 1, 2], [4, 0, 0]]
    assert encoder.vocabulary_ == {"the": 2, "good": 3, "zz": 4}
    assert encoder.get_token_names_out()[2:].tolist() == ["the", "good", "zz"]


def test_set_as_vocabulary_is_sorted():
    tokens = [chr(97 + i) * 2 for i in range(26)]
    encoder = TokenEncoder(vocabulary=set(tokens)).fit([""])
    assert list(encoder.vocabulary_.items()) == list(zip(tokens, range(2, 28), strict=True))


def test_vocabulary_of_another_encoder():
    first = TokenEncoder(min_df=2).fit(TEXTS)
    second = TokenEncoder(vocabulary=first.vocabulary_)
    assert (second.fit_transform(NEW) == first.transform(NEW)).all()
    second.vocabulary_["more"] = 99
    assert "more" not in first.vocabulary_


def test_inverse_transform():
    encoder = TokenEncoder(min_df=2).fit(TEXTS)
    back = encoder.inverse_transform(encoder.transform(NEW + TEXTS))
    known = encoder.vocabulary_
    expected = [
        [word if word in known else "<unknown>" for word in words(text)] or ["<unknown>"]
        for text in NEW + TEXTS
    ]
    assert back == expected
    assert all(type(token) is str for tokens in back for token in tokens)
    assert encoder.inverse_transform([[2, 0], [0, 0]]) == [[next(iter(known))], []]


@pytest.mark.parametrize("max_length", [None, 2])
def test_tokens_out_are_the_names_of_the_ids(max_length):
    encoder = TokenEncoder(min_df=2, max_length=max_length).fit(TEXTS)
    ids, tokens = encoder.transform(NEW), encoder.tokens_out(NEW)
    assert [len(x) for x in tokens] == (ids != 0).sum(axis=1).tolist()
    assert tokens == [words(text)[:max_length] or ["<unknown>"] for text in NEW]


def test_names_of_ids():
    encoder = TokenEncoder(min_df=2).fit(TEXTS)
    names = encoder.get_token_names_out()
    assert names[:2].tolist() == ["<padding>", "<unknown>"]
    assert {token: i for i, token in enumerate(names) if i >= 2} == encoder.vocabulary_


def test_a_token_of_the_name_of_another():
    encoder = TokenEncoder(tokenizer=str.split, token_pattern=None)
    assert encoder.fit_transform(["<unknown> <padding>"]).tolist() == [[3, 2]]
    assert encoder.transform(["new <unknown>"]).tolist() == [[1, 3]]


def test_pickle_and_clone():
    encoder = TokenEncoder(min_df=2, max_length=5).fit(TEXTS)
    again = pickle.loads(pickle.dumps(encoder))
    assert (again.transform(NEW) == encoder.transform(NEW)).all()
    copy = clone(encoder)
    assert copy.get_params() == encoder.get_params()
    assert not hasattr(copy, "vocabulary_")


def test_in_a_pipeline_and_in_cross_validation():
    texts = ["good film", "bad film", "so good", "so bad"] * 10
    y = ["fresh", "rotten"] * 20
    widen = FunctionTransformer(lambda ids: np.stack([(ids == i).any(1) for i in range(5)], 1))
    model = make_pipeline(TokenEncoder(max_features=3), widen, DecisionTreeClassifier())
    assert cross_val_score(model, texts, y, cv=4).tolist() == [1.0] * 4
    assert cross_val_score(model, pd.Series(texts), pd.Series(y), cv=4).tolist() == [1.0] * 4


def test_no_frames_are_made():
    encoder = TokenEncoder()
    assert not hasattr(encoder, "set_output")
    assert not hasattr(encoder, "get_feature_names_out")
    with sklearn.config_context(transform_output="pandas"):
        assert type(encoder.fit_transform(TEXTS)) is np.ndarray


CHECKS = [
    "check_no_attributes_set_in_init",
    "check_get_params_invariance",
    "check_set_params",
    "check_parameters_default_constructible",
    "check_estimator_repr",
    "check_estimator_cloneable",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
]


@pytest.mark.parametrize("check", CHECKS)
def test_checks_of_scikit_learn(check):
    getattr(estimator_checks, check)("TokenEncoder", TokenEncoder())


def test_tags_say_text():
    # check_estimator has no further checks for transformers of text
    tags = sklearn.utils.get_tags(TokenEncoder()).input_tags
    assert tags.string
    assert not tags.two_d_array


@pytest.mark.parametrize(
    "call",
    [
        lambda encoder: encoder.transform(TEXTS),
        lambda encoder: encoder.inverse_transform([[2]]),
        lambda encoder: encoder.get_token_names_out(),
    ],
)
def test_not_fitted(call):
    with pytest.raises(NotFittedError, match="TokenEncoder instance is not fitted yet"):
        call(TokenEncoder(vocabulary=["good"]))


BAD_TEXTS = {
    "one string": ("good film", ValueError, r"got one str: pass \[text\]"),
    "bytes": (b"good film", ValueError, "got one bytes"),
    "frame": (pd.DataFrame({"text": TEXTS}), ValueError, r"DataFrame of shape \(7, 1\): pass one"),
    "2-d": (np.array([TEXTS]), ValueError, r"ndarray of shape \(1, 7\)"),
    "0-d": (np.array("good"), ValueError, r"ndarray of shape \(\)"),
    "dict": ({"text": TEXTS}, ValueError, "got dict: pass one column"),
    "number": (3, TypeError, "got int"),
    "numbers": ([1, 2], TypeError, "got 1 at position 0"),
    "missing": (["good", None], TypeError, "got None at position 1: fill missing texts with ''"),
    "NaN": (pd.Series(["good", np.nan]), TypeError, "got nan at position 1: fill missing"),
    "list of bytes": (["good", b"film"], TypeError, "got b'film' at position 1: decode bytes"),
    "list of lists": ([["good"], ["film"]], TypeError, r"got \['good'\] at position 0"),
    "none": ([], ValueError, "got no text"),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_bad_texts(case):
    X, error, message = BAD_TEXTS[case]
    fitted = TokenEncoder().fit(TEXTS)
    for call in (TokenEncoder().fit, TokenEncoder().fit_transform, fitted.transform):
        with pytest.raises(error, match=f"X must be a list.*{message}"):
            call(X)


BAD_PARAMETERS = {
    "min_df 0": ({"min_df": 0}, ValueError, "min_df must be an integer of at least 1, or"),
    "min_df 1.5": ({"min_df": 1.5}, ValueError, "or a float from 0 to 1, got 1.5"),
    "min_df True": ({"min_df": True}, ValueError, "min_df must .* got True"),
    "min_df str": ({"min_df": "2"}, ValueError, "min_df must .* got '2'"),
    "min_df NaN": ({"min_df": float("nan")}, ValueError, "min_df must .* got nan"),
    "max_features 0": ({"max_features": 0}, ValueError, "max_features must .* got 0"),
    "max_features 2.0": ({"max_features": 2.0}, ValueError, "max_features must .* got 2.0"),
    "max_length 0": ({"max_length": 0}, ValueError, "max_length must .* at least 1, got 0"),
    "max_length -1": ({"max_length": -1}, ValueError, "max_length must .* got -1"),
    "token_pattern": ({"token_pattern": None}, TypeError, "token_pattern must be a regular"),
    "stop_words": ({"stop_words": "klingon"}, ValueError, "stop"),
    "groups": ({"token_pattern": r"(\w)(\w)"}, ValueError, "capturing group"),
    "tokenizer": (
        {"tokenizer": lambda text: [3]},
        TypeError,
        "tokenizer must .* got 3 of type int",
    ),
    "no token": ({"token_pattern": "%"}, ValueError, "got none in 7 texts: see token_pattern"),
    "min_df 5": ({"min_df": 5}, ValueError, "got 5: of the 9 tokens of 7 texts .* occurs in 4"),
    "vocabulary str": ({"vocabulary": "good"}, ValueError, "a list of tokens or a dict"),
    "empty": ({"vocabulary": []}, ValueError, "vocabulary must hold at least one token"),
    "empty dict": ({"vocabulary": {}}, ValueError, "vocabulary must hold at least one token"),
    "repeated": ({"vocabulary": ["aa", "bb", "aa"]}, ValueError, "each token once, got 'aa'"),
    "numbers": ({"vocabulary": ["aa", 3]}, ValueError, r"hold tokens \(str\), got 3"),
    "from 0": ({"vocabulary": {"aa": 0, "bb": 1}}, ValueError, "ids 2 to 3.*sorted"),
    "gap": ({"vocabulary": {"aa": 2, "bb": 4}}, ValueError, "ids 2 to 3, once each"),
    "twice": ({"vocabulary": {"aa": 2, "bb": 2}}, ValueError, "ids 2 to 3, once each"),
    "no integer": ({"vocabulary": {"aa": 2.0}}, ValueError, "ids 2 to 2, once each"),
}


@pytest.mark.parametrize("case", BAD_PARAMETERS)
def test_bad_parameters(case):
    parameters, error, message = BAD_PARAMETERS[case]
    with pytest.raises(error, match=message):
        TokenEncoder(**parameters).fit(TEXTS)


def test_capital_letters_in_a_vocabulary():
    with pytest.warns(UserWarning, match="capital letters, which no text has after lowercasing"):
        TokenEncoder(vocabulary=["Good"]).fit(TEXTS)
    ids = TokenEncoder(vocabulary=["FILM"], lowercase=False).fit_transform(["FILM film"])
    assert ids.tolist() == [[2, 1]]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([[2, -1]], "ids from 0 to 10, got -1 to 2"),
        ([[2, 11]], "ids from 0 to 10, got 2 to 11"),
        ([2, 3], r"got int64 of shape \(2,\)"),
        ([[2.0, 3.0]], r"got float64 of shape \(1, 2\)"),
        ([[2, 0, 3]], "padding .* at the end of texts only"),
    ],
)
def test_bad_ids(ids, message):
    encoder = TokenEncoder().fit(TEXTS)
    with pytest.raises(ValueError, match=f"X must .*{message}"):
        encoder.inverse_transform(ids)


def test_a_failed_fit_changes_nothing():
    encoder = TokenEncoder().fit(TEXTS)
    before = dict(encoder.vocabulary_)
    with pytest.raises(ValueError, match="at least one token"):
        encoder.fit(["", "?"])
    assert encoder.vocabulary_ == before
