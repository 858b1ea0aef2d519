"""The results of an experiment: figures, a verdict, a text and a page.

They are the same whoever assigned its units.
"""
