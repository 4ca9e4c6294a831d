"""A service as a user unit of systemd (systemd.service(5), systemd.syntax(7)). Pure."""

from __future__ import annotations

from sorter.at_login.service import MARK, Service

UNIT = """\
# {mark}
[Unit]
Description={title}
StartLimitIntervalSec=0

[Service]
ExecStart={command}
Restart=on-failure
RestartSec=30
Nice=10

[Install]
WantedBy={wanted_by}
"""
WANTED_BY = "default.target"
SHELL = ("/bin/sh", "-c", 'exec "$@"', "sh")
"""Starts the program: of what systemd starts itself, it refuses a path with quotes or backslashes."""


def file_name(service: Service) -> str:
    """Of the unit."""
    return f"modelsheet-{service.name}.service"


def unit(service: Service) -> str:
    """The unit's text: started at login, and again half a minute after it failed."""
    command = " ".join(map(quoted, (*SHELL, *service.command)))
    title = service.title.replace("%", "%%").replace("\\", "/")  # a backslash at the end would join the next line
    return UNIT.format(mark=MARK, title=title, command=command, wanted_by=WANTED_BY)


def quoted(argument: str) -> str:
    """One argument of ExecStart: quotes and backslashes escaped, "%" and "$" doubled, or they would be replaced."""
    for char, written in (("\\", "\\\\"), ('"', '\\"'), ("%", "%%"), ("$", "$$")):
        argument = argument.replace(char, written)
    return f'"{argument}"'
