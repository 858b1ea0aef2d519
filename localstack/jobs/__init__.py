"""Containers of jobs as processes of this machine, whatever the cloud."""
