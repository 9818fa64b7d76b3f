"""The promises of the project's own files: versions, documents and import rules."""

import importlib
import inspect
import pkgutil
import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from skorch import NeuralNet

import sgt_sklearn

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
PROJECT_FILES = [
    *DOCUMENTS,
    *(ROOT / name for name in ("Makefile", "constraints.txt", "pyproject.toml")),
]
CODE_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOST_PATH = re.compile(r"(?<![\w./:-])/(?:Users|farm|home|mnt|opt|root|tmp|var|work)\b")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def pyproject():
    return tomllib.loads(read("pyproject.toml"))


def subpackages():
    """Import the public packages, by name."""
    return {
        module.name: importlib.import_module(f"sgt_sklearn.{module.name}")
        for module in pkgutil.iter_modules(sgt_sklearn.__path__)
        if module.ispkg and not module.name.startswith("_")
    }


def test_version_is_the_same_everywhere():
    citation = re.search(r"^version: (.*)$", read("CITATION.cff"), re.MULTILINE)[1]
    assert sgt_sklearn.__version__ == version("sgt-sklearn") == citation
    assert sgt_sklearn.__version__ == pyproject()["project"]["version"]


def test_pip_lines_name_packages_that_pip_finds():
    """The project is on no index: what its users lack has a name of its own there."""
    files = [*DOCUMENTS, *ROOT.glob("examples/*.py"), *ROOT.glob("sgt_sklearn/**/*.py")]
    lines = [
        (relative(path), line)
        for path in files
        for line in path.read_text("utf-8").splitlines()
        if "pip install" in line
    ]
    assert len(lines) > 10
    assert [(path, line) for path, line in lines if re.search(r"sgt[-_]sklearn\b", line)] == []


def test_readme_has_examples():
    assert len(CODE_BLOCK.findall(read("README.md"))) >= 2


@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if CODE_BLOCK.search(path.read_text("utf-8"))],
    ids=relative,
)
def test_python_blocks_run(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = path.read_text(encoding="utf-8")
    namespace = {"__name__": "document"}
    for block in CODE_BLOCK.finditer(text):
        lines_above = text.count("\n", 0, block.start(1))
        code = compile("\n" * lines_above + block[1], relative(path), "exec")
        exec(code, namespace)


@pytest.mark.parametrize("path", PROJECT_FILES, ids=relative)
def test_no_file_names_a_path_of_one_machine(path):
    assert HOST_PATH.findall(path.read_text(encoding="utf-8")) == []


def test_api_page_lists_every_public_object():
    page = read("docs/api.md")
    paths = {}
    for module in [sgt_sklearn, *subpackages().values()]:
        for name in module.__all__:
            path = f"{module.__name__}.{name}"
            # an object may be public in two places; one of them is enough
            paths.setdefault(id(getattr(module, name)), []).append(path)
    missing = [
        options
        for options in paths.values()
        if not any(re.search(rf"{re.escape(path)}\b", page) for path in options)
    ]
    assert missing == []


@pytest.mark.parametrize(
    "estimator", [sgt_sklearn.SaliencyGuidedClassifier, sgt_sklearn.SaliencyGuidedRegressor]
)
def test_parameters_page_has_every_parameter_of_ours(estimator):
    ours = {name for name in inspect.signature(estimator).parameters if "__" not in name}
    ours -= set(inspect.signature(NeuralNet).parameters) | {"classes"}  # of NeuralNetClassifier
    headings = set(re.findall(r"^### `(\w+)`$", read("docs/parameters.md"), re.MULTILINE))
    assert ours <= headings


def test_every_package_has_an_import_rule():
    protected = {
        name.removeprefix("sgt_sklearn.")
        for contract in pyproject()["tool"]["importlinter"]["contracts"]
        if contract["type"] == "protected"
        for name in contract["protected_modules"]
    }
    assert set(subpackages()) <= protected
