"""The results of an experiment, whoever assigned its units: figures, a verdict, a text and a page."""
