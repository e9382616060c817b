"""The native library (C++ in `csrc/`): loading it, and packing PyTorch modules for it."""
