import pytest
from tiny_model import tiny_build


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every model is tiny, whatever its recipe says."""
    for place in ("training.tasks.opening", "training.checkpoints.weights"):
        monkeypatch.setattr(f"{place}.build", tiny_build)
