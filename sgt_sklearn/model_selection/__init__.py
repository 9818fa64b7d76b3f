"""Choosing and comparing trainings by score and by interpretability."""

__all__ = []
