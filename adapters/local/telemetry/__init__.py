"""Reports of endpoints and jobs: minutes of requests, and logs."""
