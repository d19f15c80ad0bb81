"""Images in folders, stores and tar files are the same images."""

import io
import pickle
import sys
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from exemplar.files.image_files import OutsideError
from exemplar.files.image_store_files import FolderImages, ImageStore, RemoteImages, open_images

NAMES = ("a.png", "below/b.png")


def picture(name: str) -> np.ndarray:
    return np.random.default_rng(len(name)).integers(0, 256, (20, 30, 3), np.uint8)


def encoded(name: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(name)).save(stream, "png")
    return stream.getvalue()


def tar(path: Path, names: tuple[str, ...], prefix: str = "") -> Path:
    with tarfile.open(path, "w") as file:
        for name in names:
            info = tarfile.TarInfo(prefix + name)
            info.size = len(encoded(name))
            file.addfile(info, io.BytesIO(encoded(name)))
        file.addfile(tarfile.TarInfo("empty.png"))
    return path


def in_a_folder(folder: Path) -> str:
    for name in NAMES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(encoded(name))
    (folder / "empty.png").touch()
    return str(folder)


def in_a_tar(folder: Path) -> str:
    return str(tar(folder / "all.tar", NAMES, "./"))


def in_shards(folder: Path) -> str:
    for number, name in enumerate(NAMES, start=9):
        with tarfile.open(tar(folder / f"s-{number:04}.tar", (name,)), "a"):
            pass
    with tarfile.open(folder / "s-0010.tar", "w") as file:  # without the empty one
        info = tarfile.TarInfo(NAMES[1])
        info.size = len(encoded(NAMES[1]))
        file.addfile(info, io.BytesIO(encoded(NAMES[1])))
    return str(folder / "s-{0009..0010}.tar")


def in_a_store(folder: Path) -> str:
    fsspec = pytest.importorskip("fsspec")
    root = f"/{uuid.uuid4().hex}"
    system = fsspec.filesystem("memory")
    for name in NAMES:
        system.pipe(f"{root}/{name}", encoded(name))
    system.pipe(f"{root}/empty.png", b"")
    return f"memory:/{root}/"


def in_a_store_s_tars(folder: Path) -> str:
    fsspec = pytest.importorskip("fsspec")
    root = f"/{uuid.uuid4().hex}"
    in_shards(folder)
    for file in folder.glob("*.tar"):
        fsspec.filesystem("memory").pipe(f"{root}/{file.name}", file.read_bytes())
    return f"memory:/{root}/s-*.tar"


def by_its_url(folder: Path) -> str:
    return f"file://{in_a_folder(folder)}"


PLACES = [in_a_folder, by_its_url, in_a_tar, in_shards, in_a_store, in_a_store_s_tars]


@pytest.fixture(params=PLACES)
def images(request: pytest.FixtureRequest, tmp_path: Path) -> ImageStore:
    place: Callable[[Path], str] = request.param
    return pickle.loads(pickle.dumps(open_images(place(tmp_path))))


def test_every_place_gives_the_same_images(images: ImageStore) -> None:
    images.check()
    for name in NAMES:
        assert images.has(name)
        assert np.array_equal(images.read(name), picture(name))
        assert images.size(name) == (30, 20)


def test_what_is_not_there_is_missing_and_what_is_broken_is_unreadable(images: ImageStore) -> None:
    assert not any(images.has(name) for name in ("c.png", "x" * 5000, "../../c.png", ""))
    for read in (images.read, images.size):
        with pytest.raises(FileNotFoundError, match=r"no image .*c\.png"):
            read("c.png")
        with pytest.raises(ValueError, match=r"empty\.png") as error:
            read("empty.png")
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("place", [in_a_store, in_a_folder])
def test_names_do_not_leave_their_place(place: Callable[[Path], str], tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "a.png").write_bytes(encoded("a.png"))
    images = open_images(place(tmp_path / "images"))
    for name in ("../a.png", str(tmp_path / "a.png")):
        assert not images.has(name)
        for read in (images.read, images.size):
            with pytest.raises(OutsideError, match="image outside the folder"):
                read(name)


def test_a_folder_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    assert isinstance(open_images(in_a_folder(tmp_path)), FolderImages)
    open_images(in_a_tar(tmp_path)).check()
    with pytest.raises(ImportError, match=r"pip install 'exemplar-hmr\[remote\]'"):
        open_images("memory://a")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("none", "no folder of images at"),
        ("none.tar", "no tar file at"),
        ("none-*.tar", "no tar files at"),
        ("a.tar.gz", "expected an uncompressed"),
        ("s-{0..9999999}.tar", "at most"),
        ("text.tar", "not a tar file"),
        ("cut.tar", "not a tar file"),
        ("memory://nowhere", "nothing at memory://nowhere"),
        ("magic://a", "cannot read magic://a"),
        ("s3://bucket/x", "s3://bucket/x"),
    ],
)
def test_a_place_that_is_none_is_one_line(
    place: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("fsspec")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
    (tmp_path / "text.tar").write_text("not a tar file" * 100)
    whole = tar(tmp_path / "whole.tar", NAMES).read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:700])
    with pytest.raises((OSError, ValueError, ImportError), match=reason) as error:
        open_images(place if "://" in place else tmp_path / place).check()
    assert "\n" not in str(error.value)


def test_one_name_in_two_tars_is_refused(tmp_path: Path) -> None:
    tar(tmp_path / "s-1.tar", NAMES)
    tar(tmp_path / "s-2.tar", NAMES)
    with pytest.raises(ValueError, match=r"a\.png is in .*s-1.tar and in .*s-2.tar"):
        open_images(tmp_path / "s-*.tar")


@pytest.mark.slow
def test_an_object_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3, as a server of this machine speaks it."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a")
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()  # of one with another server
        system = s3fs.S3FileSystem()
        system.mkdir("photos")
        for name in NAMES:
            system.pipe(f"photos/set/{name}", encoded(name))
        in_shards(tmp_path)
        for file in tmp_path.glob("*.tar"):
            system.put(str(file), f"photos/tars/{file.name}")
        for place in ("s3://photos/set", "s3://photos/tars/s-{0009..0010}.tar"):
            images = open_images(place)
            images.check()
            assert all(np.array_equal(images.read(name), picture(name)) for name in NAMES)
            assert not images.has("c.png")
        with pytest.raises(FileNotFoundError, match="nothing at s3://photos/none"):
            open_images("s3://photos/none").check()
        images = open_images("s3://photos/set")
        assert isinstance(images, RemoteImages)
        with pytest.raises(FileNotFoundError, match=r"no image at s3://photos/set/c\.png"):
            images.read("c.png")
    finally:
        server.stop()
