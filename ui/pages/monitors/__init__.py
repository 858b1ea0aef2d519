"""The pages of bias: monitors and their figures."""
