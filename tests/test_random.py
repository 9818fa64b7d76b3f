"""Seeds, and generators that are given back."""

import numpy as np
import pytest
import torch

from sgt_sklearn._random import (
    capture_generators,
    isolated_generators,
    mask_seed,
    restore_generators,
    seed_from,
)


def draw():
    return torch.rand(3).tolist(), np.random.random(3).tolist()  # noqa: NPY002


def drawn_from(seed):
    with isolated_generators(seed=seed):
        return draw()


def states():
    numpy = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2:]


@pytest.mark.parametrize("seed", [0, 7, 2**31, 2**32 - 1, np.int64(3), np.uint8(3)])
def test_an_int_is_its_own_seed(seed):
    assert seed_from(seed) == seed
    assert type(seed_from(seed)) is int
    drawn_from(seed_from(seed))


def test_a_random_state_gives_reproducible_seeds_and_is_advanced():
    one, other = np.random.RandomState(0), np.random.RandomState(0)
    seeds = [seed_from(one) for _ in range(3)]
    assert len(set(seeds)) == 3
    assert seeds == [seed_from(other) for _ in range(3)]


@pytest.mark.parametrize("seed", [-1, 2**32, "zero", 0.5, np.random.default_rng(0)])
def test_what_numpy_cannot_be_seeded_with_is_refused(seed):
    with pytest.raises((ValueError, TypeError)):
        seed_from(seed)


def test_masks_have_a_stream_of_their_own():
    seeds = [mask_seed(seed) for seed in range(50)]
    assert len(set(seeds)) == 50
    assert not set(seeds) & set(range(50))
    assert seeds == [mask_seed(seed) for seed in range(50)]
    torch.Generator().manual_seed(mask_seed(2**32 - 1))


def test_inside_draws_follow_the_seed_and_outside_nothing_changes():
    before = states()
    assert drawn_from(1) == drawn_from(1) != drawn_from(2)
    assert states() == before


def test_generators_are_given_back_after_an_error():
    before = states()
    with pytest.raises(KeyError), isolated_generators(seed=1) as reached:
        draw()
        raise KeyError
    assert states() == before
    assert reached == {}


def test_going_on_from_the_states_reached_equals_one_run():
    with isolated_generators(seed=1):
        whole = draw(), draw()
    with isolated_generators(seed=1) as reached:
        first = draw()
    with isolated_generators(seed=99, state=reached):
        assert (first, draw()) == whole


def test_isolation_nests():
    with isolated_generators(seed=1):
        first = draw()
        with isolated_generators(seed=2):
            draw()
        second = draw()
    with isolated_generators(seed=1):
        assert (draw(), draw()) == (first, second)


def test_captured_states_are_restored():
    state = capture_generators()
    first = draw()
    restore_generators(state)
    assert draw() == first


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_generators_of_cuda_are_isolated_too():
    torch.cuda.manual_seed(0)
    before = torch.cuda.get_rng_state().tolist()
    with isolated_generators(seed=1):
        torch.rand(3, device="cuda")
    assert torch.cuda.get_rng_state().tolist() == before


def test_cuda_stays_uninitialised_until_told(monkeypatch):
    def refuse(*args):
        raise AssertionError

    for name in ("init", "manual_seed_all", "set_rng_state"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    state = capture_generators() | {"cuda": [torch.get_rng_state()]}
    assert drawn_from(1) == drawn_from(1) != drawn_from(2)
    with isolated_generators(state=state) as reached:
        draw()
    assert "cuda" not in reached
    with pytest.raises(AssertionError), isolated_generators(seed=1, cuda=True):
        pass
