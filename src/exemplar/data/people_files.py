"""The people of one photo, from a keypoint file or folder of any format in `formats`."""

from collections.abc import Set
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from exemplar.data.contents import Contents
from exemplar.data.detections import LEAST_CONFIDENCE, needs_size
from exemplar.data.formats import format_named, read, recognise
from exemplar.data.image_names import same_image
from exemplar.data.options import options_of
from exemplar.samples import Sample
from exemplar.skeletons import known_set

_UNNAMED = "\0"
_LEAST_OPTIONS = ("min_keypoints", "min_joints")


class KeypointFile:
    """A keypoint file or folder; what was read for one photo is not read again for the next."""

    def __init__(self, path: str | Path, joints: str = "") -> None:
        """`joints` is the joint set, where the file cannot say; ValueError for an unknown one."""
        self.path, self.joints = Path(path), known_set(joints)
        self._known: list[Sample] | None = None
        self._sized: tuple[tuple[int, int], list[Sample]] | None = None

    def people(
        self, image: str | Path | None = None, size: tuple[int, int] | None = None
    ) -> list[Sample]:
        """The people of a photo; see `people_of_photo`."""
        name = None if image is None else Path(image).as_posix()
        people = [
            replace(each, image=name) if name and each.image == _UNNAMED else each
            for each in self._read(size)
        ]
        images = list(dict.fromkeys(each.image for each in people if each.image))
        if name is None and len(images) > 1:
            some = _some(images)
            raise ValueError(f"{self.path}: {len(images)} images, expected the name of one: {some}")
        if name is not None:
            images = same_image(name, images)
        if len(images) > 1:
            some = _some(images)
            raise ValueError(f"{self.path}: {name!r} may mean any of {len(images)} images: {some}")
        mine = [each for each in people if each.image in images]
        if not mine:
            others = _some(list(dict.fromkeys(each.image for each in people)))
            where = "" if name is None else f" in image {Path(name).name!r}"
            broken = next((f"; {each.problem}" for each in people if each.problem), "")
            raise ValueError(
                f"{self.path} has nobody with keypoints{where}"
                f" (a confidence below {LEAST_CONFIDENCE:g} counts as not seen)"
                f"{others and f', only in {others}: give the photo that name if it is that one'}"
                f"{broken}"
            )
        for each in mine:
            if size is not None and each.image_size not in (None, tuple(size)):
                width, height = each.image_size or size
                raise ValueError(
                    f"{self.path} annotates an image of {width} x {height} px,"
                    f" the photo has {size[0]} x {size[1]}"
                )
        return mine

    def says_image(self) -> bool:
        """Whether it says which image its people are of. Errors as `people_of_photo`."""
        return all(each.image != _UNNAMED for each in self._read(None))

    def _read(self, size: tuple[int, int] | None) -> list[Sample]:
        """Who has a keypoint or is broken, in an image of `size`, which matters to few files."""
        if self._known is None:
            self._known = self._parsed(None)
        if size is None or "size" not in self._options or not any(map(needs_size, self._known)):
            return self._known
        if self._sized is None or self._sized[0] != size:
            self._sized = (size, self._parsed(size))
        return self._sized[1]

    def _parsed(self, size: tuple[int, int] | None) -> list[Sample]:
        """The people; the format's reader is told what it takes."""
        if self.joints and "joints" not in self._options:
            raise ValueError(
                f"{self.path} is of format {self._format}, which names its joints itself"
            )
        given = {"joints": self.joints, "size": size, "image": _UNNAMED}
        options = {name: value for name, value in given.items() if name in self._options and value}
        options |= {name: 0 for name in _LEAST_OPTIONS if name in self._options}
        people = read(self._contents, self._format, **options)
        return [each for each in people if each.problem or each.keypoints_2d.any()]

    @cached_property
    def _contents(self) -> Contents:
        if not self.path.exists():
            raise FileNotFoundError(f"no keypoint file at {self.path}")
        return Contents(self.path)

    @cached_property
    def _format(self) -> str:
        return recognise(self._contents)

    @cached_property
    def _options(self) -> Set[str]:
        """What the format's reader can be told."""
        return options_of(format_named(self._format).read).keys()


def people_of_photo(
    path: str | Path,
    *,
    image: str | Path | None = None,
    size: tuple[int, int] | None = None,
    joints: str = "",
) -> list[Sample]:
    """The people of a photo in a keypoint file or folder, in its order.

    Everybody is read, however few their joints. Broken people have a `problem`.

    Args:
        path: the file or folder.
        image: the photo's path or name; needed if the file is of several images.
        size: the photo's width and height, px, held against what the file says.
        joints: the joint set, where the file cannot say.

    FileNotFoundError if there is nothing at `path`; ValueError, in one line with the file's name,
    if it is of no known format or has nobody in this image, or the joint set is unknown.
    """
    return KeypointFile(path, joints).people(image, size)


def _some(names: list[str]) -> str:
    """Up to three names, and how many more there are."""
    shown = [name for name in names if name != _UNNAMED]
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more
