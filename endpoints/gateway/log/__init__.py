"""The log of a gateway's answers: streams, their rows, and the threads that write them."""
