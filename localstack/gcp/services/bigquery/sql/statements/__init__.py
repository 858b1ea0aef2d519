"""Statements that change something: DDL and DML."""
