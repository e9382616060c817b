"""Load on a running server: what it holds, and that nothing is late, different or left behind.

    python tools/load listeners --help      how many can listen at once, and how soon it speaks
    python tools/load identity --help       the same bytes over every way, alone and under load
    python tools/load vanish --help         clients that vanish
    python tools/load unread --help         a client that does not read, and what it costs others
    python tools/load soak --help           thousands of mixed requests: memory and files

Each speaks to the server at ``--url``, prints what it found, and exits 1 where that is not right.
"""
