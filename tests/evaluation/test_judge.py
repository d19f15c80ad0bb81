"""The judge: against the numbers of both programs, by hand, and where truth is missing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from exemplar.bodies import Body, BodyParams, load_open_body, load_smpl
from exemplar.evaluation import judge as judging
from exemplar.evaluation.judge import Judge
from exemplar.evaluation.protocols import JOINTS_17, PROTOCOLS, Protocol, protocol_named
from exemplar.geometry.rotations import axis_angle_to_rotmat
from exemplar.metrics import mpjpe, pa_mpjpe
from exemplar.samples import BodyTruth, Gender, Sample
from exemplar.skeletons import GT_24, H36M_17, LSP_14, indices
from tests.golden import dual, eft

EVAL = np.load(eft.FOLDER / "eval.npz")
"""EFT's evaluation of six people."""

METRE = 1e-6
"""What float32 leaves of joints a metre from their origin, in metres; the programs ran in it."""

MM = 1000 * METRE
"""The same in mm."""

FOURTEEN = indices(LSP_14, H36M_17)
FOURTEEN_24 = indices(LSP_14, GT_24)
PELVIS, PELVIS_24 = H36M_17.index("pelvis"), GT_24.index("pelvis")


def sample(
    body: BodyTruth | None = None, joints_3d: np.ndarray | None = None, image: str = "a.jpg"
) -> Sample:
    return Sample(image, np.zeros(2), 1.0, np.zeros((49, 3)), body=body, joints_3d=joints_3d)


def annotated(pose: Tensor, betas: Tensor, gender: Gender = "neutral") -> BodyTruth:
    """A body from axis-angles (72)."""
    rotations = axis_angle_to_rotmat(pose.double().reshape(24, 3)).numpy()
    return BodyTruth(rotations, betas.double().numpy(), gender=gender)


def people(genders: Sequence[Gender] | None = None) -> list[Sample]:
    """The six people, with bodies and joints."""
    letters: dict[str, Gender] = {"m": "male", "f": "female"}
    genders = genders or [letters[str(letter)] for letter in EVAL["gender"]]
    poses, betas = torch.from_numpy(EVAL["true_pose"]), torch.from_numpy(EVAL["true_betas"])
    return [
        sample(annotated(poses[i], betas[i], genders[i]), EVAL["joints_3d"][i])
        for i in range(len(poses))
    ]


def found_bodies(dtype: torch.dtype = torch.float32) -> BodyParams:
    """What the regressor found of them."""
    rotations, betas = (torch.from_numpy(EVAL[name]).to(dtype) for name in ("rotmat", "betas"))
    return BodyParams(rotations[:, 0], rotations[:, 1:], betas)


def true_bodies(dtype: torch.dtype = torch.float32) -> BodyParams:
    """The annotated ones."""
    rotations = axis_angle_to_rotmat(torch.from_numpy(EVAL["true_pose"]).reshape(-1, 24, 3))
    betas = torch.from_numpy(EVAL["true_betas"])
    return BodyParams(rotations[:, 0].to(dtype), rotations[:, 1:].to(dtype), betas.to(dtype))


def gendered(dtype: torch.dtype = torch.float32) -> dict[Gender, Body]:
    """Male and female bodies, and the neutral one."""
    return {gender: eft.body(dtype, gender) for gender in get_args(Gender)}


def judge_of(protocol: Protocol, dtype: torch.dtype = torch.float32) -> Judge:
    return Judge(protocol, eft.body(dtype), gendered(dtype))


def centred_14(body: Body, params: BodyParams) -> Tensor:
    """By hand: the 14 joints about the pelvis."""
    joints = body.keypoints(params, "h36m17")
    return joints[:, FOURTEEN] - joints[:, [PELVIS]]


# The programs' numbers


@pytest.mark.parametrize(
    ("name", "key"), [("3dpw", "3dpw"), ("h36m-p1", "h36m_p1"), ("mpi-inf-3dhp", "mpi_inf_3dhp")]
)
def test_efts_evaluation_is_repeated(name: str, key: str) -> None:
    judge = judge_of(protocol_named(name, "eft"))
    truth = judge.truth(people())
    assert torch.allclose(truth.joints, torch.from_numpy(EVAL[f"{key}_gt"]), rtol=0, atol=METRE)
    assert truth.valid.all()
    scores = judge.scores(found_bodies(), truth)
    assert scores.keys() == {"mpjpe", "pa_mpjpe"}
    pa = torch.from_numpy(EVAL[f"{key}_pa"])
    assert torch.allclose(scores["pa_mpjpe"] / 1000, pa, rtol=0, atol=METRE)
    assert scores["mpjpe"].mean().item() == pytest.approx(EVAL[f"{key}_mpjpe_mm"], abs=MM)
    assert scores["pa_mpjpe"].mean().item() == pytest.approx(EVAL[f"{key}_pampjpe_mm"], abs=MM)


def dual_people() -> list[Sample]:
    """The four people of the dual networks' fixture."""
    batch = dual.batch()
    genders: list[Gender] = ["female" if number == 1 else "male" for number in batch["gender"]]
    triples = zip(batch["pose"], batch["betas"], genders, strict=True)
    return [sample(annotated(*triple)) for triple in triples]


def dual_found() -> BodyParams:
    """The bodies of which that program's errors were recorded."""
    recorded = dual.reference()
    rotations = recorded["metric/rotmat"]
    return BodyParams(rotations[:, 0], rotations[:, 1:], recorded["metric/betas"])


@pytest.mark.parametrize("name", ["3dpw", "h36m-p2"])
def test_the_dual_networks_evaluation_is_repeated(name: str) -> None:
    recorded = dual.reference()
    judge = judge_of(protocol_named(name, "dual"))
    scores = judge.scores(dual_found(), judge.truth(dual_people()))
    for key in ("mpjpe", "pa_mpjpe", "pve"):
        # The recorded numbers are float32 of some 500 mm.
        assert torch.allclose(scores[key], recorded[f"metric/{key}"], rtol=1e-6, atol=0), key


def test_a_right_vertex_error_is_about_each_pelvis() -> None:
    recorded, found = dual.reference(), dual_found()
    judge = judge_of(PROTOCOLS["3dpw"])
    scores = judge.scores(found, judge.truth(dual_people()))

    def centred(body: Body, params: BodyParams) -> Tensor:
        return body(params).vertices - body.keypoints(params, "h36m17")[:, [PELVIS]]

    batch = dual.batch()
    turns = axis_angle_to_rotmat(batch["pose"].double().reshape(-1, 24, 3)).float()
    truth = BodyParams(turns[:, 0], turns[:, 1:], batch["betas"].float())
    by_gender = [centred(eft.body(gender=name), truth) for name in ("male", "female")]
    theirs = torch.where((batch["gender"] == 1)[:, None, None], by_gender[1], by_gender[0])
    by_hand = 1000 * (centred(eft.body(), found) - theirs).norm(dim=-1).mean(-1)
    assert torch.allclose(scores["pve"], by_hand, rtol=1e-6, atol=0)
    assert (scores["pve"] - recorded["metric/pve"]).abs().min() > 1.0
    assert torch.allclose(scores["mpjpe"], recorded["metric/mpjpe"], rtol=1e-6, atol=0)


# Where the right way differs from the programs'


@pytest.mark.parametrize("name", ["h36m-p1", "mpi-inf-3dhp"])
def test_annotated_joints_are_about_their_own_pelvis(name: str) -> None:
    """EFT's files centre them; this one does not, by 5 cm."""
    ours, theirs = judge_of(PROTOCOLS[name]), judge_of(protocol_named(name, "eft"))
    truth = ours.truth(people())
    joints = torch.from_numpy(EVAL["joints_3d"])[..., :3]
    rows = indices(PROTOCOLS[name].truth_names, GT_24)
    by_hand = (joints - joints[:, [PELVIS_24]])[:, rows].float()
    assert torch.allclose(truth.joints, by_hand, rtol=0, atol=METRE)
    right = ours.scores(found_bodies(), truth)
    quirk = theirs.scores(found_bodies(), theirs.truth(people()))
    assert (right["mpjpe"] - quirk["mpjpe"]).abs().min() > 1.0
    assert torch.allclose(right["pa_mpjpe"], quirk["pa_mpjpe"], rtol=0, atol=MM)


def test_a_file_that_is_centred_has_the_same_errors_either_way() -> None:
    samples = []
    for one in people():
        assert one.joints_3d is not None
        joints = one.joints_3d.copy()
        joints[:, :3] -= joints[PELVIS_24, :3]
        samples.append(replace(one, joints_3d=joints))
    ours, theirs = judge_of(PROTOCOLS["h36m-p1"]), judge_of(protocol_named("h36m-p1", "eft"))
    right, quirk = (one.scores(found_bodies(), one.truth(samples)) for one in (ours, theirs))
    assert torch.allclose(right["mpjpe"], quirk["mpjpe"], rtol=0, atol=MM)


def test_people_without_a_gender_have_the_neutral_body_but_the_programs_take_the_male() -> None:
    samples = people(["neutral"] * 6)
    for protocol, gender in (
        (PROTOCOLS["3dpw"], "neutral"),
        (protocol_named("3dpw", "eft"), "male"),
        (protocol_named("lspet", "eft"), "male"),
        (protocol_named("coco", "eft"), "neutral"),
        (protocol_named("h36m-p2", "dual"), "male"),
    ):
        truth = judge_of(protocol).truth(samples)
        by_hand = centred_14(eft.body(gender=gender), true_bodies())
        assert torch.allclose(truth.joints, by_hand, rtol=0, atol=METRE), protocol


def test_human36m_is_scored_against_joints_but_by_the_dual_networks_against_a_body() -> None:
    ours, theirs = PROTOCOLS["h36m-p2"], protocol_named("h36m-p2", "dual")
    samples = people(["neutral"] * 6)
    joints, body = (judge_of(one).truth(samples).joints for one in (ours, theirs))
    assert (joints - body).norm(dim=-1).mean() > 0.01  # the male body is another
    no_joints = [replace(one, joints_3d=None) for one in samples]
    assert not judge_of(ours).truth(no_joints).valid.any()
    assert judge_of(theirs).truth(no_joints).valid.all()


def test_a_missing_joint_is_left_out_but_the_programs_score_it() -> None:
    samples = people()
    joints = EVAL["joints_3d"][2].copy()
    wrist = GT_24.index("left_wrist")
    joints[wrist] = 0.0
    samples[2] = replace(samples[2], joints_3d=joints)
    judge = judge_of(PROTOCOLS["h36m-p1"])
    truth = judge.truth(samples)
    assert [LSP_14[j] for j in torch.nonzero(~truth.valid[2])[:, 0]] == ["left_wrist"]
    others = [j for j, name in enumerate(LSP_14) if name != "left_wrist"]
    ours = centred_14(eft.body(), found_bodies())[2, others]
    theirs = torch.from_numpy(EVAL["joints_3d"][2]).float()[:, :3]
    theirs = (theirs[FOURTEEN_24] - theirs[PELVIS_24])[others]
    scores = judge.scores(found_bodies(), truth)
    assert scores["mpjpe"][2].item() == pytest.approx(mpjpe(ours, theirs).item(), abs=MM)
    assert scores["pa_mpjpe"][2].item() == pytest.approx(pa_mpjpe(ours, theirs).item(), abs=MM)
    quirk = judge_of(protocol_named("h36m-p1", "eft"))
    assert quirk.truth(samples).valid.all()
    released = quirk.scores(found_bodies(), quirk.truth(samples))
    assert (released["pa_mpjpe"][2] - scores["pa_mpjpe"][2]).abs() > 1.0


# Missing truth


def test_without_a_pelvis_only_the_aligned_error_is_known() -> None:
    samples = people()
    joints = EVAL["joints_3d"][1].copy()
    joints[PELVIS_24] = np.nan, np.nan, np.nan, 0.0
    samples[1] = replace(samples[1], joints_3d=joints)
    judge = judge_of(PROTOCOLS["h36m-p1"])
    scores = judge.scores(found_bodies(), judge.truth(samples))
    whole = judge.scores(found_bodies(), judge.truth(people()))
    assert scores["mpjpe"].isnan().tolist() == [False, True, False, False, False, False]
    assert torch.allclose(scores["pa_mpjpe"], whole["pa_mpjpe"], rtol=0, atol=MM)


@pytest.mark.parametrize("name", ["3dpw", "h36m-p1", "mpi-inf-3dhp"])
@pytest.mark.parametrize("released", [None, "eft"])
def test_people_without_truth_have_no_errors(name: str, released: str | None) -> None:
    judge = judge_of(protocol_named(name, released))
    whole = judge.scores(found_bodies(), judge.truth(people()))
    samples = people()
    samples[3] = sample()
    scores = judge.scores(found_bodies(), judge.truth(samples))
    for key, values in scores.items():
        assert values.isnan().tolist() == [False] * 3 + [True] + [False] * 2, key
        others = [0, 1, 2, 4, 5]
        assert torch.allclose(values[others], whole[key][others], rtol=0, atol=MM), key
    nobody = judge.scores(found_bodies(), judge.truth([sample()] * 6))
    assert all(values.isnan().all() for values in nobody.values())


def test_nobody_at_all_is_no_error() -> None:
    for name in ("3dpw", "h36m-p1"):
        judge = judge_of(PROTOCOLS[name])
        scores = judge.scores(found_bodies()[:0], judge.truth([]))
        assert all(values.shape == (0,) for values in scores.values())


def test_a_body_that_is_not_finite_has_no_errors_and_spoils_no_other() -> None:
    judge = judge_of(PROTOCOLS["3dpw"])
    truth = judge.truth(people())
    found = found_bodies()
    whole = judge.scores(found, truth)
    found.body_pose[4, 7] = torch.nan
    found.betas[0] = torch.inf
    scores = judge.scores(found, truth)
    for key, values in scores.items():
        assert values.isnan().tolist() == [True, False, False, False, True, False], key
        assert torch.allclose(values[[1, 2, 3, 5]], whole[key][[1, 2, 3, 5]], atol=MM), key


# Many bodies of a person


def test_iterates_are_scored_as_bodies_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "CHUNK", 4)  # which divides neither 6 nor 3 x 3
    judge = judge_of(PROTOCOLS["3dpw"])
    truth = judge.truth(people())
    found, true = found_bodies(), true_bodies()
    three = (found, true, found[torch.arange(5, -1, -1)])
    several = BodyParams(
        torch.stack([one.global_orient for one in three], dim=1),
        torch.stack([one.body_pose for one in three], dim=1),
        torch.stack([one.betas for one in three], dim=1),
    )
    scores = judge.scores(several, truth)
    monkeypatch.undo()
    for step, one in enumerate(three):
        alone = judge.scores(one, truth)
        for key, values in scores.items():
            assert values.shape == (6, 3)
            assert torch.allclose(values[:, step], alone[key], rtol=0, atol=MM), key
    assert judge.scores(several, truth, vertices=False).keys() == {"mpjpe", "pa_mpjpe"}


@pytest.mark.parametrize("name", ["open", "coco", "3dpw"])
def test_the_truth_itself_has_no_error(name: str) -> None:
    """In float64, in which nothing is left but rounding."""
    body = eft.body(torch.float64)
    family = "same" if name == "open" else "smpl"
    judge = Judge(replace(PROTOCOLS[name], family=family), body)
    truth = judge.truth(people(["neutral"] * 6))
    scores = judge.scores(true_bodies(torch.float64), truth)
    assert scores.keys() == {"mpjpe", "pa_mpjpe", "pve"}
    assert max(values.max() for values in scores.values()) < 1e-9


def test_shares_of_joints_in_place() -> None:
    protocol = replace(PROTOCOLS["mpi-inf-3dhp"], truth="body")
    judge = Judge(protocol, eft.body())
    truth = judge.truth(people(["neutral"] * 6))
    perfect = judge.scores(true_bodies(), truth)
    assert torch.equal(perfect["pck_150"], torch.ones(6))
    assert torch.allclose(perfect["auc"], torch.full((6,), 30 / 31))
    found = judge.scores(found_bodies(), truth)
    joints = eft.body().keypoints(found_bodies(), "h36m17")
    true = eft.body().keypoints(true_bodies(), "h36m17")
    rows = indices(JOINTS_17, H36M_17)
    distance = (joints - joints[:, [PELVIS]] - true + true[:, [PELVIS]]).norm(dim=-1)[:, rows]
    assert torch.allclose(found["pck_150"], (distance < 0.15).float().mean(1))


def test_where_a_body_is_does_not_count_but_how_it_is_turned_does() -> None:
    judge = judge_of(PROTOCOLS["3dpw"])
    truth, found = judge.truth(people()), found_bodies()
    scores = judge.scores(found, truth)
    moved = judge.scores(replace(found, transl=torch.randn(6, 3)), truth)
    assert all(torch.equal(values, moved[key]) for key, values in scores.items())
    quarter = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    turned = judge.scores(replace(found, global_orient=quarter @ found.global_orient), truth)
    assert torch.allclose(turned["pa_mpjpe"], scores["pa_mpjpe"], rtol=0, atol=MM)
    assert (turned["mpjpe"] - scores["mpjpe"]).abs().min() > 1.0


# Bodies that are not there


def test_the_option_that_gives_a_missing_body_is_named() -> None:
    judge = Judge(PROTOCOLS["3dpw"], eft.body(), {"male": eft.body(gender="male")})
    with pytest.raises(ValueError, match=r"a\.jpg is for SMPL's female .* --truth-body female="):
        judge.truth(people())
    judge.truth(people(["male", "neutral"] * 3))
    of_open = Judge(PROTOCOLS["3dpw"], load_open_body())
    with pytest.raises(ValueError, match=r"--truth-body neutral=FILE"):
        of_open.truth(people(["neutral"] * 6))


def test_the_open_benchmark_is_about_the_open_body_whatever_is_judged() -> None:
    judge = Judge(PROTOCOLS["open"], eft.body())
    truth = judge.truth(people())
    by_hand = centred_14(load_open_body(), true_bodies())
    assert torch.allclose(truth.joints, by_hand, rtol=0, atol=METRE)
    scores = judge.scores(found_bodies(), truth)
    assert scores["mpjpe"].isfinite().all()
    assert scores["pve"].isnan().all()  # the meshes are not the same
    own = Judge(PROTOCOLS["open"], load_open_body())
    assert own.scores(true_bodies(), own.truth(people()))["pve"].max() < MM


def test_a_body_without_the_regressor_is_refused(tmp_path: Path) -> None:
    path = eft.write_body(tmp_path)
    (tmp_path / "J_regressor_h36m.npy").unlink()
    bare = load_smpl(path)
    with pytest.raises(ValueError, match=r"has no head.*J_regressor_h36m\.npy beside"):
        Judge(PROTOCOLS["h36m-p1"], bare)
    with pytest.raises(ValueError, match=r"J_regressor_h36m\.npy"):
        Judge(PROTOCOLS["3dpw"], eft.body(), {"male": bare})


def test_bodies_must_be_of_the_same_people() -> None:
    judge = judge_of(PROTOCOLS["3dpw"])
    truth = judge.truth(people())
    with pytest.raises(ValueError, match="expected bodies of 6 people, got 5"):
        judge.scores(found_bodies()[:5], truth)
    one = found_bodies()[:6]
    crowded = BodyParams(one.global_orient[None], one.body_pose[None], one.betas[None])
    with pytest.raises(ValueError, match="expected bodies of 6 people, got 1 x 6"):
        judge.scores(crowded, truth)


def test_fewer_betas_are_the_first_and_more_are_refused() -> None:
    judge = judge_of(PROTOCOLS["3dpw"])
    one = people(["neutral"] * 6)[0]
    assert one.body is not None
    short = replace(one, body=replace(one.body, betas=one.body.betas[:3]))
    cut = replace(one, body=replace(one.body, betas=one.body.betas * (np.arange(10) < 3)))
    joints = [judge.truth([sample]).joints for sample in (short, cut)]
    assert torch.equal(*joints)
    long = replace(one, body=replace(one.body, betas=np.zeros(16)))
    with pytest.raises(ValueError, match=r"a\.jpg: expected at most 10 betas, got 16"):
        judge.truth([long])
