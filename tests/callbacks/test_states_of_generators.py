"""Generators go on where a killed fit left them."""

import functools
import os
import random

import numpy as np
import pytest
import torch
from skorch import NeuralNet
from skorch.dataset import Dataset, ValidSplit
from torch import nn
from torch.utils.data import DataLoader, RandomSampler, default_collate

from tests.callbacks.killing import X, kill_at, killed, plain, seed_globals
from tests.callbacks.resuming import Y, check_resumes, net_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs processes that can be killed")


class OwnNoise(nn.Module):
    """A module with generators of its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1)
        self.torch_generator = torch.Generator().manual_seed(5)
        self.noise = [np.random.default_rng(6)]

    def forward(self, x):
        if self.training:
            x = x + 0.1 * torch.randn(x.shape, generator=self.torch_generator)
            x = x * float(self.noise[0].uniform(0.9, 1.1))
        return self.linear(x)


class OwnFill:
    """A fill that draws from numpy, whatever generator it is given."""

    def __init__(self):
        self.rng = np.random.RandomState(7)

    def __call__(self, x, generator):
        return torch.from_numpy(self.rng.standard_normal(x.shape).astype(np.float32))


class Augmented(Dataset):
    """Draws for each row."""

    def __init__(self, X, y):
        super().__init__(X, y)
        self.rng = np.random.Generator(np.random.MT19937(8))

    def __getitem__(self, i):
        Xi, yi = super().__getitem__(i)
        return Xi + self.rng.normal(scale=0.1, size=Xi.shape).astype(np.float32), yi


class SeededLoader(DataLoader):
    def __init__(self, dataset, batch_size, shuffle=False):
        sampler = RandomSampler(dataset, generator=torch.Generator().manual_seed(9))
        super().__init__(dataset, batch_size=batch_size, sampler=sampler if shuffle else None)


@pytest.mark.parametrize("random_state", [None, 0])
def test_every_generator_goes_on(random_state, tmp_path):
    def build(folder):
        return net_of(
            folder,
            module=OwnNoise(),
            mask_fill=OwnFill(),
            iterator_train__generator=torch.Generator().manual_seed(10),
            train_split=ValidSplit(0.2, stratified=False, random_state=np.random.RandomState(11)),
            random_state=random_state,
        )

    check_resumes(build, tmp_path)


@pytest.mark.parametrize("random_state", [None, 0])
def test_generators_of_data_sets_and_loaders(random_state, tmp_path):
    def build(folder):
        return net_of(
            folder, iterator_train=SeededLoader, random_state=random_state, mask_order="absolute"
        )

    check_resumes(build, tmp_path, data=lambda: (Augmented(X, Y), None))


def noisy_collate(rows, rng):
    inputs, targets = default_collate(rows)
    return inputs + float(rng.normal(scale=0.1)), targets


def test_generators_in_methods_and_partial_functions(tmp_path):
    def build(folder):
        collate = functools.partial(noisy_collate, rng=np.random.default_rng(12))
        fill = OwnFill().__call__
        return net_of(folder, mask_fill=fill, iterator_train__collate_fn=collate)

    check_resumes(build, tmp_path)


class PythonNoise(OwnNoise):
    """Draws from Python's global generator."""

    def forward(self, x):
        return super().forward(x + random.random() if self.training else x)


@pytest.mark.parametrize("random_state", [None, 0])
def test_pythons_generator(random_state, tmp_path):
    def build(folder):
        return net_of(folder, module=PythonNoise(), random_state=random_state)

    check_resumes(build, tmp_path)


def test_a_seeded_fit_leaves_the_global_generators_alone(tmp_path):
    seed_globals()
    assert killed(lambda: (kill_at(NeuralNet, "train_step", 18), net_of(tmp_path).fit(X, Y)))
    net = net_of(tmp_path)
    seed_globals(1)
    before = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    net.fit(X, Y)
    after = random.getstate(), torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    np.testing.assert_equal(plain(before), plain(after))
