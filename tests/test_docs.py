"""The documentation: its code blocks run, and its reference has every verb and public name."""

import glob
import importlib.util
import json
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import exemplar
from exemplar.assets import asset_path
from exemplar.cli import VERBS, main
from exemplar.skeletons import COCO_17, OPENPOSE_25, SMPL_49

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NOT_RUN = "<!-- not run: "
SLOW = {"lifting.md", "evaluation.md", "training.md"}
"""Pages that lift, train or score."""
MEASURED = {"results.md"}
"""Pages of numbers, whose commands take hours and files that the repository has not."""

FENCE = re.compile(
    r"^(?P<above>[^\n]*)\n```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def blocks(page: Path) -> list[re.Match[str]]:
    """The fenced blocks of a page that are not said to be data or output."""
    found = FENCE.finditer(page.read_text("utf-8"))
    return [block for block in found if block["language"] not in ("text", "json")]


def runnable(page: Path) -> list[re.Match[str]]:
    """Those that no comment says cannot be run."""
    return [block for block in blocks(page) if not block["above"].startswith(NOT_RUN)]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages speak of."""
    folder = tmp_path_factory.mktemp("reader")
    with asset_path("demo.jpg") as photo:
        shutil.copy(photo, folder / "photo.jpg")
    for name in ("001.jpg", "002.jpg"):
        (folder / "cam1").mkdir(exist_ok=True)
        shutil.copy(folder / "photo.jpg", folder / "cam1" / name)
    options = exemplar.FitOptions(iterations=0)
    (person,) = exemplar.fit(folder / "photo.jpg", options=options).people
    places = {name: (*person.after.joints_2d[i], 0.9) for i, name in enumerate(SMPL_49)}
    openpose = [float(x) for name in OPENPOSE_25 for x in places["op_" + name]]
    coco = [float(x) for name in COCO_17 for x in places["op_" + name]]
    people = json.dumps({"people": [{"pose_keypoints_2d": openpose}]})
    (folder / "photo_keypoints.json").write_text(people)
    (folder / "keypoints.json").write_text(people)
    (folder / "openpose_out").mkdir()
    for name in ("001", "002"):
        (folder / "openpose_out" / f"{name}_keypoints.json").write_text(people)
    results = [
        {"image_id": f"{name}.jpg", "category_id": 1, "keypoints": coco, "score": 1.0}
        for name in ("001", "002")
    ]
    (folder / "results.json").write_text(json.dumps(results))
    np.savez(folder / "array.npz", keypoints=np.array(coco).reshape(1, 17, 3))
    return folder


def commands(code: str) -> Iterator[list[str]]:
    """The words of each command of a block, globs replaced by files."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words:
            yield [file for word in words for file in sorted(glob.glob(word)) or [word]]


@pytest.mark.shown
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[pytest.mark.slow] if page.name in SLOW else [])
        for page in PAGES
    ],
)
def test_the_code_of_a_page_runs(
    page: Path, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name in MEASURED or not runnable(page):
        pytest.skip("no block to run")
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for block in runnable(page):
        if block["language"] == "python":
            exec(compile(block["code"], f"{page.name}: {block['code'][:40]!r}", "exec"), {})
            continue
        assert block["language"] == "bash", f"what language is this? {block['code']}"
        for program, *words in commands(block["code"]):
            assert program == "exemplar", f"say why it is not run ({NOT_RUN}...): {program} {words}"
            assert status(words) == 0, f"{page.name}: exemplar {' '.join(words)}"


def status(words: list[str]) -> int:
    """Exit status of a command."""
    try:
        main(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_a_block_is_run_unless_its_reason_is_given(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "text\n```bash\nexemplar a  # b\n```\n<!-- not run: hours -->\n```bash\nx\n```\n"
        "\n```text\ny\n```\n"
    )
    assert [block["code"] for block in blocks(page)] == ["exemplar a  # b\n", "x\n"]
    (block,) = runnable(page)
    assert list(commands(block["code"])) == [["exemplar", "a"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_are_in_fences_where_the_test_above_sees_them(page: Path) -> None:
    outside = FENCE.sub("", page.read_text("utf-8"))
    assert not re.findall(r"^(?: {4}|\t)(?:exemplar|pip|python) .*$", outside, re.MULTILINE)


def test_every_page_is_in_the_navigation() -> None:
    lines = (ROOT / "mkdocs.yml").read_text("utf-8").splitlines()
    listed = {line.rpartition(": ")[2] for line in lines if not line.lstrip().startswith("#")}
    folder = ROOT / "docs"
    pages = {page.relative_to(folder).as_posix() for page in folder.rglob("*.md")}
    assert pages <= listed


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_site", ROOT / "scripts/build_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_verb_and_every_public_name(site: ModuleType) -> None:
    page = site.command_line_page()
    for verb in (*VERBS, "data inspect", "train exemplar"):
        assert f"# exemplar {verb}\n" in page
        assert f"usage: exemplar {verb} " in page
    names = site.python_page()
    for name in exemplar.__all__:
        assert f"heading: exemplar.{name}\n" in names + "\n"


def test_links_to_nothing_and_fetches_are_found(site: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/index.html").write_text('<h1 id="top">A</h1><a href="https://x.org/">x</a>')
    (tmp_path / "index.html").write_text('<a href="a/#top">a</a><a href="a/">a</a>')
    assert site.broken_links(tmp_path) == []
    (tmp_path / "index.html").write_text(
        '<a href="b/">b</a><a href="a/#end">a</a><script src="https://x.org/s.js"></script>'
    )
    (tmp_path / "s.css").write_text("@import 'https://x.org/font.css';")
    assert sorted(site.broken_links(tmp_path)) == [
        "index.html fetches https://x.org/s.js",
        "index.html links to a/#end",
        "index.html links to b/",
        "s.css fetches from elsewhere",
    ]
