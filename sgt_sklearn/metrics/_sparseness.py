"""How concentrated attributions are."""

import numpy as np

from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._relevance_input import PADDING, absolute_attributions


@with_shared_parameters
def gini_sparseness(attributions):
    r"""Mean Gini index of the absolute attributions of a sample.

    0 says that all cells of a sample share the attribution equally; `1 - 1 / n_cells` says that
    one cell holds all of it.

    Parameters
    ----------
    {{spread_data}}

    Returns
    -------
    float
        Mean over samples, in [0, 1). A sample whose attributions are all zero counts as 0: nothing
        is concentrated anywhere, so a model without any attribution never looks sparse.

    Raises
    ------
    {{spread_raises}}

    See Also
    --------
    relevance_mass_accuracy : Whether the attribution lies where it should.
    comprehensiveness_gap : Whether the model uses the features that the attribution names.

    Notes
    -----
    With the absolute attributions of a sample in ascending order,
    :math:`s_{(1)} \le \dots \le s_{(d)}`, the index is

    .. math:: \frac{\sum_{k=1}^{d} (2k - d - 1)\, s_{(k)}}{d \sum_{k=1}^{d} s_{(k)}}.

    It does not depend on the scale of the attributions or on the order of the cells. Sparse is not
    right: an attribution of a single wrong feature is as sparse as that of the right one, and a
    model that ignores nearly all of its input can be the sparsest. So no scorer ranks models by
    it; read it beside their score.

    References
    ----------
    .. [1] Chalasani, Chen, Chowdhury, Wu, Jha, "Concise Explanations of Neural Networks using
       Adversarial Training", ICML 2020, https://arxiv.org/abs/1810.06583.
    .. [2] Hurley, Rickard, "Comparing Measures of Sparsity", IEEE Transactions on Information
       Theory 55(10), 2009, https://arxiv.org/abs/0811.4706.

    Examples
    --------
    >>> from sgt_sklearn.metrics import gini_sparseness
    >>> gini_sparseness([[0, 0, -3, 0]])
    0.75
    >>> gini_sparseness([[1, 1, 1, 1], [0, 0, 0, 0]])
    0.0
    >>> gini_sparseness([[0, 2], [0, 0, -3, 0]])
    0.625
    """
    magnitude = absolute_attributions(attributions)
    n_cells = (magnitude != PADDING).sum(axis=1, keepdims=True)
    largest = magnitude.max(axis=1, keepdims=True)
    # the largest cell becomes 1 so that sums of very large or small values stay finite
    scaled = np.maximum(magnitude, 0) / np.where(largest > 0, largest, 1.0)
    # padding, now 0, is sorted to the front
    scaled = np.sort(scaled, axis=1)
    place = np.arange(1, scaled.shape[1] + 1) - (scaled.shape[1] - n_cells)
    total = scaled.sum(axis=1)
    index = (scaled * (2 * place - n_cells - 1)).sum(axis=1)
    index /= n_cells[:, 0] * np.where(total > 0, total, 1.0)
    return float(np.mean(index))
