"""From a posed body and an outfit to one mesh with everything that the shading needs."""

from dataclasses import dataclass

import numpy as np

from exemplar.render.raster import accumulate_normals, compiled
from exemplar.synth.garments import BODY_MARGIN, Outfit, Shell
from exemplar.synth.materials import ROW_LENGTH
from exemplar.synth.pieces import Piece
from exemplar.synth.regions import Regions

NOISE_SIZE = 64
"""Side of the periodic noise volume, a power of two."""

MIN_GAP = 0.0025
"""Cloth stays this far off the skin, metres."""


@dataclass(frozen=True)
class PosedBody:
    """A body in the camera frame, with what else must move with it."""

    vertices: np.ndarray
    """float32 (V, 3), metres."""
    joints: np.ndarray
    """float32 (24, 3), metres."""
    rotations: np.ndarray
    """float32 (24, 3, 3): joint frames at rest to camera frame."""
    offsets: np.ndarray
    """float32 (24, 3): with `rotations`, a rest point p goes to R p + offset."""
    shape_shift: np.ndarray
    """float32 (V, 3): displacement of the rest vertices by the betas."""


@dataclass(frozen=True)
class SceneMesh:
    """Body, garments and hair as one mesh of N vertices and F faces."""

    vertices: np.ndarray
    """float32 (N, 3), camera frame, metres."""
    normals: np.ndarray
    """float32 (N, 3)."""
    rest: np.ndarray
    """float32 (N, 3): place on the template, metres."""
    fabric: np.ndarray
    """float32 (N, 2): across and along the cloth, metres."""
    cut: np.ndarray
    """float32 (N,): nothing is drawn where this is negative."""
    material: np.ndarray
    """int32 (N,): row of `materials`."""
    faces: np.ndarray
    """int32 (F, 3), the body's own first."""
    num_body_faces: int
    """How many faces are the body's (closed, so drawn from outside only)."""
    materials: np.ndarray
    """float32 (M, ROW_LENGTH)."""


def noise_volume() -> np.ndarray:
    """Uniform noise float32 (S, S, S), always the same; repeats in every direction."""
    return np.random.default_rng(20210814).random((NOISE_SIZE,) * 3, dtype=np.float32)


@compiled
def sample_noise(volume, x, y, z):
    """The noise volume at a point, linearly interpolated; one cell is one unit."""
    last = volume.shape[0] - 1  # all ones in binary: `& last` wraps around
    fx, fy, fz = np.floor(x), np.floor(y), np.floor(z)
    tx, ty, tz = np.float32(x - fx), np.float32(y - fy), np.float32(z - fz)
    i, j, k = int(fx) & last, int(fy) & last, int(fz) & last
    ii, jj, kk = (i + 1) & last, (j + 1) & last, (k + 1) & last
    a = volume[i, j, k] + (volume[i, j, kk] - volume[i, j, k]) * tz
    b = volume[i, jj, k] + (volume[i, jj, kk] - volume[i, jj, k]) * tz
    c = volume[ii, j, k] + (volume[ii, j, kk] - volume[ii, j, k]) * tz
    d = volume[ii, jj, k] + (volume[ii, jj, kk] - volume[ii, jj, k]) * tz
    near, far = a + (b - a) * ty, c + (d - c) * ty
    return near + (far - near) * tx


@compiled
def inflate(
    vertices, normals, rest, cover, offset, start, neighbours, rounds, folds, fold_size, volume, out
):
    """Push `vertices` outwards by `offset`, smooth `rounds` times, keep clear of the body, fold."""
    count = vertices.shape[0]
    for v in range(count):
        for a in range(3):
            out[v, a] = vertices[v, a] + normals[v, a] * offset[v]
    before = out.copy()
    for _ in range(rounds):
        before[:] = out
        for v in range(count):
            if cover[v] < np.float32(-0.03):
                continue
            first, last = start[v], start[v + 1]
            share = np.float32(0.7) / (last - first)
            for a in range(3):
                total = np.float32(0)
                for n in range(first, last):
                    total += before[neighbours[n], a]
                out[v, a] = before[v, a] * np.float32(0.3) + total * share
    scale = np.float32(1) / fold_size
    for v in range(count):
        if cover[v] < np.float32(-0.03):
            continue
        gap = np.float32(0)
        for a in range(3):
            gap += (out[v, a] - vertices[v, a]) * normals[v, a]
        x, y, z = rest[v, 0] * scale, rest[v, 1] * scale * np.float32(0.6), rest[v, 2] * scale
        fold = folds * (sample_noise(volume, x, y, z) - np.float32(0.5))
        push = max(gap + fold, np.float32(MIN_GAP)) - gap
        for a in range(3):
            out[v, a] += normals[v, a] * push


def dress(posed: PosedBody, outfit: Outfit, regions: Regions, volume: np.ndarray) -> SceneMesh:
    """Put the outfit on the posed body."""
    normals = np.zeros_like(posed.vertices)
    accumulate_normals(posed.vertices, regions.faces, normals)
    cuts = layer_cuts(outfit, len(posed.vertices))
    cut = cuts[0]
    parts = [(posed.vertices, normals, regions.rest, regions.fabric, cut, outfit.skin)]
    body_faces = _drawn_faces(regions.faces, cut)
    faces = [body_faces]
    for shell, cut in zip(outfit.shells, cuts[1:], strict=True):
        points, shell_normals, own = _shell_surface(shell, cut, posed, normals, regions, volume)
        faces.append(own + sum(len(p[0]) for p in parts))
        parts.append((points, shell_normals, regions.rest, regions.fabric, cut, shell.material))
    for piece, material in outfit.pieces:
        points = _posed_piece(piece, posed)
        piece_normals = np.zeros_like(points)
        accumulate_normals(points, piece.faces, piece_normals)
        faces.append(piece.faces + sum(len(p[0]) for p in parts))
        nothing_cut = np.ones(len(points), np.float32)
        parts.append((points, piece_normals, piece.points, piece.fabric, nothing_cut, material))
    return _joined(parts, faces, len(body_faces))


def join_meshes(first: SceneMesh, second: SceneMesh) -> SceneMesh:
    """Two people in one mesh; only the first one's body is drawn from outside only."""
    fields = ("vertices", "normals", "rest", "fabric", "cut")
    joined = {name: np.concatenate([getattr(m, name) for m in (first, second)]) for name in fields}
    return SceneMesh(
        **joined,
        material=np.concatenate([first.material, second.material + len(first.materials)]),
        faces=np.concatenate([first.faces, second.faces + np.int32(len(first.vertices))]),
        num_body_faces=first.num_body_faces,
        materials=np.concatenate([first.materials, second.materials]),
    )


def _drawn_faces(faces: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """Faces with a corner that is not cut away."""
    kept = np.empty_like(faces)
    return kept[: _keep_faces(faces, cut, kept)]


@compiled
def _keep_faces(faces, cut, kept):
    count = 0
    for t in range(faces.shape[0]):
        if cut[faces[t, 0]] >= 0 or cut[faces[t, 1]] >= 0 or cut[faces[t, 2]] >= 0:
            for a in range(3):
                kept[count, a] = faces[t, a]
            count += 1
    return count


def _joined(parts: list, faces: list[np.ndarray], num_body_faces: int) -> SceneMesh:
    vertices, normals, rest, fabric, cut = (
        np.concatenate([part[i] for part in parts]) for i in range(5)
    )
    rows = np.zeros((len(parts), ROW_LENGTH), np.float32)
    for row, part in zip(rows, parts, strict=True):
        row[:] = part[5].row()
    material = np.repeat(np.arange(len(parts), dtype=np.int32), [len(part[0]) for part in parts])
    joined_faces = np.concatenate(faces).astype(np.int32)
    return SceneMesh(
        vertices, normals, rest, fabric, cut, material, joined_faces, num_body_faces, rows
    )


def layer_cuts(outfit: Outfit, count: int) -> list[np.ndarray]:
    """Where the body and each shell end: at their own edge, or inside a garment over them.

    Float32 (V,) each, the body's first; negative where nothing is drawn.
    """
    own = [np.full(count, 1.0, np.float32), *(shell.cover for shell in outfit.shells)]
    over = np.full(count, -1.0, np.float32)
    if outfit.hidden is not None:
        over = outfit.hidden
    cuts = []
    for cover, shell in zip(own[::-1], (*outfit.shells[::-1], None), strict=True):
        cuts.append(np.minimum(cover, BODY_MARGIN - over).astype(np.float32))
        if shell is not None:
            over = np.maximum(over, cover)
    return cuts[::-1]


def _shell_surface(
    shell: Shell,
    cut: np.ndarray,
    posed: PosedBody,
    normals: np.ndarray,
    regions: Regions,
    volume: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, normals and the faces drawn."""
    points = np.empty_like(posed.vertices)
    inflate(
        posed.vertices, normals, regions.rest, shell.cover, shell.offset,
        regions.neighbour_start, regions.neighbours, shell.smoothing,
        np.float32(shell.folds), np.float32(shell.fold_size), volume, points,
    )  # fmt: skip
    own = _drawn_faces(regions.faces, cut)
    shell_normals = np.zeros_like(points)
    accumulate_normals(points, own, shell_normals)
    return points, shell_normals, own


def _posed_piece(piece: Piece, posed: PosedBody) -> np.ndarray:
    """The piece's points, moved by the joints as the skin is."""
    at_rest = piece.points + posed.shape_shift[piece.anchor]
    turned = np.einsum("jab,nb->jna", posed.rotations, at_rest) + posed.offsets[:, None]
    return np.ascontiguousarray(np.einsum("nj,jna->na", piece.weights, turned), dtype=np.float32)
