"""What the commands of `glimpse` do; `tui.cli` parses their arguments and imports only the one that is needed."""
