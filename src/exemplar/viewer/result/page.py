"""The page of a result: served to a person at this machine, or one file that opens offline."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from exemplar.files.atomic_files import replacing
from exemplar.viewer.local_server import (
    LocalHandler,
    LocalServer,
    Options,
    Reply,
    no_page,
    packaged,
    serve_until_interrupted,
)

_FOLDER = "result"
_SCRIPT = "text/javascript; charset=utf-8"
_ALONE = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:;'
    " script-src 'unsafe-inline'; style-src 'unsafe-inline'\">\n"
)


def serve_result(scene: Mapping[str, Any], *, port: int = 0, opened: Callable[[str], None]) -> None:
    """Serve the page of a scene (`scene.read_scene`) until Ctrl-C; `opened` is told its address."""
    serve_until_interrupted(ResultServer(scene, port=port), opened)


def write_result_page(scene: Mapping[str, Any], path: Path) -> None:
    """Write the page of a scene as one file, which loads nothing. OSError when it cannot be."""
    page = packaged(f"{_FOLDER}/result.html").decode()
    page = page.replace("<title>", f"{_ALONE}<title>", 1)
    style = packaged(f"{_FOLDER}/result.css").decode()
    page = page.replace('<link rel="stylesheet" href="result.css">', f"<style>\n{style}</style>")
    script = scene_script(scene) + packaged(f"{_FOLDER}/result.js").decode()
    page = page.replace('<script src="scene.js" defer></script>\n', "")
    page = page.replace('<script src="result.js" defer></script>\n', "")
    page = page.replace("</body>", f"<script>\n{script}</script>\n</body>")
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def scene_script(scene: Mapping[str, Any]) -> str:
    """The script that tells a page what it shows; no text in it can end the script."""
    written = json.dumps(scene, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f'"use strict";\nconst SCENE = {written};\n'


class ResultServer(LocalServer):
    """Serves a scene; `serve_forever` runs it."""

    def __init__(self, scene: Mapping[str, Any], *, port: int = 0) -> None:
        """Listen at `port`, 0 for any free one. OSError in one line if that cannot be."""
        self.script = scene_script(scene).encode()
        super().__init__(_Handler, name="view", port=port)


class _Handler(LocalHandler):
    """One request."""

    FILES = MappingProxyType(
        {
            "/": (f"{_FOLDER}/result.html", "text/html; charset=utf-8"),
            "/result.js": (f"{_FOLDER}/result.js", _SCRIPT),
            "/result.css": (f"{_FOLDER}/result.css", "text/css; charset=utf-8"),
        }
    )

    server: ResultServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def found(self, path: str, options: Options) -> Reply:
        """The scene."""
        options.check_all_known()
        if path != "/scene.js":
            raise no_page(path)
        return self.server.script, _SCRIPT
