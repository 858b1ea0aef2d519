"""What endpoints and jobs report to CloudWatch: minutes of requests, and logs."""
