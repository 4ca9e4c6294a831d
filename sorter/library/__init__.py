"""The second room: labels -> sorted files. The only room that writes pictures."""
