"""The reader of ``.ts`` files, on small files written here."""

import numpy as np
import pytest

from sgt_sklearn.datasets._ts_format import read_ts

HEAD = "@problemName Example\n@timeStamps false\n"


@pytest.fixture
def read(tmp_path):
    """Write a text and read it."""

    def read(text, encoding="utf-8"):
        path = tmp_path / "Example_TRAIN.ts"
        path.write_bytes(text.encode(encoding))
        return read_ts(path)

    return read


def test_classes(read):
    file = read(HEAD + "@classLabel true no yes\n@data\n1,2,3:yes\n4,5,6:no\n7,8,9:yes\n")
    assert [x.tolist() for x in file.series] == [
        [[1], [2], [3]],
        [[4], [5], [6]],
        [[7], [8], [9]],
    ]
    assert all(x.dtype == np.float32 for x in file.series)
    assert file.labels == ["no", "yes"]
    assert file.target.tolist() == [1, 0, 1]
    assert file.target.dtype == np.int64


def test_dimensions_are_columns_and_lengths_may_differ(read):
    file = read(
        HEAD + "@univariate false\n@dimensions 2\n@equalLength false\n@classLabel true a\n@data\n"
        "1,2:10,20:a\n3:30:a\n"
    )
    assert [x.tolist() for x in file.series] == [[[1, 10], [2, 20]], [[3, 30]]]


def test_missing_values(read):
    file = read(HEAD + "@missing true\n@classLabel true a\n@data\n?,2, ? ,NaN:a\n")
    np.testing.assert_array_equal(file.series[0][:, 0], [np.nan, 2, np.nan, np.nan])


def test_regression_targets(read):
    file = read(HEAD + "@targetlabel true\n@data\n1,2:-0.5\n3,4:1e3\n")
    assert file.target.tolist() == [-0.5, 1000.0]
    assert file.target.dtype == np.float64
    assert file.labels is None


def test_without_labels(read):
    file = read(HEAD + "@classLabel false\n@data\n1,2:3,4\n")
    assert file.target is None
    assert file.labels is None
    assert file.series[0].tolist() == [[1, 3], [2, 4]]


def test_spelling_of_tags_spaces_empty_lines_and_comments(read):
    file = read(
        "\ufeff# First line.\n#\n%# Second: with colons, and commas\n"
        "@PROBLEMNAME some name\n@TimeStamps FALSE\n@UNIVARIATE True\n\n"
        "@classlabel  true   a  b \r\n@DATA\n\n# inside\n 1 , 2 : b \n% inside\n\n3,4:a\n\n"
    )
    assert [x[:, 0].tolist() for x in file.series] == [[1, 2], [3, 4]]
    assert file.target.tolist() == [1, 0]
    assert file.description == "First line.\n\nSecond: with colons, and commas"


def test_comments_in_another_encoding(read):
    file = read("# Zürich\n@classLabel true a\n@data\n1:a\n", encoding="latin-1")
    assert file.series[0].tolist() == [[1]]


TAGS = HEAD + "@univariate true\n@classLabel true a b\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Example_TRAIN.ts holds no cases"),
        (TAGS, "holds no cases"),
        (TAGS + "@data\n\n# end\n", "holds no cases"),
        (HEAD + "1,2:a\n", "line 3: a case before the tag @data"),
        (TAGS + "@data\n1,2:a\n1,x:b\n", "line 7: could not convert .*x"),
        (TAGS + "@data\n1,,2:a\n", "line 6: could not convert"),
        (TAGS + "@data\n:a\n", "line 6: could not convert"),
        (TAGS + "@data\n@data\n1:a\n", "line 6: the label must be one of .*, got '@data'"),
        (TAGS + "@data\n1,2\n", "line 6: the label must be one of .'a', 'b'., got '1,2'"),
        (TAGS + "@data\na\n", "line 6: a case must be values, a colon and the label"),
        (TAGS + "@data\n1,2:c\n", "line 6: the label must be one of .'a', 'b'., got 'c'"),
        (TAGS + "@data\n1,2:\n", "line 6: the label must be one of .*, got ''"),
        (TAGS + "@data\n1,2:3,4:a\n", "line 6: the tags announce 1 dimensions, got 2"),
        (
            HEAD + "@dimensions 3\n@classLabel true a\n@data\n1:2:a\n",
            "line 6: the tags announce 3 dimensions, got 2",
        ),
        (
            HEAD + "@classLabel true a\n@data\n1:2:a\n1:a\n",
            "line 6: 2 dimensions in the first case, got 1",
        ),
        (
            HEAD + "@classLabel true a\n@data\n1,2:2:a\n",
            r"line 5: the dimensions of a case must have one length, got \[1, 2\]",
        ),
        (
            TAGS + "@equalLength true\n@data\n1,2:a\n1:a\n",
            "line 8: 2 steps in the first case, and the tag equallength is true, got 1",
        ),
        (
            TAGS + "@seriesLength 3\n@data\n1,2:a\n",
            "line 7: the tags announce 3 steps, got 2",
        ),
        (TAGS + "@missing false\n@data\n1,?:a\n", "line 7: a value is missing, and the tag"),
        (TAGS + "@data\n1,inf:a\n", "line 6: values must be finite"),
        (TAGS + "@data\n1,1e39:a\n", "line 6: values must be finite"),
        (HEAD + "@targetlabel true\n@data\n1:high\n", "line 5: could not convert .*high"),
        (HEAD + "@targetlabel true\n@data\n1:?\n", "line 5: could not convert"),
        (HEAD + "@targetlabel true\n@data\n1:nan\n", "line 5: the target must be a finite number"),
        ("@timeStamps true\n@data\n(0,1):a\n", "line 2: series with time stamps cannot be read"),
        (TAGS + "@targetlabel true\n@data\n", "either classlabel or targetlabel"),
        (HEAD + "@classLabel true\n@data\n1:a\n", "classlabel must list the labels, each once"),
        (HEAD + "@classLabel true a a\n@data\n1:a\n", "classlabel must list the labels, each"),
        (HEAD + "@classLabel a b\n@data\n1:a\n", "classlabel must be true or false, got 'a'"),
        (HEAD + "@univariate\n@data\n1:a\n", "univariate must be true or false, got ''"),
        (HEAD + "@dimensions two\n@data\n1:a\n", "dimensions must be a number, got two"),
        (HEAD + "@dimension 2\n@data\n1:a\n", r"line 4: unknown tags \['dimension'\]"),
        ("@\n@data\n1:a\n", r"line 2: unknown tags \[''\]"),
        ("\x89PNG\x00\n", "line 1: a case before the tag @data"),
    ],
)
def test_files_out_of_order(read, text, message):
    with pytest.raises(ValueError, match=message) as error:
        read(text)
    assert "Example_TRAIN.ts" in str(error.value)
