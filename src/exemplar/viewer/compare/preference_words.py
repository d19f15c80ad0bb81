"""What the votes of a comparison say: for a person in lines, for a program in values."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from exemplar.counting import counted
from exemplar.viewer.compare.preference import Preference, Share


def result_lines(found: Preference, names: tuple[str, str]) -> list[str]:
    """The result as a person reads it."""
    a, b = names
    several = len(found.annotators) > 1
    votes = found.votes.first + found.votes.second + found.ties
    lines = [
        f"A = {a}, B = {b}",
        f"{votes:,} votes of {counted(len(found.annotators), 'annotator')}"
        f" on {counted(len(found.people))}",
        f"votes: {_share(found.votes)} ({'bootstrap over people' if several else 'Wilson'})",
        f"no preference: {found.ties:,} of {votes:,}",
    ]
    if found.majority is not None:
        shared = found.majority.first + found.majority.second + found.undecided
        lines += [
            f"majority: {_share(found.majority)} (Wilson), {found.undecided:,} of {shared:,} people"
            " without one",
            f"unanimous: {found.unanimous[0]:,} people for A, {found.unanimous[1]:,} for B",
            f"agreement: {_percent(found.agreement)} of pairs of votes,"
            f" Krippendorff's alpha {_number(found.alpha)}",
        ]
    lines.append(f"left side: preferred in {_percent(found.left.share)}{_interval(found.left)}")
    if found.overlay:
        lines.append(f"{found.overlay:,} votes after a look at the bodies over the photo")
    if found.elsewhere:
        lines.append(f"not counted: {found.elsewhere:,} votes on bodies that are not A's and B's")
    return lines


def result_record(found: Preference, names: tuple[str, str]) -> Mapping[str, Any]:
    """The result for programs: shares in 0..1, null where unknown, and the votes on each person."""
    record = asdict(found) | {"a": names[0], "b": names[1]}
    for name in ("votes", "majority", "left"):
        share: Share | None = getattr(found, name)
        record[name] = None if share is None else asdict(share) | {"share": share.share}
    record["people"] = [
        {
            "image": one.person.image,
            "annotation_id": one.person.annotation_id,
            "subject": one.person.subject,
            "first": one.first,
            "second": one.second,
            "none": one.none,
        }
        for one in found.people
    ]
    return _plain(record)


def _plain(value: Any) -> Any:
    """Without nan, which JSON has not."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _share(share: Share) -> str:
    count = share.first + share.second
    if not count:
        return "nobody has a preference"
    return f"A in {_percent(share.share)} of {count:,}{_interval(share)}"


def _interval(share: Share) -> str:
    if not math.isfinite(share.low):
        return ""
    return f", 95 % interval {100 * share.low:.1f} to {100 * share.high:.1f} %"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else "unknown"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "unknown"
