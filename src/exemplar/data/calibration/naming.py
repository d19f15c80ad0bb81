"""Which camera took which file: the one that the file is named after, else by their order."""

import re
from collections.abc import Sequence
from pathlib import Path


def named_after(names: Sequence[str], paths: Sequence[Path]) -> list[int] | None:
    """The number of the camera that each file is named after (cam01.mp4 for cam_01); None if that
    is not told of all, or two are named after one."""
    plain = [_plain(name) for name in names]
    stems = [_plain(path.stem) for path in paths]
    if not all(plain.count(stem) == 1 for stem in stems) or len(set(stems)) < len(stems):
        return None
    return [plain.index(stem) for stem in stems]


def _plain(name: str) -> str:
    """A name without what is written differently: cam_01 is cam01."""
    return re.sub(r"[\W_]+", "", name).casefold()
