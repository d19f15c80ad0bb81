"""What `exemplar.fit` returns: a fitted photo, and what a person makes of it.

`results.FitResult` is the data, which fitting, pictures and files know; files and pictures lie in
layers above it, so the methods that write and draw them are here.
"""

import base64
import html
import io
from dataclasses import fields
from pathlib import Path

from PIL import Image

from exemplar import results
from exemplar.export import write_glb, write_json, write_npz
from exemplar.files.image_files import write_image
from exemplar.motion_files import PHOTO_FILE
from exemplar.render.overlay import overlay_picture, steps_gif

_SHOWN_PX = 900
_HEADINGS = ("person", "status", "network px", "fit px", "iterations", "seconds")


class FitResult(results.FitResult):
    """A fitted photo: `people`, `camera` numbers, and ways to keep and to look at them.

        result = exemplar.fit("photo.jpg")
        result.save("out")          # pictures, meshes and numbers, as `exemplar fit` writes them
        result.to_glb("body.glb")   # the bodies for Blender and other 3D programs
        result.plot().show()        # the photo, the network's answer and the fit
        result.people[0].after.joints_3d

    All coordinates are in the photo's camera frame: x right, y down, z forward, metres.
    """

    @classmethod
    def of(cls, result: results.FitResult) -> "FitResult":
        """The same result with these methods."""
        return cls(**{field.name: getattr(result, field.name) for field in fields(result)})

    def save(self, folder: str | Path, *, fit_name: str = "EFT") -> list[Path]:
        """Write what `exemplar fit` writes into a folder, which is made; returns the files.

        `fit.json` and `fit.npz` (numbers), `body.glb` (meshes), `overlay.png` and `steps.gif`
        (pictures, where `fit_name` is what the fit is called), `photo.jpg` (the photo). OSError
        when one cannot be written, ValueError for a result without people.
        """
        folder = Path(folder)
        writers = {
            "fit.json": lambda path: write_json(self, path),
            "fit.npz": lambda path: write_npz(self, path),
            "body.glb": self.to_glb,
            "overlay.png": lambda path: write_image(overlay_picture(self, fit_name=fit_name), path),
            "steps.gif": lambda path: steps_gif(self, path),
            PHOTO_FILE: lambda path: write_image(self.image, path),
        }
        for name, write in writers.items():
            write(folder / name)
        return [folder / name for name in writers]

    def to_glb(self, path: str | Path) -> None:
        """Write the bodies as a binary glTF scene: metres, y up, the photo's camera at the origin.

        ValueError for a result without people, OSError when the file cannot be written.
        """
        write_glb(self, path)

    def plot(self, *, fit_name: str = "EFT") -> Image.Image:
        """The photo, the network's answer, the fit, and the fit from the side, as one picture."""
        return Image.fromarray(overlay_picture(self, fit_name=fit_name))

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        people = ", ".join(
            f"{person.status} {person.before.error_px:.1f} -> {person.after.error_px:.1f} px"
            for person in self.people
        )
        return f"<FitResult of a photo of {width} x {height} px: {people or 'nobody'}>"

    def _repr_html_(self) -> str:
        """For notebooks: the picture, and a row a person."""
        picture, file = self.plot(), io.BytesIO()
        picture.thumbnail((_SHOWN_PX, _SHOWN_PX))
        picture.save(file, "JPEG", quality=88)
        source = f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
        rows = (
            (
                *(number, person.status, f"{person.before.error_px:.1f}"),
                *(f"{person.after.error_px:.1f}", person.iterations, f"{person.seconds:.1f}"),
            )
            for number, person in enumerate(self.people)
        )
        table = "".join(_row(row, "td") for row in rows)
        note = "px: mean 2D error over the fitted keypoints, of a crop of 224 px"
        return (
            f'<img src="{source}" alt="the photo and the fitted bodies">'
            f"<table>{_row(_HEADINGS, 'th')}{table}</table><small>{note}</small>"
        )


def _row(cells: tuple[object, ...], tag: str) -> str:
    return f"<tr>{''.join(f'<{tag}>{html.escape(str(cell))}</{tag}>' for cell in cells)}</tr>"
