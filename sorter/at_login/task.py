"""A service as a task of Windows' Task Scheduler (learn.microsoft.com/windows/win32/taskschd/task-scheduler-schema).
Pure."""

from __future__ import annotations

import subprocess
from xml.etree import ElementTree

from sorter.at_login.service import MARK, Service
from sorter.errors import LibraryError

SPACE = "http://schemas.microsoft.com/windows/2004/02/mit/task"
MOST_RESTARTS = 999


def name(service: Service) -> str:
    """What schtasks calls it."""
    return f"\\Modelsheet\\{service.name}"


def task(service: Service, user: str) -> bytes:
    """The task's XML, in UTF-16: started when `user` (DOMAIN\\name) logs on, without a time limit, on battery too, and
    again a minute after it failed. Raises LibraryError where an argument would be taken for a variable."""
    for one in service.command:
        if one.count("%") > 1:
            raise LibraryError(f'{one}: what is between "%" would be taken for a variable; rename the folder')
    root = ElementTree.Element("Task", {"version": "1.2", "xmlns": SPACE})
    _add(root, "RegistrationInfo", Description=f"{service.title} {MARK}.", URI=name(service))
    _add(ElementTree.SubElement(root, "Triggers"), "LogonTrigger", Enabled="true", UserId=user)
    principals = ElementTree.SubElement(root, "Principals")
    principal = _add(principals, "Principal", UserId=user, LogonType="InteractiveToken", RunLevel="LeastPrivilege")
    principal.set("id", "Author")
    settings = _add(
        root, "Settings", MultipleInstancesPolicy="IgnoreNew", DisallowStartIfOnBatteries="false",
        StopIfGoingOnBatteries="false", StartWhenAvailable="true", ExecutionTimeLimit="PT0S", Priority="7",
    )  # fmt: skip
    _add(settings, "RestartOnFailure", Interval="PT1M", Count=str(MOST_RESTARTS))
    _add(settings, "IdleSettings", StopOnIdleEnd="false", RestartOnIdle="false")
    actions = ElementTree.SubElement(root, "Actions", {"Context": "Author"})
    program, *arguments = service.command
    _add(actions, "Exec", Command=program, Arguments=subprocess.list2cmdline(arguments))
    ElementTree.indent(root)
    text = ElementTree.tostring(root, "unicode")
    return f'<?xml version="1.0" encoding="UTF-16"?>\n{text}\n'.encode("utf-16")


def _add(parent: ElementTree.Element, tag: str, **texts: str) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag)
    for child, text in texts.items():
        ElementTree.SubElement(element, child).text = text
    return element
