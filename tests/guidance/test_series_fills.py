"""What replaces cells of padded series: donors, ranges and callables."""

import pytest
import torch

from sgt_sklearn.guidance import Masking, fill_values, masked_input


def donor_rows(lengths, groups=None, weight=None, n_cells=4000, seed=0):
    """Row that each cell of a batch of series of that many features is taken from."""
    rows = torch.arange(float(len(lengths)), dtype=torch.float64)
    x = rows.reshape(-1, 1, 1).expand(-1, max(lengths), n_cells).contiguous()
    generator = torch.Generator().manual_seed(seed)
    values = fill_values(
        x,
        "marginal",
        lengths=torch.tensor(lengths),
        groups=groups,
        weight=weight,
        generator=generator,
    )
    return values.long()


def assert_shares(donors, expected):
    """Counts of donors fit the expected shares: five standard errors."""
    n = donors.numel()
    shares = torch.bincount(donors.flatten(), minlength=len(expected)).double() / n
    expected = torch.tensor(expected, dtype=torch.float64)
    assert (shares[expected == 0] == 0).all()
    assert ((shares - expected).abs() <= 5 * (expected * (1 - expected) / n).sqrt()).all()


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("lengths", [[3, 1, 2, 3, 2], [1, 2, 3, 4], [4, 4, 1], [2, 5]])
def test_donors_of_a_cell_are_the_other_series_that_reach_it(lengths, weighted):
    weight = torch.tensor([1.0, 4.0, 2.0, 3.0, 0.5])[: len(lengths)] if weighted else None
    donors = donor_rows(lengths, weight=weight)
    for i, length in enumerate(lengths):
        for step in range(length):
            masses = [
                0.0 if j == i or other <= step else 1.0 if weight is None else weight[j].item()
                for j, other in enumerate(lengths)
            ]
            if sum(masses) == 0:
                masses[i] = 1.0  # no other reaches it: unchanged
            assert_shares(donors[i, step], [mass / sum(masses) for mass in masses])


def test_a_donor_of_a_group_reaches_the_end_of_the_sample_s_part_of_it():
    lengths = [4, 2, 3, 1, 4, 3]
    # one group of all features of the first and third step for each pair of features
    n_cells = 4000
    labels = torch.arange(n_cells // 2).repeat_interleave(2).expand(4, -1).clone()
    labels[1] += n_cells // 2
    labels[3] += n_cells // 2
    donors = donor_rows(lengths, labels, n_cells=n_cells)
    # (sample, a step of the group, the last step of the group that the sample has)
    for i, step, last in [(0, 0, 2), (0, 2, 2), (0, 1, 3), (1, 0, 0), (1, 1, 1), (2, 1, 1)]:
        able = [j for j, length in enumerate(lengths) if length > last and j != i]
        row = donors[i, step].reshape(-1, 2)
        assert torch.equal(row[:, 0], row[:, 1])
        assert_shares(row[:, 0], [1 / len(able) * (j in able) for j in range(6)])
    assert torch.equal(donors[0, 0], donors[0, 2])
    assert torch.equal(donors[4, 1], donors[4, 3])


def test_without_padding_lengths_change_no_donor():
    x = torch.randn(6, 4, 3)
    for weight in (None, torch.rand(6)):
        values = [
            fill_values(
                x,
                "marginal",
                lengths=lengths,
                weight=weight,
                generator=torch.Generator().manual_seed(1),
            )
            for lengths in (None, torch.full((6,), 4))
        ]
        assert torch.equal(*values)


def test_sample_uniform_keeps_to_the_range_of_the_valid_steps():
    x = torch.rand(50, 4, 3, dtype=torch.float64)
    lengths = torch.arange(50) % 4 + 1
    valid = torch.arange(4) < lengths[:, None]
    x[~valid] = 1e9
    x[::2][~valid[::2]] = torch.nan
    values = fill_values(x, "sample_uniform", lengths=lengths)
    for i, length in enumerate(lengths.tolist()):
        low, high = x[i, :length].amin(0), x[i, :length].amax(0)
        assert ((low <= values[i, :length]) & (values[i, :length] <= high)).all()


def test_a_callable_gets_the_padded_batch_and_the_generator():
    calls = []

    def fill(x, generator):
        calls.append((x, generator))
        return torch.full_like(x, 99.0)

    x, generator, lengths = torch.zeros(2, 4, 2), torch.Generator(), torch.tensor([4, 2])
    masking = Masking(fill=fill, order="random")
    masked = masked_input(None, x, None, masking, lengths=lengths, generator=generator, modules=())
    ((given_x, given_generator),) = calls
    assert torch.equal(given_x, x)
    assert given_generator is generator
    assert (masked == 99.0).sum((1, 2)).tolist() == [4, 2]
