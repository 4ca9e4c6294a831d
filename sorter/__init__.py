"""modelsheet's sorter: pictures in, a labelled dataset out."""

__version__ = "0.1.0"
