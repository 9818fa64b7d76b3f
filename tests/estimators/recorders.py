"""Modules and fills that note what a fit does with them."""

import torch
from torch import nn


class PassCounter(nn.Module):
    """Wraps a net and notes the mode of each forward pass, and whether batch norm tracks."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.passes = []

    def forward(self, x):
        tracking = [m.track_running_stats for m in self.net.modules() if is_batch_norm(m)]
        self.passes.append((self.training, all(tracking)))
        return self.net(x)


def is_batch_norm(module):
    return isinstance(module, nn.modules.batchnorm._BatchNorm)


class RecordingDropout(nn.Module):
    """Dropout that keeps each of its inputs and masks."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def forward(self, x):
        if not self.training:
            return x
        keep = torch.rand_like(x) < 0.5
        self.calls.append((x.detach().cpu().numpy().copy(), keep.cpu().numpy()))
        return x * keep * 2


class CountingFill:
    """Constant fill that counts its calls, one for each masked batch."""

    def __init__(self):
        self.batches = []

    def __call__(self, x, generator):
        uniform = torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generator)
        self.batches.append(uniform.cpu())
        return 100 + uniform

    def __deepcopy__(self, memo):
        return self


class InputRecorder(nn.Module):
    """Wraps a net and keeps its inputs, training mode only."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.inputs = []

    def forward(self, x):
        if self.training:
            self.inputs.append(x.detach().cpu().clone())
        return self.net(x)

    def masked_inputs(self, value=99):
        return [x for x in self.inputs if (x > value).any()]
