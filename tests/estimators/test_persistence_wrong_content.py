"""Files whose content does not fit the estimator are refused."""

import json

import pytest

from sgt_sklearn.exceptions import PersistenceError
from tests.estimators.saved_files import load, set_in


def without(section, key):
    def change(document, tensors):
        del document[section][key]

    return change


ATTRIBUTES = ("attributes",)
GENERATORS = ("attributes", "_generator_states_")
NUMPY_STATE = (*GENERATORS, "numpy", "$tuple")
GROUP = ("optimizers", "optimizer_", "state", "param_groups", 0)
STATES = ("optimizers", "optimizer_", "state", "state", "$dict")
WRONG = {
    # numpy would read outside of its memory
    "position of numpy's generator": set_in(*NUMPY_STATE, 2, to=10**6),
    "negative position": set_in(*NUMPY_STATE, 2, to=-1),
    "kind of numpy's generator": set_in(*NUMPY_STATE, 0, to="PCG64"),
    "numpy's generator": set_in(*GENERATORS, "numpy", to=None),
    "torch's generator": set_in(*GENERATORS, "torch", to=[1, 2]),
    "generators": set_in(*GENERATORS, to={"$tuple": []}),
    "negative seed": set_in(*ATTRIBUTES, "_seed_", to=-1),
    "shape of the input": set_in(*ATTRIBUTES, "_input_shape_", to={"$tuple": [4]}),
    "axes of the input": set_in(*ATTRIBUTES, "_input_shape_", to={"$tuple": [3, 1]}),
    "list for a shape": set_in(*ATTRIBUTES, "_input_shape_", to=[3]),
    "sizes": set_in(*ATTRIBUTES, "_sizes_", to={"n_features": "3", "n_outputs": 2}),
    "no sizes": set_in(*ATTRIBUTES, "_sizes_", to=None),
    "no statistics": without("attributes", "_statistics_"),
    "no shape": without("attributes", "_input_shape_"),
    "no classes": without("attributes", "classes_inferred_"),
    "no number of features": without("attributes", "n_features_in_"),
    "number of features": set_in(*ATTRIBUTES, "n_features_in_", to="3"),
    "classes": set_in(*ATTRIBUTES, "classes_inferred_", to=["no", "yes"]),
    "number of classes": set_in(
        *ATTRIBUTES,
        "classes_inferred_",
        to={"$array": {"dtype": "<U2", "shape": [1], "values": ["no"]}},
    ),
    "kind of targets": set_in(*ATTRIBUTES, "_target_kind_", to=3),
    "statistics": set_in(*ATTRIBUTES, "_statistics_", to=3),
    "text for a bool": set_in(*ATTRIBUTES, "_decodes_", to="yes"),
    "importances": set_in(*ATTRIBUTES, "_importances_", to=[0.5, 0.5]),
    "learning rate of the optimizer": set_in(*GROUP, "lr", to="fast"),
    "missing betas": set_in(*GROUP, "betas", to={"$tuple": [0.9]}),
    "betas": set_in(*GROUP, "betas", to={"$tuple": [0.9, None]}),
    "setting of a group": set_in(*GROUP, "new", to={"a": 1}),
    "parameters of the optimizer": set_in(*GROUP, "params", to=[0, 0, 1, 2]),
    "another parameter": set_in(*STATES, 0, 0, to=99),
    "state of a parameter": set_in(*STATES, 0, 1, to=[1, 2]),
    "value of a parameter's state": set_in(*STATES, 0, 1, "exp_avg", to="text"),
    "unhashable key": set_in(*STATES, 0, 0, to=[1]),
    "kind of the optimizer": set_in("optimizers", "optimizer_", "class", to="torch.optim.SGD"),
    "frozen": set_in("modules", "module_", "frozen", to=3),
    "tensors of the module": set_in("modules", "module_", "tensors", to=["mean", "mean"]),
    "buffers of the module": set_in("modules", "module_", "buffers", to=["mean.x"]),
    "another buffer": set_in("modules", "module_", "buffers", to=["module.0.weight"]),
    "callbacks": set_in("callbacks", to=[3]),
    "callback's name": set_in("callbacks", 0, "name", to=["x"]),
    "best score": set_in("callbacks", 1, "attributes", "best_score_", to="high"),
    "callback without a name": set_in("parameters", "callbacks", 0, to=[]),
    "requests": set_in("metadata_requests", to={"fit": {"sample_weight": 3}}),
    "requests of no method": set_in("metadata_requests", to={"fly": {"sample_weight": True}}),
    "history": set_in("history", to="module_.mean"),
    "two tags": set_in("parameters", "lr", to={"$tuple": [], "$dict": []}),
    "unknown tag": set_in("parameters", "lr", to={"$eval": "1"}),
    "float": set_in("parameters", "lr", to={"$float": "1e-3"}),
    "dtype": set_in("parameters", "lr", to={"$dtype": "float3"}),
    "device": set_in("parameters", "device", to={"$device": "nowhere"}),
    "object array": set_in(
        "parameters", "lr", to={"$array": {"dtype": "|O", "tensor": "module_.mean"}}
    ),
    "record array": set_in(
        "parameters", "lr", to={"$array": {"dtype": "f8,f8", "tensor": "module_.mean"}}
    ),
    "dtype of an array": set_in(
        "parameters", "lr", to={"$array": {"dtype": "<f8", "tensor": "module_.mean"}}
    ),
    "huge texts": set_in(
        "parameters",
        "classes",
        to={"$array": {"dtype": "<U999999999", "shape": [2], "values": ["no", "yes"]}},
    ),
    "large texts": set_in(
        "parameters",
        "classes",
        to={"$array": {"dtype": "<U99999", "shape": [2], "values": ["no", "yes"]}},
    ),
    "cut texts": set_in(
        "parameters", "classes", to={"$array": {"dtype": "<U1", "shape": [1], "values": ["no"]}}
    ),
    "shape of texts": set_in(
        "parameters", "classes", to={"$array": {"dtype": "<U3", "shape": [9], "values": ["no"]}}
    ),
    "scalar": set_in("parameters", "lr", to={"$scalar": {"dtype": "<i1", "value": 300}}),
    "large scalar": set_in("parameters", "lr", to={"$scalar": {"dtype": "<u8", "value": 2**64}}),
    "scalar's value": set_in("parameters", "lr", to={"$scalar": {"dtype": "<f4", "value": "1"}}),
    "instance": set_in("parameters", "train_split", to={"$instance": {"name": "x"}}),
    "arguments of an instance": set_in(
        *("parameters", "train_split", "$instance", "arguments"), to={"no_such": 3}
    ),
    "value of an argument": set_in(
        *("parameters", "train_split", "$instance", "arguments", "cv"), to=-3
    ),
    "learning rate": set_in("parameters", "lr", to="fast"),
    "epochs": set_in("parameters", "max_epochs", to=-1),
    "share": set_in("parameters", "mask_fraction", to=7),
    "name of a module": set_in("parameters", "module", to="transformer"),
    "argument of the module": set_in("parameters", "module__hidden", to="wide"),
    "unknown argument of the module": set_in("parameters", "module__depth", to=3),
    "random state": set_in("parameters", "random_state", to={"$random_state": [1, 2, 3, 4, 5]}),
    "nested deeply": set_in("parameters", "classes", to=json.loads("[" * 300 + "]" * 300)),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_content_is_refused(case, rewritten):
    path = rewritten(WRONG[case])
    if case == "nested deeply":
        load(path)  # is no fault, and a parameter that is not used
        return
    with pytest.raises(PersistenceError):
        load(path)
