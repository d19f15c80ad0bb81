"""Which joints are compared with which, by name, and what the programs of the papers do."""

from dataclasses import fields

import numpy as np
import pytest

from exemplar.evaluation.protocols import PROTOCOLS, RELEASED, Protocol, protocol_named
from exemplar.samples import Sample
from exemplar.skeletons import GT_24, H36M_17, indices

FOURTEEN = {
    "right_ankle": "right_ankle",
    "right_knee": "right_knee",
    "right_hip": "right_hip",
    "left_hip": "left_hip",
    "left_knee": "left_knee",
    "left_ankle": "left_ankle",
    "right_wrist": "right_wrist",
    "right_elbow": "right_elbow",
    "right_shoulder": "right_shoulder",
    "left_shoulder": "left_shoulder",
    "left_elbow": "left_elbow",
    "left_wrist": "left_wrist",
    "neck": "neck",
    "head": "head",
}
"""Joint of Human3.6M's regressor: the truth's name of it. The truth's head is H36M's ("head"), not
the top of the head; its neck is the one that LSP's neck has in SPIN's 24."""

SEVENTEEN = FOURTEEN | {"pelvis": "pelvis", "spine": "spine", "jaw": "jaw"}

PAIRS = {
    "open": FOURTEEN,
    "3dpw": FOURTEEN,
    "h36m-p1": FOURTEEN,
    "h36m-p2": FOURTEEN,
    "mpi-inf-3dhp": SEVENTEEN,
    "coco": FOURTEEN,
    "lspet": FOURTEEN,
    "ochuman": FOURTEEN,
}

PREDICTED_14 = [6, 5, 4, 1, 2, 3, 16, 15, 14, 11, 12, 13, 8, 10]
PREDICTED_17 = [*PREDICTED_14, 0, 7, 9]
TRUE_14 = [*range(12), 12, 18]
TRUE_17 = [*TRUE_14, 14, 16, 17]
"""The rows as the published programs have them, as numbers."""

EVERY = [*PROTOCOLS.values(), *(one for known in RELEASED.values() for one in known.values())]


def sample(image: str) -> Sample:
    return Sample(image, np.zeros(2), 1.0, np.zeros((49, 3)))


def differences(released: Protocol, ours: Protocol) -> dict[str, object]:
    """Fields in which a program differs from what is right."""
    values = {one.name: getattr(released, one.name) for one in fields(released)}
    return {name: value for name, value in values.items() if value != getattr(ours, name)}


def test_every_protocol_is_written_out_here() -> None:
    assert PAIRS.keys() == PROTOCOLS.keys()


@pytest.mark.parametrize("name", PAIRS)
def test_joints_are_compared_by_name(name: str) -> None:
    protocol = PROTOCOLS[name]
    pairs = list(zip(protocol.joints, protocol.truth_names, strict=True))
    assert pairs == list(PAIRS[name].items())


@pytest.mark.parametrize("protocol", EVERY, ids=lambda one: one.name)
def test_names_give_the_programs_rows(protocol: Protocol) -> None:
    seventeen = protocol.name == "mpi-inf-3dhp"
    rows = indices(protocol.joints, H36M_17)
    assert rows == (PREDICTED_17 if seventeen else PREDICTED_14)
    truth_rows = indices(protocol.truth_names, protocol.truth_set)
    if protocol.truth == "body":
        assert truth_rows == rows
    else:
        assert protocol.truth_set == GT_24
        assert truth_rows == (TRUE_17 if seventeen else TRUE_14)


def test_sets_of_joints_have_joints_for_truth_and_the_others_bodies() -> None:
    from_joints = {name for name, one in PROTOCOLS.items() if one.truth == "joints"}
    assert from_joints == {"h36m-p1", "h36m-p2", "mpi-inf-3dhp"}


def test_protocol_2_is_the_frontal_camera() -> None:
    frontal, other = sample("a/S9_Eating.60457274_000001.jpg"), sample("S9_Eating.58860488_001.jpg")
    elsewhere = sample("60457274/S9_Eating.58860488_000001.jpg")
    assert [PROTOCOLS["h36m-p2"].includes(one) for one in (frontal, other, elsewhere)] == [
        True, False, False,
    ]  # fmt: skip
    assert PROTOCOLS["h36m-p1"].includes(other)
    assert PROTOCOLS["coco"].includes(other)


def test_the_right_behaviour_is_the_default() -> None:
    for one in PROTOCOLS.values():
        assert one.centred
        assert one.masked
        assert one.vertices_centred
        assert one.ungendered == "neutral"
        assert one.gendered == (one.name != "open")


@pytest.mark.parametrize(
    ("name", "quirks"),
    [
        ("3dpw", {"ungendered": "male"}),
        ("h36m-p1", {"centred": False, "masked": False}),
        ("h36m-p2", {"centred": False, "masked": False}),
        ("mpi-inf-3dhp", {"centred": False, "masked": False}),
        ("coco", {"family": "smpl"}),
        ("lspet", {"family": "smpl", "ungendered": "male"}),
        ("ochuman", {"family": "smpl", "ungendered": "male"}),
    ],
)
def test_what_efts_program_does_otherwise(name: str, quirks: dict[str, object]) -> None:
    found = differences(protocol_named(name, "eft"), PROTOCOLS[name])
    found.pop("scores", None)
    assert found == quirks


@pytest.mark.parametrize(
    ("name", "quirks"),
    [
        ("3dpw", {"ungendered": "male", "vertices_centred": False}),
        ("h36m-p2", {"truth": "body", "ungendered": "male", "vertices_centred": False}),
        ("mpi-inf-3dhp", {"centred": False, "masked": False}),
    ],
)
def test_what_the_dual_networks_program_does_otherwise(
    name: str, quirks: dict[str, object]
) -> None:
    found = differences(protocol_named(name, "dual"), PROTOCOLS[name])
    found.pop("scores", None)
    assert found == quirks


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"no protocol 'h36m': expected .*h36m-p1, h36m-p2"):
        protocol_named("h36m")
    with pytest.raises(ValueError, match=r"no protocol 'open' in eft's program: expected .*3dpw"):
        protocol_named("open", "eft")
    with pytest.raises(ValueError, match=r"unknown program 'spin': expected eft or dual"):
        protocol_named("3dpw", "spin")


def test_joints_that_a_set_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match="nose"):
        Protocol("x", ("mpjpe",), ("nose",))
    with pytest.raises(ValueError, match="mid_hip"):
        Protocol("x", ("mpjpe",), ("pelvis",), "joints", ("mid_hip",))
    with pytest.raises(ValueError, match="expected truth for 1 joints, got 2"):
        Protocol("x", ("mpjpe",), ("head",), "joints", ("head", "head_top"))
    other = Protocol("x", ("mpjpe",), ("neck",), "joints", ("thorax",))
    assert indices(other.truth_names, other.truth_set) == [GT_24.index("thorax")]
