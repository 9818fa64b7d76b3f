"""The output of an embedding: where tokens, which have no gradient, can be differentiated."""

from contextlib import contextmanager
from types import SimpleNamespace

import torch


@contextmanager
def captured_embedding(embedding, x=None):
    """Keep what an embedding returns in a forward pass, to differentiate with respect to it.

    Parameters
    ----------
    embedding : torch.nn.Module
        Submodule that turns tokens of shape (n_samples, n_tokens) into vectors.
    x : torch.Tensor of int64, shape (n_samples, n_tokens), default=None
        Tokens that the pass is about, whose shape the output must then have.

    Yields
    ------
    types.SimpleNamespace
        Its `output` is None before the pass and the tensor of shape (n_samples, n_tokens,
        n_dimensions) after it. It requires gradients, also where the weights are frozen.

    Raises
    ------
    ValueError
        If the embedding is called more or less than once, or returns something else.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.attribution import captured_embedding, gradient_with_respect_to
    >>> embedding = torch.nn.Embedding(5, 2)
    >>> with captured_embedding(embedding) as captured:
    ...     output = embedding(torch.tensor([[3, 1, 4]])).sum((1, 2))
    >>> gradient_with_respect_to(output, captured.output).shape
    torch.Size([1, 3, 2])
    """
    captured = SimpleNamespace(output=None)

    def keep(tokens, output):
        _check_vectors(tokens, output, x)
        if not output.requires_grad:
            output = output.detach().requires_grad_(True)
        captured.output = output
        # a copy, as the module may work in place on what it gets
        return output.clone()

    with _called_once(embedding, keep):
        yield captured


@contextmanager
def replaced_embedding(embedding, values):
    """Have an embedding return given values in a forward pass.

    Parameters
    ----------
    embedding : torch.nn.Module
        Submodule that turns tokens of shape (n_samples, n_tokens) into vectors.
    values : torch.Tensor of shape (n_samples, n_tokens, n_dimensions)
        What it returns.

    Yields
    ------
    None
        The embedding is itself again on leaving.

    Raises
    ------
    ValueError
        If the embedding is called more or less than once, or would return another shape.

    Examples
    --------
    >>> import torch
    >>> from sgt_sklearn.attribution import replaced_embedding
    >>> embedding = torch.nn.Embedding(5, 2)
    >>> with replaced_embedding(embedding, torch.ones(1, 1, 2)):
    ...     embedding(torch.tensor([[3]]))
    tensor([[[1., 1.]]])
    """

    def replace(tokens, output):
        _check_vectors(tokens, output)
        if values.shape != output.shape:
            raise ValueError(
                "values must have the shape of the embedding's output, "
                f"{tuple(output.shape)}, got {tuple(values.shape)}."
            )
        return values

    with _called_once(embedding, replace):
        yield


_ONCE = (
    "Saliency of tokens is taken at the output of their embedding, which forward() must call "
    "exactly once, on all tokens together; {name} was called {times}. Name the submodule that "
    "embeds the tokens in embedding, as in embedding='embedding'."
)


@contextmanager
def _called_once(embedding, function):
    """Pass the output of an embedding through a function, in the one call that it may get."""
    calls = []

    def hook(module, args, kwargs, output):
        calls.append(module)
        if len(calls) > 1:
            raise ValueError(_ONCE.format(name=type(embedding).__name__, times="more than once"))
        return function(next(iter((*args, *kwargs.values())), None), output)

    handle = embedding.register_forward_hook(hook, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
    if not calls:
        raise ValueError(_ONCE.format(name=type(embedding).__name__, times="not at all"))


def _check_vectors(tokens, output, x=None):
    """Raise ValueError unless an embedding's output has a vector for each token."""
    expected = "(n_samples, n_tokens, n_dimensions)"
    if x is not None:
        expected = f"({x.shape[0]}, {x.shape[1]}, n_dimensions)"
    is_tensor = isinstance(output, torch.Tensor)
    wrong = not is_tensor or output.ndim != 3 or not output.is_floating_point()
    wrong = wrong or (x is not None and output.shape[:2] != x.shape)
    if wrong:
        got = f"shape {tuple(output.shape)} of {output.dtype}" if is_tensor else type(output)
        raise ValueError(
            f"embedding must return one vector a token, of shape {expected}, got {got}. Name the "
            "submodule that embeds the tokens, and call it on all of them, samples first."
        )
    if x is None or x.shape[0] != x.shape[1] or len(x) < 2:
        return
    # as many samples as tokens: no shape would give a transposed batch away
    same_kind = isinstance(tokens, torch.Tensor) and tokens.shape == x.shape
    if same_kind and torch.equal(tokens, x.T) and not torch.equal(tokens, x):
        raise ValueError(
            f"embedding must return one vector a token, of shape {expected}, samples first, but "
            "forward() calls it with the axes of samples and tokens exchanged: call it before "
            "they are exchanged."
        )
