"""What the verbs that open a page in the browser share."""

import io
import os
import threading
import webbrowser

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from rich.console import Console

from exemplar.bodies import Body, load_body

_QUALITY = 88


class NamedBodies:
    """Bodies by name, each loaded once; asked by several threads."""

    def __init__(self, instead: str | None = None) -> None:
        """`instead` stands for every name. ValueError or OSError if it cannot be read."""
        self._instead, self._bodies = instead, dict[str, Body]()
        self._loading = threading.Lock()
        if instead is not None:
            self(instead)

    def __call__(self, name: str) -> Body:
        """The body; FileNotFoundError names the option that helps."""
        name = self._instead or name
        with self._loading:
            if name not in self._bodies:
                try:
                    self._bodies[name] = load_body(name)
                except OSError as error:
                    raise FileNotFoundError(f"{error}; --body FILE tells where it is") from error
            return self._bodies[name]


def jpeg(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """RGB as the contents of a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def open_page(console: Console, line: str, address: str, *, browser: bool) -> None:
    """Print the line, and open the address in a browser if one would get a window."""
    console.print(line)
    if browser and has_display():
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def has_display() -> bool:
    """Whether a browser would get a window, and not this terminal."""
    if os.name != "posix" or os.uname().sysname == "Darwin":
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
