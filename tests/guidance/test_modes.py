import pytest
import torch
from torch import nn

from sgt_sklearn.guidance import frozen_running_statistics, passes_agree

NORMALIZATIONS = {
    "batch": lambda: nn.BatchNorm1d(3),
    "cumulative batch": lambda: nn.BatchNorm1d(3, momentum=None),
    "nested batch": lambda: nn.Sequential(nn.Linear(3, 3), nn.Sequential(nn.BatchNorm1d(3))),
    "instance": lambda: nn.InstanceNorm1d(3, track_running_stats=True),
}


@pytest.mark.parametrize("name", NORMALIZATIONS)
def test_frozen_statistics_do_not_move_and_the_batch_normalises(name, device):
    module = NORMALIZATIONS[name]().to(device)
    x = 5 + 2 * torch.randn(8, 3, *([4] if name == "instance" else []), device=device)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    with frozen_running_statistics([module]):
        frozen = module(x)
    torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
    torch.testing.assert_close(module(x), frozen)
    statistics = [k for k in before if "running" in k]
    assert statistics
    assert all((module.state_dict()[k] != before[k]).all() for k in statistics)


def test_modules_in_evaluation_mode_keep_their_statistics_in_use():
    module = nn.BatchNorm1d(3).eval()
    x = 5 + torch.randn(8, 3)
    expected = module(x)
    with frozen_running_statistics([module]):
        assert module.track_running_stats
        assert torch.equal(module(x), expected)


def test_tracking_goes_on_after_an_error():
    net = nn.Sequential(nn.BatchNorm1d(3), nn.BatchNorm1d(3, track_running_stats=False))
    with pytest.raises(RuntimeError, match="stop"), frozen_running_statistics([net, net[0]]):
        raise RuntimeError("stop")
    assert [m.track_running_stats for m in net] == [True, False]


NETS = {
    "linear": (lambda: nn.Linear(3, 2), (True, False)),
    "layer norm": (lambda: nn.LayerNorm(3), (True, False)),
    "dropout": (lambda: nn.Sequential(nn.Linear(3, 2), nn.Dropout()), (False, True)),
    "batch norm": (lambda: nn.BatchNorm1d(3), (False, False)),
    "frozen batch norm": (lambda: nn.Sequential(nn.BatchNorm1d(3)).eval(), (True, False)),
    "no running statistics": (lambda: nn.BatchNorm1d(3, track_running_stats=False), (True, False)),
    "mode": (lambda: _ModeDependent(), (False, False)),
    "unused draw": (lambda: _Draws(), (False, True)),
    "tuple": (lambda: _Tuple(), (True, False)),
}


class _ModeDependent(nn.Module):
    def forward(self, x):
        return x if self.training else 2 * x


class _Draws(nn.Module):
    def forward(self, x):
        if self.training:
            torch.rand((), device=x.device)
        return x


class _Tuple(nn.Module):
    def forward(self, x):
        return x, "attention"


@pytest.mark.parametrize("name", NETS)
def test_probe_finds_out_whether_one_pass_can_serve_both(name, device):
    make, expected = NETS[name]
    net = make().to(device)
    x = 1 + torch.randn(8, 3, device=device)
    modes = [m.training for m in net.modules()]
    state = {k: v.clone() for k, v in net.state_dict().items()}
    before = torch.get_rng_state()
    assert passes_agree(net, [net], x) == expected
    torch.testing.assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert torch.equal(torch.get_rng_state(), before)
    assert [m.training for m in net.modules()] == modes
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("last", [nn.LazyBatchNorm1d(), nn.Identity()], ids=["batch norm", "none"])
def test_probe_initialises_lazy_modules_like_a_first_pass(last, device):
    x = torch.randn(6, 3, device=device)
    net = nn.Sequential(nn.LazyLinear(4), last, nn.LazyLinear(2)).to(device)
    torch.manual_seed(0)
    agree, stochastic = passes_agree(net, [net], x)
    torch.manual_seed(0)
    expected = nn.Sequential(nn.Linear(3, 4, device=device), nn.Linear(4, 2, device=device))
    torch.testing.assert_close(net[0].weight, expected[0].weight, rtol=0, atol=0)
    torch.testing.assert_close(net[2].weight, expected[1].weight, rtol=0, atol=0)
    assert not stochastic
    assert agree == isinstance(last, nn.Identity)
    if not agree:
        assert last.num_batches_tracked == 0
        assert (last.running_mean == 0).all()


@pytest.mark.parametrize("output", [{"logits": torch.ones(2)}, ["text"], "text", None])
def test_outputs_that_are_no_tensors_are_refused(output):
    name = type(output).__name__
    with pytest.raises(TypeError, match=f"but the module returns {name}"):
        passes_agree(lambda x: output, [], torch.ones(2, 3))
