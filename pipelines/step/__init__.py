"""One step of a run as a process; its command is `python -m isthmus.pipelines.step`."""
