"""What an endpoint shows and whom it serves, by groups: bias, and models that teach themselves."""
