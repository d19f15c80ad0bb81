"""What a camera and a file format do to a picture."""

import cv2
import numpy as np

from exemplar.synth.config import SceneConfig

_LUMA = np.array([[0.30, 0.59, 0.11]], np.float32)


def photograph(
    rng: np.random.Generator, linear: np.ndarray, config: SceneConfig
) -> np.ndarray:
    """Linear light float32 (H, W, 3) to an imperfect uint8 photograph of the same size."""
    exposure = np.exp(rng.normal(0, 0.18))
    balance = np.exp(rng.normal(0, 0.07, 3))
    linear = linear * (exposure * balance).astype(np.float32)
    if rng.random() < config.blur:
        linear = _blur(rng, linear)
    image = np.power(np.clip(linear, 0, 1), np.float32(0.5 * np.exp(rng.normal(0, 0.12))))
    image = _tone(rng, image, config)
    size = image.shape[:2][::-1]
    if rng.random() < config.low_resolution:
        small = int(size[0] / rng.uniform(1.5, 4.5))
        image = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    if rng.random() < config.noise:
        image = image + _sensor_noise(rng, image.shape)
    out = (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
    if rng.random() < config.jpeg:
        out = _jpeg(out, int(rng.integers(25, 96)))
    if out.shape[:2][::-1] != size:
        way = cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_CUBIC
        out = cv2.resize(out, size, interpolation=way)
    return out


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


def _tone(rng: np.random.Generator, image: np.ndarray, config: SceneConfig) -> np.ndarray:
    contrast = np.float32(np.exp(rng.normal(0, 0.15)))
    image = (image - 0.5) * contrast + np.float32(0.5 + rng.normal(0, 0.03))
    grey = cv2.transform(image, _LUMA)[..., None]
    keep = 0.0 if rng.random() < config.grey else np.exp(rng.normal(0, 0.2))
    return grey + (image - grey) * np.float32(keep)


def _sensor_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    strength = np.float32(np.exp(rng.uniform(np.log(0.004), np.log(0.05))))
    grain = rng.random(shape, dtype=np.float32) + rng.random(shape, dtype=np.float32) - 1
    return grain * (strength * np.float32(2.4))


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG and back; OpenCV keeps colours in BGR order."""
    options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    done, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    assert done, "encoding a picture in memory"
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
