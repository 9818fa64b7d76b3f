"""Public docstrings say what numpydoc expects of them."""

import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import sgt_sklearn

# What a reader of the API pages misses when it is absent. Left out are layout that ruff checks
# (GL01, GL02), matters of taste (SS05, verb forms; RT02, named results), sections that only some
# objects need (ES01, SA*, EX*), and types of parameters that refer to their explanation (PR04).
CHECKS = {
    *("GL03", "GL05", "GL06", "GL07", "GL08", "GL10"),  # layout and sections
    *("SS01", "SS02", "SS03", "SS04", "SS06"),  # a summary line that is a sentence
    *("PR01", "PR02", "PR03", "PR05", "PR07", "PR09", "PR10"),  # every parameter
    *("RT01", "RT03", "RT05", "YD01"),  # what comes back
}


def public_objects():
    """Yield the import path of each public class, its own methods, and each function."""
    modules = [sgt_sklearn]
    modules += [
        importlib.import_module(f"sgt_sklearn.{module.name}")
        for module in pkgutil.iter_modules(sgt_sklearn.__path__)
        if module.ispkg and not module.name.startswith("_")
    ]
    seen = set()
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or value in seen:
                continue
            seen.add(value)
            path = f"{module.__name__}.{name}"
            yield path
            if inspect.isclass(value):
                yield from (f"{path}.{method}" for method in own_public_methods(value))


def own_public_methods(cls):
    """List the methods that ``cls`` or a private base of ours defines with a docstring.

    A method without one overrides a hook and inherits its text; a method that overrides nothing
    has no text to inherit and is listed too, to fail.
    """
    bases = [base for base in cls.__mro__ if base.__module__.startswith("sgt_sklearn")]
    return sorted(
        {
            name
            for base in bases
            for name, member in vars(base).items()
            if not name.startswith("_")
            and (inspect.isroutine(member) or isinstance(member, property))
            and (member.__doc__ or not inspect.getdoc(getattr(cls, name)))
        }
    )


@pytest.mark.parametrize("path", sorted(public_objects()))
def test_docstring(path):
    errors = [f"{code} {text}" for code, text in validate(path)["errors"] if code in CHECKS]
    assert errors == []
