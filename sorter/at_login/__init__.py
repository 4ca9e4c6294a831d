"""What starts a program at login, as each system wants it written down. Pure."""
