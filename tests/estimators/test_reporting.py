"""What nets say of themselves: parameters, names they do not take, that they are not fitted."""

import inspect
import re

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier
from skorch.callbacks import EarlyStopping

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedMixin, SaliencyGuidedRegressor
from tests.estimators.bad_input import ESTIMATORS, LABELS, SizedMLP, X, make, targets_for


class GuidedBinary(SaliencyGuidedMixin, NeuralNetBinaryClassifier):
    """A user's own net class without a constructor."""


class Wider(SaliencyGuidedClassifier):
    """A subclass with a parameter of its own."""

    def __init__(self, *args, width=3, **kwargs):
        super().__init__(*args, **kwargs)
        self.width = width


class TwoPart(SaliencyGuidedClassifier):
    """A subclass with a second module, whose name is a prefix of parameters."""

    def initialize_module(self):
        super().initialize_module()
        self.second_ = torch.nn.Linear(**self.get_params_for("second"))
        return self


def binary(**params):
    params = {"module__in_features": 4, "module__out_features": 1} | params
    return GuidedBinary(torch.nn.Linear, verbose=0, train_split=None, max_epochs=1, **params)


# repr


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("fitted", [False, True])
def test_repr_shows_what_differs_from_the_defaults(estimator, fitted):
    assert repr(estimator()) == f"{estimator.__name__}()"
    net = estimator(consistency_weight=2.0, max_epochs=1, random_state=0)
    if fitted:
        net.fit(X, targets_for(estimator))
    assert repr(net) == (
        f"{estimator.__name__}(consistency_weight=2.0, max_epochs=1, random_state=0)"
    )
    assert repr(net.set_params(max_epochs=50)) == (
        f"{estimator.__name__}(consistency_weight=2.0, random_state=0)"
    )


def test_repr_shows_arguments_of_the_parts_too():
    net = SaliencyGuidedClassifier(module__hidden=(4,), optimizer__betas=(0.5, 0.9), lr=0.1)
    assert repr(net) == (
        "SaliencyGuidedClassifier(lr=0.1, module__hidden=(4,),\n"
        "                         optimizer__betas=(0.5, 0.9))"
    )
    assert eval(repr(net)).get_params(deep=False) == net.get_params(deep=False)


def test_repr_of_subclasses():
    assert repr(Wider()) == "Wider()"
    assert repr(Wider(width=4, lr=0.1)) == "Wider(lr=0.1, width=4)"
    assert re.fullmatch(
        r"SaliencyGuidedClassifier\(module=<class '.*SizedMLP'>\)",
        repr(SaliencyGuidedClassifier(SizedMLP)),
    )


@pytest.mark.parametrize("fitted", [False, True])
def test_repr_of_a_net_behind_the_mixin(fitted):
    net = binary(mask_fraction=0.25)
    if fitted:
        net.fit(X, LABELS.astype(np.float32))
    shown = re.sub(r"\s+", " ", repr(net))
    assert shown == (
        "GuidedBinary(mask_fraction=0.25, max_epochs=1, module=<class "
        "'torch.nn.modules.linear.Linear'>, module__in_features=4, module__out_features=1, "
        "train_split=None, verbose=0)"
    )
    assert repr(clone(net)) == repr(net)


def test_constructor_of_a_net_behind_the_mixin_names_its_parameters():
    parameters = inspect.signature(GuidedBinary).parameters
    assert next(iter(parameters)) == "module"
    for cls in (SaliencyGuidedMixin, NeuralNetBinaryClassifier):
        of_class = inspect.signature(cls).parameters.values()
        named = [p for p in of_class if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        for parameter in named:
            assert parameters[parameter.name].default is parameter.default
    assert parameters["max_epochs"].default == 10  # of NeuralNet
    assert [p.name for p in parameters.values() if p.kind is p.VAR_KEYWORD] == ["kwargs"]


def test_repr_inside_a_pipeline():
    pipeline = make_pipeline(
        StandardScaler(), SaliencyGuidedClassifier(consistency_weight=2.0, random_state=0)
    )
    assert repr(pipeline) == (
        "Pipeline(steps=[('standardscaler', StandardScaler()),\n"
        "                ('saliencyguidedclassifier',\n"
        "                 SaliencyGuidedClassifier(consistency_weight=2.0,\n"
        "                                          random_state=0))])"
    )


def user_set(html):
    rows = re.findall(r'<tr class="user-set">(.*?)</tr>', html, flags=re.DOTALL)
    return {re.search(r'class="param">.*?(\w+)\s*<', row, re.DOTALL).group(1) for row in rows}


@pytest.mark.skipif(
    not hasattr(BaseEstimator, "_get_params_html"), reason="scikit-learn 1.7 shows parameters"
)
@pytest.mark.parametrize("estimator", [*ESTIMATORS, Wider])
def test_html_marks_what_differs_from_the_defaults(estimator):
    assert user_set(estimator(lr=0.1, random_state=0)._repr_html_()) == {"lr", "random_state"}
    html = make_pipeline(StandardScaler(), estimator(lr=0.1))._repr_html_()
    assert user_set(html) == {"steps", "lr"}


# unfitted


@pytest.mark.parametrize("net", [SaliencyGuidedClassifier(), SaliencyGuidedRegressor(), binary()])
@pytest.mark.parametrize("method", ["predict", "attribute"])
def test_before_fit_the_error_asks_for_fit(net, method):
    with pytest.raises(NotFittedError) as caught:
        getattr(net, method)(X)
    assert str(caught.value) == (
        f"This {type(net).__name__} instance is not fitted yet. Call 'fit' with appropriate "
        "arguments before using this estimator."
    )


# names


UNKNOWN = [
    ({"consistancy_weight": 1}, r"consistancy_weight \(did you mean consistency_weight\?\)"),
    ({"epochs": 3}, r"epochs \(use max_epochs\)"),
    ({"max_iter": 3}, r"max_iter \(use max_epochs\)"),
    ({"hidden_layer_sizes": (9,)}, r"hidden_layer_sizes \(use module__hidden=\(64, 64\)\)"),
    ({"hidden": 9}, r"hidden \(use module__hidden\)"),
    ({"hiddn": 9}, r"hiddn \(did you mean module__hidden\?\)"),
    ({"activation": "tanh"}, r"activation \(use module__activation\)"),
    ({"hidden_layer_sizes": 9, "module": "tcn"}, r"\(use module__channels=\(64, 64\)\)"),
    ({"hidden": 9, "module": SizedMLP}, r"\(the module takes module__n_features, module__n_out"),
    ({"learning_rate": 0.1}, r"learning_rate \(use lr\)"),
    ({"learning_rate_init": 0.1}, r"learning_rate_init \(use lr\)"),
    ({"alpha": 0.1}, r"use optimizer__weight_decay with optimizer=torch\.optim\.AdamW"),
    ({"early_stopping": True}, r"use callbacks=\[skorch\.callbacks\.EarlyStopping\(\)\] with"),
    ({"validation_fraction": 0.1}, r"use train_split=skorch\.dataset\.ValidSplit\(0\.1\)"),
    ({"shuffle": False}, r"use iterator_train__shuffle"),
    ({"iterator_train_shuffle": 0}, r"did you mean iterator_train__shuffle\?"),
    ({"module_hidden": 3}, r"did you mean module__hidden\?"),
    ({"modul__hidden": 3}, r"modul__hidden \(did you mean module__hidden\?\)"),
    ({"qqq": 3}, r"argument\(s\) qqq\. "),
    ({"epochs": 3, "seed": 0}, r"epochs \(use max_epochs\), seed \(use random_state\)"),
]


@pytest.mark.parametrize("estimator", [*ESTIMATORS, Wider])
@pytest.mark.parametrize(("params", "hint"), UNKNOWN, ids=lambda case: str(case)[:30])
def test_unknown_names_are_refused_at_once_with_those_that_were_meant(estimator, params, hint):
    with pytest.raises(TypeError, match=hint) as caught:
        estimator(**params)
    assert f"{estimator.__name__} got unexpected argument(s)" in str(caught.value)


@pytest.mark.parametrize("params", [{"learning_rate": 1}, {"hidden_layer_sizes": 9}])
def test_what_a_hint_names_is_taken(params):
    with pytest.raises(TypeError) as caught:
        SaliencyGuidedClassifier(**params)
    (name, value), *_ = params.items()
    hint = re.search(rf"{name} \(use (\w+)", str(caught.value)).group(1)
    value = (8,) if "hidden" in hint else value
    make(SaliencyGuidedClassifier, **{hint: value}).fit(X, LABELS)


def test_set_params_hints_too():
    net = SaliencyGuidedClassifier(lr=0.1)
    pipeline = make_pipeline(StandardScaler(), net)
    with pytest.raises(ValueError, match=r"^Invalid parameter 'epochs' .*Got epochs \(use max_ep"):
        net.set_params(epochs=3)
    with pytest.raises(ValueError, match=r"Got epochs \(use max_epochs\)"):
        pipeline.set_params(saliencyguidedclassifier__epochs=3)
    with pytest.raises(ValueError, match=r"^Invalid parameter 'qqq' .*\]\.$"):
        net.set_params(qqq=3)
    with pytest.raises(ValueError, match=r"modul__hidden \(did you mean module__hidden\?\)"):
        net.set_params(lr=0.2, modul__hidden=3)
    assert net.lr == 0.1
    assert "modul__hidden" not in net.get_params()
    search = GridSearchCV(net, {"learning_rate": [0.1]}, cv=2)
    with pytest.raises(ValueError, match=r"Got learning_rate \(use lr\)"):
        search.fit(X, LABELS)


def test_a_net_behind_the_mixin_says_so_when_it_is_built():
    net = binary(epochs=3, consistancy_weight=1, module_bias=False)
    with pytest.raises(ValueError) as caught:
        net.initialize()
    for hint in ("use max_epochs", "mean consistency_weight?", "did you mean module__bias?"):
        assert hint in str(caught.value)


def test_a_subclass_may_add_a_module_whose_name_is_a_prefix():
    net = TwoPart(second__in_features=2, second__out_features=3, max_epochs=1).fit(X, LABELS)
    assert net.second_.weight.shape == (3, 2)
    assert repr(net) == "TwoPart(max_epochs=1, second__in_features=2, second__out_features=3)"
    with pytest.raises(ValueError, match=r"unexpected argument\(s\) third__n_features"):
        TwoPart(second__in_features=2, second__out_features=3, third__n_features=3).fit(X, LABELS)


@pytest.mark.parametrize(
    ("params", "hint"),
    [
        ({"module__hiddn": (3,)}, r"MLP takes no module__hiddn \(did you mean module__hidden\?\)"),
        ({"module__units": (3,)}, r"MLP takes no module__units \(did you mean module__hidden\?\)"),
        ({"module__qqq": 3}, r"MLP takes no module__qqq; it takes module__n_features, .*dropout"),
        ({"module": SizedMLP, "module__n_outs": 3}, r"SizedMLP takes .* module__n_outputs\?"),
        ({"criterion__wieght": 3}, r"takes no criterion__wieght \(did you mean criterion__weight"),
        ({"optimizer__weigt_decay": 3}, r"Adam takes no .* mean optimizer__weight_decay\?"),
    ],
)
def test_unknown_arguments_of_the_parts(params, hint, device):
    with pytest.raises(TypeError, match=hint):
        make(SaliencyGuidedClassifier, device, **params).fit(X, LABELS)


def test_arguments_that_are_passed_on_are_left_to_whom_gets_them(device):
    class Net(torch.nn.Sequential):
        def __init__(self, **sizes):
            super().__init__(torch.nn.Linear(sizes["inputs"], 2))

    class OwnOptimizer(SaliencyGuidedClassifier):
        def initialize_optimizer(self):
            params = self.get_params_for("optimizer")
            self.optimizer_ = torch.optim.SGD(self.module_.parameters(), lr=params["step"])
            return self

    make(SaliencyGuidedClassifier, device, module=Net, module__inputs=4).fit(X, LABELS)
    make(OwnOptimizer, device, optimizer__step=0.1).fit(X, LABELS)


def test_valid_parameters_of_every_part_are_taken():
    net = SaliencyGuidedClassifier(
        callbacks=[("stopping", EarlyStopping(monitor="train_loss"))],
        callbacks__stopping__patience=2,
        iterator_valid__batch_size=4,
        dataset__length=len(X),
        optimizer__param_groups=[("*bias", {"lr": 0.1})],
        criterion__label_smoothing=0.1,
        compile__dynamic=False,
        classes=[0, 1],
    )
    assert clone(clone(net)).get_params()["criterion__label_smoothing"] == 0.1
    net.fit(X, LABELS)
    assert dict(net.callbacks_)["stopping"].patience == 2


def test_the_notes_of_skorch_are_no_parameters():
    class Guided(SaliencyGuidedMixin, NeuralNetClassifier):
        pass

    net = Guided(torch.nn.Linear, module__in_features=4, module__out_features=2)
    assert not [name for name in net.get_params() if name.startswith("_")]
    assert clone(net).module__in_features == 4
