"""What the tests of transformations share."""

import pytest

from models.export.network import one_thread


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    """Networks so small wait longer for a second thread than they gain by it."""
    with one_thread():
        yield
