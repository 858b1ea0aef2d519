"""Model servers as processes of this machine, whatever the cloud."""
