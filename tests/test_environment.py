"""Where the code runs."""

import os
import subprocess
from pathlib import Path

from exemplar import environment


def test_the_commit_is_told_where_a_tree_tracks_the_code() -> None:
    here = Path(environment.__file__)
    tracked = subprocess.run(
        ["git", "-C", here.parent, "ls-files", "--error-unmatch", here.name], capture_output=True
    )
    commit = environment.code_commit()
    if tracked.returncode:
        assert commit is None
    else:
        assert commit is not None
        assert len(commit.removesuffix("+")) == 40


def test_a_machine_tells_its_cores() -> None:
    assert f"{os.cpu_count()} cores" in environment.machine()
