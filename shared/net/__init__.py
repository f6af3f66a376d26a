"""The only sockets of Glimpse, and the shell that drives sessions and object transfers over them."""
