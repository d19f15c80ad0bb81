"""Make `src/exemplar/assets/demo.png` from a photograph that scikit-image carries.

python scripts/export_demo_photo.py
"""

from pathlib import Path

import skimage
from PIL import Image

OUT = Path(__file__).parent.parent / "src/exemplar/assets/demo.png"


def main() -> None:
    """NASA's portrait of Eileen Collins, public domain, 512x512."""
    Image.fromarray(skimage.data.astronaut()).save(OUT, optimize=True)
    print(f"{OUT} {OUT.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
