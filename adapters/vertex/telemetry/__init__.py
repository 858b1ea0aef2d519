"""Reports of endpoints and jobs to Cloud Monitoring and Logging: minutes of requests, and logs."""
