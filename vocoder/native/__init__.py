"""The native library (`csrc/`, C++): loading it, and packing PyTorch modules for it."""
