"""Ways to look at a fitted net that go beyond one attribution."""

from sgt_sklearn.inspection._explain import explain
from sgt_sklearn.inspection._explanation import Explanation
from sgt_sklearn.inspection._masking_display import MaskingDisplay
from sgt_sklearn.inspection._rescaling import temporal_saliency_rescaling
from sgt_sklearn.inspection._saliency_display import SaliencyMapDisplay

__all__ = [
    "Explanation",
    "MaskingDisplay",
    "SaliencyMapDisplay",
    "explain",
    "temporal_saliency_rescaling",
]
