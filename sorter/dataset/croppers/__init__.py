"""Croppers: which part of a picture a trainer gets, and at what size. One file each."""

from sorter.dataset.croppers import bucket as bucket
from sorter.dataset.croppers import mixed as mixed
from sorter.dataset.croppers import plain as plain
from sorter.dataset.croppers import subject as subject
from sorter.dataset.croppers.base import Cropper, Framed, croppers, framed
from sorter.dataset.croppers.plain import Whole

__all__ = ["Cropper", "Framed", "Whole", "croppers", "framed"]
