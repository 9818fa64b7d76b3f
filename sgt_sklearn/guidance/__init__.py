"""Saliency guidance in pure torch: ranking, masking, divergences and the loss."""

from sgt_sklearn.guidance._divergence import DIVERGENCES, make_divergence
from sgt_sklearn.guidance._fill import FILLS, fill_values
from sgt_sklearn.guidance._loss import saliency_guided_loss
from sgt_sklearn.guidance._masked_input import check_differentiable, masked_input
from sgt_sklearn.guidance._masking import Masking
from sgt_sklearn.guidance._modes import frozen_running_statistics, passes_agree
from sgt_sklearn.guidance._padding import PADDING_TOKEN
from sgt_sklearn.guidance._ranking import MASK_ORDERS, group_scores, lowest_groups, ranking_scores
from sgt_sklearn.guidance._tokens import TOKEN_FILLS, UNKNOWN_TOKEN
from sgt_sklearn.guidance._weights import weighted_loss

__all__ = [
    "DIVERGENCES",
    "FILLS",
    "MASK_ORDERS",
    "PADDING_TOKEN",
    "TOKEN_FILLS",
    "UNKNOWN_TOKEN",
    "Masking",
    "check_differentiable",
    "fill_values",
    "frozen_running_statistics",
    "group_scores",
    "lowest_groups",
    "make_divergence",
    "masked_input",
    "passes_agree",
    "ranking_scores",
    "saliency_guided_loss",
    "weighted_loss",
]
