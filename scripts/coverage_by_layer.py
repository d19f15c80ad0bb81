"""Share of each layer's lines that the tests run (`pip install pytest-cov`).

pytest -n 2 -m "not slow or shown" --cov=exemplar; python -m scripts.coverage_by_layer
"""

import json
import subprocess
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.test_layers import LAYERS, layer_of


def main() -> None:
    """Read `.coverage` here; print a line a layer. Lines that only child processes run are not
    counted."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "coverage.json"
        subprocess.run(["coverage", "json", "-q", "-o", str(report)], check=True)
        files = json.loads(report.read_text())["files"]
    lines, run = Counter[int](), Counter[int]()
    for name, file in files.items():
        parts = Path(name).parts
        inside = parts[len(parts) - parts[::-1].index("exemplar") :]
        if inside == ("__init__.py",):
            continue
        layer = layer_of(inside[0].removesuffix(".py"))
        lines[layer] += file["summary"]["num_statements"]
        run[layer] += file["summary"]["covered_lines"]
    for layer in range(len(LAYERS)):
        print(f"layer {layer}: {run[layer] / lines[layer]:6.1%} of {lines[layer]:,} lines")
    print(f"all:     {run.total() / lines.total():6.1%} of {lines.total():,} lines")


if __name__ == "__main__":
    main()
