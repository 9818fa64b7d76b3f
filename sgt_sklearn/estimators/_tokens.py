"""Where the tokens of an input become vectors, and which of them are padding."""

import torch

from sgt_sklearn.estimators._named import NAMED_MODULES
from sgt_sklearn.estimators._parameters import is_auto, unwrap
from sgt_sklearn.guidance import UNKNOWN_TOKEN


def embedding_of(net, x):
    """The submodule that embeds the tokens of an input.

    Parameters
    ----------
    net : SaliencyGuidedMixin
        The net, initialised.
    x : torch.Tensor
        The guided part of an input.

    Returns
    -------
    torch.nn.Module or None
        None where no embedding is named, or x is floating point and needs none.

    Raises
    ------
    ValueError
        If the parameter `embedding` names no submodule, the input is not integer, or the module
        is compiled.
    """
    name, module = net.embedding, net.module
    if is_auto(name):
        named = isinstance(module, str) and NAMED_MODULES.get(module, ("",))[0] == "tokens"
        if not named:
            return None
        name = "embedding"
    elif x.is_floating_point():
        raise ValueError(
            f"embedding must be 'auto' for a floating-point input, got {name!r}: pass integer "
            "token ids, or leave the parameter out."
        )
    for component in net._modules:
        component = getattr(net, component + "_")
        try:
            # in every training step: no walk over all submodules
            found = unwrap(component).get_submodule(name)
        except AttributeError:
            continue
        if unwrap(component) is not component:
            raise ValueError(
                "compile must be False for tokens, whose saliency is taken at their embedding: a "
                "compiled module does not show what is inside."
            )
        return found
    candidates = [
        key
        for component in net._modules
        for key, submodule in unwrap(getattr(net, component + "_")).named_modules()
        if isinstance(submodule, torch.nn.Embedding)
    ]
    raise ValueError(
        f"embedding must name a submodule (of torch.nn.Embedding the module has {candidates}), "
        f"got {name!r}."
    )


def check_fill_is_no_padding(embedding, fill, value):
    """Refuse a fill that would turn hidden tokens into padding.

    Parameters
    ----------
    embedding : torch.nn.Module or None
        Where tokens become vectors; None for other input.
    fill : str or callable
        The parameter `mask_fill`, resolved.
    value : float
        The parameter `mask_value`.

    Raises
    ------
    ValueError
        If the token that is filled in is the embedding's `padding_idx`.
    """
    filled = {"unknown": UNKNOWN_TOKEN, "previous": UNKNOWN_TOKEN, "constant": value}
    padding = getattr(embedding, "padding_idx", None)
    if isinstance(fill, str) and padding is not None and filled.get(fill) == padding:
        raise ValueError(
            f"mask_fill={fill!r} fills in the token {padding}, which is padding to the embedding: "
            "set mask_fill='constant' and mask_value to the id of an unknown or mask token, or "
            "mask_fill='marginal'."
        )


def token_counts(x, embedding):
    """Number of tokens before the padding of each row, where the embedding tells what is padding.

    Parameters
    ----------
    x : torch.Tensor of int, shape (n_samples, n_tokens)
        Token ids.
    embedding : torch.nn.Module
        Where they become vectors; its `padding_idx`, if it has one, is padding.

    Returns
    -------
    torch.Tensor of int64, shape (n_samples,), or None
        Position behind the last token that is not padding; None without a `padding_idx`.

    Examples
    --------
    >>> embedding = torch.nn.Embedding(9, 2, padding_idx=0)
    >>> token_counts(torch.tensor([[3, 4, 0], [5, 6, 7]]), embedding)
    tensor([2, 3])
    """
    padding = getattr(embedding, "padding_idx", None)
    if padding is None:
        return None
    places = torch.arange(1, x.shape[1] + 1, device=x.device)
    return ((x != padding) * places).amax(dim=1)
