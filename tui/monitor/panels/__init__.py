"""What the tabs are made of: panels that are handed their data and know nothing else, one a file."""
