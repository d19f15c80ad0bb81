"""Options that are written in a word: boxes, lists with a value for each person, shares."""


def parse_box(text: str | None) -> tuple[float, float, float, float] | None:
    """x,y,w,h as numbers; ValueError if it is anything else."""
    if text is None:
        return None
    try:
        x, y, w, h = (float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--box {text!r}: expected four numbers x,y,w,h") from None
    return x, y, w, h


def numbers_of(option: str, text: str | None) -> tuple[float | None, ...] | None:
    """Numbers of a list such as 5,38 or 5,,38; ValueError if it is anything else."""
    if text is None:
        return None
    try:
        return tuple(float(part) if part.strip() else None for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"{option} {text!r}: expected a number, or a list with one for each person, such as"
            " 5,38"
        ) from None


def genders_of(text: str | None) -> tuple[str | None, ...] | None:
    """Genders of a list such as female,male; `Traits` judges them."""
    return None if text is None else tuple(part.strip() or None for part in text.split(","))


def parse_shard(text: str) -> tuple[int, int]:
    """i/n as (share from 0, number of shares); ValueError if it is anything else."""
    try:
        number, shards = (int(part) for part in text.split("/"))
    except ValueError:
        raise ValueError(f"--shard {text!r}: expected i/n, such as 1/4") from None
    return number - 1, shards
