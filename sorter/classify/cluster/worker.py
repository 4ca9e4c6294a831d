"""What a Ray cluster runs of us: the questions unpacked, a table of tasks -> a table of answers, and who drives that.

Reads pictures, from paths or from object storage; writes only what converted networks it lacks into its cache.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sorter.classify.ask import Questions
from sorter.errors import ModelsheetError
from sorter.records import Label, Unreadable
from sorter.threads import in_step

if TYPE_CHECKING:
    import pyarrow as pa

    from sorter.classify.askers import Asked, Asker

BATCH = 256
"""Pictures, at most, that a worker is given at a time: some two seconds' work, and what a lost one leaves to redo."""
AHEAD = 8
"""Files that a worker reads at a time: object storage answers after 50 ms or so, a sorter after 7."""
RETRIES = 3
"""How often the same pictures are given out again after their worker died, before that is taken for their fault."""
DECISIVE = ("modelsheet", "ai-edge-litert", "numpy", "pillow", "simplejpeg")
"""The packages on which a score depends: the workers must have the versions of the machine that asks."""
COLUMNS = Label._fields


@dataclass(frozen=True)
class Packed:
    """Questions as they travel: who answers, and the converted networks, so that a worker needs no tensorflow."""

    asked: Mapping[str, Asked]
    mirrors: Mapping[str, tuple[int, ...]]
    exact: bool
    others: Mapping[str, Asker]
    converted: Mapping[tuple[str, tuple[int, ...]], bytes]
    """Key and outputs of a backbone -> its LiteRT file."""

    def unpack(self) -> Questions:
        """The questions, ready to be asked on this machine."""
        questions = Questions(self.asked, self.mirrors, self.exact, self.others)
        for network in questions.networks():
            network.adopt(self.converted[network.key, network.outputs])
        return questions


def pack(questions: Questions) -> Packed:
    """Questions for the journey. What is not converted yet, is; raises MissingExtra as `Backbone.compiled`."""
    converted = {(one.key, one.outputs): one.compiled().read_bytes() for one in questions.networks()}
    return Packed(questions.asked, questions.mirrors, questions.exact, questions.others, converted)


def versions() -> dict[str, str]:
    """The DECISIVE packages of this machine, with their versions."""
    return {name: _version(name) for name in DECISIVE}


class Worker:
    """A process with the sorters loaded: a table of tasks -> a table of answers."""

    def __init__(self, packed: Any, urls: Sequence[str], wanted: Mapping[str, str]) -> None:
        """`packed`: a reference to a Packed. `urls`: the roots that tasks name. `wanted`: the versions to have."""
        import ray

        self.unfit = _unfit(wanted)
        try:
            self.readers: list[Callable[[str], bytes]] = [*map(_reader, urls), _read_path]  # the last is root -1
        except (OSError, ValueError) as found:
            self.unfit = f"the worker {platform.node()} cannot reach what --pictures names: {_why(found)}"
        if not self.unfit:
            self.questions = ray.get(packed).unpack()
            self.unfit = lacks(self.questions)

    def __call__(self, tasks: pa.Table) -> pa.Table:
        """Tasks as `Cluster` lists them -> a row an answer, or a row with the reason why a picture has none.

        A worker that is unfit for any picture says so in the same way, of no picture: an exception would come with
        pages of Ray's own.
        """
        import pyarrow as pa

        answers = [{"sha256": "", "reason": self.unfit}] if self.unfit else list(self._answers(tasks.to_pylist()))
        kinds = [
            (name, pa.float64() if name.endswith("score") else pa.string()) for name in ("sha256", "reason", *COLUMNS)
        ]
        return pa.Table.from_pylist(answers, schema=pa.schema(kinds))

    def _answers(self, tasks: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
        for task, data in zip(tasks, in_step(self._fetch, tasks, AHEAD), strict=True):
            path = Path(task["names"][0])
            seen = (
                Unreadable(path, data)
                if isinstance(data, str)
                else self.questions.answer(path, data, task["axes"], task["sha256"])
            )
            if isinstance(seen, Unreadable):
                yield {"sha256": task["sha256"], "reason": seen.reason}
            else:
                yield from ({"sha256": task["sha256"], **label._asdict()} for label in seen.labels)

    def _fetch(self, task: Mapping[str, Any]) -> bytes | str:
        """The picture's bytes from the first place that holds them, or why none does."""
        reasons = []
        for root, name in zip(task["roots"], task["names"], strict=True):
            try:
                data: bytes = self.readers[root](name)
            except OSError as found:
                reasons.append(f"cannot be read by the worker {platform.node()}: {_why(found, name)}")
                continue
            if hashlib.sha256(data).hexdigest() == task["sha256"]:
                return data
            reasons.append("holds other bytes there than when it was scanned")
        return reasons[0]


def lacks(questions: Questions) -> str:
    """Which model of the scheme's [ask] is not on this machine, where the machine that asks has it; empty if none."""
    try:
        for asker in questions.others.values():
            asker.check()
    except ModelsheetError as found:
        return f"the worker {platform.node()} cannot ask as the scheme says: {found}"
    return ""


class Drive:
    """Runs Ray Data from within the cluster, since it cannot be run through a Ray client."""

    def __init__(self, tasks: pa.Table, packed: Sequence[Any], urls: Sequence[str], wanted: Mapping[str, str]) -> None:
        """`packed`: a reference to a Packed, in a list, so that it is not opened here."""
        import ray.data

        ray.data.DataContext.get_current().enable_progress_bars = False
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        size = max(1, min(BATCH, len(tasks) // (4 * cores)))
        blocks = [tasks.slice(start, size) for start in range(0, len(tasks), size)]
        # As many workers as there are cores, and more if the cluster grows.
        pool = ray.data.ActorPoolStrategy(min_size=1, max_size=len(blocks), initial_size=min(cores, len(blocks)))
        answers = ray.data.from_arrow(blocks).map_batches(
            Worker,
            fn_constructor_args=(packed[0], urls, wanted),
            batch_size=None,
            batch_format="pyarrow",
            compute=pool,
            num_cpus=1,
            max_task_retries=RETRIES,
        )
        self.answers = iter(answers.iter_batches(batch_size=None, batch_format="pyarrow"))

    def next(self) -> bytes | None:
        """The next answers, as Parquet; None when all have been given."""
        import pyarrow.parquet

        table = next(self.answers, None)
        if table is None:
            return None
        sink = io.BytesIO()
        pyarrow.parquet.write_table(table, sink)
        return sink.getvalue()


def _reader(url: str) -> Callable[[str], bytes]:
    """A function from a name below a URL or a folder to the bytes there, which raises OSError.

    Raises OSError where the URL cannot be reached, or ValueError where it is none here.
    """
    if "://" not in url:
        return lambda name: (Path(url) / name).read_bytes()
    from pyarrow.fs import FileSystem

    files, folder = FileSystem.from_uri(url)

    def read(name: str) -> bytes:
        with files.open_input_file(f"{folder}/{name}") as file:
            return bytes(file.read())

    return read


def _read_path(path: str) -> bytes:
    return Path(path).read_bytes()


def _why(found: Exception, name: str = "") -> str:
    """What went wrong, without the picture's name, so that equal reasons can be counted."""
    if isinstance(found, OSError) and found.errno:
        return os.strerror(found.errno)
    text = str(found)
    return " ".join((text.replace(name, "it") if name else text).split())


def _unfit(wanted: Mapping[str, str]) -> str:
    """Why this machine might give other answers than one with these versions; empty if it would not."""
    for name, mine in versions().items():
        if mine != wanted[name]:
            other = f"the worker {platform.node()} has {name} {mine}, and {wanted[name]} is here"
            return f"{other}; install the same version on both, or the answers may differ"
    return ""


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not at all"
