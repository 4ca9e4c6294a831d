"""Lobe's signature.json: what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sorter.networks.exports_of import edit_json, sentence


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": "tf"}, "is Lobe's export as 'tf'; export the project as TensorFlow Lite"),
        ({"format": None}, "is Lobe's export as 'None'"),
        ({"filename": "../saved_model.tflite"}, "is not a file beside it"),
        ({"filename": "/etc/passwd"}, "is not a file beside it"),
        ({"filename": None}, "is not a file beside it"),
        ({"filename": "other.tflite"}, "is not a file beside it"),
        ({"classes": ["a"]}, "its labels are not a list of names"),
        ({"classes": {"Label": "a"}}, "its labels are not a list of names"),
    ],
)
def test_a_spoilt_signature_is_refused(copy: Any, change: Any, said: str) -> None:
    folder = copy("lobe")
    edit_json(folder / "signature.json", lambda one: one | change)
    assert said in sentence(folder)
