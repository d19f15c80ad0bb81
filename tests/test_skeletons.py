"""Joint sets, flips and maps."""

import pytest

from exemplar.skeletons import (
    COCO_17,
    FILE_SETS,
    GT_24,
    H36M_17,
    JOINT_SETS,
    LSP_14,
    OPENPOSE_25,
    SMPL_24,
    SMPL_24_PARENTS,
    SMPL_49,
    flip_permutation,
    indices,
    our_names,
    smpl49_sources,
    to_smpl49,
)

SETS = [*JOINT_SETS.items(), *((f"{name} of files", names) for name, names in FILE_SETS.items())]


@pytest.mark.parametrize(("name", "joints"), SETS, ids=[name for name, _ in SETS])
def test_a_flip_is_an_involution_that_swaps_sides(name: str, joints: tuple[str, ...]) -> None:
    flip = flip_permutation(joints)
    assert [flip[i] for i in flip] == list(range(len(joints)))
    for i, joint in enumerate(joints):
        if "left" in joint:
            assert "right" in joints[flip[i]]


@pytest.mark.parametrize(("name", "joints"), SETS, ids=[name for name, _ in SETS])
def test_names_in_a_set_are_distinct(name: str, joints: tuple[str, ...]) -> None:
    assert len(set(joints)) == len(joints)


def test_flips_are_those_of_the_published_programs() -> None:
    assert flip_permutation(SMPL_24) == [
        0, 2, 1, 3, 5, 4, 6, 8, 7, 9, 11, 10, 12, 14, 13, 15, 17, 16, 19, 18, 21, 20, 23, 22
    ]  # fmt: skip
    assert flip_permutation(GT_24) == [
        5,
        4,
        3,
        2,
        1,
        0,
        11,
        10,
        9,
        8,
        7,
        6,
        *range(12, 20),
        21,
        20,
        23,
        22,
    ]
    assert flip_permutation(SMPL_49)[:25] == [
        0, 1, 5, 6, 7, 2, 3, 4, 8, 12, 13, 14, 9, 10, 11, 16, 15, 18, 17, 22, 23, 24, 19, 20, 21
    ]  # fmt: skip


def test_coco_joints_go_to_the_annotated_block_as_published() -> None:
    block = [target - len(OPENPOSE_25) for _, target in to_smpl49(COCO_17)]
    assert block == [19, 20, 21, 22, 23, 9, 8, 10, 7, 11, 6, 3, 2, 4, 1, 5, 0]


def test_every_set_maps_to_joints_of_the_same_meaning() -> None:
    for joints in (*JOINT_SETS.values(), *FILE_SETS.values()):
        for source, target in to_smpl49(joints):
            name = SMPL_49[target].removeprefix("op_")
            assert joints[source].removeprefix("op_") in (
                name,
                name.replace("big_toe", "foot_index"),
            )


def test_openpose_neck_is_not_taken_for_lsps() -> None:
    targets = {OPENPOSE_25[i]: SMPL_49[j] for i, j in to_smpl49(OPENPOSE_25)}
    assert targets["neck"] == "op_neck"
    assert targets["mid_hip"] == "op_mid_hip"
    assert targets["left_heel"] == "op_left_heel"


def test_evaluation_joints_are_rows_of_the_h36m_regressor() -> None:
    assert indices(LSP_14, H36M_17) == [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]


@pytest.mark.parametrize(
    "name", ["LHip", "lhip", "L_Hip", "left-hip", "hipL", "Hip Left", "left_hip_joint", "l.hip"]
)
def test_sides_are_understood_however_they_are_written(name: str) -> None:
    assert our_names([name]) == ("left_hip",)
    assert our_names(["rear", "lear", "lib"]) == ("right_ear", "left_ear", "lib")


def test_a_missing_joint_is_named() -> None:
    with pytest.raises(ValueError, match="tail"):
        indices(["tail"], COCO_17)


def test_parents_precede_their_children() -> None:
    assert all(parent < i for i, parent in enumerate(SMPL_24_PARENTS))


def test_49_joints_have_a_source_each() -> None:
    kinds = [kind for kind, _ in smpl49_sources()]
    assert (kinds.count("joint"), kinds.count("vertex"), kinds.count("extra")) == (24, 16, 9)
