"""Load on a running server: what it holds, and that nothing is late, different or left behind.

    python tests/load listeners --help      how many can listen at once, and how soon it speaks
    python tests/load identity --help       the same bytes over every way, alone and under load
    python tests/load vanish --help         clients that vanish
    python tests/load unread --help         a client that does not read, and what it costs others
    python tests/load soak --help           thousands of mixed requests: memory and files

Each speaks to the server at ``--url``, prints what it found, and exits 1 where that is not right.
"""
