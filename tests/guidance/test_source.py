"""Every tensor that guidance and attribution create names its device, every draw its generator."""

import ast
from pathlib import Path

import pytest

import sgt_sklearn

ROOT = Path(sgt_sklearn.__file__).parent
FILES = sorted(p for name in ("attribution", "guidance") for p in ROOT.joinpath(name).glob("*.py"))
DRAWS = {"normal", "rand", "randint", "randn", "randperm"}
CREATORS = DRAWS | {
    *("Generator", "arange", "as_tensor", "asarray", "empty", "empty_strided", "eye", "full"),
    *("linspace", "logspace", "ones", "scalar_tensor", "sparse_coo_tensor", "tensor"),
    *("tril_indices", "triu_indices", "zeros"),
    *("BoolTensor", "DoubleTensor", "FloatTensor", "LongTensor", "Tensor"),
}


def torch_calls(source):
    """Yield (name, keywords, line) of each call of a function of the torch namespace."""
    tree = ast.parse(source)
    torch_names, imported = set(), {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            torch_names |= {a.asname or a.name for a in node.names if a.name == "torch"}
        elif isinstance(node, ast.ImportFrom) and node.module == "torch":
            imported |= {a.asname or a.name: a.name for a in node.names}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name, called = None, node.func
        if isinstance(called, ast.Name):
            name = imported.get(called.id)
        elif isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name):
            name = called.attr if called.value.id in torch_names else None
        if name is not None:
            yield name, {keyword.arg for keyword in node.keywords}, node.lineno


def offenders(source):
    """Lines that create a tensor without a device, or draw without a generator."""
    return [
        (line, name)
        for name, keywords, line in torch_calls(source)
        if (name in CREATORS and "device" not in keywords)
        or (name in DRAWS and "generator" not in keywords)
    ]


def test_the_scan_covers_both_packages():
    assert {path.parent.name for path in FILES} == {"attribution", "guidance"}
    assert len(FILES) >= 8


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import torch\ntorch.zeros(3)", [(2, "zeros")]),
        ("import torch as t\nt.arange(3)", [(2, "arange")]),
        ("from torch import randn as r\nr(3, device=d)", [(2, "randn")]),
        ("import torch\ntorch.rand(3, device=d, generator=g)", []),
        ("import torch\ntorch.rand(3, generator=g)", [(2, "rand")]),
        ("import torch\nx.new_zeros(3), torch.zeros_like(x)", []),
        ("import torch\ntorch.Generator()", [(2, "Generator")]),
    ],
)
def test_the_scan_finds_offenders(source, expected):
    assert offenders(source) == expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_tensors_name_their_device_and_draws_their_generator(path):
    assert offenders(path.read_text(encoding="utf-8")) == []
