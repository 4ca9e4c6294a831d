"""kohya's sd-scripts, where there is a checkout of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PARSER = """\
import sys, types
for name in ('library', 'library.train_util', 'library.utils'):
    sys.modules[name] = types.ModuleType(name)
util = sys.modules['library.train_util']
sys.modules['library'].train_util = util
sys.modules['library'].__path__ = []
util.__getattr__ = lambda name: object
sys.modules['library.utils'].setup_logging = lambda *_, **__: None
names = {'__name__': 'library.config_util', '__package__': 'library'}
exec(open(sys.argv[1] + '/library/config_util.py', encoding='utf-8').read(), names)
sanitizer = names['ConfigSanitizer'](True, True, True, True)
for path in sys.argv[2:]:
    sanitizer.sanitize_user_config(names['load_user_config'](path))
    print('taken')
"""
"""Of a dataset TOML, by its own schema; what it imports beside that is not there."""


def parse(*tomls: Path) -> None:
    """Have its own parser take these.

    SD_SCRIPTS: a checkout of kohya-ss/sd-scripts; its parser needs the packages voluptuous and toml.
    """
    sd_scripts = os.environ.get("SD_SCRIPTS")
    if not sd_scripts:
        pytest.skip("SD_SCRIPTS names no checkout of kohya-ss/sd-scripts")
    command = [sys.executable, "-c", PARSER, sd_scripts, *map(str, tomls)]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert done.stdout.split() == ["taken"] * len(tomls), done.stderr
