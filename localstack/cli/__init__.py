"""The command `isthmus-stack`: its verbs as functions, their errors, their texts, the command line."""
