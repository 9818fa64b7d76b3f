"""Raw text to arrays of token ids."""

import warnings
from collections import Counter
from collections.abc import Mapping
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.utils.validation import check_is_fitted

# what every module for tokens and every mask takes these ids for
_PADDING, _UNKNOWN, _FIRST = 0, 1, 2
_NAMES = ("<padding>", "<unknown>")


class TokenEncoder(TransformerMixin, BaseEstimator):
    r"""Encode texts as arrays of token ids, for networks that read token by token.

    Texts are split as by scikit-learn's ``CountVectorizer``. Id 0 is padding behind the end of a
    text, id 1 an unknown token, and ids from 2 on are the vocabulary, most frequent first.

    Parameters
    ----------
    lowercase : bool, default=True
        Whether to convert texts to lowercase first.
    tokenizer : callable, default=None
        Function from a text to a list of str, instead of `token_pattern`.
    token_pattern : str, default=r"(?u)\\b\\w\\w+\\b"
        Regular expression of a token: as in ``CountVectorizer``, words of two or more letters.
        ``r"\w+|[^\w\s]"`` keeps single letters and punctuation marks too. With one group in
        parentheses, what that group matches is the token.
    stop_words : {"english"} or list of str, default=None
        Words to leave out. They leave no gap: the tokens around them become neighbours.
    min_df : int or float, default=1
        Number of training texts, or their share if a float, that a token must occur in to enter
        the vocabulary. Rarer ones are unknown tokens; without any (1) the network meets unknown
        tokens after training only.
    max_features : int, default=None
        Largest size of the vocabulary: the tokens that occur most often in the training texts;
        of equally frequent ones the first in the alphabet.
    max_length : int, default=None
        Largest number of tokens of a text; longer texts are cut at the end, after stop words were
        left out. None keeps all.
    vocabulary : iterable of str, or dict of str to int, default=None
        A vocabulary known before: tokens in the order of their ids, or their ids from 2 on, as in
        `vocabulary_`. `min_df` and `max_features` are then ignored.

    Attributes
    ----------
    vocabulary_ : dict of str to int
        Id of each token, 2 to ``len(vocabulary_) + 1``.

    See Also
    --------
    sklearn.feature_extraction.text.CountVectorizer : Counts of words, without their order.

    Notes
    -----
    The vocabulary is made of the tokens that are left after the cut, so that its largest id occurs
    in the encoded training texts: the estimators take the size of the embedding from there. With a
    `vocabulary` given before that need not be so: pass the size to the network,
    ``module__vocabulary_size=len(encoder.vocabulary_) + 2``.

    There is no ``get_feature_names_out`` and no ``set_output``: columns are positions in the
    text, and their number changes from call to call. Names for explanations are tokens:
    :meth:`tokens_out` gives those of each text, and :meth:`get_token_names_out` those of the ids.

    Examples
    --------
    >>> from sgt_sklearn.preprocessing import TokenEncoder
    >>> texts = ["A fine film", "not a fine film, not at all", ""]
    >>> encoder = TokenEncoder(min_df=2)
    >>> encoder.fit_transform(texts)
    array([[3, 2, 0, 0, 0, 0],
           [1, 3, 2, 1, 1, 1],
           [1, 0, 0, 0, 0, 0]])
    >>> encoder.vocabulary_
    {'film': 2, 'fine': 3}
    >>> encoder.tokens_out(texts)[1]
    ['not', 'fine', 'film', 'not', 'at', 'all']
    """

    def __init__(
        self,
        *,
        lowercase=True,
        tokenizer=None,
        token_pattern=r"(?u)\b\w\w+\b",
        stop_words=None,
        min_df=1,
        max_features=None,
        max_length=None,
        vocabulary=None,
    ):
        self.lowercase = lowercase
        self.tokenizer = tokenizer
        self.token_pattern = token_pattern
        self.stop_words = stop_words
        self.min_df = min_df
        self.max_features = max_features
        self.max_length = max_length
        self.vocabulary = vocabulary

    def fit(self, X, y=None):
        """Learn the vocabulary.

        Parameters
        ----------
        X : iterable of str of length n_samples
            Texts: a list, a one-dimensional array, a column of a data frame.
        y : None
            Ignored.

        Returns
        -------
        TokenEncoder
            The encoder itself.

        Raises
        ------
        ValueError, TypeError
            If X is one string or a table instead of a list of strings, or holds anything else than
            strings; if a parameter is out of range; or if no token is left for the vocabulary.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Learn the vocabulary, and encode the same texts.

        Parameters
        ----------
        X : iterable of str of length n_samples
            Texts.
        y : None
            Ignored.

        Returns
        -------
        ndarray of int64, shape (n_samples, n_timesteps)
            Ids, as from :meth:`transform`.
        """
        return self._encode(self._fit(X))

    def transform(self, X):
        """Encode texts.

        Parameters
        ----------
        X : iterable of str of length n_samples
            Texts.

        Returns
        -------
        ndarray of int64, shape (n_samples, n_timesteps)
            Ids: 0 behind the end of a text, 1 for unknown tokens. A text without tokens is one
            unknown token. As many columns as the longest of these texts needs.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder is not fitted.
        ValueError, TypeError
            If X is no list of strings.
        """
        check_is_fitted(self)
        return self._encode(self._split(X))

    def inverse_transform(self, X):
        """Give the tokens of encoded texts.

        Parameters
        ----------
        X : array-like of int, shape (n_samples, n_timesteps)
            Ids, with padding at the end only.

        Returns
        -------
        list of list of str
            The tokens of each text, "<unknown>" for unknown ones, without padding.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder is not fitted.
        ValueError
            If X is no such array, or holds ids that the vocabulary does not have.
        """
        names = self.get_token_names_out()
        ids = np.asarray(X)
        if ids.ndim != 2 or ids.dtype.kind not in "iu":
            raise ValueError(
                "X must be integers of shape (n_samples, n_timesteps), as transform returns them, "
                f"got {ids.dtype} of shape {ids.shape}."
            )
        if ids.size and not 0 <= ids.min() <= ids.max() < len(names):
            raise ValueError(
                f"X must hold ids from 0 to {len(names) - 1}, got {ids.min()} to {ids.max()}."
            )
        if ((ids[:, :-1] == _PADDING) & (ids[:, 1:] != _PADDING)).any():
            raise ValueError("X must have padding (id 0) at the end of texts only, got it before.")
        return [names[row[row != _PADDING]].tolist() for row in ids]

    def tokens_out(self, X):
        """Give the tokens of texts, one for each id: names for explanations.

        Unlike :meth:`inverse_transform` this gives unknown tokens as they stand in the text.

        Parameters
        ----------
        X : iterable of str of length n_samples
            Texts, as for :meth:`transform`.

        Returns
        -------
        list of list of str
            For each text as many tokens as ``transform`` gives ids before padding, in the same
            order; ["<unknown>"] for a text without tokens.

        Raises
        ------
        ValueError, TypeError
            If X is no list of strings.
        """
        return [tokens or [_NAMES[_UNKNOWN]] for tokens in self._split(X)]

    def get_token_names_out(self):
        """Give the token of each id.

        Returns
        -------
        ndarray of str objects, shape (2 + n_tokens,)
            "<padding>", "<unknown>" and the vocabulary: ``names[ids]`` are the tokens of `ids`,
            and the rows of a network's embedding have these names.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the encoder is not fitted.
        """
        check_is_fitted(self)
        tokens = sorted(self.vocabulary_, key=self.vocabulary_.get)
        return np.array([*_NAMES, *tokens], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        return tags

    def _fit(self, X):
        """Set the vocabulary, and return the tokens of each text."""
        documents = self._split(X)
        if self.vocabulary is None:
            tokens = self._most_frequent(documents)
            self.vocabulary_ = {token: i for i, token in enumerate(tokens, start=_FIRST)}
        else:
            self.vocabulary_ = _given_vocabulary(self.vocabulary, self.lowercase)
        return documents

    def _most_frequent(self, documents):
        """Tokens of the vocabulary in the order of their ids."""
        least = self.min_df
        if not _is_integer(least, 1) and not (
            isinstance(least, Real) and not isinstance(least, Integral) and 0 <= least <= 1
        ):
            raise ValueError(
                f"min_df must be an integer of at least 1, or a float from 0 to 1, got {least!r}."
            )
        if self.max_features is not None and not _is_integer(self.max_features, 1):
            raise ValueError(
                f"max_features must be None or an integer of at least 1, got "
                f"{self.max_features!r}."
            )
        counts = Counter(token for tokens in documents for token in tokens)
        if not counts:
            raise ValueError(
                f"X must hold at least one token, got none in {len(documents)} texts: see "
                "token_pattern and stop_words."
            )
        n_texts_with = Counter(token for tokens in documents for token in set(tokens))
        if not isinstance(least, Integral):
            least = least * len(documents)
        kept = [token for token in counts if n_texts_with[token] >= least]
        if not kept:
            raise ValueError(
                f"min_df must leave a token for the vocabulary, got {self.min_df!r}: of the "
                f"{len(counts)} tokens of {len(documents)} texts the most common occurs in "
                f"{max(n_texts_with.values())}."
            )
        return sorted(kept, key=lambda token: (-counts[token], token))[: self.max_features]

    def _split(self, X):
        """Tokens of each text after the cut."""
        length = self.max_length
        if length is not None and not _is_integer(length, 1):
            raise ValueError(
                f"max_length must be None or an integer of at least 1, got {length!r}."
            )
        if self.tokenizer is None and not isinstance(self.token_pattern, str):
            raise TypeError(
                f"token_pattern must be a regular expression (str), got {self.token_pattern!r}."
            )
        texts = _check_texts(X)
        analyze = CountVectorizer(
            lowercase=self.lowercase,
            tokenizer=self.tokenizer,
            token_pattern=self.token_pattern,
            stop_words=self.stop_words,
        ).build_analyzer()
        documents = [list(analyze(text))[:length] for text in texts]
        if self.tokenizer is not None:
            _check_tokens(documents)
        return documents

    def _encode(self, documents):
        ids = np.full((len(documents), max(1, *map(len, documents))), _PADDING, dtype=np.int64)
        # a row of padding only would be a series without steps
        ids[:, 0] = _UNKNOWN
        for row, tokens in zip(ids, documents, strict=True):
            row[: len(tokens)] = [self.vocabulary_.get(token, _UNKNOWN) for token in tokens]
        return ids


def _is_integer(value, least):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= least


def _check_texts(X):
    form = "X must be a list, one-dimensional array or column of texts (str)"
    if isinstance(X, (str, bytes)):
        raise ValueError(f"{form}, got one {type(X).__name__}: pass [text].")
    if isinstance(X, Mapping) or getattr(X, "ndim", 1) != 1:
        shape = getattr(X, "shape", None)
        raise ValueError(
            f"{form}, got {type(X).__name__}{'' if shape is None else f' of shape {shape}'}: "
            "pass one column, as in X[:, 0] or frame['text']."
        )
    try:
        texts = list(X)
    except TypeError:
        raise TypeError(f"{form}, got {type(X).__name__}.") from None
    if not texts:
        raise ValueError(f"{form}, got no text.")
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            hint = (
                "decode bytes first" if isinstance(text, bytes) else "fill missing texts with ''"
            )
            raise TypeError(f"{form}, got {text!r:.80} at position {i}: {hint}.")
    return texts


def _check_tokens(documents):
    for tokens in documents:
        for token in tokens:
            if not isinstance(token, str):
                raise TypeError(
                    f"tokenizer must return lists of str, got {token!r:.80} of type "
                    f"{type(token).__name__} among them."
                )


def _given_vocabulary(vocabulary, lowercase):
    """Dict from tokens to ids, from the parameter."""
    if isinstance(vocabulary, str):
        raise ValueError(f"vocabulary must be a list of tokens or a dict, got {vocabulary!r:.80}.")
    if isinstance(vocabulary, Mapping):
        tokens, ids = list(vocabulary), list(vocabulary.values())
        last = len(tokens) + _FIRST - 1
        integers = all(_is_integer(i, _FIRST) for i in ids)
        if not integers or sorted(ids) != list(range(_FIRST, last + 1)):
            raise ValueError(
                f"vocabulary must give each token one of the ids {_FIRST} to {last}, once each "
                "(0 is padding, 1 an unknown token). For ids of another kind, pass the tokens in "
                "their order: sorted(vocabulary, key=vocabulary.get)."
            )
    else:
        tokens = sorted(vocabulary) if isinstance(vocabulary, (set, frozenset)) else vocabulary
        tokens = list(tokens)
        ids = range(_FIRST, len(tokens) + _FIRST)
    if not tokens:
        raise ValueError("vocabulary must hold at least one token, got none.")
    for token in tokens:
        if not isinstance(token, str):
            raise ValueError(f"vocabulary must hold tokens (str), got {token!r:.80}.")
    if len(set(tokens)) < len(tokens):
        repeated = next(token for token, n in Counter(tokens).items() if n > 1)
        raise ValueError(f"vocabulary must hold each token once, got {repeated!r} repeatedly.")
    if lowercase and any(token != token.lower() for token in tokens):
        warnings.warn(
            "vocabulary holds tokens with capital letters, which no text has after lowercasing: "
            "set lowercase=False, or give the vocabulary in lowercase.",
            stacklevel=4,
        )
    return {token: int(i) for token, i in zip(tokens, ids, strict=True)}
