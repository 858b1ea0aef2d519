"""CustomJobs: the containers of Vertex AI Training as processes of this machine."""
