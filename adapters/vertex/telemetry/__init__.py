"""What endpoints and jobs report to Cloud Monitoring and Logging: minutes of requests, and logs."""
