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


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """What tests keep with `@cache`, such as the golden networks' weights, ends with its folder."""
    if nextitem is not None and nextitem.path.parent == item.path.parent:
        return
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "tests":
            for kept in vars(module).values():
                if hasattr(kept, "cache_clear"):
                    kept.cache_clear()
