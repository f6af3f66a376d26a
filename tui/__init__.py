"""Everything a person touches: the headless peer, the command line and the terminal programs."""
