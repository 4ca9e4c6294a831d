"""The page in the browser where a person answers. It does nothing that the commands cannot do."""
