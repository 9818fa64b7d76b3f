import pytest

from sgt_sklearn.estimators import _guidance


@pytest.fixture
def masked_batches(monkeypatch):
    """Pairs of a batch and its masked copy, with the targets, of each training step."""
    batches, masked_input = [], _guidance.masked_input

    def spy(forward, x, y, masking, **options):
        masked = masked_input(forward, x, y, masking, **options)
        batches.append((x.detach().cpu(), masked.detach().cpu(), y.cpu()))
        return masked

    monkeypatch.setattr(_guidance, "masked_input", spy)
    return batches
