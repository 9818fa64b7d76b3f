"""Groups of original columns: hidden, explained and scored as one."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sgt_sklearn import SaliencyGuidedClassifier, SaliencyGuidedRegressor
from sgt_sklearn.metrics import comprehensiveness_gap, sufficiency_gap
from sgt_sklearn.modules import MLP
from sgt_sklearn.preprocessing import feature_groups, sum_by_group

EXAMPLES = Path(__file__).parents[2] / "examples"
MARK = 1e4


@pytest.fixture(scope="module")
def frame():
    rng = np.random.default_rng(0)
    words = ["b", "b_c", "c"]
    return pd.DataFrame(
        {
            "a": rng.choice(words, 120),
            "size": rng.normal(3.0, 2.0, 120),
            "a_b": rng.choice(["c", "d", "e", "f"], 120),
            "weight": rng.gamma(2.0, size=120),
            "flag": rng.choice(["no", "yes"], 120),
        }
    )


@pytest.fixture
def encoder():
    words = [["b", "b_c", "c"], ["c", "d", "e", "f"], ["no", "yes"]]
    return ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["size", "weight"]),
            ("words", OneHotEncoder(categories=words), ["a", "a_b", "flag"]),
        ],
        sparse_threshold=0,
    )


def target_of(frame):
    return (frame["a"] == "b_c").to_numpy() | (frame["size"] > 4).to_numpy()


class SeenInputs(MLP):
    """Keeps what it gets in training."""

    seen = []

    def forward(self, x):
        if self.training:
            self.seen.append(x.detach().cpu().numpy().copy())
        return super().forward(x)


@pytest.mark.parametrize("estimator", [SaliencyGuidedClassifier, SaliencyGuidedRegressor])
@pytest.mark.parametrize("mask_fraction", [0.2, 0.6])
def test_masks_hide_whole_variables(frame, encoder, estimator, mask_fraction, device):
    labels = feature_groups(encoder.fit(frame))
    assert len(set(labels)) == 5
    filled, SeenInputs.seen = [], []

    def mark(x, generator):
        filled.append(x.detach().cpu().numpy().copy())
        return torch.full_like(x, MARK)

    net = estimator(
        SeenInputs,
        feature_groups=labels,
        mask_fraction=mask_fraction,
        mask_fill=mark,
        max_epochs=2,
        device=device,
        random_state=0,
    )
    y = target_of(frame).astype(np.float32)
    if estimator is SaliencyGuidedRegressor:
        y = y[:, None]
    make_pipeline(encoder, net).fit(frame, y if y.ndim > 1 else y.astype(int))
    masked = [x for x in net.module.seen if (x == MARK).any()]
    assert len(masked) == len(filled) == 2 * 4
    for x, clean in zip(masked, filled, strict=True):
        hidden = x == MARK
        np.testing.assert_array_equal(x[~hidden], clean[~hidden])
        counts = np.zeros(len(x), dtype=int)
        for name in dict.fromkeys(labels):
            columns = hidden[:, labels == name]
            assert (columns.all(axis=1) | ~columns.any(axis=1)).all()
            counts += columns.all(axis=1)
        assert (counts == int(mask_fraction * 5)).all()


def test_labels_in_a_pipeline_fit_cross_validate_and_score(frame, encoder, device):
    labels = feature_groups(encoder.fit(frame))
    y = target_of(frame)
    net = SaliencyGuidedClassifier(
        feature_groups=labels, max_epochs=15, lr=0.01, device=device, random_state=0
    )
    model = make_pipeline(encoder, net)
    assert cross_val_score(model, frame, y, cv=3, error_score="raise").min() > 0.6
    model.fit(frame, y)
    _, codes = np.unique(labels, return_inverse=True)
    np.testing.assert_array_equal(model[-1].feature_groups_, codes)
    for metric in (comprehensiveness_gap, sufficiency_gap):
        by_group = metric(model, frame, y, groups=labels, random_state=0)
        assert by_group > 0.02
        # the metric takes the groups of the net by itself, and cells apart are something else
        assert by_group == metric(model, frame, y, random_state=0)
        apart = metric(model, frame, y, groups=np.arange(len(labels)), random_state=0)
        assert by_group != apart


def test_attributions_add_up_by_original_column(frame, encoder, device):
    labels = feature_groups(encoder.fit(frame))
    X = encoder.transform(frame)
    net = SaliencyGuidedClassifier(
        feature_groups=labels, max_epochs=25, lr=0.01, device=device, random_state=0
    ).fit(X, target_of(frame))
    values = net.attribute(X, method="integrated_gradients", target=True)
    sums, names = sum_by_group(values, labels)
    assert names == ["size", "weight", "a", "a_b", "flag"]
    by_pandas = pd.DataFrame(values, columns=labels).T.groupby(level=0, sort=False).sum().T
    assert list(by_pandas) == names
    np.testing.assert_allclose(sums, by_pandas.to_numpy(), rtol=1e-5, atol=1e-6)
    strength = dict(zip(names, np.abs(sums).mean(axis=0), strict=True))
    assert min(strength["a"], strength["size"]) > 2 * max(
        strength[name] for name in ("weight", "a_b", "flag")
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
@pytest.mark.parametrize("leading", [(), (4,), (4, 3)])
@pytest.mark.parametrize("shape", [(6,), (2, 3, 3)])
def test_sums_are_those_of_a_loop(leading, shape, dtype):
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(*leading, *shape)) * 3).astype(dtype)
    groups = rng.integers(0, 4, shape).astype(str)
    sums, names = sum_by_group(values, groups)
    assert sums.shape == (*leading, len(names))
    assert set(names) == set(groups.ravel().tolist())
    for index in np.ndindex(leading):
        expected = dict.fromkeys(names, 0)
        for cell in np.ndindex(shape):
            expected[str(groups[cell])] += values[index + cell]
        np.testing.assert_allclose(sums[index], list(expected.values()), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "groups"), [(np.ones((3, 4)), ["a"] * 5), (np.ones(3), np.ones((3, 3))), ([1.0], 0)]
)
def test_sums_of_other_shapes_are_refused(values, groups):
    with pytest.raises(ValueError, match="attributions must end in the axes of groups"):
        sum_by_group(values, groups)


def test_other_columns_in_a_fold_are_an_error_that_says_so(frame, encoder):
    labels = feature_groups(encoder.fit(frame))
    encoder.set_params(words=OneHotEncoder())
    model = make_pipeline(encoder, SaliencyGuidedClassifier(feature_groups=labels))
    few = frame[frame["a"] != "c"]
    with pytest.raises(ValueError, match=r"feature_groups must be labels of the shape of one"):
        model.fit(few, target_of(few))


def test_the_example_shows_what_it_should(monkeypatch, capsys, tmp_path):
    text = (EXAMPLES / "mixed_types.py").read_text(encoding="utf-8")
    # two of three folds, without processes that take longer to start than to train
    for whole, part in {"cv=3,": "cv=2,", "n_jobs=2,": "n_jobs=1,"}.items():
        assert whole in text
        text = text.replace(whole, part)
    (tmp_path / "mixed_types.py").write_text(text, encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["mixed_types.py"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(tmp_path / "mixed_types.py"), run_name="__main__")
    assert not ended.value.code, capsys.readouterr().err
