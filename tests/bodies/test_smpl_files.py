"""SMPL files: what is read, and what is refused."""

import os
import pickle
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from exemplar.bodies import Body, load_smpl
from exemplar.skeletons import SMPL_24_PARENTS, SMPL_49

VERTICES = 6890


def arrays() -> dict[str, np.ndarray]:
    """Random numbers in the layout of an SMPL file; the arrays are shared, so leave them."""
    return dict(_arrays())


@cache
def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    weights = rng.random((VERTICES, 24))
    regressor = rng.random((24, VERTICES))
    return {
        "v_template": rng.standard_normal((VERTICES, 3)),
        "f": rng.integers(0, VERTICES, (50, 3)).astype(np.uint32),
        "weights": weights / weights.sum(1, keepdims=True),
        "shapedirs": rng.standard_normal((VERTICES, 3, 10)) * 0.01,
        "posedirs": rng.standard_normal((VERTICES, 3, 207)) * 0.01,
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "kintree_table": np.stack(
            [np.array([2**32 - 1, *SMPL_24_PARENTS[1:]]), np.arange(24)]
        ).astype(np.uint32),
    }


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Body:
    """What `arrays` are as an .npz."""
    path = tmp_path_factory.mktemp("body") / "smpl.npz"
    np.savez(path, **arrays())
    return load_smpl(path)


def tensors(body: Body) -> dict[str, torch.Tensor]:
    return dict(body.named_buffers())


KINDS = ("csc_matrix", "csr_matrix", "coo_matrix", "csc_array", "csr_array", "coo_array")


@pytest.mark.parametrize("kind", [*KINDS, "tensor"])
def test_npz_and_pickle_give_the_same_body(body: Body, tmp_path: Path, kind: str) -> None:
    data = arrays()
    if kind == "tensor":
        pickled = {k: torch.from_numpy(v) for k, v in data.items() if v.dtype == np.float64}
    else:
        pickled = {"J_regressor": getattr(sparse, kind)(data["J_regressor"])}
    protocol = 2 if kind == "csc_matrix" else 5  # SMPL's own files are of 2, which takes longer
    (tmp_path / "smpl.pkl").write_bytes(pickle.dumps(data | pickled, protocol=protocol))
    found = tensors(load_smpl(tmp_path / "smpl.pkl"))
    for name, value in tensors(body).items():
        assert torch.equal(value, found[name]), name
    expected = data["J_regressor"] @ data["v_template"]
    assert np.allclose(body.joints_template.numpy(), expected, atol=1e-5)


def test_keypoints_that_need_missing_regressors_are_unavailable(tmp_path: Path) -> None:
    np.savez(tmp_path / "smpl.npz", **arrays())
    available = load_smpl(tmp_path / "smpl.npz").available("smpl49")
    missing = {name for name, has in zip(SMPL_49, available.tolist(), strict=True) if not has}
    expected = {"right_hip", "left_hip", "neck", "head_top", "pelvis", "thorax", "spine"}
    assert missing == expected | {"jaw", "head"}
    np.save(tmp_path / "J_regressor_extra.npy", np.full((9, VERTICES), 1 / VERTICES))
    assert bool((load_smpl(tmp_path / "smpl.npz").available("smpl49") == 1).all())


def test_chumpy_arrays_are_read_without_chumpy(tmp_path: Path) -> None:
    """A pickle that names chumpy's classes, written by hand in protocol 2."""
    data = arrays()
    holder = pickle.dumps({"x": data["shapedirs"]}, protocol=2)[2:-1]
    chumpy = b"\x80\x02cchumpy.ch\nCh\n)\x81" + holder + b"b."
    others = {key: value for key, value in data.items() if key != "shapedirs"}
    head = pickle.dumps(others, protocol=2)[:-1]
    body = head + b"X\x09\x00\x00\x00shapedirs" + chumpy[2:-1] + b"s."
    (tmp_path / "smpl.pkl").write_bytes(body)
    loaded = load_smpl(tmp_path / "smpl.pkl")
    assert np.allclose(loaded.shapedirs.numpy(), data["shapedirs"], atol=1e-6)


class Evil:
    """Unpickling this would make a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    (tmp_path / "evil.pkl").write_bytes(pickle.dumps({"v_template": Evil(trap)}))
    with pytest.raises(ValueError, match="plain arrays: it asks for posix"):
        load_smpl(tmp_path / "evil.pkl")
    assert not trap.exists()


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.lib.npyio\nload\n(S'x'\ntR.",
        b"ccopyreg\n_reconstructor\n(cbuiltins\nobject\ncbuiltins\nobject\nNtR.",
        b"not a pickle at all",
        b"",
        pickle.dumps([1, 2, 3]),
    ],
)
def test_anything_but_a_dict_of_arrays_is_refused(tmp_path: Path, payload: bytes) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(payload)
    with pytest.raises(ValueError, match=r"bad\.pkl"):
        load_smpl(path)


def test_a_truncated_npz_is_one_clear_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "smpl.npz", **arrays())
    data = (tmp_path / "smpl.npz").read_bytes()
    (tmp_path / "smpl.npz").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=r"smpl\.npz is not a readable \.npz"):
        load_smpl(tmp_path / "smpl.npz")


def test_an_npz_of_something_else_names_what_is_missing(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="lacks v_template, f, weights"):
        load_smpl(tmp_path / "other.npz")


def test_suffixes_may_be_capitals(body: Body, tmp_path: Path) -> None:
    data = arrays()
    with (tmp_path / "SMPL.NPZ").open("wb") as file:
        np.savez(file, **data)
    (tmp_path / "SMPL.PKL").write_bytes(pickle.dumps(data))
    for name in ("SMPL.NPZ", "SMPL.PKL"):
        assert torch.equal(load_smpl(tmp_path / name).posedirs, body.posedirs)


def test_objects_that_are_not_of_the_body_are_passed_over(tmp_path: Path) -> None:
    np.savez(tmp_path / "smpl.npz", **arrays(), part2num=np.array({"arm": 1}, dtype=object))
    assert load_smpl(tmp_path / "smpl.npz").num_betas == 10


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weights", 0.0, "weights to sum to 1"),
        ("v_template", 1e300, "v_template holds numbers over 1e\\+06"),
        ("v_template", 1j, "v_template: expected real numbers, got complex128"),
        ("shapedirs", "1", "shapedirs: expected real numbers, got <U1"),
    ],
)
def test_numbers_that_no_body_has_are_refused(
    tmp_path: Path, name: str, value: complex | str, says: str
) -> None:
    made = arrays()
    np.savez(tmp_path / "a.npz", **{**made, name: np.full(made[name].shape, value)})
    with pytest.raises(ValueError, match=rf"a\.npz is not an SMPL model: .*{says}"):
        load_smpl(tmp_path / "a.npz")


def test_a_body_without_faces_or_vertices_is_refused(tmp_path: Path) -> None:
    made = arrays()
    nobody = {
        name: made[name][:0] for name in ("v_template", "weights", "shapedirs", "posedirs", "f")
    }
    nobody["J_regressor"] = made["J_regressor"][:, :0]
    for number, changed in enumerate(({"f": made["f"][:0]}, nobody)):
        np.savez(tmp_path / f"{number}.npz", **{**made, **changed})
        with pytest.raises(ValueError, match="vertices and 0 faces, expected some"):
            load_smpl(tmp_path / f"{number}.npz")


@pytest.mark.parametrize("rows", ["features", "coordinates"])
def test_posedirs_may_lie_as_a_matrix(body: Body, tmp_path: Path, rows: str) -> None:
    data = arrays()
    matrix = data["posedirs"].reshape(3 * VERTICES, -1)
    flat = matrix.T if rows == "features" else matrix
    np.savez(tmp_path / "flat.npz", **(data | {"posedirs": flat}))
    assert torch.equal(load_smpl(tmp_path / "flat.npz").posedirs, body.posedirs)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shapedirs": np.zeros((VERTICES, 3, 4))}, r"expected shapedirs \(6890, 3, 10 or more\)"),
        ({"posedirs": np.zeros((VERTICES, 3, 93))}, r"expected posedirs \(6890, 3, 207\), got"),
        ({"kintree_table": np.zeros((2, 33), int)}, r"its 33 joints are not those of SMPL \(24\)"),
        ({"f": np.full((4, 3), VERTICES)}, "f names vertices from 6890 to 6890, of 6890"),
        ({"v_template": np.full((VERTICES, 3), np.nan)}, "v_template holds numbers that are not"),
        ({"weights": np.array(["a"])}, "weights"),
    ],
)
def test_what_does_not_fit_is_one_line(
    tmp_path: Path, wrong: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "smpl.npz", **(arrays() | wrong))
    with pytest.raises(ValueError, match=rf"smpl\.npz is not an SMPL model: .*{message}") as caught:
        load_smpl(tmp_path / "smpl.npz")
    assert "\n" not in str(caught.value)


def test_wrong_shapes_are_told(tmp_path: Path) -> None:
    np.savez(tmp_path / "smpl.npz", **(arrays() | {"weights": np.ones((10, 24))}))
    with pytest.raises(ValueError, match=r"smpl\.npz .* expected weights \(6890, 24\)"):
        load_smpl(tmp_path / "smpl.npz")
