"""A data set's people as one small archive: crops in a tar file, and their annotation.

    python -m scripts.pack_people --annotations ../shared/lspet/joints.mat \
        --images ../shared/lspet/images --out .gpu/people

Writes people.npz (SPIN's layout) and images.tar, which `exemplar lift --annotations OUT/people.npz
--images OUT/images.tar` reads: people to carry to a machine that has no data set.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import tyro
from jaxtyping import UInt8

from exemplar.data.formats import read, spin_npz
from exemplar.files.image_store_files import ImageStore, open_images
from exemplar.samples import Sample

REACH = 1.6
"""Side of a crop, of the annotated box: networks' crops are larger than some boxes, and turned."""


@dataclass(frozen=True)
class Config:
    """Settings."""

    annotations: Path
    """Annotation of any format that `exemplar data inspect` knows."""
    images: Path
    """Folder or tar file of its images."""
    out: Path
    """Folder to write."""
    count: int = 400
    """People at most."""
    megabytes: float = 4.0
    """Size of the images at most."""
    side: int = 288
    """Largest side of a crop, px."""
    quality: int = 85
    """Of the JPEG files."""
    least: int = 8
    """People with fewer annotated keypoints are left out."""


def main(config: Config) -> None:
    """Pack."""
    config.out.mkdir(parents=True, exist_ok=True)
    people: list[Sample] = []
    size = 0
    with tarfile.open(config.out / "images.tar", "w") as archive:
        for sample, jpeg in packed(config, open_images(str(config.images))):
            size += len(jpeg)
            if len(people) == config.count or size > config.megabytes * 1e6:
                break
            entry = tarfile.TarInfo(sample.image)
            entry.size = len(jpeg)
            archive.addfile(entry, io.BytesIO(jpeg))
            people.append(sample)
    if not people:
        raise ValueError(f"{config.annotations} has nobody to pack whose image is readable")
    spin_npz.write(people, config.out / "people.npz")
    total = sum(path.stat().st_size for path in config.out.iterdir()) / 1e6
    print(f"{len(people)} people, {total:.1f} MB in {config.out}")


def packed(config: Config, images: ImageStore) -> Iterator[tuple[Sample, bytes]]:
    """People in their crops' pixels, and the crops as JPEG; who cannot be cropped is left out."""
    number = 0
    for sample in read(config.annotations):
        if sample.problem or (sample.keypoints_2d[:, 2] > 0).sum() < config.least:
            continue
        try:
            pixels = images.read(sample.image)
            own, crop = cropped(sample, pixels, config.side)
        except (ValueError, OSError):
            continue
        quality = [cv2.IMWRITE_JPEG_QUALITY, config.quality]
        _, jpeg = cv2.imencode(".jpg", np.ascontiguousarray(crop[..., ::-1]), quality)
        yield replace(own, image=f"{number:06d}.jpg"), jpeg.tobytes()
        number += 1


def cropped(
    sample: Sample, pixels: UInt8[np.ndarray, "h w 3"], side: int
) -> tuple[Sample, UInt8[np.ndarray, "h2 w2 3"]]:
    """A person in the pixels of a crop, no larger than `side`; ValueError where there is none."""
    known = sample.keypoints_2d[sample.keypoints_2d[:, 2] > 0, :2]
    reach = REACH * max(sample.box_size, float(np.ptp(known, axis=0).max())) / 2
    height, width = pixels.shape[:2]
    low = np.floor(np.clip(sample.box_centre - reach, 0, (width, height))).astype(int)
    high = np.ceil(np.clip(sample.box_centre + reach, 0, (width, height))).astype(int)
    crop = pixels[low[1] : high[1], low[0] : high[0]]
    if min(crop.shape[:2]) < 2:
        raise ValueError("box outside the image")
    factor = min(1.0, side / max(crop.shape[:2]))
    wide, high_px = (max(1, round(factor * n)) for n in crop.shape[1::-1])
    scale = np.array([wide / crop.shape[1], high_px / crop.shape[0]])
    keypoints = sample.keypoints_2d.copy()
    keypoints[:, :2] = (keypoints[:, :2] - low) * scale
    own = replace(
        sample,
        box_centre=(sample.box_centre - low) * scale,
        box_scale=sample.box_scale * factor,
        keypoints_2d=keypoints,
        joints_3d=None,
        body=None,
        intrinsics=None,
        image_size=None,
        extra={},
    )
    return own, cv2.resize(crop, (wide, high_px), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main(tyro.cli(Config))
