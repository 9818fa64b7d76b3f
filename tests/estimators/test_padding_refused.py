"""What padding must not become: a fill, or NaN in a network of one's own."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from sgt_sklearn import SaliencyGuidedClassifier
from sgt_sklearn.modules import TCN
from sgt_sklearn.preprocessing import from_channels_first, pad_series

RNG = np.random.default_rng(0)
LABELS = np.arange(24) % 2
SERIES = [RNG.normal(size=(4 + 5 * i % 6, 3)).astype(np.float32) for i in range(24)]
IDS = RNG.integers(2, 30, (24, 7))
IDS[np.arange(7) >= (3 + np.arange(24) % 5)[:, None]] = 0


class OwnReader(nn.Module):
    def __init__(self, padding=0):
        super().__init__()
        self.padding = padding
        self.embed = nn.Embedding(30, 8, padding_idx=padding)
        self.out = nn.Linear(8, 2)

    def forward(self, X):
        known = X.ne(self.padding).float().unsqueeze(2)
        return self.out((self.embed(X).tanh() * known).sum(1) / known.sum(1).clamp_min(1))


def make(module, device, **params):
    return SaliencyGuidedClassifier(module, max_epochs=2, random_state=0, device=device, **params)


@pytest.mark.parametrize("fill", ["unknown", "previous"])
def test_the_unknown_token_must_not_be_padding(fill, device):
    ids = np.where(IDS == 0, 1, IDS)
    net = make(OwnReader, device, module__padding=1, embedding="embed", mask_fill=fill)
    with pytest.raises(ValueError, match=f"mask_fill='{fill}'.*token 1.*padding.*'constant'"):
        net.fit(ids, LABELS)
    net.set_params(mask_fill="constant", mask_value=29).fit(ids, LABELS)


def test_a_constant_must_not_be_padding(device):
    net = make("text_cnn", device, mask_fill="constant", mask_value=0)
    with pytest.raises(ValueError, match=r"mask_fill='constant' fills in the token 0.*mask_value"):
        net.fit(IDS, LABELS)


def test_series_padded_with_nan_are_refused_for_own_modules(device):
    width = max(map(len, SERIES))
    X = np.stack(
        [np.pad(x, ((0, width - len(x)), (0, 0)), constant_values=np.nan) for x in SERIES]
    )
    with pytest.raises(ValueError, match=r"NaN for a module of your own.*pad_series\(X\)"):
        make(TCN, device).fit(X, LABELS)
    net = make(TCN, device).fit(pad_series(SERIES), LABELS)
    with pytest.raises(ValueError, match=r"NaN for a module of your own.*pad_series\(X\)"):
        net.predict(X)


LENGTHS = pad_series(SERIES)["lengths"]


@pytest.mark.parametrize("lengths", [LENGTHS * 0, -LENGTHS, LENGTHS + 9, LENGTHS[:5]])
@pytest.mark.parametrize("method", ["fit", "predict", "attribute"])
def test_wrong_lengths_are_refused_for_own_modules(lengths, method, device):
    net, data = make(TCN, device), pad_series(SERIES)
    if method != "fit":
        net.fit(data, LABELS)
    arguments = (LABELS,) if method == "fit" else ()
    with pytest.raises(ValueError, match=r'X\["lengths"\] must be one integer a series, 1 to 9'):
        getattr(net, method)({**data, "lengths": lengths}, *arguments)


def test_frames_in_a_list_are_refused(device):
    frames = [pd.DataFrame(x, columns=list("abc")) for x in SERIES]
    with pytest.raises(TypeError, match=r'from_channels_first.*frame_rows="time"'):
        make("tcn", device).fit(frames, LABELS)
    make("tcn", device).fit(from_channels_first(frames, frame_rows="time"), LABELS)


def test_series_of_one_feature_are_told_how(device):
    with pytest.raises(ValueError, match=r"one feature need x\[:, None\]"):
        make("tcn", device).fit([x[:, 0] for x in SERIES], LABELS)


@pytest.mark.parametrize("module", ["auto", "tcn"])
def test_a_list_with_something_else_in_it_names_the_position(module, device):
    with pytest.raises(ValueError, match=r"X\[23\] must hold real numbers"):
        make(module, device).fit([*SERIES[:-1], None], LABELS)


def test_a_tuple_of_series_is_explained_as_a_list(device):
    net = make("tcn", device).fit(tuple(SERIES), LABELS)
    assert [v.shape for v in net.attribute(tuple(SERIES))] == [x.shape for x in SERIES]


def test_a_failed_change_of_the_module_leaves_the_net_as_it_was(device):
    net = make("tcn", device).fit(SERIES, LABELS)
    expected = net.predict_proba(SERIES)
    with pytest.raises(TypeError, match="vocabulary_size"):
        net.set_params(module="text_cnn")
    assert net.module == "tcn"
    np.testing.assert_array_equal(net.predict_proba(SERIES), expected)
