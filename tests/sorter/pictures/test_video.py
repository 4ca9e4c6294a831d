"""Videos: read once and in order, upright and with square pixels; and what is none is called what it is."""

from __future__ import annotations

import os
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sorter.errors import VideoError
from sorter.pictures.frame import Frame
from sorter.pictures.video import Damage, look, read, what_is_lost
from tests.film import Pixels, write_video

pytest.importorskip("av")


def scenery(seed: int, size: tuple[int, int] = (160, 90)) -> Pixels:
    small = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BICUBIC))


def moving(count: int, seed: int = 1, size: tuple[int, int] = (160, 90)) -> list[Pixels]:
    return [np.roll(scenery(seed, size), 2 * place, axis=1) for place in range(count)]


def frames(path: Path, start: float = 0.0, damage: Damage | None = None) -> list[Frame]:
    return list(read(look(path), start, damage or Damage()))


def test_frames_come_in_order_with_their_times(tmp_path: Path) -> None:
    video = write_video(tmp_path / "a.mp4", moving(48))
    found = frames(video)
    assert [round(one.seconds * 24) for one in found] == list(range(48))
    assert [round(one.seconds * 24) for one in frames(video, start=1.0)] == list(range(24, 48))
    near = np.abs(found[20].pixels().astype(int) - moving(48)[20])
    assert near.mean() < 8
    assert what_is_lost(found[0].video, Damage(until=found[-1].seconds)) == ""


@pytest.mark.parametrize(("aspect", "size"), [("2", (90, 320)), ("1/2", (180, 160)), ("1", (90, 160))])
def test_pixels_become_square_and_none_is_lost(tmp_path: Path, aspect: str, size: tuple[int, int]) -> None:
    (one, *_) = frames(write_video(tmp_path / "a.mp4", moving(2), aspect=aspect))
    assert one.pixels().shape == (*size, 3)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_phone_held_upright(tmp_path: Path, rotation: int) -> None:
    """What is encoded lies on its side; the corner that is white must come to where the stream says."""
    upright = np.zeros((160, 90, 3) if rotation % 180 else (90, 160, 3), np.uint8)
    upright[:30, :30] = 255
    lying = np.ascontiguousarray(np.rot90(upright, -rotation // 90))
    (one, *_) = frames(write_video(tmp_path / "a.mp4", [lying] * 2, rotation=rotation))
    assert np.abs(one.pixels().astype(int) - upright).mean() < 5


def test_colours_of_hd_that_does_not_say(tmp_path: Path) -> None:
    """Encoded by BT.709 and not tagged, as much is: a pure green stays one."""
    import av

    green = np.full((720, 1280, 3), (0, 200, 0), np.uint8)
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        frame = av.VideoFrame.from_ndarray(green, "rgb24").reformat(format="yuv420p", dst_colorspace="ITU709")
        container.mux([*stream.encode(frame), *stream.encode()])
    (one,) = frames(tmp_path / "a.mp4")
    assert np.abs(one.pixels().astype(int) - (0, 200, 0)).max() <= 4


def test_an_interlaced_video_has_no_combs(tmp_path: Path) -> None:
    """Two moments in the lines of one frame: neighbouring lines are no further apart than in a picture."""
    moments = moving(24)
    woven = [one.copy() for one in moments[:-1]]
    for frame, after in zip(woven, moments[1:], strict=True):
        frame[1::2] = np.roll(after, 6, axis=1)[1::2]
    options = {"flags": "+ildct+ilme", "qscale": "2"}
    found = frames(write_video(tmp_path / "a.mkv", woven, codec="mpeg2video", options=options))
    assert found[0].video.is_interlaced and len(found) == len(woven)

    def combs(pixels: Pixels) -> float:
        return float(np.abs(np.diff(pixels.astype(int), axis=0)).mean())

    assert combs(found[10].pixels()) < 0.6 * combs(woven[10])


def test_a_list_of_files_leads_nowhere(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", moving(4))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile 'a.mp4'\n")
    with pytest.raises(VideoError, match="list of other files"):
        look(tmp_path / "list.mp4")


@pytest.mark.skipif(os.name == "nt", reason="no such name on Windows")
@pytest.mark.parametrize("name", ["http:x.mp4", "concat:a|b.mp4", "%03d.mp4", "-.mp4", "a\nb.mp4"])
def test_a_name_is_only_a_name(tmp_path: Path, name: str) -> None:
    write_video(tmp_path / "a.mp4", moving(4)).rename(tmp_path / name)
    assert len(frames(tmp_path / name)) == 4


def no_video(folder: Path, kind: str) -> Path:
    path = folder / "a.mp4"
    if kind == "picture":
        Image.fromarray(scenery(0)).save(path, "PNG")
    elif kind == "sound":
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(16000))
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("export const a = 1\n" * 50)
    elif kind == "cut off":
        write_video(path, moving(48))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind == "broken index":
        data = bytearray(write_video(path, moving(48)).read_bytes())
        place = data.index(b"stco")
        data[place + 12 : place + 16] = b"\xff" * 4
        path.write_bytes(data)
    elif kind == "encrypted":
        encrypted(path)
    return path


def encrypted(path: Path) -> None:
    import av

    keys = {"encryption_scheme": "cenc-aes-ctr", "encryption_key": "76" * 16, "encryption_kid": "a7" * 16}
    with av.open(str(path), "w", options=keys) as container:
        stream = container.add_stream("h264" if "libx264" in av.codecs_available else "mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = 160, 90, "yuv420p"
        for pixels in moving(24):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("picture", "a picture, not a video"),
        ("sound", "sound only"),
        ("empty", "the file is empty"),
        ("text", "not a video"),
        ("cut off", "its index .moov. is missing"),
        ("broken index", "none of its frames can be decoded"),
        ("encrypted", "encrypted"),
    ],
)
def test_what_is_no_video_is_called_what_it_is(tmp_path: Path, kind: str, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        look(no_video(tmp_path, kind))


def test_a_video_that_ends_early_says_so(tmp_path: Path) -> None:
    data = write_video(tmp_path / "a.mkv", moving(240)).read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) // 2])
    damage = Damage()
    found = frames(tmp_path / "a.mkv", damage=damage)
    assert 0 < len(found) < 240
    assert what_is_lost(found[0].video, damage).startswith("cut off: it ends at 0:00:0")


def test_an_hdr_video_is_told_and_has_ordinary_colours(tmp_path: Path) -> None:
    """A grey ramp under PQ, from a fifth of the signal to paper white."""
    import av

    if "libx265" not in av.codecs_available:
        pytest.skip("this build of FFmpeg encodes no HEVC")
    ramp = np.tile(np.linspace(0.2, 0.58, 64), (64, 1))
    deep = np.repeat(np.rint(ramp * 65535).astype(np.uint16)[..., None], 3, axis=2)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        options = {"x265-params": "log-level=none:colorprim=9:transfer=16:colormatrix=9", "crf": "4"}
        stream = container.add_stream("libx265", rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.colorspace = 16, 9
        frame = av.VideoFrame.from_ndarray(deep, "rgb48le").reformat(format="yuv420p10le", dst_colorspace=9)
        container.mux([*stream.encode(frame), *stream.encode()])
    (one,) = frames(tmp_path / "a.mkv")
    assert one.video.is_hdr
    pixels = one.pixels().astype(int)
    assert abs(pixels[32, 63] - 240).max() <= 5 and abs(pixels[32, 0] - 29).max() <= 5
    assert np.ptp(pixels, axis=2).max() <= 6
    assert one.grey().shape == (64, 64)
