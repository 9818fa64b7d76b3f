"""Default networks, pure torch."""

from sgt_sklearn.modules._cnn import CNN
from sgt_sklearn.modules._input_cell_attention import InputCellAttentionLSTM
from sgt_sklearn.modules._mlp import MLP
from sgt_sklearn.modules._recurrent import GRU, LSTM
from sgt_sklearn.modules._standardize import StandardizedInput
from sgt_sklearn.modules._tcn import TCN
from sgt_sklearn.modules._text import TextBag, TextCNN, TextLSTM, TextTransformer
from sgt_sklearn.modules._transformer import TransformerEncoder

__all__ = [
    "CNN",
    "GRU",
    "LSTM",
    "MLP",
    "TCN",
    "InputCellAttentionLSTM",
    "StandardizedInput",
    "TextBag",
    "TextCNN",
    "TextLSTM",
    "TextTransformer",
    "TransformerEncoder",
]
