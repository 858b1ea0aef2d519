"""The parts that adapters share. They import no adapter and no SDK."""
