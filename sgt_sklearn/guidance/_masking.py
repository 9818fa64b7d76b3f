"""What is hidden, and what with."""

import copy
import dataclasses

import torch

from sgt_sklearn.attribution import LIKELIHOODS, SALIENCY_OUTPUTS
from sgt_sklearn.guidance._fill import FILLS
from sgt_sklearn.guidance._padding import shares, valid_members
from sgt_sklearn.guidance._ranking import MASK_ORDERS
from sgt_sklearn.guidance._tokens import TOKEN_FILLS


@dataclasses.dataclass(frozen=True, eq=False)
class Masking:
    """Settings of the masked input: what is ranked, how many are hidden, and what replaces them.

    Parameters
    ----------
    fraction : float, default=0.5
        Share of the groups that is hidden, in [0, 1]; ``k = floor(fraction * n_groups + 1e-9)``.
    order : {"signed", "absolute", "sampled", "random"}, default="absolute"
        Ranking of the groups, see :func:`sgt_sklearn.guidance.ranking_scores`.
    output : {"log_proba", "logit", "margin"}, default="margin"
        Scalar whose input gradient ranks.
    fill : str or callable, default="sample_uniform"
        Replacement, see :func:`sgt_sklearn.guidance.fill_values`. For tokens: "unknown";
        "previous", the nearest kept token before, or unknown; "marginal", a token of the other
        samples of the batch; "constant", the token `fill_value`; or a callable.
    fill_value : float, default=0.0
        Value of the "constant" fill.
    groups : torch.Tensor of int64, shape ``x.shape[1:]``, default=None
        Labels 0 .. n_groups - 1 of the cells that are ranked and hidden as one. None: every cell
        is its own group.
    likelihood : {"categorical", "bernoulli", "gaussian"}, default="categorical"
        Distribution that the module's outputs parametrise.
    probabilities : bool, default=False
        Whether the outputs are probabilities and not logits.
    scale, minimum, maximum, mean : torch.Tensor that broadcasts to one sample, default=None
        Training statistics of the features: `scale` (standard deviation) makes "absolute" and
        "sampled" comparable across units, the others serve the fills that need them.
    nested : bool, default=False
        Hide whole groups first and then single cells of the others, together the share `fraction`
        of the cells: ``floor((1 - sqrt(1 - fraction)) * n_groups + 1e-9)`` groups, the lowest
        first, and the lowest of the cells that are left. With the steps of a series as groups
        this is to rank times and then features.

    Raises
    ------
    ValueError
        If a setting is outside its choices, the labels of `groups` are not 0 .. n_groups - 1, or
        there are no groups to nest cells in.

    Examples
    --------
    >>> from sgt_sklearn.guidance import Masking
    >>> Masking(fraction=0.25, fill="constant").n_hidden(n_cells=10)
    2
    """

    fraction: float = 0.5
    order: str = "absolute"
    output: str = "margin"
    fill: object = "sample_uniform"
    fill_value: float = 0.0
    groups: torch.Tensor | None = None
    likelihood: str = "categorical"
    probabilities: bool = False
    scale: torch.Tensor | None = None
    minimum: torch.Tensor | None = None
    maximum: torch.Tensor | None = None
    mean: torch.Tensor | None = None
    nested: bool = False
    n_groups: int | None = dataclasses.field(init=False, default=None, repr=False)

    def __post_init__(self):
        """Check the settings and count the groups."""
        _check_fraction(self.fraction)
        for name, value, choices in (
            ("order", self.order, MASK_ORDERS),
            ("output", self.output, SALIENCY_OUTPUTS),
            ("likelihood", self.likelihood, LIKELIHOODS),
        ):
            if value not in choices:
                raise ValueError(f"{name} must be one of {choices}, got {value!r}.")
        fills = tuple(dict.fromkeys(FILLS + TOKEN_FILLS))
        if not callable(self.fill) and self.fill not in fills:
            raise ValueError(f"fill must be one of {fills} or a callable, got {self.fill!r}.")
        if self.groups is None:
            if self.nested:
                raise ValueError(
                    "nested=True hides groups and then cells: groups must be their labels (the "
                    "steps of a series, for example), got None."
                )
            return
        labels = self.groups.unique()
        if self.groups.is_floating_point() or labels.tolist() != list(range(len(labels))):
            raise ValueError(
                "groups must be int64 labels 0 .. n_groups - 1 without gaps (see "
                f"torch.unique(labels, return_inverse=True)), got {labels.tolist()[:10]}."
            )
        object.__setattr__(self, "n_groups", len(labels))

    def with_fraction(self, fraction):
        """Copy with another share of hidden groups.

        Parameters
        ----------
        fraction : float
            The share, in [0, 1].

        Returns
        -------
        Masking
            The copy, which shares its tensors with this one.
        """
        _check_fraction(fraction)
        masking = copy.copy(self)
        object.__setattr__(masking, "fraction", fraction)
        return masking

    @property
    def ranked_groups(self):
        """Labels of what is counted and replaced as one: None where that is single cells."""
        return None if self.nested else self.groups

    def n_hidden(self, n_cells, valid=None):
        """Number of groups (of cells, where they are nested) that are hidden in a sample.

        Parameters
        ----------
        n_cells : int
            Number of cells of one sample.
        valid : torch.Tensor of bool, shape (n_samples, ...), default=None
            Cells that are not padding, where some are; a group counts if one of its cells does.

        Returns
        -------
        int, or torch.Tensor of int64, shape (n_samples,)
            ``floor(fraction * n_groups + 1e-9)``; with `valid`, for each sample.
        """
        if valid is not None:
            members = valid_members(valid, self.ranked_groups, self.n_groups)
            return shares(self.fraction, (members > 0).sum(1))
        return int(
            self.fraction * (n_cells if self.ranked_groups is None else self.n_groups) + 1e-9
        )

    @property
    def statistics(self):
        """Training statistics for the fills, by name."""
        return {"minimum": self.minimum, "maximum": self.maximum, "mean": self.mean}

    def to(self, device, dtype):
        """Copy with the tensors on a device and the statistics in a dtype.

        Parameters
        ----------
        device : torch.device or str
            Target device.
        dtype : torch.dtype
            Floating-point type of the statistics.

        Returns
        -------
        Masking
            The copy.
        """
        moved = {
            name: getattr(self, name).to(device=device, dtype=dtype)
            for name in ("scale", "minimum", "maximum", "mean")
            if getattr(self, name) is not None
        }
        if self.groups is not None:
            moved["groups"] = self.groups.to(device)
        return dataclasses.replace(self, **moved)


def _check_fraction(fraction):
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction must be in [0, 1], got {fraction!r}.")
