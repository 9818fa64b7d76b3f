"""Ways to look at a fitted net that go beyond one attribution."""

from sgt_sklearn.inspection._explanation import Explanation
from sgt_sklearn.inspection._rescaling import temporal_saliency_rescaling

__all__ = ["Explanation", "temporal_saliency_rescaling"]
