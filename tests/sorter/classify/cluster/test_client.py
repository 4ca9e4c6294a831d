"""Over a real Ray: processes of this machine, and a cluster of one node that is reached like any other."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import sorter
from sorter.classify.ask import Questions, Seen
from sorter.classify.cluster import worker as working
from sorter.classify.cluster.client import Cluster, _answers, cluster
from sorter.classify.cluster.worker import Worker, pack, versions
from sorter.commands.classify import classify, classify_on_cluster
from sorter.commands.job import Job
from sorter.commands.scan import scan
from sorter.errors import ClusterError
from sorter.library.store.manifest import Manifest
from sorter.pictures.scan import walk
from sorter.tally import Report

ROOT = Path(sorter.__file__).parent.parent
needs_ray = pytest.mark.skipif(
    not all(map(find_spec, ("ray", "pyarrow", "pandas"))), reason='Ray is not here: pip install "modelsheet[cluster]"'
)
needs_posix = pytest.mark.skipif(os.name == "nt", reason="Ray makes no clusters on Windows, and it has no named pipes")


@pytest.fixture(autouse=True, scope="module")
def token() -> Iterator[None]:
    """What lets into our clusters; without it, Ray would write one of its own into the user's home."""
    own = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": os.urandom(16).hex()}
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    yield
    for name, value in before.items():
        os.environ.pop(name)
        if value is not None:
            os.environ[name] = value


@pytest.fixture(scope="module")
def their_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache folder on the cluster, where nothing has been converted yet."""
    return tmp_path_factory.mktemp("theirs")


@pytest.fixture(scope="module")
def head(token: None, their_cache: Path) -> Iterator[tuple[str, int]]:
    """A cluster: one node with one core, started as an administrator would. Its address and its session."""
    port, gcs = free_port(), free_port()
    options = {"port": gcs, "ray-client-server-port": port, "num-cpus": 1, "object-store-memory": 80 * 2**20}
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block", "--include-dashboard=false"]
    command += [f"--{name}={value}" for name, value in options.items()]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    own = {"PYTHONPATH": path, "MODELSHEET_CACHE": str(their_cache), "RAY_USAGE_STATS_ENABLED": "0"}
    own |= {"GRPC_ENABLE_FORK_SUPPORT": "0"}  # with it, its process for a client fails to come up in one of ten starts
    process = subprocess.Popen(
        command, env={**os.environ, **own}, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not answers(port):
            assert process.poll() is None
            time.sleep(0.1)
        yield f"ray://127.0.0.1:{port}", process.pid
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # asked kindly, it waits for half a minute
        process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def heap(tmp_path: Path, draw: Any, grow: Any) -> Path:
    """Two dozen pictures that all can be used."""
    moods, directions = ("happy", "sad"), ("left", "right", "front")
    return grow(tmp_path / "heap", {f"{n} é.png": draw(directions[n % 3], moods[n % 2], n) for n in range(24)})


def scanned(heap: Path, library: Path) -> Manifest:
    """A library that knows the pictures and no answers."""
    manifest = Manifest(library, create=True)
    for _ in scan(walk(heap), manifest, Questions({}), Report()):
        pass
    return manifest


def answered(library: Path) -> list[Any]:
    with closing(sqlite3.connect(library / ".modelsheet" / "manifest.sqlite")) as db:
        return db.execute("SELECT * FROM label ORDER BY sha256, axis, source").fetchall()


@pytest.fixture
def expected(heap: Path, tmp_path: Path, job: Job) -> list[Any]:
    """The answers that this process gives."""
    with scanned(heap, tmp_path / "here") as manifest:
        classify(manifest, job.questions, Report())
    found = answered(tmp_path / "here")
    assert len(found) == 2 * 24
    return found


# --- the whole way


@needs_ray
def test_rays_answers_are_ours_and_a_picture_that_it_cannot_read_is_counted_and_asked_about_the_next_time(
    heap: Path, tmp_path: Path, project: Path, expected: list[Any], run_cli: Callable[..., Any]
) -> None:
    library, there = tmp_path / "library", tmp_path / "their place"
    scanned(heap, library).close()
    shutil.copytree(heap, there)
    heap.rename(tmp_path / "away")  # so that the workers have to look where --pictures says
    (there / "3 é.png").unlink()
    (there / "4 é.png").write_bytes(b"other")
    command = ("classify", library, "--scheme", project / "scheme.toml")
    elsewhere = ("--on", "local", "--pictures", f"{heap}={there.as_uri()}")
    # In a process of its own, since Ray leaves some of its processes for the system to reap.
    line = [sys.executable, "-m", "sorter", *command, *elsewhere, "--json"]
    found = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (found.returncode, found.stderr, found.stdout.count("\n")) == (1, "", 1)
    failures = {Path(one["path"]): one["reason"] for one in json.loads(found.stdout)["failures"]}
    assert set(failures) == {heap / "3 é.png", heap / "4 é.png"}
    assert failures[heap / "3 é.png"].startswith("cannot be read by the worker ")
    assert failures[heap / "3 é.png"].endswith(": No such file or directory")
    assert failures[heap / "4 é.png"] == "holds other bytes there than when it was scanned"
    given = answered(library)
    assert len(given) == 2 * 22 and set(given) < set(expected)  # to the last bit of the scores
    (tmp_path / "away").rename(heap)
    assert run_cli(*command)[0] == 0
    assert answered(library) == expected


@needs_ray
@needs_posix
def test_a_lost_worker_is_replaced_and_its_pictures_are_asked_about_again(
    heap: Path, tmp_path: Path, job: Job, expected: list[Any], head: tuple[str, int], their_cache: Path
) -> None:
    psutil = pytest.importorskip("psutil")
    (address, session), lost = head, []
    library, held = tmp_path / "library", heap / "7 é.png"
    manifest = scanned(heap, library)
    data = held.read_bytes()
    held.unlink()
    os.mkfifo(held)  # who reads it waits for us

    def lose_a_worker() -> None:
        with held.open("wb"):  # goes on as soon as a worker reads
            for process in psutil.process_iter(["cmdline"]):
                name = "".join(process.info["cmdline"] or "")
                if name.startswith("ray::MapWorker") and os.getsid(process.pid) == session:
                    lost.append(process.pid)
                    process.kill()
                    process.wait(10)
        held.write_bytes(data)

    other = threading.Thread(target=lose_a_worker, daemon=True)
    other.start()
    report = Report()
    with manifest:
        classify_on_cluster(cluster(address, {}), manifest, job.questions, report)
    other.join(10)
    assert len(lost) == 1 and not other.is_alive()
    assert report.failures == []
    assert answered(library) == expected
    assert list(their_cache.glob("backbones/*.tflite"))  # it came with the questions


def test_what_came_back_before_a_loss_is_kept_and_only_the_rest_is_asked_about(
    heap: Path, tmp_path: Path, job: Job, expected: list[Any]
) -> None:
    asked: list[int] = []

    def fading(tasks: Any, questions: Questions) -> Iterator[list[Any]]:
        """Stands for a cluster that is lost after ten answers."""
        asked.append(len(tasks))
        seen = [(sha256, questions(places[0], axes)) for sha256, axes, places in tasks[:10]]
        yield [(sha256, one.labels) for sha256, one in seen if isinstance(one, Seen)]
        if len(tasks) > 10:
            raise ClusterError("lost")

    with scanned(heap, tmp_path / "library") as manifest:
        for _ in range(2):
            with pytest.raises(ClusterError, match="^lost$"):
                classify_on_cluster(fading, manifest, job.questions, Report())  # type: ignore[arg-type]
        classify_on_cluster(fading, manifest, job.questions, Report())  # type: ignore[arg-type]
    assert asked == [24, 14, 4]
    assert answered(tmp_path / "library") == expected


# --- what travels, and what a worker does with it


@needs_ray
def test_packed_questions_need_no_tensorflow_and_give_the_same_answers(
    heap: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = heap / "0 é.png"
    here = job.questions(path)
    parcel = pickle.dumps(pack(job.questions))
    monkeypatch.setenv("MODELSHEET_CACHE", str(tmp_path / "theirs"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    questions = pickle.loads(parcel).unpack()
    assert questions.unprepared() == []
    assert isinstance(here, Seen) and len(here.labels) == 2
    assert questions(path) == here
    (converted,) = (tmp_path / "theirs" / "backbones").glob("*.tflite")
    whole = converted.read_bytes()
    converted.write_bytes(b"what another tensorflow made of it")
    pickle.loads(parcel).unpack()
    assert converted.read_bytes() == whole


@needs_ray
def test_a_worker_takes_the_first_copy_that_holds_the_picture(heap: Path, job: Job) -> None:
    import pyarrow as pa

    def ask(sha256: str, *places: tuple[int, str]) -> Any:
        roots, names = zip(*places, strict=True)
        task = {"sha256": sha256, "axes": ["mood"], "roots": roots, "names": names}
        (row,) = worker(pa.Table.from_pylist([task])).to_pylist()
        return row

    worker = Worker.__new__(Worker)
    worker.unfit, worker.questions = "", job.questions
    worker.readers = [working._reader(heap.as_uri()), working._reader(str(heap)), working._read_path]
    seen = job.questions(heap / "5 é.png", ["mood"])
    assert isinstance(seen, Seen)
    sha256, right = seen.picture.sha256, {"sha256": seen.picture.sha256, "reason": None, **seen.labels[0]._asdict()}
    assert ask(sha256, (-1, "nowhere.png"), (0, "6 é.png"), (0, "5 é.png")) == right
    assert ask(sha256, (1, "5 é.png"), (0, "6 é.png")) == right
    assert ask(sha256, (-1, str(heap / "5 é.png"))) == right
    wrong = ask(sha256, (0, "6 é.png"), (-1, "nowhere.png"))
    assert (wrong["reason"], wrong["axis"]) == ("holds other bytes there than when it was scanned", None)


@needs_ray
@pytest.mark.parametrize(
    ("urls", "wanted", "said"),
    [
        ([], {"pillow": "0.1"}, "has pillow .*, and 0.1 is here; install the same version on both"),
        (["s3://bucket/x?no_such_option=1"], {}, "cannot reach what --pictures names: "),
    ],
)
def test_an_unfit_worker_stops_the_run_in_a_sentence(urls: list[str], wanted: dict[str, str], said: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    worker, parquet = Worker(None, urls, versions() | wanted), io.BytesIO()
    pyarrow.parquet.write_table(worker(pa.Table.from_pylist([{"sha256": "1"}])), parquet)
    with pytest.raises(ClusterError, match=f"^the worker .* {said}"):
        list(_answers(parquet.getvalue(), {}))


# --- what can be wrong


@pytest.fixture
def command(heap: Path, tmp_path: Path, project: Path) -> tuple[Any, ...]:
    scanned(heap, tmp_path / "library").close()
    return ("classify", tmp_path / "library", "--scheme", project / "scheme.toml")


def test_a_missing_ray_is_a_sentence(command: Any, run_cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    code, out, err = run_cli(*command, "--on", "local")
    said = 'asking on a cluster needs the "cluster" part: pip install "modelsheet[cluster]"'
    assert (code, out, err) == (2, "", f"sorter: {said}\n")
    assert json.loads(run_cli(*command, "--on", "local", "--json")[1]) == {"error": said}


@needs_ray
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--on", "here"), "--on here: is not a Ray cluster's address; write ray://HOST:10001, or local"),
        (("--on", "ray://host"), "--on ray://host: is not a Ray cluster's address"),
        (("--on", "ray://host:port"), "--on ray://host:port: is not a Ray cluster's address"),
        (("--on", "ray://127.0.0.1:1"), "ray://127.0.0.1:1: cannot be reached: "),
        (("--on", "ray://no.such.host.invalid:10001"), "cannot be reached: "),
        (("--on", "local", "--pictures", "frames=tape://x"), "--pictures tape://x: Unrecognized filesystem type"),
        (("--on", "local", "--pictures", "frames=elsewhere"), "is not where a worker could look; write a whole path"),
        (
            ("--on", "local", "--pictures", "frames=/mnt/frames"),
            "no picture to be asked about lies there; one lies",
        ),
    ],
)
def test_a_wrong_address_is_a_sentence(command: Any, run_cli: Any, options: tuple[str, ...], said: str) -> None:
    code, out, err = run_cli(*command, *options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert said in err


@pytest.mark.parametrize("options", [("--pictures", "frames=/mnt"), ("--on", "local", "--pictures", "frames")])
def test_pictures_that_lead_nowhere_are_refused(command: Any, run_cli: Any, options: tuple[str, ...]) -> None:
    code, out, err = run_cli(*command, *options)
    assert (code, out) == (2, "") and "--pictures" in err


@needs_ray
def test_a_port_where_no_ray_answers_is_a_sentence_in_bounded_time(
    heap: Path, tmp_path: Path, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray.util.client.worker as client

    monkeypatch.setattr(client, "INITIAL_TIMEOUT_SEC", 0.3)
    monkeypatch.setattr(client, "MAX_TIMEOUT_SEC", 0.3)
    with socket.socket() as silent, scanned(heap, tmp_path / "library") as manifest:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"ray://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        with pytest.raises(ClusterError, match=f"^{address}: no connection: .* timeout; it must have"):
            classify_on_cluster(Cluster(address), manifest, job.questions, Report())
        assert time.monotonic() - started < 20
    assert answered(tmp_path / "library") == []


@needs_ray
def test_nothing_to_ask_needs_no_cluster(heap: Path, tmp_path: Path, job: Job) -> None:
    with scanned(heap, tmp_path / "library") as manifest:
        classify(manifest, job.questions, Report())
        classify_on_cluster(Cluster("ray://127.0.0.1:1"), manifest, job.questions, Report())
