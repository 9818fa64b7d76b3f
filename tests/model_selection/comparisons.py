"""Nets and quick comparisons of trainings."""

from sgt_sklearn import SaliencyGuidedClassifier

ALL = ["plain", "guided", "random order", "weight decay"]


def net(**params):
    return SaliencyGuidedClassifier(**({"max_epochs": 1} | params))
