"""Joint names, named joint sets, and the index maps and flips computed from them.

This is the only file that may hold literal joint indices; everything else asks by name.
"""

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

SMPL_24: tuple[str, ...] = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2",
    "left_ankle", "right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar",
    "right_collar", "head", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
"""The kinematic joints of SMPL, root first."""

SMPL_24_PARENTS: tuple[int, ...] = (
    -1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21,
)  # fmt: skip
"""Parent of each of `SMPL_24`; the root's is -1."""

_HANDS: tuple[str, ...] = tuple(
    f"{side}_{finger}{i}"
    for side in ("left", "right")
    for finger in ("index", "middle", "pinky", "ring", "thumb")
    for i in (1, 2, 3)
)

SMPLH_52: tuple[str, ...] = SMPL_24[: SMPL_24.index("left_hand")] + _HANDS
"""The kinematic joints of SMPL+H: SMPL's but for the hands, and three of each finger."""

SMPLX_55: tuple[str, ...] = (
    *SMPL_24[: SMPL_24.index("left_hand")], "jaw", "left_eye_smplhf", "right_eye_smplhf", *_HANDS,
)  # fmt: skip
"""The kinematic joints of SMPL-X: SMPL+H's, and three of the face."""

HANDS_24: Mapping[str, str] = MappingProxyType(
    {"left_hand": "left_middle1", "right_hand": "right_middle1"}
)
"""What stands for SMPL's hands in SMPL+H and SMPL-X."""


def hand_parents(names: Sequence[str]) -> tuple[int, ...]:
    """Parent of each joint of `SMPLH_52` or `SMPLX_55`; the root's is -1."""
    out = []
    for i, name in enumerate(names):
        if name in SMPL_24:
            out.append(SMPL_24_PARENTS[i])
        elif name not in _HANDS:
            out.append(names.index("head"))
        else:
            first = name.endswith("1")
            out.append(names.index(f"{name.partition('_')[0]}_wrist") if first else i - 1)
    return tuple(out)


OPENPOSE_25: tuple[str, ...] = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "mid_hip", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear", "left_big_toe",
    "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip
"""OpenPose's BODY_25."""

GT_24: tuple[str, ...] = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck",
    "head_top", "pelvis", "thorax", "spine", "jaw", "head", "nose", "left_eye", "right_eye",
    "left_ear", "right_ear",
)  # fmt: skip
"""The 24 annotated joints of SPIN and EFT: LSP (14), MPII and Human3.6M extras, and the face."""

OPENPOSE_PREFIX = "op_"

SMPL_49: tuple[str, ...] = tuple(OPENPOSE_PREFIX + name for name in OPENPOSE_25) + GT_24
"""SPIN's 49 joints: OpenPose's 25 (prefixed, since their definitions differ) and the 24."""

COCO_17: tuple[str, ...] = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's person keypoints."""

H36M_17: tuple[str, ...] = (
    "pelvis", "left_hip", "left_knee", "left_ankle", "right_hip", "right_knee", "right_ankle",
    "spine", "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
    "right_elbow", "right_wrist",
)  # fmt: skip
"""Rows of the Human3.6M joint regressor."""

LSP_14: tuple[str, ...] = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist",
    "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
)  # fmt: skip
"""The 14 joints over which pose errors are reported (taken from `H36M_17` by name)."""

BLAZEPOSE_33: tuple[str, ...] = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye",
    "right_eye_outer", "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_pinky",
    "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "left_heel",
    "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""Landmarks of the built-in keypoint network."""

OPENPOSE_18: tuple[str, ...] = (
    "nose", OPENPOSE_PREFIX + "neck", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle",
    "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's COCO model; its neck, between the shoulders, is not LSP's."""

MPII_16: tuple[str, ...] = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis",
    "thorax", "neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder",
    "left_elbow", "left_wrist",
)  # fmt: skip
"""MPII Human Pose's joints."""

LSP_ANNOTATED_14: tuple[str, ...] = GT_24[: GT_24.index("head_top") + 1]
"""Leeds Sports Pose's joints, in the order of its annotation."""

CROWDPOSE_14: tuple[str, ...] = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head_top",
    "neck",
)  # fmt: skip
"""CrowdPose's joints; its "head" is the top of the head."""

POSETRACK_17: tuple[str, ...] = (
    "nose", "neck", "head_top", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee",
    "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""PoseTrack 2018's joints; its "head_bottom" is LSP's neck."""

OPENPOSE_25B: tuple[str, ...] = (
    *COCO_17, "neck", "head_top", *OPENPOSE_25[OPENPOSE_25.index("left_big_toe") :],
)  # fmt: skip
"""OpenPose's BODY_25B: COCO's joints, MPII's upper neck and top of the head, and the feet."""

HALPE_26: tuple[str, ...] = (
    *COCO_17, "head_top", OPENPOSE_PREFIX + "neck", "mid_hip", "left_big_toe", "right_big_toe",
    "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip
"""Halpe's body (AlphaPose, RTMPose's body with feet); its neck lies between the shoulders."""


def _points(part: str, count: int) -> tuple[str, ...]:
    """Names of points of hands and face, which are only counted."""
    return tuple(f"{part}_{i}" for i in range(count))


HALPE_136: tuple[str, ...] = (
    *HALPE_26, *_points("face", 68), *_points("left_hand", 21), *_points("right_hand", 21),
)  # fmt: skip
"""Halpe's whole body."""

COCO_WHOLEBODY_133: tuple[str, ...] = (
    *OPENPOSE_25B[: len(COCO_17)], *OPENPOSE_25[OPENPOSE_25.index("left_big_toe") :],
    *_points("face", 68), *_points("left_hand", 21), *_points("right_hand", 21),
)  # fmt: skip
"""COCO-WholeBody's joints (RTMW, DWPose): body, feet, face, hands."""

AIC_14: tuple[str, ...] = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top",
    "neck",
)  # fmt: skip
"""AI Challenger's joints."""

JHMDB_15: tuple[str, ...] = (
    "neck", "belly", "head_top", "right_shoulder", "left_shoulder", "right_hip", "left_hip",
    "right_elbow", "left_elbow", "right_knee", "left_knee", "right_wrist", "left_wrist",
    "right_ankle", "left_ankle",
)  # fmt: skip
"""J-HMDB's joints; its belly has no place among the 49."""

OPENPOSE_MPI_15: tuple[str, ...] = (
    "head_top", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder",
    "left_elbow", "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee",
    "left_ankle", "chest",
)  # fmt: skip
"""OpenPose's MPI model; its chest has no place among the 49."""

HUMAN_ART_21: tuple[str, ...] = (
    *COCO_17, "left_finger", "right_finger", "left_big_toe", "right_big_toe",
)  # fmt: skip
"""Human-Art's joints; its toe is taken for the big one."""

OCHUMAN_19: tuple[str, ...] = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "head_top",
    "neck", "right_ear", "left_ear", "nose", "right_eye", "left_eye",
)  # fmt: skip
"""OCHuman's joints, in its own format."""

PANOPTIC_19: tuple[str, ...] = (
    "neck", "nose", "pelvis", "left_shoulder", "left_elbow", "left_wrist", "left_hip", "left_knee",
    "left_ankle", "right_shoulder", "right_elbow", "right_wrist", "right_hip", "right_knee",
    "right_ankle", "left_eye", "left_ear", "right_eye", "right_ear",
)  # fmt: skip
"""Panoptic Studio's 19 body joints."""

H36M_TRAIN_17: tuple[str, ...] = (
    "pelvis", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "spine", "neck", "jaw", "head", "left_shoulder", "left_elbow", "left_wrist", "right_shoulder",
    "right_elbow", "right_wrist",
)  # fmt: skip
"""The 17 joints in which Human3.6M's training poses are distributed (right leg first)."""

MPI_INF_3DHP_17: tuple[str, ...] = (
    "head", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow",
    "left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "pelvis", "spine", "jaw",
)  # fmt: skip
"""Joints of MPI-INF-3DHP's test set."""

HUMAN_DATA_190_ROWS: Mapping[str, int] = MappingProxyType(
    {
        "left_knee": 4, "right_knee": 5, "left_ankle": 7, "right_ankle": 8, "left_shoulder": 16,
        "right_shoulder": 17, "left_elbow": 18, "right_elbow": 19, "left_wrist": 20,
        "right_wrist": 21, "nose": 55, "right_eye": 56, "left_eye": 57, "right_ear": 58,
        "left_ear": 59, "left_big_toe": 60, "left_small_toe": 61, "left_heel": 62,
        "right_big_toe": 63, "right_small_toe": 64, "right_heel": 65, "right_hip": 144,
        "left_hip": 145, "neck": 146, "head_top": 147, "pelvis": 148, "thorax": 149, "spine": 150,
        "jaw": 151, "head": 152,
        **{OPENPOSE_PREFIX + name: 153 + i for i, name in enumerate(OPENPOSE_25)},
    }
)  # fmt: skip
"""Which of the 190 rows of MMHuman3D's HumanData each named joint is; its SMPL pelvis, hips and
neck are others' joints."""

H36M_32_ROWS: Mapping[str, int] = MappingProxyType(
    {
        "pelvis": 11, "left_hip": 6, "left_knee": 7, "left_ankle": 8, "right_hip": 1,
        "right_knee": 2, "right_ankle": 3, "spine": 12, "neck": 24, "jaw": 14, "head": 15,
        "left_shoulder": 17, "left_elbow": 18, "left_wrist": 19, "right_shoulder": 25,
        "right_elbow": 26, "right_wrist": 27,
    }
)  # fmt: skip
"""Which of the 32 rows of Human3.6M's own pose files each named joint is."""

MPI_INF_3DHP_28_ROWS: Mapping[str, int] = MappingProxyType(
    {
        "pelvis": 4, "left_hip": 18, "left_knee": 19, "left_ankle": 20, "right_hip": 23,
        "right_knee": 24, "right_ankle": 25, "spine": 3, "neck": 5, "jaw": 6, "head": 7,
        "left_shoulder": 9, "left_elbow": 10, "left_wrist": 11, "right_shoulder": 14,
        "right_elbow": 15, "right_wrist": 16,
    }
)  # fmt: skip
"""Which of the 28 rows of MPI-INF-3DHP's training annotation each named joint is."""

JOINT_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "smpl24": SMPL_24,
        "smpl49": SMPL_49,
        "openpose25": OPENPOSE_25,
        "gt24": GT_24,
        "coco17": COCO_17,
        "h36m17": H36M_17,
        "lsp14": LSP_14,
        "blazepose33": BLAZEPOSE_33,
    }
)
"""The joint sets of bodies."""

FILE_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "coco17": COCO_17,
        "openpose25": OPENPOSE_25,
        "openpose25b": OPENPOSE_25B,
        "openpose18": OPENPOSE_18,
        "halpe26": HALPE_26,
        "halpe136": HALPE_136,
        "coco_wholebody133": COCO_WHOLEBODY_133,
        "blazepose33": BLAZEPOSE_33,
        "h36m17": H36M_TRAIN_17,
        "mpi17": MPI_INF_3DHP_17,
        "mpii16": MPII_16,
        "lsp14": LSP_ANNOTATED_14,
        "crowdpose14": CROWDPOSE_14,
        "aic14": AIC_14,
        "jhmdb15": JHMDB_15,
        "openpose_mpi15": OPENPOSE_MPI_15,
        "posetrack17": POSETRACK_17,
        "ochuman19": OCHUMAN_19,
        "panoptic19": PANOPTIC_19,
        "human_art21": HUMAN_ART_21,
        "gt24": GT_24,
        "smpl49": SMPL_49,
    }
)
"""The joint sets of keypoint files, by the names that `--joints` takes."""

_BY_COUNT: Mapping[int, str] = MappingProxyType(
    {
        17: "coco17", 25: "openpose25", 18: "openpose18", 26: "halpe26", 136: "halpe136",
        133: "coco_wholebody133", 33: "blazepose33", 16: "mpii16", 21: "human_art21", 24: "gt24",
        49: "smpl49",
    }
)  # fmt: skip
"""The set that a number of keypoints means where a file does not name them."""

_SMPL49_SOURCES: tuple[int, ...] = (
    24, 12, 17, 19, 21, 16, 18, 20, 0, 2, 5, 8, 1, 4, 7, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34,
    8, 5, 45, 46, 4, 7, 21, 19, 17, 16, 18, 20, 47, 48, 49, 50, 51, 52, 53, 24, 26, 25, 28, 27,
)  # fmt: skip
"""Of SMPL's 24 joints + 21 vertices + 9 regressed points, the one that each of the 49 is."""

SMPL_KEY_VERTICES: Mapping[str, int] = MappingProxyType(
    {
        "nose": 332, "right_eye": 6260, "left_eye": 2800, "right_ear": 4071, "left_ear": 583,
        "left_big_toe": 3216, "left_small_toe": 3226, "left_heel": 3387, "right_big_toe": 6617,
        "right_small_toe": 6624, "right_heel": 6787, "left_thumb": 2746, "left_index": 2319,
        "left_middle": 2445, "left_ring": 2556, "left_pinky": 2673, "right_thumb": 6191,
        "right_index": 5782, "right_middle": 5905, "right_ring": 6016, "right_pinky": 6133,
    }
)  # fmt: skip
"""Vertices of the 6,890-vertex SMPL mesh that stand for keypoints, in SPIN's order."""

SMPL_EXTRA_9: tuple[str, ...] = (
    "right_hip", "left_hip", "neck", "head_top", "pelvis", "thorax", "spine", "jaw", "head",
)  # fmt: skip
"""Rows of SPIN's extra joint regressor."""


def smpl49_sources() -> tuple[tuple[str, int], ...]:
    """Where each of the 49 joints comes from on an SMPL mesh.

    Returns 49 pairs: ("joint", kinematic index), ("vertex", vertex index) or
    ("extra", row of the extra regressor).
    """
    vertices = list(SMPL_KEY_VERTICES.values())
    joints_end, vertices_end = len(SMPL_24), len(SMPL_24) + len(vertices)
    out: list[tuple[str, int]] = []
    for source in _SMPL49_SOURCES:
        if source < joints_end:
            out.append(("joint", source))
        elif source < vertices_end:
            out.append(("vertex", vertices[source - joints_end]))
        else:
            out.append(("extra", source - vertices_end))
    return tuple(out)


TORSO: tuple[str, ...] = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Joints that give a person's up direction."""

LIMBS_12: tuple[str, ...] = tuple(
    f"{side}_{part}"
    for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side in ("left", "right")
)
"""Shoulders, elbows, wrists, hips, knees, ankles."""

LIMBS_IN_49: list[int] = [SMPL_49.index(name, len(OPENPOSE_25)) for name in LIMBS_12]
"""Their rows among `SMPL_49`, of the annotated block."""

BONES: tuple[tuple[str, str], ...] = (
    ("left_hip", "left_knee"), ("left_knee", "left_ankle"), ("right_hip", "right_knee"),
    ("right_knee", "right_ankle"), ("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"), ("nose", "left_eye"),
    ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"),
    ("left_ankle", "left_heel"), ("left_heel", "left_foot_index"), ("right_ankle", "right_heel"),
    ("right_heel", "right_foot_index"), ("neck", "head_top"),
)  # fmt: skip
"""Lines drawn between keypoints, for every set that has both ends."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {"left_foot_index": "left_big_toe", "right_foot_index": "right_big_toe"}
)
"""BlazePose's names of joints that the 49 call otherwise."""

_OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "head": "head_top", "top_head": "head_top", "headtop": "head_top",
        "top_of_head": "head_top",
        "head_bottom": "neck", "upper_neck": "neck", "upperneck": "neck", "root": "pelvis",
        "root_pelvis": "pelvis", "hip": "mid_hip", "hips": "mid_hip", "hip_center": "mid_hip",
        "midhip": "mid_hip", "left_toe": "left_big_toe", "right_toe": "right_big_toe",
        "left_bigtoe": "left_big_toe", "right_bigtoe": "right_big_toe",
        "left_smalltoe": "left_small_toe", "right_smalltoe": "right_small_toe",
    }
)  # fmt: skip
"""Other tools' names of joints, in small letters with underscores."""

_SIDED = frozenset(
    name.partition("_")[2].replace("_", "") for name in SMPL_49 if name.startswith("left_")
)
_NO_PART = frozenset({"joint", "keypoint", "landmark"})

_H36M_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "thorax": "neck", "neck_base": "jaw", "neck_nose": "jaw", "head": "head",
        "left_foot": "left_ankle", "right_foot": "right_ankle",
    }
)  # fmt: skip
"""Names that mean something else in Human3.6M's set, which has a `neck_base`."""


def our_names(names: Sequence[str]) -> tuple[str, ...]:
    """The joints that a file names, by our names: "L Hip", "LeftHip", "lhip_joint" -> left_hip.

    What a name means depends on its set: with a `neck_base` the set is Human3.6M's, and a neck in
    a set with a middle of the hips (OpenPose, Halpe) lies between the shoulders. A head beside a
    top of the head is another joint. Unknown names stay.
    """
    plain = [_plain(name) for name in names]
    others = dict(_OTHER_NAMES)
    if {"neck_base", "neck_nose"} & set(plain):
        others |= _H36M_NAMES
    ours = [name if others.get(name) in plain else others.get(name, name) for name in plain]
    if "mid_hip" in ours:
        ours = [OPENPOSE_PREFIX + name if name == "neck" else name for name in ours]
    return tuple(ours)


def _plain(name: str) -> str:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=^[LR])(?=[A-Z][a-z])", " ", name).lower()
    parts = re.findall(r"[a-z0-9]+", words)
    parts = [part for part in parts if part not in _NO_PART] or parts
    sides = {"l": "left", "r": "right"}
    if len(parts) == 1 and parts[0][:1] in sides and parts[0][1:] in _SIDED:
        parts = [parts[0][0], parts[0][1:]]
    if len(parts) > 1:
        parts = [sides.get(part, part) for part in parts]
        if parts[-1] in sides.values():
            parts = [parts[-1], *parts[:-1]]
    return "_".join(parts)


def known_set(joints: str) -> str:
    """A name of `FILE_SETS`, or none; ValueError, with all of them, for another."""
    if joints and joints not in FILE_SETS:
        raise ValueError(f"unknown joint set {joints!r}, expected one of {', '.join(FILE_SETS)}")
    return joints


def names_of(count: int, joints: str = "") -> tuple[str, ...]:
    """The joints of a file with `count` keypoints a person: the set `joints` of `FILE_SETS`, else
    what the number says. ValueError, with the sets of that number, if neither tells."""
    name = known_set(joints) or _BY_COUNT.get(count, "")
    if name and len(FILE_SETS[name]) == count:
        return FILE_SETS[name]
    if joints:
        raise ValueError(f"{count} keypoints, expected the {len(FILE_SETS[joints])} of {joints}")
    fitting = [name for name, names in FILE_SETS.items() if len(names) == count]
    hint = f"name them with --joints {' or '.join(fitting)}" if fitting else "expected their names"
    raise ValueError(f"{count} keypoints may be any joints: {hint}")


def indices(names: Sequence[str], within: Sequence[str]) -> list[int]:
    """Positions of `names` in the joint set `within`; ValueError names the missing ones."""
    lookup = {name: i for i, name in enumerate(within)}
    missing = [name for name in names if name not in lookup]
    if missing:
        raise ValueError(f"joints {missing} are not in the set ({', '.join(within)})")
    return [lookup[name] for name in names]


def mirror_name(name: str) -> str:
    """The joint on the other side: left_knee -> right_knee, mouth_left -> mouth_right."""
    for left, right in (("left", "right"), ("right", "left")):
        parts = name.split("_")
        if left in parts:
            return "_".join(right if part == left else part for part in parts)
    return name


def flip_permutation(names: Sequence[str]) -> list[int]:
    """Permutation p such that joint p[i] is the mirror image of joint i."""
    return indices([mirror_name(name) for name in names], names)


def to_smpl49(names: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (index in `names`, index in `SMPL_49`) for joints of a 2D annotation set.

    A joint goes to the annotated block (the last 24) by name, and to the OpenPose block when
    only that has it (toes, heels). OpenPose's own set fills both: its neck differs from LSP's
    and its mid-hip has no twin, so these two go to the OpenPose block alone.
    """
    openpose_only = {"neck", "mid_hip"} if tuple(names) == OPENPOSE_25 else set[str]()
    pairs = []
    for i, raw in enumerate(names):
        name = ALIASES.get(raw, raw)
        if name in GT_24 and name not in openpose_only:
            pairs.append((i, SMPL_49.index(name, len(OPENPOSE_25))))
        elif OPENPOSE_PREFIX + name in SMPL_49:
            pairs.append((i, SMPL_49.index(OPENPOSE_PREFIX + name)))
        elif raw in SMPL_49:
            pairs.append((i, SMPL_49.index(raw)))
    return pairs
