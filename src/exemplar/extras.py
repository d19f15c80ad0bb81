"""Packages that are not needed by everybody, and the extras that bring them."""

from collections.abc import Mapping

EXTRAS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "data": ("more data sets and formats", ("scipy", "h5py", "pyarrow")),
    "video": ("videos", ("av", "scipy")),
    "train": ("training", ("lightning_fabric", "tensorboard")),
    "ray": ("lifting on a cluster", ("ray",)),
    "remote": ("images in remote stores", ("fsspec", "s3fs")),
}
"""Extras with which a user can do more: for what, and their modules."""


def hint_for(error: BaseException) -> str:
    """How to get the package whose absence is the error; "" for other errors."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    package = (name or "").partition(".")[0]
    for extra, (purpose, modules) in EXTRAS.items():
        if package in modules:
            return f"{package} is not installed ({purpose}): pip install 'exemplar-hmr[{extra}]'"
    return ""
