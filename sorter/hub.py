"""Where a model lies: in a folder, or by a name on huggingface.co, whose files its own library fetches once and keeps.

Only files of the kinds that are asked for are fetched; none of them is a program.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sorter.errors import MissingExtra, ModelError, first_line

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+(/[\w-][\w.-]*)*")
"""Owner and model, and perhaps a folder of it (huggingface_hub.utils.validate_repo_id)."""


def model_folder(model: str, kinds: Sequence[str], is_whole: Callable[[Path], bool], extra: str) -> Path:
    """The folder of a model that is named by a folder or by its name on the hub.

    `kinds`: patterns of the files that are wanted. `is_whole`: whether a folder that was kept has all that is needed;
    if so, nobody is asked over the network. Raises ModelError with one sentence, or MissingExtra (`extra`).
    """
    folder = Path(model)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelError(f"{model}: is a file; name the folder that it lies in")
    if not HUB_NAME.fullmatch(model.replace("\\", "/")):
        raise ModelError(f"{model}: there is no such folder, and it is no name on huggingface.co, as owner/model is")
    return _of_hub(model.replace("\\", "/"), kinds, is_whole, extra)


def _of_hub(name: str, kinds: Sequence[str], is_whole: Callable[[Path], bool], extra: str) -> Path:
    repository, inside = "/".join(name.split("/")[:2]), "/".join(name.split("/")[2:])
    patterns = [f"{inside}/{kind}" if inside else kind for kind in kinds]
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError
    except ImportError:
        raise MissingExtra(extra, f'"{name}", a name on huggingface.co,') from None
    try:
        with suppress(LocalEntryNotFoundError):
            kept = Path(snapshot_download(repository, allow_patterns=patterns, local_files_only=True)) / inside
            if is_whole(kept):
                return kept
        _keep_quiet()
        fetched = Path(snapshot_download(repository, allow_patterns=patterns)) / inside
        if is_whole(fetched):
            return fetched
        why = f"the model of that name on huggingface.co lacks some of {', '.join(kinds)}"
    except GatedRepoError:
        why = "its owner wants you to agree to terms on its page and to log in (hf auth login)"
    except RepositoryNotFoundError:
        why = "huggingface.co has no model of that name that you may read"
    except LocalEntryNotFoundError:
        why = "huggingface.co cannot be reached to fetch a model of that name"
    except (OSError, ValueError) as found:
        why = f"it could not be fetched from huggingface.co: {first_line(found)}"
    raise ModelError(f"{name}: there is no such folder, and {why}")


def _keep_quiet() -> None:
    """Progress is for a terminal; what goes wrong is raised, and what might is advice to programmers."""
    from huggingface_hub.utils.tqdm import disable_progress_bars

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()
