from collections.abc import Iterator

import pytest
from quick_weights import quick_random_weights


@pytest.fixture(scope="package", autouse=True)
def quick_weights() -> Iterator[None]:
    """Nothing here depends on how the many weights of a model are drawn."""
    with quick_random_weights():
        yield
