from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import trainer
from trainer.checkpoint import checkpoints, step_of
from trainer.cli import cli

WriteConfig = Callable[..., Path]
ROOT = Path(trainer.__file__).parent.parent


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def spawn(*arguments: object) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "trainer", *map(str, arguments)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_past(folder: Path, step: int, process: subprocess.Popen[str]) -> None:
    """Wait for a whole checkpoint of `step` or later."""
    until = time.monotonic() + 50
    while last_step(folder) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until, f"step {step} did not come"
        time.sleep(0.02)


def last_step(folder: Path) -> int:
    return max((step_of(path) for path in checkpoints(folder)), default=0)


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from trainer.cli import cli; cli(['--help'], standalone_mode=False);"
        "print(sorted({'torch', 'pydantic', 'rich', 'PIL', 'numpy', 'diffusers'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    assert found.stdout.splitlines()[-1] == "[]"
    assert "resume" in found.stdout


def test_every_public_name_is_there() -> None:
    assert [name for name in trainer.__all__ if getattr(trainer, name, None) is None] == []
    with pytest.raises(AttributeError, match="nothing"):
        _ = trainer.nothing


def test_check_says_the_arithmetic(write_config: WriteConfig, dataset_folder: Path) -> None:
    path = write_config(steps=300, batch_size=8, accumulate=2)
    result = invoke("check", path)
    assert result.exit_code == 0
    assert "300 steps x 8 pictures x 2 accumulated = 4800 views of 5 pictures = 960 passes" in result.stdout
    assert "3 of 32x32, 2 of 40x32" in result.stdout
    (dataset_folder / "0.png").write_bytes(b"")
    result = invoke("check", path, "--json")
    answer = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (answer["pictures"], answer["sizes"]) == (4, {"32x32": 2, "40x32": 2})
    assert [one["file_name"] for one in answer["unreadable"]] == ["0.png"]


def test_list_shows_the_methods() -> None:
    assert json.loads(invoke("list", "--json").stdout)["methods"]["lora"]["options"]["rank"] == 16
    assert "lora  LoRA on" in invoke("list").stdout


def test_train_then_sample(write_config: WriteConfig, tmp_path: Path) -> None:
    path = write_config(preview={"every": 0}, steps=2)
    answer = json.loads(invoke("train", path, "--json").stdout)
    assert (answer["step"], answer["finished"], answer["encoded"]) == (2, True, 5)
    assert answer["cut_captions"] == 1  # "mira, facing left": 15 letters and 2 ends, where 16 tokens are read
    result = invoke("sample", tmp_path / "run", "mira, ../x", "--count", 2, "--steps", 2, "--seed", 4, "--json")
    files = [Path(name) for name in json.loads(result.stdout)["pictures"]]
    assert [file.parent for file in files] == [tmp_path / "run" / "samples"] * 2
    assert all(file.is_file() for file in files)
    base = invoke("sample", tmp_path / "run", "mira", "--base-only", "--steps", 2, "--to", tmp_path / "b", "--json")
    assert json.loads(base.stdout)["step"] == 0
    assert len(list((tmp_path / "b").iterdir())) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("check", "{tmp}/none.toml"), "cannot be read"),
        (("train", "{tmp}/none.toml"), "cannot be read"),
        (("resume", "{tmp}"), "not a run folder"),
        (("sample", "{tmp}", "mira"), "not a run folder"),
    ],
)
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    given = [argument.format(tmp=tmp_path) for argument in arguments]
    result = invoke(*given, "--json")
    assert result.exit_code == 2
    assert sentence in json.loads(result.stdout)["error"]
    assert result.stderr.startswith("trainer: ")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signal")
def test_a_terminal_that_is_closed_asks_to_stop() -> None:
    from trainer.terminal import Stop

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which it need not be: pytest may run under nohup
    try:
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.asked
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
        with Stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.asked
    finally:
        signal.signal(signal.SIGHUP, before)


def test_killed_then_interrupted_then_resumed(write_config: WriteConfig, tmp_path: Path) -> None:
    """The real command: nothing but JSON on standard output, nothing at all of other packages on standard error."""
    path = write_config(steps=100_000, checkpoint_every=1, keep=3, preview={"every": 0})
    folder = tmp_path / "run" / "checkpoints"
    killed = spawn("train", path)
    wait_past(folder, 3, killed)
    killed.kill()
    killed.communicate()
    last = last_step(folder)
    resumed = spawn("resume", tmp_path / "run", "--json")
    wait_past(folder, last + 2, resumed)
    resumed.send_signal(signal.SIGTERM)
    out, err = resumed.communicate(timeout=50)
    answer = json.loads(out)
    assert resumed.returncode == 0
    assert not answer["finished"]
    assert err.splitlines() == ["trainer: finishing this step and saving a checkpoint; interrupt again to stop at once"]
    steps = [row[0] for row in trainer.read_losses(tmp_path / "run")]
    assert steps == list(range(1, answer["step"] + 1))
    assert (folder / f"step-{answer['step']:06d}").is_dir()
