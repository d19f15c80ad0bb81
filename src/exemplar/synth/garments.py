"""Clothes, shoes, hair and hats as surfaces over the body at rest.

A shell is the body's own surface pushed outwards; its edge (hem, neckline, hairline) is where a
field over the vertices changes sign. A piece is a surface of its own (skirt, long hair).
"""

from dataclasses import dataclass

import numpy as np

from exemplar.synth.materials import (
    Material,
    draw_cloth,
    draw_denim,
    draw_hair,
    draw_leather,
    draw_skin,
)
from exemplar.synth.pieces import (
    SHOE_THICKNESSES,
    Piece,
    backpack,
    hair_knot,
    hat_brim,
    long_hair,
    shoe,
    skirt,
)
from exemplar.synth.regions import Regions

BODY_MARGIN = 0.016
"""How far inside a garment's edge the body's surface ends, metres."""


@dataclass(frozen=True)
class Shell:
    """The body's surface pushed outwards, where `cover` is positive."""

    cover: np.ndarray
    """float32 (V,): distance inside the edge, metres (roughly); negative outside."""
    offset: np.ndarray
    """float32 (V,): distance from the skin, metres."""
    smoothing: int
    """Rounds of smoothing: 0 follows the body, 20 hangs."""
    folds: float
    """Height of random folds, metres."""
    fold_size: float
    """Width of the folds, metres."""
    material: Material
    """Its look."""


@dataclass(frozen=True)
class Outfit:
    """Everything that a person wears, from the inside out."""

    skin: Material
    """The body itself."""
    shells: tuple[Shell, ...]
    """Garments and short hair."""
    pieces: tuple[tuple[Piece, Material], ...]
    """Surfaces of their own."""
    glasses: float
    """Darkness of glasses, 0 for none."""
    beard: float
    """Strength of a beard, 0 for none."""
    hair: Material
    """Colour of brows and beard, and of what hair there is."""
    hidden: np.ndarray | None
    """float32 (V,): positive where a skirt hangs over body and shells, if there is one."""


def draw_outfit(rng: np.random.Generator, regions: Regions) -> Outfit:
    """Dress somebody."""
    shells: list[Shell] = []
    pieces: list[tuple[Piece, Material]] = []
    skin, hair = draw_skin(rng), draw_hair(rng)
    _add_bottom(rng, regions, shells, pieces)
    _add_top(rng, regions, shells, pieces)
    _add_shoes(rng, regions, shells, pieces)
    _add_hair(rng, regions, hair, shells, pieces)
    if rng.random() < 0.06:
        pieces.append((backpack(regions, rng), draw_cloth(rng, chest_y=0.0, logo=0.0)))
    if rng.random() < 0.03:
        cover = np.abs(regions.rest[:, 0]) - (regions.marks.wrist_x - 0.03)
        shells.append(_shell(rng, regions, cover, 0.005, draw_cloth(rng, chest_y=0.0, logo=0.0)))
    return Outfit(
        skin=skin,
        shells=tuple(shells),
        pieces=tuple(pieces),
        glasses=float(rng.choice([0.0, 0.5, 0.95], p=[0.88, 0.06, 0.06])),
        beard=float(rng.uniform(0.3, 1.0)) if rng.random() < 0.16 else 0.0,
        hair=hair,
        hidden=_under_skirts(regions, pieces),
    )


def _under_skirts(regions: Regions, pieces: list[tuple[Piece, Material]]) -> np.ndarray | None:
    """Distance inside the skirts, metres, so that legs do not show through them."""
    hidden = None
    y = regions.rest[:, 1]
    for piece, _ in pieces:
        if piece.is_skirt:
            low, high = piece.points[:, 1].min(), piece.points[:, 1].max()
            inside = np.minimum(high - 0.06 - y, y - low - 0.04)
            inside = np.where(regions.arm > 0.3, -1.0, inside).astype(np.float32)
            hidden = inside if hidden is None else np.maximum(hidden, inside)
    return hidden


def _shell(
    rng: np.random.Generator,
    regions: Regions,
    cover: np.ndarray,
    ease: float,
    material: Material,
    *,
    flare: float = 0.0,
) -> Shell:
    """A garment `ease` metres off the skin, `flare` more towards its edges."""
    wave = 0.004 * np.sin(regions.rest[:, 0] * 37 + rng.uniform(0, 6))
    edge = np.exp(-np.maximum(cover, 0) / 0.15)
    return Shell(
        cover=np.ascontiguousarray(cover + wave, dtype=np.float32),
        offset=np.ascontiguousarray(ease + flare * edge, dtype=np.float32),
        smoothing=int(np.clip(ease * 600, 0, 16)),
        folds=float(ease * rng.uniform(0.2, 1.0)),
        fold_size=float(rng.uniform(0.04, 0.14)),
        material=material,
    )


def _sleeve_cover(regions: Regions, reach: float) -> np.ndarray:
    return reach - np.abs(regions.rest[:, 0]) + 0.12 * (1 - regions.arm)


def _neck_cover(rng: np.random.Generator, regions: Regions, *, high: bool) -> np.ndarray:
    x, y, z = regions.rest.T
    if high:
        return regions.marks.neck_y + rng.uniform(0.02, 0.05) - y
    radius = rng.uniform(0.065, 0.09)
    depth = rng.choice([0.0, 0.03, 0.07, 0.12], p=[0.5, 0.2, 0.2, 0.1])
    collar = regions.marks.neck_y - 0.045
    below = collar - depth * np.clip(1 - np.abs(x) / 0.09, 0, 1) * (z > 0.0) - y
    return np.minimum(np.maximum(below, np.hypot(x, z) - radius), regions.marks.neck_y - y)


def _add_top(
    rng: np.random.Generator,
    regions: Regions,
    shells: list[Shell],
    pieces: list[tuple[Piece, Material]],
) -> None:
    marks, y = regions.marks, regions.rest[:, 1]
    kind = rng.choice(
        ["shirt", "long", "tank", "loose", "bra", "none", "dress", "suit"],
        p=[0.33, 0.25, 0.08, 0.13, 0.03, 0.04, 0.07, 0.07],
    )
    if kind == "none":
        return
    cloth = draw_cloth(rng, chest_y=marks.chest_y + 0.03)
    upper = marks.elbow_x - marks.shoulder_x
    reach = {
        "tank": marks.shoulder_x - 0.03,
        "bra": marks.shoulder_x - 0.05,
        "shirt": marks.shoulder_x + upper * rng.uniform(0.3, 0.95),
        "dress": marks.shoulder_x + upper * rng.choice([-0.12, 0.4, 0.8, 1.8]),
    }.get(str(kind), rng.choice([marks.elbow_x + 0.08, marks.wrist_x, marks.wrist_x + 0.01]))
    hem = marks.waist_y + rng.uniform(-0.28, -0.10)
    if rng.random() < 0.08:
        hem = marks.waist_y + rng.uniform(-0.04, 0.08)
    if kind == "bra":
        hem = marks.chest_y - rng.uniform(0.08, 0.14)
    ease = {"loose": 0.026, "tank": 0.005, "bra": 0.003}.get(str(kind), 0.009)
    ease = ease * rng.uniform(0.6, 1.6) + (float(shells[0].offset.min()) * 0.7 if shells else 0.0)
    cover = np.minimum(_sleeve_cover(regions, reach), y - hem)
    high = kind in ("long", "loose", "suit") and rng.random() < 0.3
    cover = np.minimum(cover, _neck_cover(rng, regions, high=high))
    if kind == "suit" and shells:
        cloth = shells[0].material
    shells.append(_shell(rng, regions, cover, ease, cloth, flare=rng.uniform(0, 0.02)))
    if kind == "dress":
        length = rng.uniform(0.4, 1.0)
        pieces.append((skirt(regions, rng, length=length, ease=ease + 0.012), cloth))
    elif rng.random() < 0.16:
        _add_jacket(rng, regions, shells, hem)


def _add_jacket(
    rng: np.random.Generator, regions: Regions, shells: list[Shell], hem: float
) -> None:
    x, y, z = regions.rest.T
    reach = regions.marks.wrist_x + rng.uniform(-0.04, 0.01)
    cover = np.minimum(_sleeve_cover(regions, reach), y - hem + rng.uniform(-0.02, 0.08))
    collar = regions.marks.neck_y - 0.01
    cover = np.minimum(cover, np.hypot(x, z) - 0.08 + np.maximum(collar - 0.03 - y, 0))
    cover = np.minimum(cover, collar - y)
    gap = rng.uniform(0.01, 0.08) + 0.12 * np.maximum(y - regions.marks.chest_y, 0)
    cover = np.minimum(cover, np.where((z > 0.02) & (regions.arm < 0.3), np.abs(x) - gap, 1.0))
    cloth = draw_cloth(rng, chest_y=regions.marks.chest_y, logo=0.0)
    ease = float(shells[-1].offset.min()) + rng.uniform(0.01, 0.02)
    shells.append(_shell(rng, regions, cover, ease, cloth, flare=0.015))


def _add_bottom(
    rng: np.random.Generator,
    regions: Regions,
    shells: list[Shell],
    pieces: list[tuple[Piece, Material]],
) -> None:
    marks, y = regions.marks, regions.rest[:, 1]
    kind = rng.choice(
        ["trousers", "jeans", "leggings", "shorts", "skirt", "briefs"],
        p=[0.30, 0.25, 0.11, 0.20, 0.10, 0.04],
    )
    cloth = draw_cloth(rng, chest_y=0.0, logo=0.0)
    if kind == "jeans" or (kind == "shorts" and rng.random() < 0.25):
        cloth = draw_denim(rng)
    waist = marks.waist_y + rng.uniform(-0.08, 0.04)
    leg_end = {
        "shorts": rng.uniform(marks.knee_y - 0.06, marks.hip_y - 0.12),
        "briefs": marks.hip_y - 0.07,
        "skirt": marks.hip_y - 0.12,
    }.get(str(kind), marks.ankle_y + rng.choice([-0.02, 0.0, 0.03, 0.15], p=[0.4, 0.3, 0.2, 0.1]))
    ease = {"leggings": 0.003, "briefs": 0.003, "skirt": 0.004}.get(
        str(kind), rng.uniform(0.006, 0.022)
    )
    flare = rng.choice([0.0, 0.01, 0.035], p=[0.5, 0.35, 0.15]) if ease > 0.005 else 0.0
    cover = np.minimum(waist - y, y - leg_end)
    cover = np.minimum(cover, np.where(regions.arm > 0.3, -1.0, 1.0))
    shells.append(_shell(rng, regions, cover, ease, cloth, flare=flare))
    if kind == "skirt":
        piece = skirt(regions, rng, length=rng.uniform(0.3, 0.95), ease=0.012)
        pieces.append((piece, cloth))


def _add_shoes(
    rng: np.random.Generator,
    regions: Regions,
    shells: list[Shell],
    pieces: list[tuple[Piece, Material]],
) -> None:
    marks, y = regions.marks, regions.rest[:, 1]
    kind = rng.choice(["shoe", "boot", "socks", "bare"], p=[0.68, 0.12, 0.07, 0.13])
    if kind == "bare":
        return
    if kind == "socks" or rng.random() < 0.3:
        top = marks.ankle_y + rng.uniform(0.03, 0.25)
        cloth = draw_cloth(rng, chest_y=0.0, logo=0.0)
        shells.append(_shell(rng, regions, top - y, 0.003, cloth))
    if kind == "socks":
        return
    top = marks.ankle_y + (rng.uniform(0.05, 0.3) if kind == "boot" else rng.uniform(-0.02, 0.02))
    leather = draw_leather(rng, split=marks.sole_y + rng.uniform(0.01, 0.025))
    shells.append(_shell(rng, regions, top - y, 0.006, leather))
    thickness = float(rng.choice(SHOE_THICKNESSES))
    pieces += [(shoe(regions, side, thickness), leather) for side in ("left", "right")]


def _hair_cover(rng: np.random.Generator, regions: Regions, shift: float) -> np.ndarray:
    """Distance above the line from forehead to nape, metres."""
    x, y, z = regions.rest.T
    eye = regions.marks.eye
    forehead = np.array([eye[1] + 0.062, eye[2] - 0.018])
    nape = np.array([eye[1] - 0.075, eye[2] - 0.155])
    along = (nape - forehead) / np.linalg.norm(nape - forehead)
    cover = (y - forehead[0]) * -along[1] + (z - forehead[1]) * along[0] + shift
    cover = cover + 0.004 * np.sin(x * 90 + rng.uniform(0, 6)) * rng.random()
    return np.where(regions.head > 0.5, cover, -1.0)


def _add_hair(
    rng: np.random.Generator,
    regions: Regions,
    hair: Material,
    shells: list[Shell],
    pieces: list[tuple[Piece, Material]],
) -> None:
    kind = rng.choice(
        ["bald", "cropped", "short", "medium", "long", "knot", "big", "hat"],
        p=[0.06, 0.14, 0.27, 0.12, 0.20, 0.07, 0.03, 0.11],
    )
    ease = {"cropped": 0.004, "short": 0.014, "medium": 0.022, "big": 0.06}.get(str(kind), 0.014)
    ease *= rng.uniform(0.8, 1.5)
    shift = {"medium": 0.022, "long": 0.014, "big": 0.02}.get(str(kind), rng.uniform(-0.006, 0.008))
    if kind != "bald":
        cover = _hair_cover(rng, regions, shift)
        volume = np.clip(cover / 0.05, 0.15, 1.0)
        shell = _shell(rng, regions, cover, ease, hair)
        offset = (shell.offset * volume).astype(np.float32)
        shells.append(Shell(shell.cover, offset, 3, ease * 0.35, 0.03, hair))
    if kind == "long" or (kind == "hat" and rng.random() < 0.3):
        pieces.append((long_hair(regions, rng, ease), hair))
    if kind == "knot":
        pieces.append((hair_knot(regions, rng), hair))
    if kind == "hat":
        cloth = draw_cloth(rng, chest_y=0.0, logo=0.0)
        cover = _hair_cover(rng, regions, rng.uniform(-0.025, 0.004))
        shells.append(_shell(rng, regions, cover, rng.uniform(0.018, 0.026), cloth))
        if rng.random() < 0.7:
            pieces.append((hat_brim(regions, rng), cloth))
