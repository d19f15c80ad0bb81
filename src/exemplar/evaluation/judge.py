"""Scores of bodies by a protocol."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from exemplar.bodies import OPEN_BODY, Body, BodyParams, load_open_body
from exemplar.bodies.smpl_files import H36M_REGRESSOR
from exemplar.evaluation.protocols import PELVIS, Protocol
from exemplar.metrics import auc_3d, mpjpe, pa_mpjpe, pck_3d, pve
from exemplar.samples import Gender, Sample
from exemplar.skeletons import GT_24, H36M_17, indices

CHUNK = 64
"""Bodies whose vertices are posed together."""


@dataclass(frozen=True)
class AnnotatedBodies:
    """Annotated bodies of people whose parameters are for one body."""

    body: Body
    """What they are for."""
    people: Int[Tensor, " n"]
    """Which of the people these are."""
    params: BodyParams
    """The bodies, axes (n, ...), about the body's own origin."""


@dataclass(frozen=True)
class Truth:
    """What is known of people, b of them, once their bodies have been posed."""

    joints: Float[Tensor, "b n 3"]
    """The protocol's joints, metres, about the pelvis if the protocol centres them."""
    valid: Bool[Tensor, "b n"]
    """Those that are known."""
    placed: Bool[Tensor, " b"]
    """Whether they are about the right origin: not if the pelvis was needed and is not known."""
    bodies: tuple[AnnotatedBodies, ...]
    """The annotated bodies, where they are the truth."""

    def __len__(self) -> int:
        return len(self.joints)


class Judge:
    """Scores bodies by a protocol, in the dtype and on the device of the judged body."""

    def __init__(
        self, protocol: Protocol, body: Body, truth_bodies: Mapping[Gender, Body] | None = None
    ) -> None:
        """`body`: what found parameters are for. `truth_bodies`: what annotated ones are for, by
        gender; the neutral one is `body` or the open body where the protocol's family allows.
        ValueError if one of them lacks joints of the protocol."""
        self.protocol = protocol
        self.body = body
        self._like = body.v_template
        self._bodies = dict(truth_bodies or {})
        is_open = body.name == OPEN_BODY
        if protocol.family == "same" or (protocol.family == "open") == is_open:
            self._bodies.setdefault("neutral", body)
        elif protocol.family == "open":
            self._bodies.setdefault("neutral", load_open_body().to(self._like))
        used = {PELVIS, *protocol.joints}
        if protocol.truth == "body":
            used |= set(protocol.truth_names)
        for known in (body, *self._bodies.values()):
            _check_joints(known, sorted(used))

    def truth(self, samples: Sequence[Sample]) -> Truth:
        """What the samples say. People whose truth is not annotated have no valid joint.

        ValueError if somebody's body needs a file that was not given, or has too many betas.
        """
        protocol = self.protocol
        if protocol.truth == "joints":
            bodies: tuple[AnnotatedBodies, ...] = ()
            points, known = _annotated_joints(samples)
        else:
            bodies = tuple(self._annotated_bodies(samples))
            points, known = _posed_joints(bodies, len(samples))
        points, known = points.to(self._like), known.to(self._like.device)
        present = known.any(1)
        if protocol.masked:
            points = torch.where(known[..., None], points, 0.0)
        else:
            known = present[:, None].expand_as(known)
        rows = indices(protocol.truth_names, protocol.truth_set)
        placed = present
        if protocol.centred:
            points, pelvis = _about_pelvis(points, protocol.truth_set)
            placed = known[:, pelvis]
        return Truth(points[:, rows], known[:, rows], placed, bodies)

    @torch.no_grad()
    def scores(
        self, found: BodyParams, truth: Truth, *, vertices: bool = True
    ) -> dict[str, Float[Tensor, "*batch"]]:
        """Errors of bodies found for the people of `truth`: axes (b, ...), or (b, k, ...) for k
        bodies of each, in the frame of the unturned image; values have the axes (b,) or (b, k).

        mm; pck_150 and auc in 0..1; NaN where a person's truth is not known or a body is not
        finite. "pve" only with `vertices`, and where the truth's body has the same mesh. Where the
        bodies are (`transl`) does not count. ValueError for another number of people.
        """
        lead = found.betas.shape[:-1]
        if len(lead) not in (1, 2) or lead[0] != len(truth):
            got = " x ".join(str(size) for size in lead)
            raise ValueError(f"expected bodies of {len(truth)} people, got {got}")
        each = 1 if len(lead) == 1 else lead[1]
        found = _flat(found, self._like)
        joints, _ = _about_pelvis(self.body.keypoints(found, "h36m17"), H36M_17)
        joints = joints[:, indices(self.protocol.joints, H36M_17)]
        wanted, valid, placed = (
            x.repeat_interleave(each, 0) for x in (truth.joints, truth.valid, truth.placed)
        )
        at_place = {"mpjpe": mpjpe(joints, wanted, valid)}
        if "pck_150" in self.protocol.scores:
            at_place["pck_150"] = pck_3d(joints, wanted, valid=valid)
        if "auc" in self.protocol.scores:
            at_place["auc"] = auc_3d(joints, wanted, valid)
        values = {name: torch.where(placed, value, torch.nan) for name, value in at_place.items()}
        values["pa_mpjpe"] = pa_mpjpe(joints, wanted, valid)
        if vertices and "pve" in self.protocol.scores:
            values["pve"] = self._vertex_errors(found, truth, each)
        return {name: value.reshape(lead) for name, value in values.items()}

    def _vertex_errors(self, found: BodyParams, truth: Truth, each: int) -> Tensor:
        """PVE of bodies, `each` a person; NaN where there is none."""
        out = self._like.new_full((len(found.betas),), torch.nan)
        for some in truth.bodies:
            if not _same_mesh(some.body, self.body):
                continue
            for part in torch.arange(len(some.people) * each).split(CHUNK):
                members = part // each
                who, where = torch.unique(members, return_inverse=True)
                rows = some.people[members] * each + part % each
                wanted = self._vertices(some.body, some.params[who])[where]
                out[rows] = pve(self._vertices(self.body, found[rows]), wanted)
        return out

    def _vertices(self, body: Body, params: BodyParams) -> Tensor:
        vertices = body(params).vertices
        if not self.protocol.vertices_centred:
            return vertices
        pelvis = H36M_17.index(PELVIS)
        return vertices - body.keypoints(params, "h36m17")[:, pelvis : pelvis + 1]

    def _annotated_bodies(self, samples: Sequence[Sample]) -> Iterator[AnnotatedBodies]:
        """The people by the body that poses them."""
        people: dict[Body, list[int]] = {}
        for row, sample in enumerate(samples):
            if sample.body is not None:
                body = self._body_of(sample.image, sample.body.gender)
                people.setdefault(body, []).append(row)
        for body, rows in people.items():
            params = [_params(samples[row], body.num_betas) for row in rows]
            stacked = BodyParams(*(torch.stack(column) for column in zip(*params, strict=True)))
            yield AnnotatedBodies(body, torch.tensor(rows), _flat(stacked, self._like))

    def _body_of(self, image: str, gender: Gender) -> Body:
        known = self.protocol.gendered and gender != "neutral"
        wanted = gender if known else self.protocol.ungendered
        if wanted not in self._bodies:
            raise ValueError(
                f"{self.protocol.name}: the truth of {image} is for SMPL's {wanted} body: give its "
                f"file with --truth-body {wanted}=FILE"
            )
        return self._bodies[wanted]


def _check_joints(body: Body, names: Sequence[str]) -> None:
    available = body.available("h36m17")
    missing = [
        name for name, row in zip(names, indices(names, H36M_17), strict=True) if not available[row]
    ]
    if missing:
        raise ValueError(
            f"body {body.name!r} has no {', '.join(missing)}: put {H36M_REGRESSOR} beside its file"
        )


def _same_mesh(one: Body, other: Body) -> bool:
    return one is other or torch.equal(one.faces, other.faces)


def _about_pelvis(points: Tensor, names: Sequence[str]) -> tuple[Tensor, int]:
    """Points (b, joints, 3) from their pelvis, and which of them that is."""
    pelvis = names.index(PELVIS)
    return points - points[:, pelvis : pelvis + 1], pelvis


def _flat(params: BodyParams, like: Tensor) -> BodyParams:
    """Bodies along one axis, about the body's own origin."""
    return BodyParams(
        params.global_orient.to(like).flatten(0, -3),
        params.body_pose.to(like).flatten(0, -4),
        params.betas.to(like).flatten(0, -2),
    )


def _params(sample: Sample, num_betas: int) -> tuple[Tensor, Tensor, Tensor]:
    """Root rotation, the others, and betas, with zeros for those that are not given."""
    body = sample.body
    assert body is not None
    if len(body.betas) > num_betas:
        raise ValueError(
            f"{sample.image}: expected at most {num_betas} betas, got {len(body.betas)}"
        )
    # Sets differ in precision, and people of several may be looked at together.
    pose = torch.from_numpy(body.pose).double()
    betas = pose.new_zeros(num_betas)
    betas[: len(body.betas)] = torch.from_numpy(body.betas)
    return pose[0], pose[1:], betas


def _posed_joints(bodies: Sequence[AnnotatedBodies], count: int) -> tuple[Tensor, Tensor]:
    """Joints of `H36M_17` of annotated bodies, and which are known: all of a body."""
    points = torch.zeros(count, len(H36M_17), 3, dtype=torch.float64)
    known = torch.zeros(points.shape[:2], dtype=torch.bool)
    for some in bodies:
        with torch.no_grad():
            points[some.people] = some.body.keypoints(some.params, "h36m17").to(points)
        known[some.people] = True
    return points, known


def _annotated_joints(samples: Sequence[Sample]) -> tuple[Tensor, Tensor]:
    """Annotated joints of `GT_24`, and which are known."""
    nothing = np.zeros((len(GT_24), 4))
    rows = [nothing if sample.joints_3d is None else sample.joints_3d for sample in samples]
    points, confidence = torch.from_numpy(np.reshape(rows, (-1, *nothing.shape))).split((3, 1), -1)
    return points, confidence[..., 0] > 0
