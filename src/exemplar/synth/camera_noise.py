"""What a camera and a file format do to a picture."""

import cv2
import numpy as np

from exemplar.render.raster import compiled
from exemplar.synth.config import SceneConfig

_CURVE_STEPS = 4096


def photograph(rng: np.random.Generator, linear: np.ndarray, config: SceneConfig) -> np.ndarray:
    """Linear light float32 (H, W, 3) to an imperfect uint8 photograph of the same size."""
    gains = np.exp(rng.normal(0, 0.18) + rng.normal(0, 0.07, 3)).astype(np.float32)
    if rng.random() < config.blur:
        linear = _blur(rng, linear)
    size = linear.shape[:2][::-1]
    small = size
    if rng.random() < config.low_resolution:
        small = (int(size[0] / rng.uniform(1.5, 4.5)),) * 2
        linear = cv2.resize(linear, small, interpolation=cv2.INTER_AREA)
    exponent = 0.5 * np.exp(rng.normal(0, 0.12))
    curve = np.linspace(0, 1, _CURVE_STEPS, dtype=np.float32) ** np.float32(exponent)
    contrast = np.float32(np.exp(rng.normal(0, 0.15)))
    curve = (curve - np.float32(0.5)) * contrast + np.float32(0.5 + rng.normal(0, 0.03))
    keep = 0.0 if rng.random() < config.grey else np.exp(rng.normal(0, 0.2))
    grain = np.zeros((1, 1, 3), np.float32)
    if rng.random() < config.noise:
        strength = np.exp(rng.uniform(np.log(0.004), np.log(0.05)))
        grain = rng.standard_normal(linear.shape, dtype=np.float32) * np.float32(strength)
    out = np.empty(linear.shape, np.uint8)
    develop(linear, gains, curve.astype(np.float32), np.float32(keep), grain, out)
    if rng.random() < config.jpeg:
        out = _jpeg(out, int(rng.integers(25, 96)))
    if small != size:
        way = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        out = cv2.resize(out, size, interpolation=way)
    return out


@compiled
def develop(linear, gains, curve, saturation, grain, out):
    """Exposure and white balance, tone curve (a table over 0..1), saturation, grain, rounding."""
    height, width = linear.shape[:2]
    last = curve.shape[0] - 1
    grainy = grain.shape[0] == height
    colour = np.zeros(3, np.float32)
    for y in range(height):
        for x in range(width):
            for c in range(3):
                light = min(max(linear[y, x, c] * gains[c], np.float32(0)), np.float32(1))
                colour[c] = curve[int(light * last)]
            grey = np.float32(0.30) * colour[0] + np.float32(0.59) * colour[1]
            grey += np.float32(0.11) * colour[2]
            for c in range(3):
                value = grey + (colour[c] - grey) * saturation
                if grainy:
                    value += grain[y, x, c]
                value = min(max(value, np.float32(0)), np.float32(1))
                out[y, x, c] = int(value * np.float32(255) + np.float32(0.5))


def _blur(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    if rng.random() < 0.7:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 1.8))
    length = int(rng.integers(3, 12))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle, reach = (length - 1) / 2, (length - 1) / 2
    along = np.array([np.cos(angle), np.sin(angle)]) * reach
    start, stop = (middle - along).round().astype(int), (middle + along).round().astype(int)
    cv2.line(kernel, tuple(start.tolist()), tuple(stop.tolist()), 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG and back; OpenCV keeps colours in BGR order."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done, "encoding a picture in memory"
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None, "decoding what was just encoded"
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
