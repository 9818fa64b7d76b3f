"""Checks of the generators' parameters."""

from numbers import Integral, Real


def check_integer(name, value, least, why=""):
    """Return `value` as an int, or raise the ValueError that says what it must be."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be an integer, {least} or more{why}, got {value!r}.")
    return int(value)


def check_number(name, value, least, most=float("inf")):
    """Return `value` as a float, or raise the ValueError that says what it must be."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not (number and least <= value <= most and abs(value) < float("inf")):
        bounds = f"{least} or more" if most == float("inf") else f"{least} to {most}"
        raise ValueError(f"{name} must be a finite number, {bounds}, got {value!r}.")
    return float(value)


def check_choice(name, value, choices):
    """Raise the ValueError that lists `choices` unless `value` is one of them."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}.")
