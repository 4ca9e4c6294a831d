"""The same questions asked by many machines: pictures x axes -> labels over Ray Data, which retries lost workers.

The sorters travel, converted; the pictures do not: each worker reads them from a shared folder or from object storage.
The labels come back as Parquet.
"""

from __future__ import annotations

import io
import logging
import os
import socket
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import groupby
from operator import itemgetter
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sorter.classify.ask import Questions
from sorter.classify.cluster.worker import COLUMNS, Drive, pack, versions
from sorter.errors import ClusterError, MissingExtra
from sorter.records import Label, Unreadable

if TYPE_CHECKING:
    import pyarrow as pa

LOCAL = "local"
KNOCK = 5
"""Seconds within which a cluster's port must answer."""
STORE = 256 * 2**20
"""Bytes of shared memory for a Ray of our own: for sorters, questions and answers, since no picture passes through."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what Ray has to say about lost workers, it would say on standard output
    "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": str(KNOCK),  # of each of three tries
}
EVERYWHERE = 'pip install "modelsheet[cluster]", of the same version, on every machine of it'
AGAIN = "what had come back is kept; run the same command again to go on from there"

Task = tuple[str, Sequence[str], Sequence[Path]]
"""A picture's hash, the axes to ask about it, and the files that may hold it."""
Answer = tuple[str, tuple[Label, ...] | Unreadable]


@dataclass(frozen=True)
class Cluster:
    """Machines that can be asked; called with tasks, it answers them."""

    address: str
    """ray://HOST:PORT, or LOCAL: processes on this machine."""
    roots: tuple[tuple[Path, str], ...] = ()
    """Folders of this machine, and the URL or folder at which the workers find the same files."""

    def __call__(self, tasks: Sequence[Task], questions: Questions) -> Iterator[list[Answer]]:
        """The labels of each picture, or why no worker could read it: some at a time, in the order they come back.

        Raises ClusterError: the cluster cannot be reached or used, or is lost on the way.
        """
        paths = {sha256: places[0] for sha256, _, places in tasks}
        table, packed = self._table(tasks), pack(questions)
        with _connected(self.address) as ray:
            there = {"num_cpus": 0, "resources": {"node:__internal_head__": 0.001}}  # its loss is the cluster's anyway
            urls = [url for _, url in self.roots]
            drive = ray.remote(Drive).options(**there).remote(table, [ray.put(packed)], urls, versions())
            while (parquet := ray.get(drive.next.remote())) is not None:
                yield list(_answers(parquet, paths))

    def _table(self, tasks: Sequence[Task]) -> pa.Table:
        """A row a task. Each file is a root's number and a name below it, or -1 and a path."""
        import pyarrow as pa

        rows = []
        for sha256, axes, places in tasks:
            roots, names = zip(*map(self._place, places), strict=True)
            rows.append({"sha256": sha256, "axes": list(axes), "roots": roots, "names": names})
        used = {root for row in rows for root in row["roots"]}
        for number, (folder, _) in enumerate(self.roots):
            if number not in used:
                known = tasks[0][2][0].parent
                raise ClusterError(f"--pictures {folder}: no picture to be asked about lies there; one lies in {known}")
        return pa.Table.from_pylist(rows)

    def _place(self, path: Path) -> tuple[int, str]:
        for number, (folder, _) in enumerate(self.roots):
            if folder in path.parents:
                return number, path.relative_to(folder).as_posix()
        return -1, str(path)


def cluster(address: str, pictures: Mapping[str, str]) -> Cluster:
    """The cluster at an address, not yet connected. `pictures`: a folder here -> its URL or folder there.

    Raises MissingExtra where Ray is not installed, and ClusterError where an address or a URL is none.
    """
    if not all(map(find_spec, ("ray", "pyarrow", "pandas"))):
        raise MissingExtra("cluster", "asking on a cluster")
    if address != LOCAL:
        _host(address)
    for url in pictures.values():
        _check_url(url)
    return Cluster(address, tuple((Path(folder).absolute(), url) for folder, url in pictures.items()))


def _answers(parquet: bytes, paths: Mapping[str, Path]) -> Iterator[Answer]:
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(io.BytesIO(parquet)).to_pylist()
    for sha256, given in groupby(rows, itemgetter("sha256")):
        first, *others = given
        if not sha256:
            raise ClusterError(first["reason"])
        if first["reason"]:
            yield sha256, Unreadable(paths[sha256], first["reason"])
        else:
            yield sha256, tuple(Label(*(row[name] for name in COLUMNS)) for row in (first, *others))


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Ray, quiet, for as long as it is needed. Raises ClusterError, also for what befalls the cluster meanwhile."""
    os.environ.update(SETTINGS)  # read when ray is imported
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        _connect(ray, address)
        yield ray
    except ImportError as found:
        raise ClusterError(f"{address}: {found} there; {EVERYWHERE}") from None
    except RayTaskError as found:
        if not isinstance(found.cause, RayError):
            raise  # a mistake of ours, and no machine's accident
        reason = _last_line(found.cause)
        said = EVERYWHERE if "No module named" in reason else AGAIN
        raise ClusterError(f"{address}: its workers die or do not start, so Ray gave up: {reason}; {said}") from None
    except (ConnectionError, RayError) as found:
        raise ClusterError(f"{address}: was lost on the way ({type(found).__name__}); {AGAIN}") from None
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str) -> None:
    own: dict[str, Any] = {"include_dashboard": False, "object_store_memory": STORE}
    if address != LOCAL:
        _knock(address)
        own = {}
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    start = partial(ray.init, address, log_to_driver=False, logging_level=logging.CRITICAL, **own)
    try:
        with warnings.catch_warnings(action="ignore"):
            try:
                start()
            except ConnectionAbortedError:  # the process that Ray starts there for each client may fail to come up
                start()
    except (ConnectionError, RuntimeError) as found:
        hint = "it must have the same Ray and Python versions as here, and may want a token (RAY_AUTH_TOKEN)"
        raise ClusterError(f"{address}: no connection: {_last_line(found)}; {hint}") from None


def _knock(address: str) -> None:
    """Ray itself would try for half a minute. Raises ClusterError where nothing listens."""
    try:
        socket.create_connection(_host(address), KNOCK).close()
    except OSError as found:
        raise ClusterError(f"{address}: cannot be reached: {found.strerror or found}; is its head running?") from None


def _host(address: str) -> tuple[str, int]:
    try:
        parts = urlsplit(address)
        if parts.scheme == "ray" and parts.hostname and parts.port:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise ClusterError(f"--on {address}: is not a Ray cluster's address; write ray://HOST:10001, or {LOCAL}")


def _check_url(url: str) -> None:
    from pyarrow.fs import FileSystem

    right = "write a whole path, s3://..., gs://... or file:///..."
    try:
        if "://" in url:
            FileSystem.from_uri(url)
        elif not (PurePosixPath(url).is_absolute() or PureWindowsPath(url).is_absolute()):
            raise ClusterError(f"--pictures {url}: is not where a worker could look; {right}")
    except OSError:
        pass  # the workers may reach what this machine does not
    except ValueError as found:
        raise ClusterError(f"--pictures {url}: {found}; {right}") from None


def _last_line(found: BaseException) -> str:
    """What counts of a message of Ray's: its last line, after the traces of other machines."""
    return (str(found).strip() or type(found).__name__).splitlines()[-1].strip().rstrip(".")
