"""What both programs of the terminal share: words, keys, lists, dialogs, settings."""
