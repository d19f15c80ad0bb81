"""Small valid files of every kind that is read, and their readers, for `benchmarks.fuzz`."""

import io
import json
import pickle
import sqlite3
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from exemplar.bodies import BodyParams, load_smpl
from exemplar.data import formats
from exemplar.data.formats import eft_json, hd_pose3d, table
from exemplar.data.people_files import people_of_photo
from exemplar.data.pseudo_gt import PseudoTruth
from exemplar.evaluation.compare_sources import open_source
from exemplar.evaluation.records import read_rows, write_rows
from exemplar.evaluation.report.data import read_run, read_samples
from exemplar.evaluation.reproduce.findings import read_finding
from exemplar.files.image_files import image_size, read_image
from exemplar.files.image_store_files import open_images
from exemplar.files.npy_files import map_npy, read_npy, read_npz
from exemplar.files.reading_files import reading
from exemplar.lift.store import LEDGER, Ledger, Selection
from exemplar.motion import steady
from exemplar.motion_files import read_motions
from exemplar.prior_files import read_gmm
from exemplar.regressors.checkpoints import load_regressor
from exemplar.regressors.published_files import read_mean_params, read_published
from exemplar.results import OK
from exemplar.samples import BodyTruth, Sample
from exemplar.skeletons import COCO_17, CROWDPOSE_14, GT_24, SMPL_24_PARENTS, SMPL_49
from exemplar.training.averages import WeightAverage
from exemplar.training.run_folder import (
    CsvLog,
    check_settings,
    load_checkpoint,
    load_weights,
    save_checkpoint,
)
from exemplar.training.sources import SourceConfig, load_people, parse_sources
from exemplar.training.state import TrainingState
from exemplar.viewer.compare.votes import read_votes


@dataclass(frozen=True)
class Kind:
    """A kind of file."""

    file: str
    """Its path in a folder."""
    content: Callable[[], Any]
    """What is in it, as lists, dicts, arrays, tensors and numbers."""
    write: Callable[[Any, Path], None]
    """Writes the file."""
    read: Callable[[Path], object]
    """Reads all of it, as a command would; given the path."""


def _json(content: Any, path: Path) -> None:
    path.write_text(json.dumps(content))


def _pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


def _npz(content: Mapping[str, Any], path: Path) -> None:
    np.savez(path, **{name: np.asarray(value) for name, value in content.items()})


def _mat(content: Mapping[str, Any], path: Path) -> None:
    import scipy.io

    scipy.io.savemat(path, content)


def _h5(content: Mapping[str, Any], path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        for name, value in content.items():
            file[name] = value


def _cdf(content: Mapping[str, Any], path: Path) -> None:
    from cdflib import cdfwrite

    file = cdfwrite.CDF(str(path), delete=True)
    for name, values in content.items():
        spec = {
            "Variable": name, "Data_Type": 44, "Num_Elements": 1, "Rec_Vary": True,
            "Var_Type": "zVariable", "Dim_Sizes": list(values.shape[1:]),
        }  # fmt: skip
        file.write_var(spec, var_attrs={}, var_data=values)
    file.close()


def _parquet(content: list[dict[str, Any]], path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(content), path)


def _old_torch(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def _text(content: Any, path: Path) -> None:
    path.write_text(str(content))


def _annotation(path: Path) -> object:
    for _ in formats.read_truths(path):
        pass
    return None


def _annotation_of(format: str, root: int = 0) -> Callable[[Path], object]:
    """Reads a format by name, from a folder some levels above the file."""

    def read(path: Path) -> object:
        source = path if root == 0 else path.parents[root - 1]
        return sum(1 for _ in formats.read_truths(source, format))

    return read


def _points(count: int) -> list[float]:
    return [x for joint in range(count) for x in (10.0 + joint, 20.0 + joint, 1)]


def _coco_style(joints: tuple[str, ...], **more: Any) -> dict[str, Any]:
    person = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 20], "iscrowd": 0}
    return {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 64, "height": 64, "is_labeled": True}],
        "annotations": [person | {"keypoints": _points(len(joints))} | more],
        "categories": [{"id": 1, "name": "person", "keypoints": list(joints)}],
    }


_OCHUMAN = (
    "right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip"
    " right_knee right_ankle left_hip left_knee left_ankle head neck right_ear left_ear nose"
    " right_eye left_eye"
)
_POSETRACK = (
    "nose head_bottom head_top left_ear right_ear left_shoulder right_shoulder left_elbow"
    " right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle"
    " right_ankle"
)


def _ochuman() -> Any:
    person = {"bbox": [90, 180, 130, 260], "keypoints": _points(19), "segms": None, "max_iou": 0.6}
    image = {"file_name": "1.jpg", "image_id": "1", "width": 900, "height": 800}
    return {
        "keypoint_names": _OCHUMAN.split(),
        "keypoint_visible": {"missing": 0, "vis": 1, "self_occluded": 2, "others_occluded": 3},
        "images": [image | {"annotations": [person]}],
    }


def _whole_body() -> Any:
    parts = {"foot": 6, "lefthand": 21, "righthand": 21, "face": 68}
    more = {f"{name}_kpts": _points(count) for name, count in parts.items()}
    return _coco_style(COCO_17, **more, **{f"{name}_valid": True for name in parts})


def _mpii() -> Any:
    joints = [[100.5 + 10 * i, 300.0 + i] for i in range(16)]
    person = {"image": "1.jpg", "scale": 3.5, "center": [594.0, 257.0], "joints": joints}
    return [person | {"joints_vis": [1] * 16}] * 2


def _spin(objects: bool = False) -> dict[str, Any]:
    count = 3
    points = np.ones((count, 24, 3)) * np.linspace(5, 40, 24)[:, None]
    points[..., 2] = 1
    return {
        "imgname": np.array(["a.png"] * count, object if objects else str),
        "center": np.full((count, 2), 24.0),
        "scale": np.array([0.2] * count, object) if objects else np.full(count, 0.2),
        "part": points,
        "openpose": np.zeros((count, 25, 3)),
        "pose": np.zeros((count, 72)),
        "shape": np.zeros((count, 10)),
        "has_smpl": np.ones(count),
        "S": np.ones((count, 24, 4)),
        "gender": np.array(["m", "f", "m"], object if objects else str),
        "annotIds": np.arange(count),
        "maskname": np.array(["a", "", "b"]),
        "cam_param": np.ones((count, 3)),
    }


def _boxes() -> dict[str, Any]:
    box = {"center": [24.0, 24.0], "scale": 0.2, "ratio_bbox_over_face": 2.0}
    boxes = np.empty((3, 2), object)
    boxes[:] = [[box, box]] * 3
    return _spin(objects=True) | {"multibbox": boxes}


def _cliff() -> dict[str, Any]:
    return _spin() | {"global_t": np.ones((3, 3)), "focal_l": np.full(3, 500.0)}


def _threedpw() -> Any:
    points = np.ones((2, 3, 18)) * np.linspace(5, 400, 18)
    return {
        "sequence": "walk",
        "poses": [np.zeros((2, 72))],
        "trans": [np.zeros((2, 3))],
        "jointPositions": [np.zeros((2, 72))],
        "betas": [np.zeros(12)],
        "genders": ["m"],
        "campose_valid": [np.ones(2, int)],
        "poses2d": [points],
        "cam_poses": np.stack([np.eye(4)] * 2),
        "cam_intrinsics": np.eye(3) * 1000,
    }


def _panoptic() -> Any:
    landmarks = {"landmarks": np.linspace(0, 50, 57).tolist()}
    hand = {"landmarks": np.linspace(0, 50, 63).tolist()}
    person = {"seqName": "a", "frame_str": "1", "body": landmarks, "left_hand": hand}
    return {"training_data": [person, person]}


def _write_panoptic(content: Any, path: Path) -> None:
    _pickle(content, path)
    camera = {"K": np.eye(3) * 1000, "R": np.eye(3), "t": np.ones((3, 1)), "distCoef": np.zeros(5)}
    _pickle({"a": {0: camera}}, path.with_name("camera_data.pkl"))


def _studio() -> Any:
    camera = {"K": np.eye(3) * 1000, "R": np.eye(3), "t": np.ones((3, 1)), "distCoef": np.zeros(5)}
    return {"a": {0: camera, 1: camera}}


def _write_studio(content: Any, path: Path) -> None:
    _pickle(content, path)
    _pickle(_panoptic(), path.with_name("annotation.pkl"))


def _h36m_train() -> Any:
    pixels = np.linspace(10, 400, 34).reshape(1, 17, 2)
    smpl = {"poses_camCoord": np.zeros((2, 72)), "betas": np.zeros(10)}
    return {"2d": np.tile(pixels, (2, 1, 1)), "3d": np.ones((2, 17, 3)), "smplParms": smpl}


def _mpi_train() -> Any:
    cells = {}
    for key, size in (("annot2", 56), ("annot3", 84)):
        cells[key] = np.empty((14, 1), object)
        for camera in range(14):
            cells[key][camera, 0] = np.tile(np.linspace(5, 500, size), (12, 1))
    return cells


def _mpi_test() -> Any:
    pixels = np.tile(np.linspace(5, 500, 34).reshape(1, 1, 17, 2), (3, 1, 1, 1))
    return {"valid_frame": np.ones((3, 1)), "annot2": pixels, "univ_annot3": np.ones((3, 1, 17, 3))}


def _sample(number: int = 0) -> Sample:
    points = np.ones((len(SMPL_49), 3)) * np.linspace(5, 40, len(SMPL_49))[:, None]
    points[:, 2] = 1
    return Sample(
        image="a.png",
        box_centre=np.full(2, 24.0),
        box_scale=0.2,
        keypoints_2d=points,
        annotation_id=number,
        subject="s",
        joints_3d=np.ones((len(GT_24), 4)),
        intrinsics=np.eye(3),
        extra={"kp_face": np.ones((68, 3))},
        body=BodyTruth(np.tile(np.eye(3), (24, 1, 1)), np.zeros(10), np.ones(3), np.ones(3)),
    )


def _truths() -> list[PseudoTruth]:
    return [PseudoTruth(_sample(i), OK, regressor="r", body_model="open") for i in range(3)]


@cache
def _table_rows() -> Any:
    """The table as plain rows, so that they can be changed."""
    import tempfile

    import pyarrow.parquet

    with tempfile.TemporaryDirectory() as folder:
        table.write(_truths(), Path(folder) / "t.parquet")
        return pyarrow.parquet.read_table(Path(folder) / "t.parquet").to_pylist()


def _write_table(content: list[dict[str, Any]], path: Path) -> None:
    """With the table's own types where the rows have them, else with what they have."""
    import pyarrow
    import pyarrow.parquet

    table.write(_truths(), path)
    schema = pyarrow.parquet.read_schema(path)
    if content == _table_rows():
        return
    maps = [field.name for field in schema if pyarrow.types.is_map(field.type)]
    for value in (row[name] for row in content for name in maps if name in row):
        if isinstance(value, list) and any(pair is None for pair in value):
            raise ValueError("pyarrow ends the process when it writes such a map")
    try:
        made = pyarrow.Table.from_pylist(content, schema=schema)
    except (pyarrow.ArrowException, TypeError, ValueError, OverflowError):
        made = pyarrow.Table.from_pylist(content).replace_schema_metadata(schema.metadata)
    pyarrow.parquet.write_table(made, path)


@cache
def _eft() -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        eft_json.write([truth.sample for truth in _truths()], Path(folder) / "e.json")
        return json.loads((Path(folder) / "e.json").read_text())


def _smpl() -> dict[str, Any]:
    rng, vertices = np.random.default_rng(0), 60
    return {
        "v_template": rng.random((vertices, 3)),
        "f": rng.integers(0, vertices, (50, 3)).astype(np.uint32),
        "weights": np.full((vertices, 24), 1 / 24),
        "shapedirs": rng.random((vertices, 3, 10)),
        "posedirs": rng.random((vertices, 3, 207)),
        "J_regressor": np.full((24, vertices), 1 / vertices),
        "kintree_table": np.stack([[2**32 - 1, *SMPL_24_PARENTS[1:]], np.arange(24)]).astype(
            np.uint32
        ),
    }


def _sparse_smpl() -> dict[str, Any]:
    from scipy import sparse

    made = _smpl()
    return made | {"J_regressor": sparse.csc_matrix(made["J_regressor"])}


def _write_regressor_beside(content: Any, path: Path) -> None:
    np.savez(path.with_name("smpl.npz"), **_smpl())
    np.save(path, content["array"])


def _body(path: Path) -> object:
    body = load_smpl(path if path.suffix != ".npy" else path.with_name("smpl.npz"))
    zeros = torch.eye(3).expand(1, len(body.parents), 3, 3)
    body(BodyParams(zeros[:, 0], zeros[:, 1:], torch.zeros(1, body.num_betas)))
    body.keypoints(BodyParams(zeros[:, 0], zeros[:, 1:], torch.zeros(1, body.num_betas)))
    return None


def _gmm() -> Any:
    covars = np.stack([np.eye(69)] * 8)
    return {"means": np.zeros((8, 69)), "covars": covars, "weights": np.full(8, 1 / 8)}


def _published() -> Any:
    layer = nn.Linear(2205, 2)
    weights = {f"module.fc1.{name}": value for name, value in layer.state_dict().items()}
    return {"model": weights, "optimizer": {"lr": 5e-5}, "epoch": 3}


def _network(path: Path) -> object:
    return read_published(path)


def _write_safetensors(content: Any, path: Path) -> None:
    from safetensors.torch import save_file

    save_file(content["state"], path, metadata={"exemplar": json.dumps(content["about"])})


def _safetensors() -> Any:
    about = {"architecture": "hmr", "body": "smpl", "learning_rate": 1e-5, "n_iter": 3}
    return {"state": {"fc1.weight": torch.ones(2, 3)}, "about": about}


def _training_state() -> TrainingState:
    step = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1))
    optimiser = torch.optim.Adam(step.parameters(), lr=1e-3, fused=True)
    step(torch.ones(4, 3)).sum().backward()
    optimiser.step()
    return TrainingState(step, optimiser, WeightAverage(step, 0.9))


def _training() -> Any:
    torch.manual_seed(0)
    return {"format": 1, "settings": {"loop": {"steps": 3}}, **_training_state().state_dict()}


def _resumed(path: Path) -> object:
    """Take up a checkpoint, and train a step."""
    checkpoint = load_checkpoint(path)
    with reading(path, "a training checkpoint"):
        check_settings({"loop": {"steps": 3}}, checkpoint["settings"])
    state = _training_state()
    state.load_state_dict(checkpoint, path)
    state.module(torch.ones(4, 3)).sum().backward()
    state.optimiser.step()
    return load_weights(path)


def _sources() -> Any:
    one = {"name": "a", "annotations": "people.npz", "images": ".", "ratio": 0.5, "options": []}
    return {"sources": [one], "ratios": {"a": 1.0}}


def _write_sources(content: Any, path: Path) -> None:
    _json(content, path)
    np.savez(path.with_name("people.npz"), **_spin())
    _picture("PNG")({"size": 48}, path.with_name("a.png"))


def _trained_on(path: Path) -> object:
    sources, _ = parse_sources([str(path)])
    return [load_people(source).digest() for source in sources]


def _write_people(content: Any, path: Path) -> None:
    _npz(content, path)
    _picture("PNG")({"size": 48}, path.with_name("a.png"))


def _people(path: Path) -> object:
    people = load_people(SourceConfig("a", path, path.parent), check="header")
    return [people.sample(i) for i in range(len(people))]


def _log(path: Path) -> object:
    CsvLog(path, keep_to=10).append({"step": 11, "loss": 1.0, "new": 2})
    return None


def _run_rows() -> list[dict[str, Any]]:
    numbers = (
        "mpjpe", "pa_mpjpe", "pve", "px", "px_fitted", "pck", "seconds", "updates", "kept",
        "box_size",
    )  # fmt: skip
    lists = {
        "pa_mpjpe_by_update": 3, "mpjpe_by_update": 3, "px_by_update": 3, "pose": 216, "betas": 10,
        "weak_camera": 3, "box_centre": 2, "keypoints_2d": 147,
    }  # fmt: skip
    row: dict[str, Any] = dict.fromkeys(numbers, 1.5)
    row |= {name: [0.5] * count for name, count in lists.items()}
    row |= {"image": "a.png", "annotation_id": 3, "subject": "s", "status": OK, "message": ""}
    row |= {"updates": 2, "kept": 1}
    return [row | {"method": method, "number": i} for method in ("none", "eft") for i in (0, 1)]


def _write_run(content: Any, path: Path) -> None:
    _parquet(content["rows"], path)
    _json(content["summary"], path.with_name("summary.json"))
    _json(content["config"], path.with_name("config.json"))


def _run() -> Any:
    return {
        "rows": _run_rows(),
        "summary": {"set": "made up", "body": "open", "people": 2, "methods": {}},
        "config": {"limit": None, "images": "."},
    }


def _evaluation(path: Path) -> object:
    run = read_run(path.parent)
    for rows in run.methods.values():
        read_samples(path.parent, rows.row.tolist())
    for method in run.methods:
        run.before(method, run.error)
        next(open_source(f"{path.parent}:{method}").rows(), None)
    return None


def _write_block(content: Any, path: Path) -> None:
    write_rows(content, path)


def _finding() -> Any:
    return {
        "name": "a", "source": "b", "stands_in": "c",
        "tables": [{"title": "t", "columns": ["x"], "rows": [["1"]]}],
        "claims": [{"text": "t", "verdict": "reproduced", "numbers": "1"}],
        "pictures": [], "made": {"command": "c", "commit": "x", "machine": "m", "seconds": 1},
    }  # fmt: skip


def _votes() -> Any:
    vote = {"annotator": "ann", "left": "a", "right": "b", "choice": "left", "overlay": False}
    return [vote | {"seconds": 1.5, "time": "2024"}, vote]


def _picture(kind: str) -> Callable[[Any, Path], None]:
    def write(content: Any, path: Path) -> None:
        ramp = np.arange(3 * content["size"] ** 2) % 251
        pixels = ramp.reshape(content["size"], -1, 3).astype(np.uint8)
        Image.fromarray(pixels).save(path, kind)

    return write


def _image(path: Path) -> object:
    image_size(path)
    return read_image(path)


def _write_tar(content: Any, path: Path) -> None:
    with tarfile.open(path, "w") as file:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))


def _tar() -> dict[str, bytes]:
    stream = io.BytesIO()
    Image.new("RGB", (32, 32)).save(stream, "PNG")
    return {"a.png": stream.getvalue(), "./b/c.png": stream.getvalue()}


def _images(path: Path) -> object:
    images = open_images(path)
    images.check()
    return images.size("a.png"), images.read("b/c.png")


@cache
def _ledger() -> Any:
    """The rows of a ledger by table, as SQLite has them."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        with Ledger(folder, create=True) as ledger:
            ledger.fill((_sample(i) for i in range(4)), {"images": folder, "recipe": "eft"})
            ledger.finish([(i, truth) for i, truth in enumerate(_truths())])
            ledger.decide(0, "accepted")
        with sqlite3.connect(Path(folder) / LEDGER) as db:
            names = ("meta", "samples", "work", "results", "decisions")
            return {
                name: [list(row) for row in db.execute(f"SELECT * FROM {name}")] for name in names
            }


def _write_ledger(content: Any, path: Path) -> None:
    Ledger(path.parent, create=True).close()
    with sqlite3.connect(path) as db:
        for name, rows in content.items():
            for row in rows:
                marks = ",".join("?" * len(row))
                db.execute(f"INSERT OR REPLACE INTO {name} VALUES ({marks})", row)
        db.execute("PRAGMA journal_mode=DELETE")
    db.close()


def _job(path: Path) -> object:
    with Ledger.open(path.parent) as ledger:
        ledger.filled()
        ledger.meta()
        _ = ledger.images
        ledger.progress(Selection())
        ledger.outcomes()
        ledger.counts()
        for _ in ledger.truths():
            pass
        rows = ledger.review_rows(limit=3)
        ledger.join()
        ledger.release_dead()
        claimed = ledger.claim(5, Selection())
        ledger.finish([(number, PseudoTruth(sample, OK)) for number, sample in claimed])
        for number, _ in rows:
            ledger.decide(number, "rejected")
    return None


def _yolo() -> str:
    return (
        " ".join(map(str, [0, 0.5, 0.5, 0.5, 0.5, *(x / 100 if x > 1 else x for x in _points(17))]))
        + "\n"
    )


def _sleap() -> str:
    joints = ("nose", "left_hip", "right_hip")
    head = [f"{joint}.{axis}" for joint in joints for axis in ("x", "y", "score")]
    return f"track,frame_idx,{','.join(head)}\na,7,{','.join(map(str, _points(3)))}\n"


def _deeplabcut() -> str:
    joints = ("nose", "left_hip", "right_hip")
    return (
        f"scorer{',net' * 9}\n"
        f"bodyparts,{','.join(joint for joint in joints for _ in range(3))}\n"
        f"coords{',x,y,likelihood' * 3}\n"
        f"7,{','.join(map(str, _points(3)))}\n"
    )


def _mmpose() -> Any:
    points = [[10.0 + joint, 20.0] for joint in range(17)]
    names = {str(number): name for number, name in enumerate(COCO_17)}
    person = {"keypoints": points, "keypoint_scores": [0.9] * 17}
    return {"meta_info": {"keypoint_id2name": names}, "instance_info": [person, person]}


def _human_data() -> dict[str, Any]:
    smpl = {"global_orient": np.zeros((2, 3)), "body_pose": np.zeros((2, 23, 3))}
    return {
        "image_path": np.array(["a.png", "a.png"]),
        "bbox_xywh": np.ones((2, 5)),
        "keypoints2d": np.ones((2, 190, 3)),
        "keypoints2d_mask": np.ones(190),
        "keypoints3d": np.ones((2, 190, 4)),
        "keypoints3d_mask": np.ones(190),
        "smpl": np.array(smpl | {"betas": np.zeros((2, 10))}),
        "meta": np.array({"gender": np.array(["m", "f"])}),
    }


def _scene() -> Any:
    camera = {"name": "00_00", "resolution": [64, 64], "distCoef": [0.0] * 5, "t": [[0], [0], [9]]}
    camera |= {"K": [[50, 0, 32], [0, 50, 32], [0, 0, 1]], "R": np.eye(3).tolist()}
    body = {"id": 1, "joints19": [0.1, 0.2, 0.3, 1.0] * 19}
    return {"cameras": {"cameras": [camera]}, "frame": {"bodies": [body, body]}}


def _write_scene(content: Any, path: Path) -> None:
    _json(content["frame"], path)
    _json(content["cameras"], path.parents[1] / "calibration_a.json")


def _detections(person: Mapping[str, Any]) -> Callable[[], Any]:
    return lambda: {"version": 1.3, "people": [dict(person), dict(person)]}


def _keypoints(path: Path) -> object:
    return people_of_photo(path, image="1.jpg", size=(64, 64))


def _motion() -> dict[str, Any]:
    people, frames = 2, 3
    eye = np.eye(3)
    return {
        "times": np.arange(frames) / 30, "fps": 30.0, "frame": "world", "body": "open",
        "focal": 900.0, "principal_point": [320.0, 240.0], "image_size": [640, 480],
        "global_orient": np.tile(eye, (people, frames, 1, 1)),
        "body_pose": np.tile(eye, (people, frames, 23, 1, 1)),
        "betas": np.zeros((people, 10)), "translation": np.ones((people, frames, 3)),
        "status": np.full((people, frames), OK), "confidence": np.ones((people, frames)),
        "keypoints_2d": np.ones((people, frames, 49, 3)),
    }  # fmt: skip


KINDS: Mapping[str, Kind] = {
    "npz": Kind("a.npz", _spin, _npz, read_npz),
    "npz of objects": Kind("a.npz", lambda: _spin(True), _npz, read_npz),
    "npy": Kind("a.npy", lambda: {"array": np.ones((3, 4))}, lambda c, p: np.save(p, c["array"]),
                lambda path: (read_npy(path), map_npy(path).tolist())),
    "motion": Kind("motion.npz", _motion, _npz,
                   lambda path: [steady(motion) for motion in read_motions(path)]),
    "keypoints, OpenPose": Kind("a.json", _detections({"pose_keypoints_2d": _points(25)}), _json,
                                _keypoints),
    "keypoints, COCO": Kind("a.json", lambda: _coco_style(COCO_17), _json, _keypoints),
    "keypoints, list": Kind("a.json", lambda: _coco_style(COCO_17)["annotations"], _json,
                            _keypoints),
    "keypoints, npz": Kind("a.npz", lambda: {"keypoints": np.ones((2, 17, 3)), "names": COCO_17},
                           _npz, _keypoints),
    "alphapose": Kind("a.json", lambda: {"1.jpg": {"bodies": [{"joints": _points(18)}]}}, _json,
                      _annotation_of("alphapose")),
    "alphapose, tracked": Kind(
        "a.json", lambda: {"1.jpg": [{"keypoints": _points(17), "scores": 2.1, "idx": 1}]}, _json,
        _annotation_of("alphapose")),
    "mmpose_json": Kind("a.json", _mmpose, _json, _annotation_of("mmpose_json")),
    "mmpose_json, 0.x": Kind(
        "a.json",
        lambda: [{"preds": [[[1.0, 2.0, 0.9]] * 17], "image_paths": ["1.jpg"]}] * 2,
        _json, _annotation_of("mmpose_json")),
    "mmpose_json, easy_ViTPose": Kind(
        "a.json",
        lambda: {"keypoints": [{"0": [[1.0, 2.0, 0.9]] * 17}] * 2,
                 "skeleton": {str(i): name for i, name in enumerate(COCO_17)}},
        _json, _annotation_of("mmpose_json")),
    "ultralytics_json": Kind(
        "a.json",
        lambda: [{"keypoints": {"x": _points(17)[::3], "y": _points(17)[1::3],
                                "visible": [0.9] * 17}, "track_id": 3}] * 2,
        _json, _annotation_of("ultralytics_json")),
    "mediapipe_json": Kind(
        "a.json", lambda: [[{"x": 10.0 + i, "y": 9.0, "visibility": 0.9} for i in range(33)]] * 2,
        _json, _annotation_of("mediapipe_json")),
    "yolo_txt": Kind("1.txt", _yolo, _text, _keypoints),
    "sleap_csv": Kind("a.csv", _sleap, _text, _annotation_of("sleap_csv")),
    "deeplabcut_csv": Kind("a.csv", _deeplabcut, _text, _annotation_of("deeplabcut_csv")),
    "coco_named": Kind("a.json", lambda: _coco_style(CROWDPOSE_14[::-1]), _json,
                       _annotation_of("coco_named")),
    "human_data": Kind("a.npz", _human_data, _npz, _annotation_of("human_data")),
    "hd_pose3d": Kind(f"a/{hd_pose3d.FOLDER}/body3DScene_00000001.json", _scene, _write_scene,
                      _annotation_of("hd_pose3d", 2)),
    "coco": Kind("a.json", lambda: _coco_style(COCO_17), _json, _annotation),
    "coco_wholebody": Kind("a.json", _whole_body, _json, _annotation),
    "crowdpose": Kind("a.json", lambda: _coco_style(CROWDPOSE_14), _json, _annotation),
    "ochuman": Kind("a.json", _ochuman, _json, _annotation),
    "posetrack": Kind("a.json", lambda: _coco_style(tuple(_POSETRACK.split()), track_id=4), _json,
                      _annotation),
    "mpii": Kind("a.json", _mpii, _json, _annotation),
    "lsp": Kind("joints.mat", lambda: {"joints": np.ones((3, 14, 4)) * 9.0}, _mat, _annotation),
    "h36m": Kind("S9/MyPoseFeatures/D3_Positions_mono/Directions 1.60457274.cdf",
                 lambda: {"Pose": np.ones((1, 3, 96), np.float32)}, _cdf,
                 _annotation_of("h36m", 4)),
    "h36m_train": Kind("S1/gt_poses_coco_smpl.pkl", _h36m_train, _pickle,
                       _annotation_of("h36m_train", 0)),
    "mpi_inf_3dhp, training": Kind("S1/Seq1/annot.mat", _mpi_train, _mat,
                                   _annotation_of("mpi_inf_3dhp")),
    "mpi_inf_3dhp, test": Kind("TS1/annot_data.mat", _mpi_test, _h5, _annotation),
    "panoptic": Kind("annotation.pkl", _panoptic, _write_panoptic, _annotation_of("panoptic", 1)),
    "panoptic, cameras": Kind("camera_data.pkl", _studio, _write_studio,
                              _annotation_of("panoptic", 1)),
    "threedpw": Kind("walk.pkl", _threedpw, _pickle, _annotation_of("threedpw")),
    "openpose": Kind("a_keypoints.json", _detections({"pose_keypoints_2d": _points(25)}), _json,
                     _annotation_of("openpose", 1)),
    "spin_npz": Kind("a.npz", _spin, _npz, _annotation),
    "spin_npz of objects": Kind("a.npz", _boxes, _npz, _annotation),
    "cliff_npz": Kind("a.npz", _cliff, _npz, _annotation),
    "eft_json": Kind("a.json", _eft, _json, _annotation),
    "table": Kind("a.parquet", _table_rows, _write_table, _annotation_of("table")),
    "smpl, npz": Kind("smpl.npz", _smpl, _npz, _body),
    "smpl, pkl": Kind("smpl.pkl", _sparse_smpl, _pickle, _body),
    "smpl, regressor": Kind("J_regressor_h36m.npy", lambda: {"array": np.ones((17, 60))},
                            _write_regressor_beside, _body),
    "pose prior": Kind("gmm.pkl", _gmm, _pickle, read_gmm),
    "published checkpoint": Kind("a.pt", _published, torch.save, _network),
    "published checkpoint, old": Kind("a.pt", _published, _old_torch, _network),
    "safetensors": Kind("a.safetensors", _safetensors, _write_safetensors, load_regressor),
    "mean_params": Kind("m.npz", lambda: {"pose": np.ones(144), "shape": np.ones(10),
                                          "cam": np.ones(3)}, _npz, read_mean_params),
    "training checkpoint": Kind("last.pt", _training, lambda c, p: save_checkpoint(p, c), _resumed),
    "training log": Kind("log.csv", lambda: "step,loss\n1,2.0\n2,3.0\n", _text, _log),
    "training sources": Kind("mix.json", _sources, _write_sources, _trained_on),
    "training people": Kind("people.npz", _spin, _write_people, _people),
    "evaluation run": Kind("samples.parquet", _run, _write_run, _evaluation),
    "evaluation block": Kind("b.parquet", _run_rows, _write_block, read_rows),
    "finding": Kind("f.json", _finding, _json, read_finding),
    "votes": Kind("votes.json", _votes, _json, read_votes),
    "images, tar": Kind("a.tar", _tar, _write_tar, _images),
    "ledger": Kind(LEDGER, _ledger, _write_ledger, _job),
    **{
        f"image, {kind}": Kind(f"a.{kind.lower()}", lambda: {"size": 32}, _picture(kind), _image)
        for kind in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF", "DDS")
    },
}  # fmt: skip
"""Every reader's files."""
