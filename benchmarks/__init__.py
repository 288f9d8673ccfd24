"""`python -m benchmarks`: how fast the program is, beside the fastest known way to do the same."""
