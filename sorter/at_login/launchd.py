"""A service as a launch agent of macOS (launchd.plist(5)). Pure."""

from __future__ import annotations

import plistlib

from sorter.at_login.service import MARK, Service


def label(service: Service) -> str:
    """What launchctl calls it."""
    return f"modelsheet.{service.name}"


def plist(service: Service, log: str) -> bytes:
    """The property list: started at login, and again half a minute after it failed. `log`: a file for what it says."""
    keys = {
        "Label": label(service),
        "ProgramArguments": list(service.command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 30,
        "Nice": 10,
        "ProcessType": "Background",
        "StandardOutPath": log,
        "StandardErrorPath": log,
    }
    text = plistlib.dumps(keys, sort_keys=False)
    return text.replace(b"<plist ", f"<!-- {MARK} -->\n<plist ".encode(), 1)
