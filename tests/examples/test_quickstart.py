"""The notebook is what its text says, and runs."""

from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[2] / "examples"


def notebook() -> nbformat.NotebookNode:
    return nbformat.read(EXAMPLES / "quickstart.ipynb", as_version=4)


def test_the_notebook_is_made_from_its_text() -> None:
    text = jupytext.read(EXAMPLES / "quickstart.py")
    kept = [(cell.cell_type, cell.source) for cell in notebook().cells]
    assert kept == [(cell.cell_type, cell.source) for cell in text.cells], (
        "jupytext --to ipynb examples/quickstart.py"
    )


@pytest.mark.slow
@pytest.mark.shown
def test_the_notebook_runs(tmp_path: Path) -> None:
    run = NotebookClient(notebook(), timeout=600, resources={"metadata": {"path": tmp_path}})
    cells = run.execute().cells
    told = "".join(out.get("text", "") for cell in cells for out in cell.get("outputs", []))
    assert "person 0: ok" in told
    assert (tmp_path / "body.glb").stat().st_size > 100_000
