"""Imports point down the layers only, and joint indices live in skeletons.py alone."""

import ast
from pathlib import Path

import exemplar

SOURCE = Path(exemplar.__file__).parent

LAYERS = (
    {
        "assets",
        "counting",
        "environment",
        "extras",
        "files",
        "geometry",
        "skeletons",
    },
    {"bodies", "samples"},
    {
        "metrics",
        "motion",
        "motion_files",
        "objectives",
        "prior_files",
        "priors",
        "regressors",
        "results",
    },
    {"fitting"},
    {"training", "data", "detect", "synth", "render", "export", "lift", "viewer"},
    {"fit_result"},
    {"evaluation", "scene"},
    {"cli"},
)
SIDEWAYS = {
    ("synth", "render"),
    *((top, "data") for top in ("synth", "training", "lift", "render", "viewer")),
}
READERS = {"assets"}
"""Low-layer modules that may touch the disk; so may `*_files`, `open_body` and `checkpoints`."""


def layer_of(module: str) -> int:
    """Which layer a top-level module belongs to."""
    (found,) = [i for i, names in enumerate(LAYERS) if module in names]
    return found


def sources() -> list[tuple[str, Path, ast.Module]]:
    """(top-level module, path, syntax tree) of every file but the package's own __init__."""
    out = []
    for path in sorted(SOURCE.rglob("*.py")):
        relative = path.relative_to(SOURCE)
        if relative.parts == ("__init__.py",):
            continue
        top = relative.parts[0].removesuffix(".py")
        out.append((top, path, ast.parse(path.read_text())))
    return out


def imported(tree: ast.Module) -> set[str]:
    """Top-level exemplar modules that a file imports."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names |= {node.module} if node.module != "exemplar" else set(full)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("exemplar.")}


def test_every_module_has_a_layer() -> None:
    for top, _, _ in sources():
        layer_of(top)


def test_imports_point_down_only() -> None:
    wrong = []
    for top, path, tree in sources():
        for other in imported(tree) - {top}:
            down = layer_of(other) < layer_of(top)
            if not (down or (layer_of(other) == layer_of(top) <= 2) or (top, other) in SIDEWAYS):
                wrong.append(f"{path.relative_to(SOURCE)} imports {other}")
    assert not wrong


def test_low_layers_do_not_import_each_other_in_circles() -> None:
    needs: dict[str, set[str]] = {}
    for top, _, tree in sources():
        needs.setdefault(top, set()).update(imported(tree) - {top})
    seen: set[str] = set()
    while len(seen) < len(needs):
        ready = {m for m, others in needs.items() if m not in seen and others <= seen}
        assert ready, f"a circle among {set(needs) - seen}"
        seen |= ready


def test_low_layers_read_files_only_where_agreed() -> None:
    wrong = []
    for top, path, tree in sources():
        name = path.stem
        allowed = name.endswith("_files") or name in {"open_body", "checkpoints"} or top in READERS
        if layer_of(top) > 3 or allowed:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                if called in {"open", "np.load", "torch.load", "asset_path", "load_file"}:
                    wrong.append(f"{path.relative_to(SOURCE)}:{node.lineno} calls {called}")
    assert not wrong


def test_joints_are_named_not_numbered() -> None:
    """No subscript such as joints[:, 12] or offsets such as 25 + i outside skeletons.py."""
    wrong = []
    for _, path, tree in sources():
        if path.name == "skeletons.py":
            continue
        for node in ast.walk(tree):
            if not isinstance(node, ast.Subscript):
                continue
            text = ast.unparse(node.value)
            if not any(word in text for word in ("joints", "keypoints", "landmarks")):
                continue
            parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            big = [
                p.value for p in parts if isinstance(p, ast.Constant) and p.value not in (None, ...)
            ]
            if any(isinstance(v, int) and v > 2 for v in big):
                wrong.append(f"{path.relative_to(SOURCE)}:{node.lineno} {ast.unparse(node)}")
    assert not wrong
