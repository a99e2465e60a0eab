from __future__ import annotations

import pytest

from training.scenes.town import Town


@pytest.fixture(scope="package")
def town() -> Town:
    return Town.generate(3, extent_m=260.0, style="suburb")
