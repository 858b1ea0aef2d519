"""Search over what the stack keeps of SageMaker."""
