"""The third room: sorted files -> what a trainer reads."""
