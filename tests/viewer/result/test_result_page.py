"""The page of a result: what it holds, its server, and what it does in a browser."""

import base64
import http.client
import io
import json
import threading
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image

from exemplar.bodies import load_body
from exemplar.data.calibration import write_cameras
from exemplar.export import write_motion_glb, write_npz
from exemplar.files.video_files import video_writer
from exemplar.motion import MISSING, Camera, vertices_at
from exemplar.motion_files import write_motions
from exemplar.results import FitResult
from exemplar.viewer import local_server
from exemplar.viewer.result import scene as scene_module
from exemplar.viewer.result.page import ResultServer, scene_script, write_result_page
from exemplar.viewer.result.scene import read_scene
from tests.fixtures.browsers import Driven, browsed, needs_chromium
from tests.fixtures.made_motions import made_motion
from tests.fixtures.made_results import made_result
from tests.fixtures.made_rig import made_rig

GREY = np.full((480, 640, 3), 200, np.uint8)

TURNS = """
<script>
const wait = () => (document.body.dataset.ready ? go() : setTimeout(wait, 50));
function drawn() {
  const canvas = document.getElementById("canvas"), gl = canvas.getContext("webgl2");
  const pixels = new Uint8Array(4 * canvas.width * canvas.height);
  gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  return pixels.reduce((sum, value) => (31 * sum + value) | 0, 0);
}
function go() {
  const slider = document.getElementById("frame"), seen = [drawn()];
  slider.value = 0;
  slider.dispatchEvent(new Event("input"));
  seen.push(drawn());
  for (const id of ["joints", "side", "photo", "bodies"]) {
    document.getElementById(id).click();
    seen.push(drawn());
  }
  document.getElementById("labels").click();
  const names = document.querySelectorAll("#names span").length;
  const frame = document.body.dataset.frame;
  document.title = `${new Set(seen).size} pictures, ${names} names, frame ${frame}`;
}
addEventListener("error", (event) => (document.title = event.message));
wait();
</script>
</body>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_npz(fitted(), tmp_path / "fit.npz")
    Image.fromarray(GREY).save(tmp_path / "photo.jpg")
    return tmp_path


def fitted() -> FitResult:
    return made_result(GREY, [(200.0, 240.0), (430.0, 230.0)], 300.0, steps=4)


def grey_of(url: str) -> float:
    """How light the picture of a data URL is, 0 to 255."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))).mean()


def shown_vertices(person: dict[str, Any]) -> np.ndarray:
    """As the page's script makes them from what it is told."""
    steps = np.frombuffer(zlib.decompress(base64.b64decode(person["vertices"])), "<u2")
    steps = steps.reshape(len(person["seen"]), -1, 3).cumsum(0, dtype=np.uint16)
    return np.array(person["low"]) + np.array(person["scale"]) * steps


def test_a_fit_is_shown_with_every_iterate_to_a_tenth_of_a_millimetre(folder: Path) -> None:
    scene, result = read_scene(folder, load_body), fitted()
    assert (scene["times"], scene["title"], len(scene["people"])) == ([], folder.name, 2)
    (camera,) = scene["cameras"]
    assert (camera["focal"], camera["centre"]) == ([result.focal] * 2, [320.0, 240.0])
    assert (camera["size"], camera["rotation"]) == ([640, 480], np.eye(3).tolist())
    assert len(camera["pictures"]) == 1
    assert camera["pictures"][0].startswith("data:image/jpeg;base64,")
    for person, shown in zip(result.people, scene["people"], strict=True):
        expected = np.stack([state.vertices for state in person.steps])
        assert np.abs(shown_vertices(shown) - expected).max() < 1e-4
        assert shown["errors"] == [round(state.error_px, 2) for state in person.steps]


def test_a_clip_is_shown_over_its_time_with_its_gaps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    motion = made_motion(10, frame="world")
    motion = replace(motion, status=(*motion.status[:4], MISSING, *motion.status[5:]))
    monkeypatch.setattr(scene_module, "MOST_FRAMES", 5)
    write_motions([motion], tmp_path / "motion.npz")
    scene = read_scene(tmp_path, load_body)
    assert scene["cameras"] == []
    assert scene["times"] == (motion.times[::2] - motion.times[0]).round(4).tolist()
    (person,) = scene["people"]
    assert person["seen"] == [True, True, False, True, True]
    upright = vertices_at(motion, load_body(), 2) * (1, -1, -1)
    assert np.abs(shown_vertices(person)[1] - upright).max() < 1e-4


def test_several_cameras_stand_where_they_see_the_bodies_from(tmp_path: Path) -> None:
    """A point in the page's axes is projected to the pixel at which its camera saw it."""
    motion = replace(made_motion(2, frame="world"), camera=None)
    cameras = [replace(camera, distortion=np.zeros(0)) for camera in made_rig()]
    write_motions([motion, motion], tmp_path / "motion.npz")
    write_cameras(cameras, tmp_path / "cameras.toml")
    Image.fromarray(GREY).save(tmp_path / "cam1.png")
    scene = read_scene(tmp_path, load_body, photos=[tmp_path / "cam1.png"])
    assert [len(camera["pictures"]) for camera in scene["cameras"]] == [0, 1, 0]
    of_world = vertices_at(motion, load_body(), 1)
    shown = shown_vertices(scene["people"][1])[1]
    for camera, told in zip(cameras, scene["cameras"], strict=True):
        local = shown @ np.array(told["rotation"]).T + told["translation"]
        seen = local[:, :2] / local[:, 2:] * told["focal"] + told["centre"]
        assert np.abs(seen - camera.project(of_world)).max() < 0.1


def test_a_clip_has_the_picture_of_each_frame_behind_it(tmp_path: Path) -> None:
    pytest.importorskip("av")
    motion = replace(made_motion(4, fps=10.0), camera=Camera(600.0, np.array([32.0, 24]), (64, 48)))
    motion = replace(motion, times=motion.times + 0.2)
    greys = [0, 40, 80, 120, 160, 200]
    with video_writer(tmp_path / "clip.mp4", 10.0) as write:
        for grey in greys:
            write(np.full((48, 64, 3), grey, np.uint8))
    write_motions([motion], tmp_path / "motion.npz")
    scene = read_scene(tmp_path, load_body, photos=[tmp_path / "clip.mp4"])
    seen = [grey_of(url) for url in scene["cameras"][0]["pictures"]]
    assert np.abs(np.array(seen) - greys[2:]).max() < 8  # H.264 and JPEG lose a little


def test_cameras_that_took_folders_of_frames_show_those_of_each_moment(tmp_path: Path) -> None:
    """Cameras of other rates, one of which is late."""
    motion = replace(made_motion(3, frame="world", fps=10.0), camera=None)
    motion = replace(motion, times=motion.times + 0.1)
    write_motions([motion], tmp_path / "motion.npz")
    cameras = [replace(camera, distortion=np.zeros(0)) for camera in made_rig(2)]
    write_cameras(cameras, tmp_path / "cameras.toml")
    summary = {"cameras": ["cam0", "cam1"], "offsets_s": [0.0, 0.1], "camera_fps": [10.0, 20.0]}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    folders = [tmp_path / "frames" / camera.name for camera in cameras]
    for folder in folders:
        folder.mkdir(parents=True)
        for number in range(7):
            Image.fromarray(np.full_like(GREY, 30 * number)).save(folder / f"{number:03d}.png")
    scene = read_scene(tmp_path, load_body, photos=folders)
    shown = [[round(grey_of(url) / 30) for url in c["pictures"]] for c in scene["cameras"]]
    assert shown == [[1, 2, 3], [4, 6, 6]]  # the late camera's folder ends before
    with pytest.raises(ValueError, match="1 file for 2 cameras"):
        read_scene(tmp_path, load_body, photos=[tmp_path / "frames"])
    (tmp_path / "summary.json").unlink()
    with pytest.raises(ValueError, match="does not say how many frames a second"):
        read_scene(tmp_path, load_body, photos=folders)
    (tmp_path / "summary.json").write_text(json.dumps(summary | {"camera_fps": [10.0, -1]}))
    with pytest.raises(ValueError, match=r"summary\.json: expected finite offsets"):
        read_scene(tmp_path, load_body, photos=folders)


def test_a_glb_is_shown_with_its_bones(tmp_path: Path) -> None:
    motion = made_motion(3, frame="world")
    write_motion_glb({0: motion}, load_body(), tmp_path / "walk.glb")
    scene = read_scene(tmp_path / "walk.glb", load_body)
    assert (scene["title"], len(scene["times"]), scene["cameras"]) == ("walk", 3, [])
    (person,), (mesh,) = scene["people"], scene["meshes"]
    assert (person["name"], mesh["jointNames"][1]) == ("person 0", "left hip")
    upright = vertices_at(motion, load_body(), 2) * (1, -1, -1)
    assert np.abs(shown_vertices(person)[2] - upright).mean() < 0.01  # the mesh at rest is fitted


def test_what_cannot_be_shown_is_one_line(folder: Path) -> None:
    with pytest.raises(FileNotFoundError, match="expected the folder that exemplar fit, video"):
        read_scene(folder / "nowhere", load_body)
    Image.fromarray(GREY[:100]).save(folder / "other.png")
    with pytest.raises(ValueError, match=r"other\.png is no result: expected the folder"):
        read_scene(folder / "other.png", load_body)
    with pytest.raises(ValueError, match="is 640 x 100 px, expected the 640 x 480 of the result"):
        read_scene(folder, load_body, photos=[folder / "other.png"])
    with np.load(folder / "fit.npz") as arrays:
        cut = {name: value for name, value in arrays.items() if name != "step_betas"}
    np.savez(folder / "cut.npz", **cut)
    with pytest.raises(ValueError, match="lacks step_betas"):
        read_scene(folder / "cut.npz", load_body)


def test_no_text_of_a_result_can_end_the_script() -> None:
    script = scene_script({"title": "</script><script>alert(1)</script>"})
    assert "</script" not in script
    assert json.loads(script.partition("=")[2].rstrip(";\n"))["title"].startswith("</script>")


def test_the_server_gives_the_page_to_those_who_know_its_address() -> None:
    with ResultServer({"title": "a"}) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        secret = urlsplit(server.address).path
        for path, status in (
            *((secret, 200), (f"{secret}scene.js", 200), (f"{secret}result.js", 200)),
            *((f"{secret}fit.npz", 404), ("/scene.js", 403), ("/", 403)),
        ):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port)
            connection.request("GET", path)
            assert connection.getresponse().status == status, path
        server.shutdown()


@needs_chromium
def test_in_a_browser_the_slider_moves_the_body_and_nothing_is_loaded(folder: Path) -> None:
    page = folder / "page.html"
    write_result_page(read_scene(folder, load_body), page)
    assert "http" not in page.read_text().replace("http-equiv", "")
    page.write_text(page.read_text().replace("</body>", TURNS))
    title, console = browsed(page.as_uri(), folder)
    assert title == "6 pictures, 48 names, frame 0"
    assert "CONSOLE" not in console


CHANGES = """
(() => {
  const data = document.body.dataset, id = (name) => document.getElementById(name), seen = [];
  const until = (true_, then) => (true_() ? then() : setTimeout(() => until(true_, then), 20));
  const change = (name, value, event) => {
    id(name).value = value;
    id(name).dispatchEvent(new Event(event));
  };
  function note() {
    const canvas = id("canvas"), gl = canvas.getContext("webgl2"), pixel = new Uint8Array(4);
    gl.readPixels(canvas.width / 2, canvas.height - 9, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
    seen.push(pixel[0]);
  }
  until(() => data.ready, () => {
    note();
    change("frame", 1, "input");
    until(() => data.picture === "1", () => {
      note();
      delete data.picture;
      change("camera", 1, "change");
      until(() => data.picture === "1", () => {
        note();
        id("side").click();
        document.title = `${seen.join(" ")} ${document.querySelectorAll("#names span").length}`;
      });
    });
  });
  addEventListener("error", (event) => (document.title = event.message));
})();
"""


@needs_chromium
def test_a_browser_shows_each_frame_of_each_camera_that_the_server_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two cameras of two pictures: a slider's step and another camera bring theirs."""
    motion = replace(made_motion(2, frame="world"), camera=None)
    write_motions([motion], tmp_path / "motion.npz")
    write_cameras(made_rig(2), tmp_path / "cameras.toml")
    scene = read_scene(tmp_path, load_body)
    for number, camera in enumerate(scene["cameras"]):
        greys = [np.full((48, 64, 3), 60 + 100 * number + 20 * frame) for frame in range(2)]
        camera["pictures"] = [data_url(grey.astype(np.uint8)) for grey in greys]
    title, console = served_and_driven(scene, CHANGES, tmp_path, monkeypatch)
    assert title == "60 80 180 2"
    assert "CONSOLE" not in console


PLAYS = """
(() => {
  const data = document.body.dataset, id = (name) => document.getElementById(name);
  const until = (true_, then) => (true_() ? then() : setTimeout(() => until(true_, then), 20));
  const drawn = () => {
    const canvas = id("canvas"), gl = canvas.getContext("webgl2");
    const pixels = new Uint8Array(4 * canvas.width * canvas.height);
    gl.readPixels(0, 0, canvas.width, canvas.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    return pixels.reduce((sum, value) => (31 * sum + value) | 0, 0);
  };
  const told = [], seen = {}, last = () => id("frame").max;
  const note = () => (seen[data.frame] = drawn());
  const pressed = (key) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  window.requestAnimationFrame = (call) => setTimeout(call, 16);  // without a window it is rare
  until(() => data.ready, () => {
    if (!id("before").hidden) id("before").click();
    id("play").click();
    told.push(id("play").textContent);
    until(() => (note(), data.frame === last()), () => setTimeout(() => {
      const pictures = new Set(Object.values(seen));
      told.push(id("play").textContent, Object.keys(seen).length, pictures.size);
      pressed(" ");  // from the beginning
      until(() => data.frame === "1", () => {
        pressed(" ");
        setTimeout(() => {
          told.push(id("play").textContent, data.frame, id("frame").value);
          id("frame").value = 2;
          id("frame").dispatchEvent(new Event("input"));
          told.push(data.frame, drawn() === seen[2], id("where").value);
          document.title = told.join(", ");
        }, 2000);
      });
    }, 500));
  });
  addEventListener("error", (event) => (document.title = event.message));
})();
"""
"""Plays to the end, plays again and stops at the second frame, and moves the slider to the third:
what the button says, how many frames and pictures were seen, and where the page is."""


@needs_chromium
def test_in_a_browser_a_fit_plays_stops_and_is_scrubbed(folder: Path) -> None:
    page = folder / "page.html"
    write_result_page(read_scene(folder, load_body), page)
    page.write_text(page.read_text().replace("</body>", f"<script>{PLAYS}</script></body>"))
    title, console = browsed(page.as_uri(), folder)
    frames = len(fitted().people[0].steps)
    told = f"Pause, Play, {frames}, {frames}, Play, 1, 1, 2, true, iteration 2 of {frames - 1}: "
    assert title.startswith(told)
    assert "CONSOLE" not in console


@needs_chromium
def test_in_a_browser_a_clip_that_is_served_plays_stops_and_is_scrubbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_motions([made_motion(4, fps=5.0, frame="world")], tmp_path / "motion.npz")
    scene = read_scene(tmp_path, load_body)
    title, console = served_and_driven(scene, PLAYS, tmp_path, monkeypatch)
    assert title == "Pause, Play, 4, 4, Play, 1, 1, 2, true, frame 3 of 4, 0.40 s"
    assert "CONSOLE" not in console


@needs_chromium
def test_a_mouse_turns_the_body_and_keys_go_through_the_fit(folder: Path) -> None:
    page = folder / "page.html"
    write_result_page(read_scene(folder, load_body), page)
    last = len(fitted().people[0].steps) - 1
    with Driven(folder) as window:
        window.open(page.as_uri())
        window.until("document.body?.dataset.ready")
        fit = window.picture()
        window.press("b", "KeyB", 66)
        assert window.told("document.body.dataset.frame") == "0"
        guess = window.picture()
        window.press(" ", "Space", 32)
        window.until(f"document.body.dataset.frame === '{last}'")
        assert window.until("document.getElementById('play').textContent === 'Play'")
        window.drag((400, 300), (600, 300))
        turned = window.picture()
        assert len({fit, guess, turned}) == 3
        assert window.console == []


def served_and_driven(
    scene: dict[str, Any], script: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[str, str]:
    """What a browser says of a served scene whose page has one more script."""
    packaged = local_server.packaged
    driven = {"result/result.js": packaged("result/result.js") + script.encode()}
    monkeypatch.setattr(local_server, "packaged", lambda name: driven.get(name, packaged(name)))
    with ResultServer(scene) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found = browsed(server.address, folder)
        server.shutdown()
    return found


def data_url(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
