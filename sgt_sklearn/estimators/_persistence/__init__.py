"""Saving and loading estimators without pickle."""

from sgt_sklearn.estimators._persistence._mixin import PersistenceMixin

__all__ = ["PersistenceMixin"]
