"""What a fit is told by name; without torch, so that the command line is quick to say it."""

from typing import Literal, cast, get_args

Adapt = Literal["all", "later", "head", "last_stage"] | str
"""Which weights a fit moves: all; those after the first part; those of the last part or the last
two parts of the regressor; or those whose name holds one of the words, separated by commas."""

TeacherName = Literal["landmarks", "landmarks-heavy", "landmarks-both"]
"""Who gives 3D keypoints: BlazePose's landmarks, read by its full trunk, its heavy one, or both."""

Smoothing = Literal["none", "one-euro", "savitzky-golay"]
"""What is done to a clip's fitted motion on top."""


def checked_teacher(name: str) -> TeacherName:
    """The name; ValueError if it is none of `TeacherName`."""
    known = get_args(TeacherName)
    if name not in known:
        raise ValueError(f"unknown teacher {name!r}: expected {', '.join(known)}")
    return cast(TeacherName, name)
