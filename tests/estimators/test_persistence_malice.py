"""Files that want more than to be loaded, with checksums that match, end in one error."""

import builtins
import contextlib
import copy
import os
import pickle
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.estimators._persistence._file import read_file, write_file
from sgt_sklearn.exceptions import PersistenceError
from tests.estimators.saved_files import (
    PLACE,
    X,
    Y,
    assert_same,
    entries,
    fitted,
    load,
    replace,
    set_in,
)

DANGEROUS = [
    "os.system",
    "posix.system",
    "builtins.eval",
    "builtins.exec",
    "builtins.__import__",
    "subprocess.Popen",
    "pickle.loads",
    "torch.load",
    "torch.hub.load",
    "torch.optim.lr_scheduler.warnings",
    "torch.nn.functional.torch",
    "torch.nn.Module.apply",
    "skorch.callbacks.Checkpoint",
    "skorch.callbacks.TrainEndCheckpoint",
    "skorch.callbacks.LoadInitState",
    "sgt_sklearn.os.system",
    "",
]
REFUSED = r"passed to load|may not make an instance"


def test_every_section_is_needed(saved, rewritten):
    sections = set(saved[2]) - {"format", "format_version", "versions"}
    assert len(sections) == 9
    for section in sections:
        for value in (None, 3, "text", [3], {"a": 3}, [], {}):
            if (section, value) in [
                ("metadata_requests", {}),
                ("callbacks", []),
                ("device", "text"),
            ]:
                continue  # none of them is needed, and an unknown kind of device is another one
            path = rewritten(lambda document, _, s=section, v=value: document.update({s: v}))
            with pytest.raises(PersistenceError):
                load(path)


def test_every_tensor_is_needed(saved, rewritten):
    for name in saved[3]:
        path = rewritten(lambda _, tensors, n=name: tensors.pop(n))
        with pytest.raises(PersistenceError, match=r"missing|must have the shape"):
            load(path)


def test_every_tensor_has_its_shape(saved, rewritten):
    for name, tensor in saved[3].items():
        for other in (torch.cat([tensor.reshape(-1)] * 2), tensor.reshape(-1)[:0], tensor[None]):
            path = rewritten(lambda _, tensors, n=name, t=other: tensors.update({n: t}))
            if name.endswith("step") and other.numel() == 1:
                continue
            with pytest.raises(PersistenceError):
                load(path)


def test_every_tensor_has_its_type(saved, rewritten):
    for name, tensor in saved[3].items():
        for dtype in (torch.float64, torch.float16, torch.int32, torch.uint8, torch.bool):
            if dtype == tensor.dtype or name.startswith("optimizer_"):
                continue  # torch casts the states of optimizers to the type of the parameters
            other = tensor.to(dtype)
            path = rewritten(lambda _, tensors, n=name, t=other: tensors.update({n: t}))
            with pytest.raises(PersistenceError):
                load(path)


def test_a_wrong_type_of_weights_is_told_from_the_right_one(rewritten):
    name = "module_.module.0.weight"
    path = rewritten(lambda _, tensors: tensors.update({name: tensors[name].to(torch.int32)}))
    message = "tensor module_.module.0.weight must be of torch.float32, got torch.int32"
    with pytest.raises(PersistenceError, match=message):
        load(path)


@pytest.fixture
def traps(monkeypatch):
    """Record what must not be called."""
    called = []
    targets = [(os, "system"), (builtins, "eval"), (builtins, "exec"), (subprocess, "Popen")]
    for module, name in [*targets, (pickle, "loads"), (torch, "load"), (torch.hub, "load")]:
        monkeypatch.setattr(module, name, lambda *a, n=name, **k: called.append(n))
    return called


@pytest.mark.parametrize("name", DANGEROUS)
@pytest.mark.parametrize(
    "parameter",
    [
        *("module", "criterion", "optimizer", "iterator_train", "iterator_valid", "dataset"),
        *("train_split", "callbacks", "mask_fill", "consistency", "predict_nonlinearity"),
        *("module__hidden", "optimizer__betas", "random_state", "feature_groups"),
    ],
)
def test_a_file_cannot_name_what_is_not_on_the_list(name, parameter, rewritten, traps):
    named = {"$name": name}
    made = {"$instance": {"name": name, "arguments": {"command": "touch exploited"}}}
    values = [named, made]
    if name in ("os.system", "skorch.callbacks.Checkpoint"):
        # where a name stands is read before the name is
        values += [[named], {"a": {"$tuple": [named]}}, [["x", made]]]
    for value in values:
        path = rewritten(set_in("parameters", parameter, to=value))
        with pytest.raises(PersistenceError, match=REFUSED):
            load(path)
        # nor does it help to trust something else
        with pytest.raises(PersistenceError, match=REFUSED):
            load(path, trusted=[nn.Linear, fitted])
    assert traps == []


@pytest.mark.parametrize("name", DANGEROUS)
def test_nor_elsewhere(name, rewritten, traps):
    for section, key in (("attributes", "classes_inferred_"), ("optimizers", "optimizer_")):
        path = rewritten(set_in(section, key, to={"$name": name}))
        with pytest.raises(PersistenceError):
            load(path)
    for section in ("modules", "optimizers"):

        def rename(document, _, section=section):
            for record in document[section].values():
                record["class"] = name

        with contextlib.suppress(PersistenceError):
            load(rewritten(rename))  # the class of a module is told by its parameter alone
    assert traps == []


@pytest.mark.parametrize(
    ("parameter", "name"),
    [
        ("criterion", "torch.optim.Adam"),
        ("criterion", "skorch.callbacks.ProgressBar"),
        ("optimizer", "torch.nn.Linear"),
        ("optimizer", "torch.sigmoid"),
        ("module", "torch.utils.data.DataLoader"),
        ("iterator_train", "torch.nn.Linear"),
        ("iterator_valid", "skorch.utils.noop"),
        ("dataset", "torch.nn.Identity"),
    ],
)
def test_what_is_on_the_list_has_its_place(parameter, name, rewritten):
    path = rewritten(set_in("parameters", parameter, to={"$name": name}))
    with pytest.raises(PersistenceError, match=rf"parameters\.{parameter} must be a \w+ class"):
        load(path)


def test_what_is_on_the_list_is_what_it_says():
    from sgt_sklearn.estimators._persistence._names import known_names

    for name, member in known_names().items():
        module, _, attribute = name.rpartition(".")
        if name != "sgt_sklearn.FeatureStatistics":
            assert getattr(sys.modules[module], attribute) is member, name
    assert not any("Checkpoint" in name or "load" in name for name in known_names())


@pytest.mark.parametrize("policy", ["sys", "torch", "_check_lr", "Callback", "LRScheduler.x", ""])
def test_a_schedule_cannot_be_another_name_of_its_module(policy, rewritten):
    inside = ("callbacks", 1, "$tuple", 1, "$instance", "arguments", "policy")
    for place in (inside, ("callbacks__lr__policy",)):
        path = rewritten(set_in("parameters", *place, to=policy))
        with pytest.raises(PersistenceError, match="has no policy"):
            load(path)


@pytest.mark.parametrize(
    "name",
    [
        *("fit", "predict", "get_params", "load", "__class__", "__init__", "_modules", "_fit"),
        *("history_", "module_", "_session_", "initialized_", "", "a b", "a.b"),
    ],
)
def test_parameters_cannot_take_other_names(name, rewritten):
    path = rewritten(lambda document, _: document["parameters"].update({name: 3}))
    with pytest.raises(PersistenceError, match="must be a parameter"):
        load(path)


def test_unknown_parameters_are_refused(rewritten):
    path = rewritten(lambda document, _: document["parameters"].update({"unknown": 3}))
    with pytest.raises(PersistenceError, match="unexpected argument"):
        load(path)


@pytest.mark.parametrize(
    "name",
    [
        *("fit", "module_", "optimizer_", "criterion_", "callbacks_", "virtual_params_"),
        *("_session_", "_encoded_", "_guidance_", "history_", "initialized_", "classes_"),
        *("feature_importances_", "__dict__", "__class__", "_modules", "prefixes_", "", "a b_"),
    ],
)
def test_attributes_cannot_take_other_names(name, rewritten):
    path = rewritten(lambda document, _: document["attributes"].update({name: 3}))
    with pytest.raises(PersistenceError, match="must be fitted state"):
        load(path)


@pytest.mark.parametrize("name", ["on_epoch_end", "set_params", "__class__", "patience", ""])
def test_attributes_of_callbacks_cannot_take_other_names(name, rewritten):
    path = rewritten(lambda document, _: document["callbacks"][0]["attributes"].update({name: 3}))
    with pytest.raises(PersistenceError, match="must be state of a callback"):
        load(path)


def test_a_file_from_another_kind_of_device(saved, rewritten):
    """A stand-in for a file that was written on a GPU, where there is none."""

    def change(document, tensors):
        document["device"] = "cuda"
        document["parameters"]["device"] = "cuda:3"
        states = document["attributes"]["_generator_states_"]
        tensors[states["mask"]["$tensor"]] = torch.zeros(16, dtype=torch.uint8)
        states["cuda"] = [{"$tensor": "cuda"}]
        tensors["cuda"] = torch.zeros(16, dtype=torch.uint8)

    path = rewritten(change)
    with pytest.raises(PersistenceError, match=r"device='cuda:3' is not available"):
        load(path)
    one, other = load(path, device="cpu"), load(path, device="auto")
    assert_same(one, saved[0])
    np.random.seed(1)  # noqa: NPY002
    one.partial_fit(X, Y)
    np.random.seed(2)  # noqa: NPY002
    if not torch.cuda.is_available():
        assert_same_parameters(one, other.partial_fit(X, Y))


def assert_same_parameters(net, other):
    for a, b in zip(net.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("size", [10**8, 10**15])
@pytest.mark.parametrize("where", ["features", "hidden", "module", "depth", "criterion"])
def test_a_file_cannot_ask_for_a_huge_module(where, size, rewritten):
    def change(document, tensors):
        parameters = document["parameters"]
        if where == "hidden":
            parameters["module__hidden"] = {"$tuple": [size, size]}
        elif where == "features":
            document["attributes"]["_sizes_"]["n_features"] = size
        elif where == "criterion":
            parameters["criterion"] = {"$name": "torch.nn.Linear"}
            parameters |= {"criterion__in_features": size, "criterion__out_features": 100}
        else:
            del parameters["module__hidden"]
            name = "torch.nn.Linear" if where == "module" else "torch.nn.LSTM"
            parameters["module"] = {"$name": name}
            arguments = {
                "module": {"in_features": size, "out_features": 100},
                "depth": {"input_size": 3, "hidden_size": 1, "num_layers": size},
            }[where]
            parameters |= {f"module__{key}": value for key, value in arguments.items()}

    started = time.perf_counter()
    with pytest.raises(PersistenceError):
        load(rewritten(change))
    assert time.perf_counter() - started < 10


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("torch_load_kwargs", {"weights_only": False}),
        ("torch_load_kwargs", {"pickle_module": "pickle"}),
        ("compile__options", {"cpp.cxx": "touch exploited"}),
        ("compile__backend", "tvm"),
        ("compile__backend", ["inductor"]),
        ("compile__unknown", 3),
    ],
)
def test_plain_data_that_torch_would_act_on_has_to_be_passed(name, value, rewritten):
    path = rewritten(set_in("parameters", name, to=value))
    with pytest.raises(PersistenceError, match=rf"passed to load: {name} \("):
        load(path)
    if name != "compile__unknown":
        assert getattr(load(path, **{name: None}), name) is None


def test_a_tensor_belongs_to_one_place(rewritten):
    reference = {"$tensor": "module_.mean"}
    path = rewritten(set_in("attributes", "copies_", to=[reference]))
    with pytest.raises(PersistenceError, match="must be a tensor of its own"):
        load(path)

    def change(document, tensors):
        tensors["large"] = torch.zeros(1000)
        document["parameters"]["classes"] = [{"$tensor": "large"}] * 1000

    with pytest.raises(PersistenceError, match="must be a tensor of its own"):
        load(rewritten(change))


def test_a_regressor_needs_its_scale(tmp_path):
    net = SaliencyGuidedRegressor(max_epochs=1, random_state=0, device="cpu").fit(X, X[:, 0])
    net.save(tmp_path / "net")
    document, tensors = read_file(tmp_path / "net")
    for name in ("_target_mean_", "target_scale_"):
        for change in (lambda d, n=name: d.pop(n), lambda d, n=name: d.update({n: 1.0})):
            changed = copy.deepcopy(document)
            change(changed["attributes"])
            write_file(tmp_path / "net", changed, tensors)
            with pytest.raises(PersistenceError, match=name):
                SaliencyGuidedRegressor.load(tmp_path / "net")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 2, 3, 10**6, 2**63, -(2**64)])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["auto", "cpu", "cuda", "meta", "mlp", "cnn", "module_.mean", "history_"]),
    lambda items: (
        st.lists(items, max_size=3)
        | st.dictionaries(st.text(max_size=5), items, max_size=3)
        | st.builds(
            lambda tag, value: {tag: value},
            st.sampled_from(
                [
                    *("$tuple", "$dict", "$float", "$tensor", "$device_tensor", "$array"),
                    *("$scalar", "$dtype", "$device", "$random_state", "$name", "$object"),
                    *("$instance", "$other"),
                ]
            ),
            items | st.sampled_from([*DANGEROUS, "torch.nn.Linear", "torch.optim.SGD", "float16"]),
        )
    ),
    max_leaves=6,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=st.lists(st.tuples(PLACE, JSON), min_size=1, max_size=3))
def test_mutated_descriptions_are_refused_or_load(saved, tmp_path, changes):
    """With a checksum that matches, so that everything behind it is reached."""
    document, tensors = copy.deepcopy(saved[2]), dict(saved[3])
    for place, value in changes:
        paths = [path for path in entries(document) if path and path[0] != "versions"]
        replace(document, paths[int(place * len(paths))], value)
    write_file(tmp_path / "net", document, tensors)
    try:
        loaded = load(tmp_path / "net")
    except PersistenceError:
        return
    assert type(loaded) is SaliencyGuidedClassifier
    assert loaded.module_.state_dict().keys() == saved[0].module_.state_dict().keys()
    assert type(loaded.history) is type(saved[0].history)
