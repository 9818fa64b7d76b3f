"""The pure function against the slow loop of ``slow_loop.py``."""

import copy
import dataclasses
import itertools

import pytest
import torch

from sgt_sklearn.guidance import Masking, saliency_guided_loss
from tests.guidance import slow_loop
from tests.guidance.fidelity_cases import (
    BATCHES,
    CASES,
    CRITERIA,
    GROUPS,
    LR,
    OWN_DIVERGENCE,
    SEED,
    TASKS,
    Case,
    jitter,
    make_data,
    make_net,
)


def make_masking(setting, X):
    """The library's settings with statistics as tensors over the same axes as the slow loop's."""
    axes = {2: (0,), 3: (0, 1), 4: (0, 2, 3)}[X.ndim]
    shape = (-1, 1, 1) if X.ndim == 4 else (-1,)
    members = slow_loop.group_members(setting.groups, X.shape[1:])
    labels = torch.empty(X.shape[1:], dtype=torch.int64, device=X.device)
    for label, cells in enumerate(members):
        for cell in cells:
            labels[cell] = label
    return Masking(
        fraction=setting.fraction,
        order=setting.order,
        output=setting.output,
        fill=setting.fill,
        fill_value=setting.value,
        groups=None if isinstance(setting.groups, str) and setting.groups == "cell" else labels,
        likelihood=setting.likelihood,
        scale=X.std(axes, correction=0).reshape(shape),
        minimum=X.amin(axes).reshape(shape),
        maximum=X.amax(axes).reshape(shape),
        mean=X.mean(axes).reshape(shape),
    )


def guided_training(net, X, y, setting, loss, generator, **options):
    """Three steps of a plain torch loop."""
    optimizer = torch.optim.SGD(net.parameters(), lr=LR)
    losses = []
    for rows in BATCHES:
        task, consistency = saliency_guided_loss(
            net,
            X[rows],
            y[rows],
            loss=loss,
            divergence=setting.divergence,
            masking=make_masking(setting, X),
            generator=generator,
            **options,
        )
        optimizer.zero_grad()
        (task + setting.weight * consistency).backward()
        optimizer.step()
        losses.append((task.item(), consistency.item()))
    return losses


def tensors(kind, task, device):
    return [torch.from_numpy(array).to(device) for array in make_data(kind, task)]


def assert_equal_training(net, X, y, setting, loss, device, **options):
    slow_net, generators = copy.deepcopy(net), [torch.Generator(device) for _ in range(2)]
    for generator in generators:
        generator.manual_seed(SEED)
    losses = guided_training(net, X, y, setting, loss, generators[0], **options)
    expected = slow_loop.train(slow_net, X, y, BATCHES, setting, generators[1], LR)
    assert all(consistency > 1e-6 for _, consistency in expected)
    torch.testing.assert_close(losses, expected, atol=1e-10, rtol=0)
    torch.testing.assert_close(net.state_dict(), slow_net.state_dict(), atol=1e-10, rtol=0)
    assert torch.equal(generators[0].get_state(), generators[1].get_state())


def test_the_cases_pair_every_two_values_of_different_axes():
    axes = {
        field.name: {getattr(c, field.name) for c in CASES} for field in dataclasses.fields(Case)
    }
    for a, b in itertools.combinations(axes, 2):
        pairs = set(itertools.product(axes[a], axes[b]))
        if {"kind", "groups"} == {a, b}:
            pairs = {(kind, name) for kind, names in GROUPS.items() for name in names}
        assert {(getattr(c, a), getattr(c, b)) for c in CASES} == pairs, (a, b)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_three_steps_equal_the_slow_loop(case, device):
    net = make_net(case.kind, device)
    X, y = tensors(case.kind, case.task, device)
    assert_equal_training(
        net,
        X,
        y,
        case.setting,
        CRITERIA[case.task](),
        device,
        saliency_pass=case.saliency_pass,
    )


@pytest.mark.parametrize("kind", ["table", "image"])
@pytest.mark.parametrize("order", ["signed", "sampled"])
def test_three_steps_with_batch_norm_equal_the_slow_loop(kind, order, device):
    net = make_net(kind, device, normalization="batch")
    X, y = tensors(kind, "classes", device)
    setting = slow_loop.Setting(order=order, fill="marginal")
    assert_equal_training(net, X, y, setting, CRITERIA["classes"](), device)


@pytest.mark.parametrize("task", ["classes", "indicators", "targets"])
def test_a_given_output_serves_as_the_clean_pass(task, device):
    net = make_net("table", device)
    X, y = tensors("table", task, device)
    setting = slow_loop.Setting(
        divergence=OWN_DIVERGENCE[task], likelihood=TASKS[task], fill=jitter
    )
    results = []
    for given in (False, True):
        x, generator = X.clone().requires_grad_(given), torch.Generator(device).manual_seed(0)
        results.append(
            saliency_guided_loss(
                net,
                x,
                y,
                loss=CRITERIA[task](),
                divergence=setting.divergence,
                masking=make_masking(setting, X),
                generator=generator,
                output=net(x) if given else None,
                saliency_pass="shared" if given else "separate",
            )
        )
    torch.testing.assert_close(*results, atol=1e-14, rtol=0)
