"""What the benchmark scripts share: arguments, versions, tables, and where results go."""

import argparse
import json
import platform
import re
from importlib.metadata import version
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGE = ROOT / "docs" / "results.md"
RESULTS = Path(__file__).resolve().parent / "results"
PACKAGES = ("torch", "scikit-learn", "skorch", "numpy", "sgt-sklearn")


def parser(description, *, renders=False):
    """Argument parser with the options of every benchmark, and `--render` of those that can."""
    arguments = argparse.ArgumentParser(description=description)
    arguments.add_argument(
        "--quick", action="store_true", help="a short run, to see that it works"
    )
    arguments.add_argument(
        "--write", action="store_true", help="save the results and write their pages"
    )
    if renders:
        arguments.add_argument(
            "--render", action="store_true", help="write the pages from the saved results, no run"
        )
    arguments.add_argument("--threads", type=int, default=1, help="torch threads (default: 1)")
    return arguments


def start(name, options, **settings):
    """Set the threads, print and return the settings of a run."""
    if options.quick and options.write:
        raise SystemExit("--write needs a full run: leave --quick out.")
    torch.set_num_threads(options.threads)
    settings = {
        **settings,
        "quick": options.quick,
        "threads": options.threads,
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: version(package) for package in PACKAGES},
    }
    print(name)
    for key, value in settings.items():
        print(f"  {key}: {value}")
    return settings


def describe(settings):
    """Return the machine and versions of a run as one line."""
    versions = ", ".join(f"{name} {number}" for name, number in settings["versions"].items())
    threads = settings["threads"]
    return f"{settings['machine']}, {threads} thread{'s' * (threads > 1)}; {versions}."


def markdown_table(header, rows):
    """Return a markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def short(value):
    """Return three decimals without the leading zero."""
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")


def save_json(name, content):
    """Write ``benchmarks/results/NAME.json`` whole or not at all."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    part.replace(path)
    return path


def load_json(name):
    """Read what `save_json` wrote."""
    path = RESULTS / f"{name}.json"
    if not path.exists():
        raise SystemExit(f"{path} does not exist: run the benchmark with --write first.")
    return json.loads(path.read_text(encoding="utf-8"))


def write_pages(name, text, pages):
    """Put a text between the markers of that name in pages."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    for path in pages:
        page = path.read_text(encoding="utf-8")
        if begin not in page or end not in page:
            raise SystemExit(f"{path} lacks the markers {begin} and {end}.")
        before, rest = page.split(begin, 1)
        after = rest.split(end, 1)[1]
        path.write_text(f"{before}{begin}\n{text}\n{end}{after}", encoding="utf-8")
        print(f"wrote {name} to {path.relative_to(ROOT)}")


def publish(name, content, pages):
    """Write results to README in short and to docs/results.md whole.

    `pages` turns the content of the results file into both texts.
    """
    summary, whole = pages(content)
    write_pages(name, summary, [README])
    write_pages(name, whole, [PAGE])


def render(name, pages, arguments, options):
    """Publish the saved results; options of a run would be ignored, so they are refused."""
    given = [
        f"--{option.replace('_', '-')}"
        for option, value in vars(options).items()
        if option != "render" and value != arguments.get_default(option)
    ]
    if given:
        raise SystemExit(f"--render runs nothing: leave {', '.join(given)} out.")
    publish(name, load_json(name), pages)
