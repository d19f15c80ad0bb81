"""`exemplar view`: the page of a fitted photo or clip."""

from rich.console import Console

from exemplar.cli.options.view import ViewCommand
from exemplar.viewer.local_pages import NamedBodies, open_page
from exemplar.viewer.result.page import serve_result, write_result_page
from exemplar.viewer.result.scene import read_scene


def run(command: ViewCommand) -> None:
    """Look at a fitted photo or clip in 3D."""
    console = Console(soft_wrap=True, highlight=False)
    scene = read_scene(command.result, NamedBodies(command.body), photos=command.photo)
    if command.html is not None:
        write_result_page(scene, command.html)
        console.print(f"wrote {command.html}", markup=False)
        return

    def opened(address: str) -> None:
        line = f"{command.result} is shown at {address} (Ctrl-C ends)"
        open_page(console, line, address, browser=command.browser)

    serve_result(scene, port=command.port, opened=opened)
