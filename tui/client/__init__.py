"""The client: the program that people share pictures with."""
