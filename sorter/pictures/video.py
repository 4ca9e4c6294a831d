"""Videos -> frames, decoded once and in order. Reads only; every video is opened here, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.errors import MissingExtra, VideoError
from sorter.pictures.bars import find_bars, profile
from sorter.pictures.frame import Frame, Video, grey
from sorter.pictures.hdr import HLG, PQ
from sorter.pictures.limits import MOST_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

SUFFIXES = frozenset({
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".divx", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v",
    ".vob", ".ts", ".mts", ".m2ts", ".ogv", ".ogm", ".3gp", ".3g2", ".rm", ".rmvb", ".mxf",
})  # fmt: skip
"""The endings by which a file in a folder is taken for a video."""
LOOKS, LEAST_LOOKS, LOOK_EVERY = 32, 8, 4.0
"""Frames from all over a video that are looked at before it is read; of a short one, one in so many seconds."""
LISTS = frozenset({"concat", "hls", "dash", "imf"})
"""FFmpeg's names of formats that only say where videos lie."""
MOST_LOST = 0.02
"""The share of a video's length that may be missing at its end before that is said; and LOST_SECONDS."""
LOST_SECONDS = 2.0


@dataclass
class Damage:
    """What was wrong while a video was read."""

    lost: int = 0
    """Packets that could not be decoded."""
    first: float = 0.0
    """Seconds: the last frame before the first of them."""
    until: float = 0.0
    """Seconds: the last frame that was read."""


def look(path: Path) -> Video:
    """What can be said of a video by some frames from all over it. Raises VideoError where it cannot be read."""
    with _opened(path) as (container, stream):
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        seconds = _length(container, stream)
        aspect = float(stream.sample_aspect_ratio or 1)
        frames = list(_some_frames(container, stream, seconds))
    if not frames:
        raise VideoError("none of its frames can be decoded: it is damaged, or encrypted")
    if max(frame.width * frame.height for frame in frames) > MOST_PIXELS:
        raise VideoError(f"its frames are too large: over {MOST_PIXELS // 1_000_000} million pixels")
    size = frames[0].width, frames[0].height
    whole = [frame for frame in frames if (frame.width, frame.height) == size and not frame.is_corrupt]
    profiles = [profile(grey(frame)) for frame in whole]
    return Video(
        path=path,
        seconds=seconds,
        rate=min(max(rate, 1.0), 1000.0),
        aspect=aspect,
        bars=find_bars([one for one in profiles if one]),
        is_hdr=any(frame.color_trc in (PQ, HLG) for frame in frames),
        is_interlaced=sum(frame.interlaced_frame for frame in frames) > len(frames) / 2,
    )


def read(video: Video, start: float, damage: Damage) -> Iterator[Frame]:
    """The frames from `start` seconds on, in their order; what cannot be decoded is counted in `damage`."""
    from av.video.reformatter import VideoReformatter

    scaler = VideoReformatter()
    with _opened(video.path) as (container, stream):
        stream.thread_type = "AUTO"
        first = stream.start_time or 0
        if start > 0:
            container.seek(first + _ticks(stream, start), stream=stream)
        last = -1.0
        for raw in _without_combs(_decoded(container, stream, damage), stream, video):
            seconds = 0.0 if raw.pts is None else float((raw.pts - first) * (raw.time_base or 0))
            if last >= 0 and seconds <= last:  # frames come in their order, but in old files their times do not
                seconds = last + 1 / video.rate
            last = damage.until = seconds
            if seconds >= start:  # what was sought may lie within a group of frames
                yield Frame(video, seconds, raw, scaler)


def what_is_lost(video: Video, damage: Damage) -> str:
    """A sentence on what could not be read of a video; empty where nothing is missing."""
    if damage.lost:
        return f"damaged: {damage.lost} of its packets could not be decoded, the first after {clock(damage.first)}"
    missing = (video.seconds or 0) - damage.until - 1 / video.rate
    if missing > max(LOST_SECONDS, MOST_LOST * (video.seconds or 0)):
        return f"cut off: it ends at {clock(damage.until)} of {clock(video.seconds or 0)}"
    return ""


def clock(seconds: float) -> str:
    """A time as players show it: 1:02:03."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


@contextmanager
def _opened(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video's file and its stream of pictures. Raises VideoError: what it is, where it is none."""
    try:
        import av
    except ModuleNotFoundError:
        raise MissingExtra("video", "taking frames of videos") from None
    try:
        # No file's name, and no playlist under a video's name, may lead anywhere but to files.
        container = av.open(f"file:{path}", metadata_errors="replace", options={"protocol_whitelist": "file"})
    except (av.FFmpegError, OSError, ValueError) as found:
        raise VideoError(_why(path, found)) from None
    with container:
        if container.format.name.endswith("_pipe") or container.format.name == "image2":
            raise VideoError("a picture, not a video, whatever its ending says")
        if container.format.name in LISTS:
            raise VideoError("a list of other files, not a video; give those files")
        streams = [one for one in container.streams.video if not one.disposition & av.stream.Disposition.attached_pic]
        if not streams:
            what = "it holds sound only" if container.streams.audio else "it holds no pictures"
            raise VideoError(f"not a video: {what}")
        if streams[0].codec_context is None:
            raise VideoError("its pictures are encoded in a way that FFmpeg does not know, or encrypted")
        yield container, streams[0]


def _why(path: Path, found: Exception) -> str:
    """Why a file cannot be opened as a video."""
    if isinstance(found, OSError) and found.errno and not path.is_file():
        return f"cannot be read: {found.strerror}"
    try:
        with open(path, "rb") as file:
            begins = file.read(12)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not begins:
        return "the file is empty"
    if begins[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
        return "damaged: its index (moov) is missing or broken; was it cut off, or is it still being written?"
    return "not a video: its bytes are of no format that FFmpeg reads"


def _length(container: InputContainer, stream: VideoStream) -> float | None:
    if stream.duration:
        return float(stream.duration * (stream.time_base or 0))
    return container.duration / 1_000_000 if container.duration else None


def _ticks(stream: VideoStream, seconds: float) -> int:
    """A time as the stream counts it."""
    return int(seconds / stream.time_base) if stream.time_base else 0


def _decoded(container: InputContainer, stream: VideoStream, damage: Damage) -> Iterator[VideoFrame]:
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError:  # the container ends in the middle of something
            damage.lost += 1
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.FFmpegError:
            damage.first = damage.first if damage.lost else damage.until
            damage.lost += 1


def _some_frames(container: InputContainer, stream: VideoStream, seconds: float | None) -> Iterator[VideoFrame]:
    """Frames that can be decoded by themselves, from all over a video; of one of unknown length, its first one."""
    import av

    stream.thread_type = "SLICE"  # each is waited for: there is nothing for others to decode ahead
    looks = min(LOOKS, max(LEAST_LOOKS, int(seconds / LOOK_EVERY))) if seconds else 1
    before = None
    for number in range(looks):
        try:
            if seconds:
                at = (number + 0.5) / looks * seconds
                container.seek((stream.start_time or 0) + _ticks(stream, at), stream=stream)
            packet = next((one for one in container.demux(stream) if one.is_keyframe), None)
            if packet is None or (before is not None and packet.pts == before):
                continue
            before = packet.pts
            if packet.has_sidedata("encryption_info"):
                raise VideoError("encrypted (DRM), so there is no reading it")
            # The decoder would wait for more before it gives a frame out, and is told that there is none.
            yield from (packet.decode() or stream.codec_context.decode(None))[:1]
            stream.codec_context.flush_buffers()
        except av.FFmpegError:
            continue


def _without_combs(frames: Iterator[VideoFrame], stream: VideoStream, video: Video) -> Iterator[VideoFrame]:
    """The frames, of an interlaced video without combs (bwdif: Bob Weaver's filter, of FFmpeg)."""
    if not video.is_interlaced:
        yield from frames
        return
    import av

    graph = av.filter.Graph()
    graph.link_nodes(graph.add_buffer(template=stream), graph.add("bwdif", "send_frame"), graph.add("buffersink"))
    graph.configure()
    for frame in frames:
        graph.vpush(frame)
        yield from _pulled(graph)
    graph.vpush(None)
    yield from _pulled(graph)


def _pulled(graph: Any) -> Iterator[VideoFrame]:
    import av

    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
