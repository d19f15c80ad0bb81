"""Videos: what is read of them, and one clear line for what cannot be."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from exemplar.files.video_files import Selection, read_frames, read_info, video_writer

av = pytest.importorskip("av")


def drawn(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture whose left half is red and whose brightness tells its number."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, : width // 2, 0] = 200
    picture[..., 2] = 8 * (number % 5)
    return picture


def make_clip(
    path: Path,
    count: int,
    *,
    pix_fmt: str = "yuv420p",
    codec: str = "libx264",
    times: list[float] | None = None,
    size: tuple[int, int] = (48, 64),
) -> Path:
    """A clip of 10 frames a second, or of these times."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *size, pix_fmt
        stream.codec_context.time_base = Fraction(1, 1000)
        for i in range(count):
            frame = av.VideoFrame.from_ndarray(drawn(i, *size)).reformat(format=pix_fmt)
            frame.pts = round(1000 * (i / 10 if times is None else times[i]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 8)
    frames = list(read_frames(clip))
    assert [frame.number for frame in frames] == list(range(8))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(8) / 10, atol=2e-3)
    assert frames[0].pixels.shape == (48, 64, 3)
    # red on the left, not blue: what is lossy costs a few grey levels
    assert frames[0].pixels[24, 8, 0] > 150
    assert frames[0].pixels[24, 8, 2] < 50
    info = read_info(clip)
    assert (info.width, info.height, info.frames) == (64, 48, 8)
    assert info.fps == pytest.approx(10, rel=0.2)


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 0.5, 0.9]
    clip = make_clip(tmp_path / "a.mkv", 6, times=times)
    np.testing.assert_allclose([f.time for f in read_frames(clip)], times, atol=2e-3)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(every=3), [0, 3, 6, 9]),
        (Selection(start=0.35), [4, 5, 6, 7, 8, 9]),
        (Selection(start=0.2, end=0.45), [2, 3, 4]),
        (Selection(fps=5.0), [0, 2, 4, 6, 8]),
        (Selection(fps=100.0), list(range(10))),
    ],
)
def test_frames_are_selected(tmp_path: Path, selection: Selection, expected: list[int]) -> None:
    clip = make_clip(tmp_path / "a.mp4", 10)
    assert [frame.number for frame in read_frames(clip, selection)] == expected


def test_a_clip_of_one_frame_and_ten_bits_are_read(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", 1, pix_fmt="yuv420p10le", codec="ffv1")
    (frame,) = read_frames(clip)
    assert frame.pixels.dtype == np.uint8
    assert frame.pixels[24, 8, 0] > 150


def turned(flat: Path, path: Path) -> Path:
    """A clip that says, as a phone's does, to be shown a quarter of a turn clockwise."""
    data = flat.read_bytes()
    # the track's matrix in its header: an unturned one, in 16.16 and 2.30 fixed point
    plain = b"".join(v.to_bytes(4, "big") for v in (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30))
    quarter = b"".join(
        (v % (1 << 32)).to_bytes(4, "big") for v in (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    )
    place = data.index(plain, data.index(b"tkhd"))
    return written(path, data[:place] + quarter + data[place + len(plain) :])


def test_a_phones_rotation_is_applied(tmp_path: Path) -> None:
    clip = turned(make_clip(tmp_path / "a.mp4", 2), tmp_path / "b.mp4")
    frame = next(read_frames(clip))
    assert frame.pixels.shape == (64, 48, 3)
    # a quarter clockwise: what was on the left is on top
    assert frame.pixels[8, 24, 0] > 150
    assert frame.pixels[56, 24, 0] < 50
    assert (read_info(clip).width, read_info(clip).height) == (48, 64)


def test_a_truncated_clip_gives_the_frames_that_are_there(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mp4", 30, size=(240, 320))
    whole = clip.read_bytes()
    # the header first, as in files that are sent over a network, then a hole
    half = whole.index(b"mdat") + (whole.index(b"moov") - whole.index(b"mdat")) // 2
    clip.write_bytes(
        whole[:half] + bytes(whole.index(b"moov") - 4 - half) + whole[whole.index(b"moov") - 4 :]
    )
    with pytest.warns(UserWarning, match="breaks off"):
        frames = list(read_frames(clip))
    assert 0 < len(frames) < 30


def sound_only(path: Path) -> Path:
    """A file with a second of silence."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def no_frames(path: Path) -> Path:
    """A video's header without its pictures."""
    whole = make_clip(path, 3).read_bytes()
    path.write_bytes(whole.replace(whole[whole.index(b"mdat") + 4 : whole.index(b"moov") - 4], b""))
    return path


def written(path: Path, data: bytes) -> Path:
    """A file of these bytes."""
    path.write_bytes(data)
    return path


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    secret = written(tmp_path / "secret.mp4", make_clip(tmp_path / "x.mp4", 3).read_bytes())
    playlist = f"#EXTM3U\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    bad = {
        "no video stream": sound_only(tmp_path / "sound.wav"),
        "no frame|not a video": no_frames(tmp_path / "none.mp4"),
        "not a video": written(tmp_path / "text.mp4", b"hello, this is no video" * 100),
        "is empty": written(tmp_path / "empty.mp4", b""),
        "is a folder": tmp_path,
        # a list of other files is not followed
        "not a video|no frame|no video": written(tmp_path / "list.m3u8", playlist),
    }
    for message, path in bad.items():
        with pytest.raises(ValueError, match=message) as caught:
            list(read_frames(path))
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no video at"):
        read_info(tmp_path / "nowhere.mp4")
    with pytest.raises(ValueError, match="no frame from 9 s on"):
        list(read_frames(secret, Selection(start=9.0)))


def outcome(clip: Path) -> str:
    """What becomes of a file: its frames, or a line."""
    try:
        return f"{sum(frame.pixels.dtype == np.uint8 for frame in read_frames(clip))} frames"
    except (ValueError, OSError) as error:
        return str(error)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_files_are_read_or_refused(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.mp4", 6).read_bytes()
    rng = np.random.default_rng(0)
    for i in range(40):
        data = bytearray(whole)
        for place in rng.integers(0, len(data), 1 + i):
            data[place] = int(rng.integers(256))
        assert "\n" not in outcome(written(tmp_path / "b.mp4", bytes(data)))


@pytest.mark.parametrize(
    "numbers", [{"start": -1.0}, {"start": 2.0, "end": 1.0}, {"every": 0}, {"fps": 0.0}]
)
def test_impossible_selections_are_refused(numbers: dict) -> None:
    with pytest.raises(ValueError, match="expected"):
        Selection(**numbers)


def test_a_written_video_is_read_back_and_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        with video_writer(tmp_path / name, 10.0) as write:
            for i in range(4):
                write(drawn(i, 49, 65))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    frames = list(read_frames(tmp_path / "a.mp4"))
    assert len(frames) == 4
    assert frames[0].pixels.shape == (48, 64, 3)


def test_a_frame_an_hour_is_written(tmp_path: Path) -> None:
    with video_writer(tmp_path / "a.mp4", 1 / 3600) as write:
        for i in range(2):
            write(drawn(i))
    assert [frame.number for frame in read_frames(tmp_path / "a.mp4")] == [0, 1]
