"""How far the largest attributions stand out."""

import numpy as np

from sgt_sklearn.metrics._docs import with_shared_parameters
from sgt_sklearn.metrics._relevance_input import PADDING, absolute_attributions


@with_shared_parameters
def attribution_kurtosis(attributions):
    r"""Mean kurtosis of the absolute attributions of a sample.

    High where a few cells stand out from many that are alike, as when a network has learned to
    ignore most of its input.

    Parameters
    ----------
    {{spread_data}}

    Returns
    -------
    float
        Mean over samples, in [1, n_cells - 2 + 1 / (n_cells - 1)]. Noise with a normal
        distribution has about 3.9, cells that share the attribution evenly in two levels 1. A
        sample whose cells are all equal counts as 1: nothing stands out.

    Raises
    ------
    {{spread_raises}}

    See Also
    --------
    gini_sparseness : Inequality between 0 and 1, easier to compare across numbers of cells.

    Notes
    -----
    With the absolute attributions :math:`s_i` of the :math:`d` cells of a sample and their mean
    :math:`m`, this is Pearson's kurtosis (that of a normal distribution is 3),

    .. math:: \frac{\frac{1}{d} \sum_i (s_i - m)^4}{\left(\frac{1}{d} \sum_i (s_i - m)^2\right)^2}.

    It does not depend on the scale of the attributions or on the order of the cells. A single
    cell that holds all of the attribution has the largest value, a single cell that holds none of
    it as well: read it beside :func:`gini_sparseness`.

    References
    ----------
    .. [1] Hurley, Rickard, "Comparing Measures of Sparsity", IEEE Transactions on Information
       Theory 55(10), 2009, https://arxiv.org/abs/0811.4706.

    Examples
    --------
    >>> from sgt_sklearn.metrics import attribution_kurtosis
    >>> attribution_kurtosis([[5, -5, 0, 0]])
    1.0
    >>> round(attribution_kurtosis([[0, 0, 0, 0, 0, 0, 7, 0, 0, 0]]), 3)
    8.111
    """
    magnitude = absolute_attributions(attributions)
    cells = magnitude != PADDING
    n_cells = cells.sum(axis=1, keepdims=True)
    largest = magnitude.max(axis=1, keepdims=True)
    scaled = np.where(cells, magnitude / np.where(largest > 0, largest, 1.0), 0.0)
    mean = scaled.sum(axis=1, keepdims=True) / n_cells
    deviation = np.where(cells, scaled - mean, 0.0)
    # what the rounding of the mean leaves of cells that are all equal is no spread
    deviation[np.abs(deviation).max(axis=1) < 1e-14] = 0.0
    n_cells = n_cells[:, 0]
    squares = (deviation**2).sum(axis=1) / n_cells
    fourth = (deviation**4).sum(axis=1) / n_cells
    spread = squares > 0
    kurtosis = np.where(spread, fourth / np.where(spread, squares, 1.0) ** 2, 1.0)
    return float(np.mean(kurtosis))
