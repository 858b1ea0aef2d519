"""Everything that holds for a request: experiments and arms, the split, the rules, the caps."""
