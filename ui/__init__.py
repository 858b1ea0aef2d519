"""The pages in a browser: experiments, endpoints, models, bias, events. On top, beside cli/."""
