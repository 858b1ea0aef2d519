"""The command `isthmus-stack`: verbs as functions, their errors, texts, the command line."""
