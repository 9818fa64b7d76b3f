"""Default networks, pure torch."""

from sgt_sklearn.modules._cnn import CNN
from sgt_sklearn.modules._mlp import MLP
from sgt_sklearn.modules._standardize import StandardizedInput

__all__ = ["CNN", "MLP", "StandardizedInput"]
