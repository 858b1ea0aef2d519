"""AWS and Google Cloud on this machine: servers that the clouds' own SDKs talk to.

What they are asked to do they execute. They import nothing of Isthmus.
"""

if (
    __name__ != "isthmus_stack"
):  # by a second name each module would be loaded twice, with two tables of handlers
    raise ImportError(
        f"{__name__} is the package isthmus_stack: import it by that name", name=__name__
    )
