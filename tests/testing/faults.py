"""The register of estimators with one fault each."""

FAULTS = []


def fault(check, message, *, options=None):
    """Register a class as one that a check must refuse with a message."""

    def register(cls):
        FAULTS.append((check, cls, message, options or {}))
        return cls

    return register
