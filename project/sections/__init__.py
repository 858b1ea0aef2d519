"""What the sections of project.yaml share: values of attributes, and names that refer to each other."""
