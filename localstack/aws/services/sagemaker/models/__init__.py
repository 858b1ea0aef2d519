"""SageMaker's models: moto's, with what it forgets or lets pass."""
