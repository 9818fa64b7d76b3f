"""What the benchmark scripts write: the pages are those of the saved results."""

import contextlib
import importlib
import json
import statistics
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
NAMES = ("effects", "speed", "defaults")
MODELS = ("plain", "guided", "paper setting", "random order", "weight decay", "lambda = 1000")


@pytest.fixture
def load(monkeypatch):
    """Import a script as its own folder sees it, and forget it afterwards."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).parent == BENCHMARKS:
            del sys.modules[name]


def saved(name):
    return json.loads((BENCHMARKS / "results" / f"{name}.json").read_text(encoding="utf-8"))


def between_markers(page, name):
    text = (ROOT / page).read_text(encoding="utf-8")
    return text.split(f"<!-- {name}:begin -->\n")[1].split(f"\n<!-- {name}:end -->")[0]


def run(script, monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", [script.__name__, *arguments])
    script.main()


@pytest.mark.parametrize("name", NAMES)
def test_pages_are_those_of_the_saved_results(name, load):
    summary, whole = load(name).pages(saved(name))
    assert between_markers("README.md", name) == summary
    assert between_markers("docs/results.md", name) == whole


@pytest.fixture
def elsewhere(load, monkeypatch, tmp_path):
    """Return a function that makes empty pages in a folder of their own, for `_report`."""

    def make(name):
        report = load("_report")
        text = f"above\n<!-- {name}:begin -->\nold\n<!-- {name}:end -->\nbelow\n"
        monkeypatch.setattr(report, "ROOT", tmp_path)
        for attribute in ("README", "PAGE"):
            path = tmp_path / f"{attribute}.md"
            path.write_text(text, encoding="utf-8")
            monkeypatch.setattr(report, attribute, path)
        return report, text

    return make


def assert_pages(report, text, content, pages):
    for path, part in zip((report.README, report.PAGE), pages(content), strict=True):
        assert path.read_text(encoding="utf-8") == text.replace("old", part)


@pytest.mark.parametrize("name", NAMES)
def test_render_writes_both_pages_and_runs_nothing(name, load, monkeypatch, elsewhere):
    report, text = elsewhere(name)
    script = load(name)
    monkeypatch.setattr(script, "start", lambda *_, **__: pytest.fail("a run was started"))
    for _ in range(2):  # the second finds what the first has written
        run(script, monkeypatch, "--render")
        assert_pages(report, text, saved(name), script.pages)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_run_writes_is_what_render_makes_of_its_file(
    name, load, monkeypatch, tmp_path, elsewhere
):
    script, content = load(name), saved(name)
    report, text = elsewhere(name)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")
    # the run itself is replaced by what an earlier one has found
    if name == "effects":
        monkeypatch.setattr(script, "run_all", lambda *_: content["runs"])
    elif name == "speed":
        found = iter(content["results"])
        cases = [(result["what"], result["where"], None, ()) for result in content["results"]]
        monkeypatch.setattr(script, "cases", lambda: cases)
        monkeypatch.setattr(script, "measure", lambda *_: next(found))
    else:
        monkeypatch.setattr(script, "check", lambda *_: content["check"])
        monkeypatch.setattr(script, "search", lambda *_: content["search"])
    with contextlib.suppress(SystemExit):  # a missed bound
        run(script, monkeypatch, "--write")
    written = report.load_json(name)
    assert written | {"settings": None} == content | {"settings": None}
    assert written["settings"].keys() == content["settings"].keys()
    assert_pages(report, text, written, script.pages)


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("effects", "--quick"),
        ("effects", "--resume"),
        ("speed", "--pairs=3"),
        ("defaults", "--check"),
    ],
)
def test_render_refuses_options_of_a_run(name, option, load, monkeypatch):
    script = load(name)
    with pytest.raises(SystemExit, match=f"leave {option.split('=')[0]} out"):
        run(script, monkeypatch, "--render", option)


def test_render_without_saved_results(load, monkeypatch, tmp_path):
    script = load("speed")
    monkeypatch.setattr(load("_report"), "RESULTS", tmp_path)
    with pytest.raises(SystemExit, match=r"speed\.json does not exist"):
        run(script, monkeypatch, "--render")


def test_a_measure_that_some_runs_lack_is_left_out(load):
    pages = load("_effects_pages").pages
    content = saved("effects")
    for run_ in content["runs"].values():
        run_.pop("removal_gap", None)
    assert "removal" not in pages(content)[1]
    assert "removal" in pages(saved("effects"))[1]


def effects(score, sufficiency_gap, n_seeds=5):
    """Results of one data set: values by training, and 0 for every training not named."""
    runs = {}
    for seed in range(n_seeds):
        runs[f"data/{seed}/chance"] = {"score": 0.5}
        for model in (*MODELS, "constant"):
            runs[f"data/{seed}/{model}"] = {
                "score": score.get(model, 0.0),
                "comprehensiveness_gap": 0.1 if model == "guided" else 0.0,
                "sufficiency_gap": sufficiency_gap.get(model, 0.0),
            }
    settings = saved("effects")["settings"] | {"data": ["data"], "seeds": list(range(n_seeds))}
    return {"settings": settings, "runs": runs}


def test_effects_mark_the_best_and_name_what_misses(load):
    pages = load("_effects_pages").pages
    score = {"plain": 0.9, "guided": 0.7, "random order": 1.0, "weight decay": 0.9}
    summary, whole = pages(effects(score, {"guided": -0.25, "plain": -0.5}))
    assert "| data | .900 / .700 / **1.000** / .900 (.500) |" in summary
    assert "| -.500 / -.250 / **.000** / **.000** | unknown |" in summary
    # guided scores lower, and its sufficiency is below the control's
    assert whole.startswith("3 of 5 expectations hold.\n")
    missed = [line for line in whole.splitlines() if line.startswith("- **does not hold**: ")]
    assert [line.split(": ", 1)[1].split(" of guided")[0] for line in missed] == [
        "data: score",
        "data: sufficiency_gap",
    ]
    assert whole.count("**does not hold**") == len(missed)


def test_summary_of_effects_has_the_means_of_the_saved_runs(load):
    content = saved("effects")
    summary, _ = load("_effects_pages").pages(content)
    for data in content["settings"]["data"]:
        line = next(line for line in summary.splitlines() if line.startswith(f"| {data} |"))
        cells = line.replace("**", "").split(" | ")
        for cell, measure in ((cells[1], "score"), (cells[2], "sufficiency_gap")):
            for text, model in zip(
                cell.split(" (")[0].split(" / "),
                ("plain", "guided", "random order", "weight decay"),
                strict=True,
            ):
                runs = [content["runs"][f"{data}/{seed}/{model}"] for seed in range(5)]
                mean = statistics.mean(run_[measure] for run_ in runs)
                assert float(text) == pytest.approx(mean, abs=5.1e-4)


def test_speed_has_the_range_of_all_guided_fits_and_every_missed_bound(load):
    content = saved("speed")
    summary, whole = load("speed").pages(content)
    fits = [r["ratio"] for r in content["results"] if r["what"].startswith("guided fit")]
    assert len(fits) > 3
    assert f"{min(fits):.1f} to {max(fits):.1f} times" in summary
    bounded = [result for result in content["results"] if result["bound"] is not None]
    missed = [result for result in bounded if not result["holds"]]
    assert f"\n{len(bounded) - len(missed)} of {len(bounded)} bounds hold." in whole
    for result in missed:
        cells = [result["what"], result["where"], f"{result['ratio']:.2f}"]
        assert f"| {' | '.join(cells)} |" in whole
    assert whole.count("does not hold") == len(missed) > 0


def test_defaults_have_their_scores_and_what_is_below_target(load):
    content = saved("defaults")
    for result in content["check"]["results"]:
        result["holds"] = result["data"] not in ("wine", "digits")
    summary, whole = load("defaults").pages(content)
    assert whole.count("does not hold") == 2
    for result in content["check"]["results"]:
        mean = f"{statistics.mean(result['scores']):.3f}".lstrip("0")
        assert f"{result['data']} {mean}" in summary
    ridge = f"{statistics.mean(content['check']['ridge']):.3f}".lstrip("0")
    assert f"(R2; RidgeCV: {ridge})" in summary


def test_of_equally_good_weight_decays_the_largest_is_taken(load):
    best = load("effects").best_weight_decay
    assert best({0.0: 0.5, 0.1: 0.75, 1.0: 0.75, 3.0: 0.25}) == 1.0
    assert best({0.0: 0.75, 3.0: 0.5}) == 0.0
