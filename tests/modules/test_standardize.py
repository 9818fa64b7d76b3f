import copy

import numpy as np
import pytest
import torch
from torch import nn

from sgt_sklearn.attribution import saliency
from sgt_sklearn.modules import StandardizedInput

STATISTICS = {
    "table": ((4,), (4,)),
    "series": ((5, 4), (4,)),
    "image": ((3, 5, 4), (3, 1, 1)),
}


def make_statistics(shape):
    rng = np.random.default_rng(0)
    return rng.normal(size=shape), rng.uniform(0.5, 3, size=shape)


@pytest.mark.parametrize("kind", STATISTICS)
def test_the_network_gets_the_standardised_input(kind, device):
    sample_shape, shape = STATISTICS[kind]
    mean, scale = make_statistics(shape)
    net = StandardizedInput(nn.Identity(), mean, scale).to(device)
    x = torch.randn(6, *sample_shape, device=device)
    expected = (x.cpu().numpy() - mean) / scale
    np.testing.assert_allclose(net(x).cpu().numpy(), expected, atol=1e-5)


def test_gradients_are_in_units_of_the_input():
    mean, scale = make_statistics((4,))
    inner = nn.Linear(4, 1)
    net = StandardizedInput(inner, mean, scale)
    gradient = saliency(lambda x: net(x)[:, 0], torch.randn(2, 4))
    expected = inner.weight.detach().numpy() / scale
    np.testing.assert_allclose(gradient, np.repeat(expected, 2, axis=0), rtol=1e-6)


def test_a_constant_feature_is_centred_only():
    net = StandardizedInput(nn.Identity(), mean=[1.0, 2.0], scale=[0.0, 4.0])
    assert net(torch.tensor([[1.0, 2.0], [2.0, 6.0]])).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_statistics_are_state_and_not_trained(device):
    net = StandardizedInput(nn.Linear(4, 1), *make_statistics((4,)))
    assert {name for name, _ in net.named_parameters()} == {"module.weight", "module.bias"}
    other = StandardizedInput(nn.Linear(4, 1), np.zeros(4), np.ones(4))
    other.load_state_dict(net.state_dict())
    x = torch.randn(3, 4)
    assert torch.equal(net(x), other(x))
    moved = copy.deepcopy(net).to(device, torch.float64)
    assert moved(x.to(device).double()).dtype == torch.float64
