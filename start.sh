#!/bin/sh
# Opens Modelsheet's page on a folder of frames: ./start.sh FOLDER, or ./start.sh, which asks for one.
#
# What it needs it fetches once, 5 to 8 GB: uv (https://docs.astral.sh/uv), with that Python, with that the packages.
# All of it goes into .uv and .venv in this folder, and nothing else of the machine changes. With UV_TORCH_BACKEND=cpu,
# cu126, rocm7.2 and the like, that build of torch is taken, and else the one that suits the graphics card; with
# UV_PYTHON=3.11 or 3.13, that Python.
set -u

fail() {
    printf '%s\n' "$1" >&2
    if [ -t 0 ]; then # a window of its own would be closed before this is read
        printf 'Press Enter to close.' >&2
        read -r _
    fi
    exit 1
}

fetch() { # URL FILE
    if command -v curl >/dev/null 2>&1; then curl -fsSL -o "$2" "$1"; else wget -qO "$2" "$1"; fi
}

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd) || fail "The folder of this file cannot be entered; move it to another place."
MODELSHEET_FOLDER=${1:-}
PYTHONUTF8=1
UV_PYTHON_INSTALL_DIR=$here/.uv/python
UV_CACHE_DIR=$here/.uv/cache
export MODELSHEET_FOLDER PYTHONUTF8 UV_PYTHON_INSTALL_DIR UV_CACHE_DIR

if [ "$(uname -s) $(uname -m)" = "Darwin x86_64" ] && [ "$(sysctl -in sysctl.proc_translated)" != 1 ]; then
    fail "Modelsheet does not run on Macs with an Intel processor: ai-edge-litert, which runs the sorters, has no build for them."
fi

MODELSHEET_UV=$here/.uv/uv
[ -x "$MODELSHEET_UV" ] || MODELSHEET_UV=$(command -v uv) || MODELSHEET_UV=$here/.uv/uv
if [ ! -x "$MODELSHEET_UV" ]; then
    echo "Fetching uv, which fetches the rest, into .uv in this folder."
    mkdir -p "$here/.uv" || fail "This folder cannot be written; move it to another place, such as your home folder."
    fetch https://astral.sh/uv/install.sh "$here/.uv/install.sh" ||
        fail "uv could not be fetched from https://astral.sh; see whether the network is there, and start again."
    UV_INSTALL_DIR=$here/.uv UV_UNMANAGED_INSTALL=$here/.uv UV_NO_MODIFY_PATH=1 sh "$here/.uv/install.sh" ||
        fail "uv could not be installed (see above); start again, or install it by hand: https://docs.astral.sh/uv"
fi
export MODELSHEET_UV

python=$here/.venv/bin/python
if ! "$python" -c "" 2>/dev/null; then # there is none, or the folder was moved
    rm -rf "$here/.venv"
    "$MODELSHEET_UV" venv --quiet --python "${UV_PYTHON:-3.12}" "$here/.venv" ||
        fail "Python could not be set up (see above); see whether the network is there, and start again."
fi
"$python" "$here/.ci/start.py" || fail "Modelsheet has ended with an error (see above)."
