"""Reports of endpoints and jobs to CloudWatch: minutes of requests, and logs."""
