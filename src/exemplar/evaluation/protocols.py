"""Protocols of test sets: what is compared with what.

Joints of a found body are rows of Human3.6M's regressor (`H36M_17`). The truth is an annotated
body, whose joints come from the same regressor, or annotated joints (`GT_24`). In files of
Human3.6M and MPI-INF-3DHP the joint called "neck" is that set's own, at the top of the thorax, not
LSP's: which is what the regressor's "neck" is, too, so the two are compared by this name.

`PROTOCOLS` are as they should be: each pose about its own pelvis, annotated joints that are missing
left out, gendered bodies where the gender is known, errors of vertices after centring. `RELEASED`
are as the papers' programs do it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from exemplar.data.formats.h36m import FRONTAL_CAMERA
from exemplar.samples import Gender, Sample
from exemplar.skeletons import GT_24, H36M_17, LSP_14, indices

Score = Literal["mpjpe", "pa_mpjpe", "pve", "pck_150", "auc", "px", "pck"]
"""Errors in mm; shares; and in 2D (which a `Judge` does not know) px and share."""

PELVIS = "pelvis"
"""What poses are centred on."""

JOINTS_17 = (*LSP_14, PELVIS, "spine", "jaw")
"""The 14 joints and the other three of Human3.6M's regressor, over which MPI-INF-3DHP reports."""


@dataclass(frozen=True)
class Protocol:
    """What is compared with what. ValueError for joints that the sets do not have."""

    name: str
    """What it is called."""
    scores: tuple[Score, ...]
    """What is reported, in the order of a table."""
    joints: tuple[str, ...] = LSP_14
    """Joints of `H36M_17` over which errors are taken."""
    truth: Literal["body", "joints"] = "body"
    """Whether the truth is the annotated body, or the annotated joints."""
    truth_joints: tuple[str, ...] = ()
    """The truth's names of `joints` (of `H36M_17` or `GT_24`); none: the same names."""
    centred: bool = True
    """Whether the truth, like what is found, is moved to its own pelvis."""
    masked: bool = True
    """Whether annotated joints without confidence are left out."""
    family: Literal["open", "smpl", "same"] = "smpl"
    """Whose parameters annotated bodies have: the open body's, SMPL's, or the judged body's."""
    gendered: bool = True
    """Whether a male or female truth is posed with the body of its gender."""
    ungendered: Gender = "neutral"
    """The body of truth whose gender is not known, or does not count."""
    vertices_centred: bool = True
    """Whether errors of vertices are taken after moving both pelvises to the origin."""
    camera: str = ""
    """Only images whose file name contains this."""

    def __post_init__(self) -> None:
        indices(self.joints, H36M_17)
        indices(self.truth_names, self.truth_set)
        if len(self.truth_names) != len(self.joints):
            counts = f"{len(self.joints)} joints, got {len(self.truth_names)}"
            raise ValueError(f"protocol {self.name}: expected truth for {counts}")

    @property
    def truth_set(self) -> tuple[str, ...]:
        """The joint set in which the truth comes."""
        return H36M_17 if self.truth == "body" else GT_24

    @property
    def truth_names(self) -> tuple[str, ...]:
        """The truth's names of `joints`, in their order."""
        return self.truth_joints or self.joints

    def includes(self, sample: Sample) -> bool:
        """Whether the protocol is about this image."""
        return self.camera in sample.image.rsplit("/", 1)[-1]


_BODY_SCORES: tuple[Score, ...] = ("mpjpe", "pa_mpjpe", "pve")
_JOINT_SCORES: tuple[Score, ...] = ("mpjpe", "pa_mpjpe")
_FLAT_SCORES: tuple[Score, ...] = ("px", "pck", *_BODY_SCORES)


def _by_name(*protocols: Protocol) -> Mapping[str, Protocol]:
    return MappingProxyType({protocol.name: protocol for protocol in protocols})


PROTOCOLS: Mapping[str, Protocol] = _by_name(
    Protocol("open", _BODY_SCORES, family="open", gendered=False),
    Protocol("3dpw", _BODY_SCORES),
    Protocol("h36m-p1", _JOINT_SCORES, truth="joints"),
    Protocol("h36m-p2", _JOINT_SCORES, truth="joints", camera=FRONTAL_CAMERA),
    Protocol("mpi-inf-3dhp", (*_JOINT_SCORES, "pck_150", "auc"), JOINTS_17, truth="joints"),
    Protocol("coco", _FLAT_SCORES, family="same"),
    Protocol("lspet", _FLAT_SCORES, family="same"),
    Protocol("ochuman", _FLAT_SCORES, family="same"),
)
"""The protocols as they should be."""

_AS_IN_FILE = {"centred": False, "masked": False}
_NOT_FEMALE = {"family": "smpl", "ungendered": "male"}

RELEASED: Mapping[str, Mapping[str, Protocol]] = MappingProxyType(
    {
        "eft": _by_name(
            replace(PROTOCOLS["3dpw"], scores=_JOINT_SCORES, **_NOT_FEMALE),
            replace(PROTOCOLS["h36m-p1"], **_AS_IN_FILE),
            replace(PROTOCOLS["h36m-p2"], **_AS_IN_FILE),
            replace(PROTOCOLS["mpi-inf-3dhp"], scores=_JOINT_SCORES, **_AS_IN_FILE),
            replace(PROTOCOLS["coco"], scores=_JOINT_SCORES, family="smpl"),
            replace(PROTOCOLS["lspet"], scores=_JOINT_SCORES, **_NOT_FEMALE),
            replace(PROTOCOLS["ochuman"], scores=_JOINT_SCORES, **_NOT_FEMALE),
        ),
        "dual": _by_name(
            replace(PROTOCOLS["3dpw"], vertices_centred=False, **_NOT_FEMALE),
            Protocol(
                "h36m-p2",
                _BODY_SCORES,
                ungendered="male",
                vertices_centred=False,
                camera=FRONTAL_CAMERA,
            ),
            replace(PROTOCOLS["mpi-inf-3dhp"], scores=_JOINT_SCORES, **_AS_IN_FILE),
        ),
    }
)
"""As the programs of the papers do it, by program. EFT's scores the truth of joint sets where the
file has it, without regard to missing joints, and LSPet and OCHuman, whose people have no gender,
against the male body. The dual networks' takes the male body for people without gender everywhere,
scores Human3.6M against an annotated SMPL body rather than joints, and leaves vertices where they
are."""


def protocol_named(name: str, released: str | None = None) -> Protocol:
    """A protocol by name, or as the program of a paper ("eft", "dual") has it. ValueError if there
    is none."""
    if released is not None and released not in RELEASED:
        raise ValueError(f"unknown program {released!r}: expected {' or '.join(RELEASED)}")
    known = PROTOCOLS if released is None else RELEASED[released]
    if name not in known:
        whose = "" if released is None else f" in {released}'s program"
        raise ValueError(f"no protocol {name!r}{whose}: expected one of {', '.join(known)}")
    return known[name]
