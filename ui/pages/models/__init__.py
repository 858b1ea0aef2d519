"""The pages of training runs and of registered versions."""
