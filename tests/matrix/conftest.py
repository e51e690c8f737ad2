"""What `make test-matrix` adds to `make test`: all in this folder, and each test that is marked `matrix`.

The folder holds what runs under other versions and packages: of Python, Node.js, the command line of cdktf, the wheel.
The mark is for what repeats another test, with other moments, signals, settings or backends, and for runs of minutes
whose parts have tests of their own. A file's tests are run by one worker, in their order.
"""

from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.matrix)
