"""Shape annotations are checked at run time under pytest, and only there."""

import pytest
import torch
from jaxtyping import install_import_hook

install_import_hook("exemplar", "beartype.beartype")


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
