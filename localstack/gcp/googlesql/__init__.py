"""GoogleSQL by Google's own analyzer and reference implementation.

They are WebAssembly in the wheel `zetasql`, of which we use that and its messages; the calls are
ours.
"""
