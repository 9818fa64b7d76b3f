import numpy as np
import pytest
import torch

from sgt_sklearn.guidance import FILLS, fill_values

RANDOM_FILLS = ("sample_uniform", "feature_uniform", "marginal")
SHAPES = [(9, 6), (9, 5, 3), (9, 3, 4, 5)]
SEEDS = range(3)


def make_batch(shape, device="cpu", dtype=torch.float64):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return (2 * x + 1).to(device=device, dtype=dtype)


def make_statistics(x):
    """Statistics of each column, feature of a series or channel, wider than the batch's."""
    axes = {2: (0,), 3: (0, 1), 4: (0, 2, 3)}[x.ndim]
    shape = (-1, 1, 1) if x.ndim == 4 else (-1,)
    return {
        "minimum": x.amin(axes).reshape(shape) - 5,
        "maximum": x.amax(axes).reshape(shape) + 5,
        "mean": x.mean(axes).reshape(shape),
    }


def fill_with_seed(x, fill, seed=0, **options):
    generator = torch.Generator(x.device).manual_seed(seed)
    return fill_values(
        x, fill, statistics=make_statistics(x), generator=generator, **{"value": 0.5} | options
    )


def shape_id(shape):
    return f"{len(shape)}d"


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("fill", FILLS)
def test_fill_keeps_shape_dtype_device_and_input(fill, dtype, shape, device):
    x = make_batch(shape, device, dtype)
    before = x.clone()
    values = fill_with_seed(x, fill)
    assert values.shape == x.shape
    assert values.dtype == dtype
    assert values.device == x.device
    assert values.isfinite().all()
    assert torch.equal(x, before)


# what each fill draws from


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
def test_constant_and_mean_are_exact(shape):
    x = make_batch(shape)
    assert (fill_with_seed(x, "constant", value=-1.5) == -1.5).all()
    expected = make_statistics(x)["mean"].expand(x.shape)
    assert torch.equal(fill_with_seed(x, "mean"), expected)


def unit_position(values, low, high):
    return ((values - low) / (high - low)).numpy()


def assert_uniform(samples):
    """Cells of axis 1 are independent and uniform in [0, 1]: five standard errors."""
    n, n_cells = samples.shape
    assert samples.min() >= 0
    assert samples.max() <= 1 + 1e-12
    assert np.abs(samples.mean(0) - 0.5).max() < 5 * np.sqrt(1 / 12 / n)
    # the variance of (u - 1/2)^2 is 1/80 - 1/144
    assert np.abs(((samples - 0.5) ** 2).mean(0) - 1 / 12).max() < 5 * np.sqrt(1 / 180 / n)
    correlation = np.corrcoef(samples.T) - np.eye(n_cells)
    assert np.abs(correlation).max() < 5 / np.sqrt(n)
    assert np.abs(np.mean(samples[1:] * samples[:-1], axis=0) - 0.25).max() < 5 * 0.23 / np.sqrt(n)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("shape", "axes"),
    [((2000, 6), 1), ((2000, 5, 3), 1), ((2000, 2, 3, 4), (2, 3))],
    ids=["row", "series per feature", "image per channel"],
)
def test_sample_uniform_is_uniform_in_the_range_of_the_sample(shape, axes, seed):
    x = make_batch(shape)
    low, high = x.amin(axes, keepdim=True), x.amax(axes, keepdim=True)
    values = fill_with_seed(x, "sample_uniform", seed)
    assert_uniform(unit_position(values, low, high).reshape(len(x), -1))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("shape", [(2000, 6), (2000, 5, 3), (2000, 2, 3, 4)], ids=shape_id)
def test_feature_uniform_is_uniform_in_the_training_range(shape, seed):
    x = make_batch(shape)
    statistics = make_statistics(x)
    values = fill_with_seed(x, "feature_uniform", seed)
    samples = unit_position(values, statistics["minimum"], statistics["maximum"])
    assert_uniform(samples.reshape(len(x), -1))


def row_numbers(n, *shape):
    """A batch whose cells tell their row."""
    return torch.arange(n, dtype=torch.float64).reshape(-1, *[1] * len(shape)).repeat(1, *shape)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(500,), (50, 10), (5, 10, 10)])
def test_marginal_is_never_the_sample_itself(n, dtype, shape):
    x = row_numbers(n, *shape).to(dtype)
    donors = fill_with_seed(x, "marginal")
    assert (donors != x).all()
    assert set(donors.unique().tolist()) == set(range(n))


def test_marginal_takes_the_same_feature_of_the_donor():
    x = row_numbers(6, 5, 3) + 100 * torch.arange(15.0, dtype=torch.float64).reshape(5, 3)
    values = fill_with_seed(x, "marginal")
    assert torch.equal(values // 100, x // 100)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_other_row_is_as_likely_a_donor(seed):
    n, n_cells = 5, 4000
    x = row_numbers(n, n_cells)
    donors = fill_with_seed(x, "marginal", seed)
    p = 1 / (n - 1)
    for row in range(n):
        shares = torch.bincount(donors[row].long(), minlength=n) / n_cells
        shares = torch.cat([shares[:row], shares[row + 1 :]])
        # five standard errors
        assert (shares - p).abs().max() < 5 * (p * (1 - p) / n_cells) ** 0.5


@pytest.mark.parametrize(
    "labels",
    [
        torch.tensor([2, 0, 2, 1, 1, 2]),
        torch.arange(3).expand(5, 3),
        torch.arange(12).reshape(1, 3, 4).expand(2, 3, 4),
    ],
    ids=["columns", "features of a series", "pixels"],
)
def test_one_donor_serves_a_whole_group_and_groups_choose_alone(labels):
    x = row_numbers(40, *labels.shape)
    donors = fill_with_seed(x, "marginal", groups=labels)
    assert (donors != x).all()
    of_groups = []
    for label in labels.unique():
        members = donors[:, labels == label]
        assert (members == members[:, :1]).all()
        of_groups.append(members[:, 0])
    for i, first in enumerate(of_groups):
        for second in of_groups[i + 1 :]:
            assert (first == second).double().mean() < 0.2


@pytest.mark.parametrize("groups", [None, torch.tensor([0, 0, 1])])
def test_marginal_leaves_a_batch_of_one_unchanged(groups):
    x = make_batch((1, 3))
    assert torch.equal(fill_with_seed(x, "marginal", groups=groups), x)


# draws


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize("fill", FILLS)
def test_one_draw_of_the_full_shape_from_the_given_generator(fill, shape, device):
    x = make_batch(shape, device)
    generators = [torch.Generator(device).manual_seed(3) for _ in range(2)]
    before = torch.get_rng_state()
    fill_values(x, fill, statistics=make_statistics(x), generator=generators[0])
    if fill in RANDOM_FILLS:
        torch.rand(x.shape, dtype=x.dtype, device=x.device, generator=generators[1])
    assert torch.equal(generators[0].get_state(), generators[1].get_state())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("fill", RANDOM_FILLS)
def test_without_a_generator_the_global_one_is_drawn_from(fill):
    x = make_batch((9, 6))
    torch.manual_seed(4)
    values = fill_values(x, fill, statistics=make_statistics(x))
    assert torch.equal(values, fill_with_seed(x, fill, seed=4))


# callables and errors


def test_a_callable_gets_the_batch_and_the_generator_and_is_cast():
    x, generator = make_batch((9, 6), dtype=torch.float32), torch.Generator()
    calls = []

    def fill(x, generator):
        calls.append((x, generator))
        return x.double() + 1

    values = fill_values(x, fill, generator=generator)
    assert values.dtype == torch.float32
    torch.testing.assert_close(values, x + 1)
    ((given, given_generator),) = calls
    assert given is x
    assert given_generator is generator


@pytest.mark.parametrize("value", [torch.zeros(9), torch.zeros(1, 6), np.zeros((9, 6)), 0.0])
def test_a_callable_must_return_a_tensor_of_the_shape_of_the_batch(value):
    with pytest.raises(ValueError, match=r"mask_fill must return a tensor .*\(9, 6\), got "):
        fill_values(make_batch((9, 6)), lambda x, generator: value)


@pytest.mark.parametrize("fill", ["median", "auto", None])
def test_unknown_fill(fill):
    with pytest.raises(ValueError, match=r"mask_fill must be one of .* or a callable, got"):
        fill_values(make_batch((9, 6)), fill)


@pytest.mark.parametrize(
    ("fill", "lacking"),
    [("mean", "mean"), ("feature_uniform", "minimum"), ("feature_uniform", "maximum")],
)
@pytest.mark.parametrize("given", [False, True])
def test_a_fill_names_the_statistic_that_it_lacks(fill, lacking, given):
    x = make_batch((9, 6))
    statistics = make_statistics(x) | {lacking: None} if given else None
    missing = lacking if given else {"mean": "mean", "feature_uniform": "minimum"}[fill]
    with pytest.raises(ValueError, match=f"mask_fill='{fill}' needs the training {missing}"):
        fill_values(x, fill, statistics=statistics)


def test_marginal_draws_donors_by_weight_and_never_the_sample_itself(device):
    x = torch.arange(5.0, device=device).reshape(5, 1).expand(5, 40000)
    weight = torch.tensor([1.0, 0, 2, 8, 5], device=device)
    generator = torch.Generator(device).manual_seed(0)
    donors = fill_values(x, "marginal", weight=weight, generator=generator).long()
    for i, drawn in enumerate(donors):
        others = weight.cpu().clone()
        others[i] = 0
        counts = torch.bincount(drawn.cpu(), minlength=5)
        assert (counts[others == 0] == 0).all()
        torch.testing.assert_close(counts / 40000, others / others.sum(), atol=0.01, rtol=0)


def test_marginal_with_equal_weights_draws_as_without(device):
    x = torch.randn(8, 50, dtype=torch.float64, device=device)
    values = [
        fill_values(x, "marginal", weight=weight, generator=torch.Generator(device).manual_seed(0))
        for weight in (None, torch.full((8,), 0.5, device=device))
    ]
    assert torch.equal(*values)
