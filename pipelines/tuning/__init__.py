"""Search a model's parameters (`isthmus tune`): a study of trials, in rounds of several at once."""
