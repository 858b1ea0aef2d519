"""Commands in processes with a library of ours preloaded, which disturbs their system calls."""
