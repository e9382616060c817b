"""Speed and error of every engine, beside the reference."""
