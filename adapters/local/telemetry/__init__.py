"""What endpoints and jobs report: minutes of requests, and logs."""
