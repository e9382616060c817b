"""The native engine: the sample loop in C++ (`csrc/`), and what Python calls of it."""
