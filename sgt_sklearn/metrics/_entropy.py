"""How widely attributions are spread."""

import numpy as np

from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._relevance_input import PADDING, absolute_attributions


@with_shared_parameters
def attribution_entropy(attributions):
    r"""Mean entropy, in nats, of the shares that cells have in the attribution of a sample.

    0 says that one cell holds all of it; `log(n_cells)` says that all cells share it equally. Its
    exponential is the number of equal cells that would have that entropy.

    Parameters
    ----------
    {{spread_data}}

    Returns
    -------
    float
        Mean over samples, in [0, log(n_cells)]. A sample whose attributions are all zero counts
        as `log(n_cells)`: nothing is concentrated anywhere.

    Raises
    ------
    {{spread_raises}}

    See Also
    --------
    gini_sparseness : The same question, with an answer that does not grow with the cells.
    attribution_kurtosis : How far the largest attributions stand out.

    Notes
    -----
    With the absolute attributions :math:`s_i` of a sample, of which cell :math:`i` has the share
    :math:`p_i = s_i / \sum_j s_j`, the entropy is :math:`-\sum_i p_i \log p_i`. It does not depend
    on the scale of the attributions or on the order of the cells. The paper calls this the
    complexity of an explanation. Simple is not right: see the notes of :func:`gini_sparseness`.

    References
    ----------
    .. [1] Bhatt, Weller, Moura, "Evaluating and Aggregating Feature-based Model Explanations",
       IJCAI 2020, https://arxiv.org/abs/2005.00631.

    Examples
    --------
    >>> import numpy as np
    >>> from sgt_sklearn.metrics import attribution_entropy
    >>> attribution_entropy([[0, 0, -3, 0]])
    0.0
    >>> float(np.exp(attribution_entropy([[2, -2, 0, 0, 0]])).round(6))
    2.0
    """
    magnitude = absolute_attributions(attributions)
    cells = magnitude != PADDING
    largest = magnitude.max(axis=1, keepdims=True)
    # a sample of zeros is spread like one of ones; scaling keeps sums of extreme values finite
    scaled = np.where(largest > 0, magnitude / np.where(largest > 0, largest, 1.0), 1.0)
    scaled = np.where(cells, scaled, 0.0)
    shares = scaled / scaled.sum(axis=1, keepdims=True)
    logs = np.log(shares, where=shares > 0, out=np.zeros_like(shares))
    # + 0.0: no negative zero
    return float(np.mean(-(shares * logs).sum(axis=1))) + 0.0
