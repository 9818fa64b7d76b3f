import subprocess
import sys

import pytest
import torch
from torch import nn

from sgt_sklearn.attribution import (
    evaluation_mode,
    gradient_with_respect_to,
    input_gradient,
    parent_modules,
)

# forward passes by which nothing flows back to the input
CUT = {
    "detached": lambda x: x.detach().sum(1),
    "parameters only": lambda x: x.detach().sum(1) * torch.ones(1, requires_grad=True),
    "comparison": lambda x: (x > 0).sum(1).to(x.dtype),
    "argmax": lambda x: x.argmax(1).to(x.dtype),
    "constant": lambda x: x.new_zeros(len(x)),
}


def test_gradient_is_that_of_each_row(device):
    x = torch.randn(5, 2, 3, dtype=torch.float64, device=device)
    gradient = input_gradient(lambda x: (x**3).flatten(1).sum(1), x)
    torch.testing.assert_close(gradient, 3 * x**2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_gradient_keeps_shape_dtype_and_device_and_has_no_graph(dtype, device):
    x = torch.randn(5, 3, device=device).to(dtype).requires_grad_(True)
    gradient = input_gradient(lambda x: (x**2).sum(1), x)
    assert gradient.shape == x.shape
    assert gradient.dtype == dtype
    assert gradient.device == x.device
    assert not gradient.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("context", [torch.no_grad, torch.enable_grad])
def test_gradient_does_not_depend_on_the_grad_mode(context):
    x = torch.ones(1, 2)
    with context():
        assert torch.equal(input_gradient(lambda x: (x**2).sum(1), x), 2 * x)


def test_parameters_and_their_gradients_are_left_alone():
    net = nn.Linear(3, 1)
    net.weight.grad = kept = torch.ones(1, 3)
    input_gradient(lambda x: net(x)[:, 0], torch.randn(5, 3))
    assert net.weight.grad is kept
    assert (kept == 1).all()
    assert net.bias.grad is None


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool])
def test_integer_input_is_a_type_error(dtype):
    with pytest.raises(TypeError, match=r"x must be a floating-point tensor .* got torch"):
        input_gradient(lambda x: x.sum(1), torch.ones(2, 3).to(dtype))


@pytest.mark.parametrize("cut", CUT)
def test_no_gradient_path_is_a_type_error(cut):
    with pytest.raises(TypeError, match="no gradient path to its input"):
        input_gradient(CUT[cut], torch.randn(2, 3))


@pytest.mark.parametrize("retain", [False, True])
def test_the_graph_is_kept_where_told(retain):
    x = torch.ones(1, 2, requires_grad=True)
    scalars = (x**2).sum(1)
    gradient_with_respect_to(scalars, x, retain_graph=retain)
    if retain:
        assert torch.equal(gradient_with_respect_to(scalars, x), 2 * x)
    else:
        with pytest.raises(RuntimeError, match="second time"):
            gradient_with_respect_to(scalars, x)


def test_values_of_a_row_are_weighted_as_told():
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(5, 3, dtype=torch.float64)
    gradient = gradient_with_respect_to(x**2, x, output_gradient=weights)
    torch.testing.assert_close(gradient, 2 * x.detach() * weights)


# modes


def make_nested():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.BatchNorm1d(3)))
    net[1][0].eval()
    return net


@pytest.mark.parametrize("error", [None, RuntimeError])
def test_evaluation_mode_gives_each_submodule_its_mode_back(error):
    nets = [make_nested(), make_nested().eval()]
    modes = [[m.training for m in net.modules()] for net in nets]
    cudnn = torch.backends.cudnn.enabled
    try:
        with evaluation_mode(nets):
            assert not any(m.training for net in nets for m in net.modules())
            if error is not None:
                raise error("stop")
    except RuntimeError:
        assert error is not None
    assert [[m.training for m in net.modules()] for net in nets] == modes
    assert torch.backends.cudnn.enabled == cudnn


def test_recurrent_nets_have_a_gradient_in_evaluation_mode(device):
    net = nn.LSTM(3, 4, batch_first=True).to(device)
    with evaluation_mode([net]):
        gradient = input_gradient(lambda x: net(x)[0].sum((1, 2)), torch.randn(2, 5, 3).to(device))
    assert gradient.abs().min() > 0
    assert net.training


@pytest.mark.skipif(
    not hasattr(torch.backends.cudnn, "conv"), reason="a torch without precisions by operator"
)
def test_evaluation_mode_of_recurrent_nets_keeps_precisions_of_cudnn():
    convolutions = torch.backends.cudnn.conv
    before = convolutions.fp32_precision
    # other than that of recurrent layers: torch then refuses to read the common flag
    convolutions.fp32_precision = "ieee"
    try:
        with evaluation_mode([nn.LSTM(3, 4)]):
            assert not torch.backends.cudnn.enabled
        assert torch.backends.cudnn.enabled
        assert convolutions.fp32_precision == "ieee"
    finally:
        convolutions.fp32_precision = before


FIRST_PASS = """
import warnings
import torch
from sgt_sklearn.attribution import input_gradient
warnings.simplefilter("error")
net = torch.nn.Linear(3, 1, device="cuda")
gradient = input_gradient(lambda x: net(x).squeeze(1), torch.ones(2, 3, device="cuda"))
assert torch.equal(gradient, net.weight.detach().expand(2, 3))
"""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_a_first_backward_pass_that_starts_with_a_matrix_product_does_not_warn():
    subprocess.run([sys.executable, "-c", FIRST_PASS], check=True, timeout=100)


def test_parent_modules_of_modules_and_their_methods():
    net = nn.Linear(2, 1)
    for forward in (net, net.forward, net.__call__):
        assert parent_modules(forward) == (net,)
    for forward in (torch.sin, lambda x: net(x), [].append):
        assert parent_modules(forward) == ()
