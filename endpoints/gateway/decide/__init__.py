"""What holds for a request: the running experiments and its arms, the split, the rules, the caps."""
