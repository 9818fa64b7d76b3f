"""The registers of estimators and of networks with one fault each."""

FAULTS = []
NET_FAULTS = []


def fault(check, message, *, options=None):
    """Register a class as one that a check must refuse with a message."""

    def register(cls):
        FAULTS.append((check, cls, message, options or {}))
        return cls

    return register


def net_fault(check, message):
    """Register a module class whose estimator a check must refuse, unlike that of its base."""

    def register(cls):
        NET_FAULTS.append((check, cls, message))
        return cls

    return register
