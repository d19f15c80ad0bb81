"""Which image people are of: names for those of files that do not tell, and matching by name."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from exemplar.data.records import image_path

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
"""Endings of images' names."""

_OF_TOOLS = re.compile(r"((?:^|(?<=/))results_|(_keypoints|\.predictions)?\.(json|txt|csv|npz)$)")
"""What tools put about an image's name to name their file."""

_COCO_DIGITS = 12


class ImageNames:
    """Names of the images of a keypoint file or folder."""

    def __init__(self, root: Path, image: str, suffix: str, folder: str | Path | None) -> None:
        """`root` is the keypoints' folder, `image` the only image (""), `suffix` an ending for
        names that have none, `folder` the images'. FileNotFoundError if that is not there."""
        self._root, self._image, self._suffix = root, image, suffix
        self._known: dict[str, str] = {}
        if folder is not None:
            if not Path(folder).is_dir():
                raise FileNotFoundError(f"no folder of images at {folder}")
            paths = (each.relative_to(folder) for each in sorted(Path(folder).rglob("*")))
            images = [each for each in paths if each.suffix.lower() in SUFFIXES]
            self._known = {str(int(e.stem)): e.as_posix() for e in images if e.stem.isdecimal()}
            self._known |= {each.with_suffix("").as_posix(): each.as_posix() for each in images}

    def of(self, file: Path, name: str = "") -> str:
        """The image of a record in `file`: by its `name` there, else the only one, else by the
        file's. A number is looked for among the images, else it is COCO's 12 digits."""
        if not name and self._image:
            return self._image
        plain = name or _OF_TOOLS.sub("", file.relative_to(self._root).as_posix())
        if PurePosixPath(plain.replace("\\", "/")).suffix.lower() in SUFFIXES:
            return image_path("", plain)
        number = str(int(plain)) if plain.isdecimal() else ""
        found = self._known.get(plain) or self._known.get(number)
        return found or (plain.zfill(_COCO_DIGITS) if name and number else plain) + self._suffix


def same_image(name: str, images: Iterable[str]) -> list[str]:
    """Those of `images` that `name` may mean: by their common path, else by the last part, else
    that without its ending, else a number by the number that `name` ends in."""
    images = list(dict.fromkeys(images))
    path, last = PurePosixPath(name.replace("\\", "/")), PurePosixPath(name.replace("\\", "/")).name
    number = re.search(r"\d+$", path.stem)

    def ends_alike(image: str) -> bool:
        return f"/{path}".endswith(f"/{image}") or f"/{image}".endswith(f"/{path}")

    def numbered_alike(image: str) -> bool:
        stem = PurePosixPath(image).stem
        return number is not None and stem.isdecimal() and int(stem) == int(number[0])

    tests = (
        ends_alike,
        lambda image: PurePosixPath(image).name == last,
        lambda image: PurePosixPath(image).stem == path.stem,
        numbered_alike,
    )
    return next((found for test in tests if (found := list(filter(test, images)))), [])
