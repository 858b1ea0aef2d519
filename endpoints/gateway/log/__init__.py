"""What a gateway logs of its answers: streams, their rows, and the threads that write them."""
