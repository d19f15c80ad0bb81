"""How much memory the contents of one file may take: sizes that a file states are not believed."""

import os

FACTOR = 100
"""A file may expand to this multiple of its size (compressed zeros and sparse matrices do), ..."""

SMALLEST = 64 * 2**20
"""... or to this many bytes if that is more, ..."""

LARGEST_GB = 8.0
"""... but to no more than this many GB, unless `VARIABLE` says otherwise."""

VARIABLE = "EXEMPLAR_MAX_FILE_GB"
"""Environment variable with another cap in GB; the command line's `--max-file-gb` sets it."""


class Budget:
    """Bytes that are left for the contents of a file; asked before memory is taken."""

    def __init__(self, file_bytes: int, *, largest_gb: float | None = None) -> None:
        """`largest_gb` stands for the cap of the environment. ValueError if that is no number."""
        cap = largest_from_environment() if largest_gb is None else largest_gb
        self.limit = self.left = int(min(max(FACTOR * file_bytes, SMALLEST), cap * 2**30))
        self._cap = cap

    def take(self, count: int) -> None:
        """Count bytes as used; ValueError if there are not as many."""
        self.left -= count
        if self.left < 0:
            raise ValueError(
                f"its contents would take more than {self.limit // 2**20} MB, expected at most"
                f" {FACTOR} times the file's size and {self._cap:g} GB (--max-file-gb)"
            )


def largest_from_environment() -> float:
    """The cap in GB; ValueError if the variable is set to anything but a number above 0."""
    text = os.environ.get(VARIABLE, "")
    try:
        largest = float(text or LARGEST_GB)
    except ValueError:
        largest = 0.0
    if not 0 < largest < float("inf"):
        raise ValueError(f"{VARIABLE} (--max-file-gb) is {text!r}, expected a number of GB above 0")
    return largest
