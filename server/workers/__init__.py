"""Several worker processes on one address: supervisor, load table, connection sharing."""
