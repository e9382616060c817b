"""Several worker processes: supervisor, load table, connection sharing."""
