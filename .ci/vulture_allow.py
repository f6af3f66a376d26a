"""What vulture takes for dead and is not: names that are used from outside of this code. Read by `make check` alone."""

# Libraries call or read them by name.
_.collect  # prometheus_client, of a collector
_.log_message  # http.server
_.daemon_threads  # socketserver
_.allow_reuse_address  # socketserver
_.handle_error  # socketserver
_.row_factory  # sqlite3
_.text_factory  # sqlite3
_.__getattr__  # Python, of a module
_._fatal_error  # Textual, of a program
_._compositor  # Textual, of a screen
_.variant  # Textual, of a button
_.no_wrap  # Rich, of a text
_.max_height  # Textual, of styles
_.grid_size_columns  # Textual, of styles
_.divide  # Textual, of a strip

# On the network: written here and read by other versions, or by whoever reads the whole message.
_.versions
_.owner_online
_.heartbeat_age_ms
_.rtt_ms
_.wall_offset_ms
_.stego_size

# Every number of a tuple has a name, also those that nobody asks for.
_.DROPPED

# Tests alone ask for them: what happens inside has to show somewhere.
save_cluster
_.block_worker_ports
_.worker_ports_in_use
_.receives_trains
_.HAS_ISAL
_.sending_epoch
_.bytes_in_flight
_.retransmitted
_.inserted_id
_.AnyPeerMessage
_.render_diagram
_.RETIRED_KINDS
_.COMPACT_LINES
_.is_made
_.idle_pids
