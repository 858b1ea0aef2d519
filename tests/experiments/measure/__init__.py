"""Tests of the cells and of the audit."""
