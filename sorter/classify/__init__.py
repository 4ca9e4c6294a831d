"""The first room: pictures -> labels."""
