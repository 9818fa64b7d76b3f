"""Callbacks for training."""

from sgt_sklearn.callbacks._mask_recorder import MaskRecorder
from sgt_sklearn.callbacks._resumable_checkpoint import ResumableCheckpoint

__all__ = ["MaskRecorder", "ResumableCheckpoint"]
