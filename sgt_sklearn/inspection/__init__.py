"""Ways to look at a fitted net that go beyond one attribution."""

from sgt_sklearn.inspection._rescaling import temporal_saliency_rescaling

__all__ = ["temporal_saliency_rescaling"]
