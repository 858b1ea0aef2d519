"""Which way each step of a flow goes wrong, so that all ways of all steps are met in few flows."""


def flows(steps):
    """`steps`: of each step, the ways in which it can go wrong.

    Tuples of one way of each step; every way is in one of them at least.

    A step must be done, in spite of its fault, before the next one begins: then a flow tells of
    each as much as a flow of its own would.
    """
    return [
        tuple(ways[number % len(ways)] for ways in steps) for number in range(max(map(len, steps)))
    ]
