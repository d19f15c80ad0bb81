"""Shape annotations are checked at run time under pytest, and only there."""

import sys

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("exemplar", "beartype.beartype")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: at the end one of them would run while other processes wait."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_runtest_teardown(item: pytest.Function, nextitem: pytest.Item | None) -> None:
    """What a file's tests keep with `@cache` ends with it, and so do the golden networks."""
    if nextitem is not None and nextitem.path == item.path:
        return
    golden = [module for name, module in sys.modules.items() if name.startswith("tests.golden")]
    for module in (item.module, *golden):
        for kept in vars(module).values():
            if hasattr(kept, "cache_clear") and kept.__module__.startswith("tests"):
                kept.cache_clear()
