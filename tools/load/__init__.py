"""Load tests of a running server: its capacity, and whether audio is late, changed, or leaked.

    python tools/load listeners --help      how many clients it can serve, and its latency
    python tools/load identity --help       the same bytes over every route, alone and under load
    python tools/load vanish --help         clients that disconnect abruptly
    python tools/load unread --help         a client that does not read, and its effect on others
    python tools/load soak --help           thousands of mixed requests: memory and open files
    python tools/load bodies --help         bodies with wrong values in every place
    python tools/load stall --help          clients that neither send nor read

Each tool connects to the server at ``--url``, prints its findings, and exits with 1 if a check
fails.
"""
