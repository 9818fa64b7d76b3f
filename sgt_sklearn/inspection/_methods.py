"""The attribution methods of `explain`: one table of what each takes, gives and needs."""

from dataclasses import dataclass, field
from numbers import Integral, Real

NET_OUTPUTS = ("logit", "log_proba", "margin")
ALL_OUTPUTS = (*NET_OUTPUTS, "probability")
# how often an input unit divides the values
POWERS = {"contribution": 0, "gradient": 1, "variance": 2}
# rules that propagate through layers know none for the softmax
_LINEAR_OUTPUTS = ("logit", "margin")


@dataclass(frozen=True)
class Method:
    """Facts of a method.

    Parameters
    ----------
    family : {"gradient", "captum", "hooks", "perturbation"}
        "gradient" is our own; "captum" differentiates through captum; "hooks" does so too and
        hangs rules on the layers of the net; "perturbation" needs predictions only.
    options : dict
        Options and their defaults.
    units : {"contribution", "gradient", "variance"}
        Output units; output units per input unit; or these squared.
    complete : bool
        Whether values add up to the difference of the outputs at X and at the baseline.
    baseline : {"one", "rows"} or None
        A baseline for each sample; a set of rows for all samples; or none.
    random : bool
        Whether it draws.
    outputs : tuple of str
        What it can explain of a net.
    instead : str
        A method that works where this one does not.
    """

    family: str
    options: dict = field(default_factory=dict)
    units: str = "contribution"
    complete: bool = False
    baseline: str | None = None
    random: bool = False
    outputs: tuple = NET_OUTPUTS
    instead: str = "integrated_gradients"


def _perturbation(**facts):
    return Method("perturbation", **{"baseline": "one", "outputs": ALL_OUTPUTS} | facts)


METHODS = {
    "saliency": Method("gradient", units="gradient"),
    "input_x_gradient": Method("gradient"),
    "integrated_gradients": Method("gradient", {"n_steps": 50}, baseline="one", complete=True),
    "path_gradient": Method("gradient", {"n_steps": 50}, units="gradient", baseline="one"),
    "smooth_grad": Method(
        "gradient", {"n_samples": 25, "noise_level": 0.1}, units="gradient", random=True
    ),
    "vargrad": Method(
        "captum", {"n_samples": 25, "noise_level": 0.1}, units="variance", random=True
    ),
    "gradient_shap": Method(
        "captum", {"n_samples": 25, "n_baselines": 25}, baseline="rows", random=True
    ),
    "deep_lift": Method("hooks", baseline="one", complete=True, outputs=_LINEAR_OUTPUTS),
    "deep_lift_shap": Method(
        "hooks",
        {"n_baselines": 25},
        baseline="rows",
        complete=True,
        random=True,
        outputs=_LINEAR_OUTPUTS,
    ),
    "guided_backprop": Method("hooks", units="gradient", instead="saliency"),
    "deconvolution": Method("hooks", units="gradient", instead="saliency"),
    "lrp": Method("hooks", outputs=_LINEAR_OUTPUTS),
    "occlusion": _perturbation(options={"sliding_window_shapes": None, "strides": None}),
    "feature_ablation": _perturbation(),
    "feature_permutation": _perturbation(baseline=None, random=True),
    "shapley_value_sampling": _perturbation(options={"n_samples": 25}, complete=True, random=True),
    "kernel_shap": _perturbation(options={"n_samples": None}, complete=True, random=True),
    "lime": _perturbation(options={"n_samples": None, "alpha": 0.01}, random=True),
}


def method_named(name):
    """Facts of a method.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if not isinstance(name, str) or name not in METHODS:
        raise ValueError(f"method must be one of {sorted(METHODS)}, got {name!r}.")
    return METHODS[name]


def check_options(name, given):
    """All options of a method, those that are given checked.

    Raises
    ------
    TypeError
        For an option that the method does not have, or of the wrong type.
    ValueError
        For a value that is too small.
    """
    known = METHODS[name].options
    unknown = sorted(set(given) - set(known))
    if unknown:
        has = f"takes {sorted(known)}" if known else "takes no options"
        raise TypeError(
            f"method={name!r} got the unknown option{'s' * (len(unknown) > 1)} "
            f"{', '.join(unknown)}: it {has}."
        )
    for option, value in given.items():
        if option.startswith("n_") and value is not known[option]:
            _check_number(option, value, Integral, "an integer of at least 1", 1)
        elif option == "noise_level":
            _check_number(option, value, Real, "a number of at least 0", 0)
        elif option == "alpha":
            _check_number(option, value, Real, "a number above 0", 1e-12)
    return known | given


def _check_number(name, value, kind, must_be, least):
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"{name} must be {must_be}, got {value!r}.")
    if not value >= least:
        raise ValueError(f"{name} must be {must_be}, got {value!r}.")


def check_output(name, output):
    """Refuse what a method cannot explain of a net.

    Raises
    ------
    ValueError
        Naming the outputs, and methods for the others.
    """
    if output not in ALL_OUTPUTS:
        raise ValueError(f"output must be 'auto' or one of {ALL_OUTPUTS}, got {output!r}.")
    outputs = METHODS[name].outputs
    if output not in outputs:
        other = "feature_ablation" if output == "probability" else METHODS[name].instead
        raise ValueError(
            f"output must be one of {outputs} for method={name!r} on a net, got {output!r}. For "
            f"that use method={other!r}."
        )
