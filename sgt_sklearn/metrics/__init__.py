"""Metrics and scorers that measure attributions and the models behind them."""

from sgt_sklearn.metrics._comprehensiveness import comprehensiveness, comprehensiveness_gap
from sgt_sklearn.metrics._consistency import masking_consistency
from sgt_sklearn.metrics._entropy import attribution_entropy
from sgt_sklearn.metrics._infidelity import infidelity, infidelity_gap
from sgt_sklearn.metrics._kurtosis import attribution_kurtosis
from sgt_sklearn.metrics._max_sensitivity import max_sensitivity, max_sensitivity_gap
from sgt_sklearn.metrics._precision_recall import benchmark_precision_recall
from sgt_sklearn.metrics._randomization import parameter_randomization
from sgt_sklearn.metrics._relevance import (
    pointing_game,
    relevance_average_precision,
    relevance_mass_accuracy,
    relevance_rank_accuracy,
    relevance_roc_auc,
)
from sgt_sklearn.metrics._removal import removal_curve
from sgt_sklearn.metrics._removal_display import RemovalCurveDisplay
from sgt_sklearn.metrics._retraining import remove_and_retrain
from sgt_sklearn.metrics._scorer import (
    get_interpretability_scorer,
    get_interpretability_scorer_names,
    make_interpretability_scorer,
)
from sgt_sklearn.metrics._sparseness import gini_sparseness
from sgt_sklearn.metrics._sufficiency import sufficiency, sufficiency_gap

__all__ = [
    "RemovalCurveDisplay",
    "attribution_entropy",
    "attribution_kurtosis",
    "benchmark_precision_recall",
    "comprehensiveness",
    "comprehensiveness_gap",
    "get_interpretability_scorer",
    "get_interpretability_scorer_names",
    "gini_sparseness",
    "infidelity",
    "infidelity_gap",
    "make_interpretability_scorer",
    "masking_consistency",
    "max_sensitivity",
    "max_sensitivity_gap",
    "parameter_randomization",
    "pointing_game",
    "relevance_average_precision",
    "relevance_mass_accuracy",
    "relevance_rank_accuracy",
    "relevance_roc_auc",
    "removal_curve",
    "remove_and_retrain",
    "sufficiency",
    "sufficiency_gap",
]
