"""The metrics of captum, for functions of arrays."""

import numpy as np
import torch
from captum.metrics import infidelity, sensitivity_max


def captum_infidelity(outputs, X, attributions, perturb, n_draws, *, normalize):
    """Infidelity of the attributions of each sample.

    Parameters
    ----------
    outputs : callable
        `outputs(X, rows)` returns the explained outputs, shape (n,), of variants of those rows.
    X : ndarray of shape (n_samples, ...)
        Samples.
    attributions : ndarray of the shape of X
        Their attributions, per unit of perturbation.
    perturb : callable
        `perturb(X, rows)` returns perturbations, and X without them.
    n_draws : int
        Perturbations of each sample.
    normalize : bool
        Whether to scale the attributions of each sample to fit best.

    Returns
    -------
    ndarray of shape (n_samples,)
        Infidelity.
    """
    n_samples = len(X)
    values = infidelity(
        lambda X: torch.from_numpy(outputs(X.numpy(), _rows(X, n_samples))),
        lambda X: tuple(map(torch.from_numpy, perturb(X.numpy(), _rows(X, n_samples)))),
        torch.from_numpy(X),
        torch.from_numpy(attributions),
        n_perturb_samples=n_draws,
        normalize=normalize,
    )
    return values.numpy()


def captum_max_sensitivity(explain, X, perturb, n_draws):
    """Largest relative change of the attributions of each sample.

    Parameters
    ----------
    explain : callable
        `explain(X, rows)` returns attributions of variants of those rows.
    X : ndarray of shape (n_samples, ...)
        Samples.
    perturb : callable
        `perturb(X, rows)` returns perturbed X.
    n_draws : int
        Perturbations of each sample.

    Returns
    -------
    ndarray of shape (n_samples,)
        Largest Euclidean norm of a change over that of the attributions.
    """
    n_samples = len(X)

    def explanation(inputs):
        # samples come in a tuple, their copies do not
        X = inputs[0] if isinstance(inputs, tuple) else inputs
        return (torch.from_numpy(explain(X.numpy(), _rows(X, n_samples))),)

    values = sensitivity_max(
        explanation,
        torch.from_numpy(X),
        perturb_func=lambda X: torch.from_numpy(perturb(X.numpy(), _rows(X, n_samples))),
        n_perturb_samples=n_draws,
    )
    return values.numpy()


def _rows(X, n_samples):
    # captum repeats each sample in place
    return np.repeat(np.arange(n_samples), len(X) // n_samples)
