"""Where the modules of this package stand today that records of earlier releases name.

A record names a class, or a function, by its module. Who moves a module whose classes are pickled
adds it here.
"""

FORMER_PACKAGE = "isthmus.localstack"  # this package's name in records of Isthmus 0.1.0
FORMER_MODULES = {
    "isthmus_stack.apart": "isthmus_stack.core.detached",
    "isthmus_stack.bounds": "isthmus_stack.core.http.connection_limits",
    "isthmus_stack.calls": "isthmus_stack.core.calls",
    "isthmus_stack.certificates": "isthmus_stack.core.http.certificates",
    "isthmus_stack.clock": "isthmus_stack.core.clock",
    "isthmus_stack.command_line": "isthmus_stack.cli.main",
    "isthmus_stack.control": "isthmus_stack.core.control",
    "isthmus_stack.cron": "isthmus_stack.core.cron",
    "isthmus_stack.downloads": "isthmus_stack.core.downloads",
    "isthmus_stack.errors": "isthmus_stack.cli.errors",
    "isthmus_stack.faults": "isthmus_stack.core.faults",
    "isthmus_stack.folders": "isthmus_stack.core.home.folders",
    "isthmus_stack.frozen": "isthmus_stack.core.home.pickles",
    "isthmus_stack.home": "isthmus_stack.core.home.home",
    "isthmus_stack.jobs.bound": "isthmus_stack.jobs.process_group",
    "isthmus_stack.jobs.images": "isthmus_stack.core.images",
    "isthmus_stack.jobs.namespace": "isthmus_stack.jobs.mount_namespace",
    "isthmus_stack.keys": "isthmus_stack.core.keys",
    "isthmus_stack.mistakes": "isthmus_stack.core.error_log",
    "isthmus_stack.peers": "isthmus_stack.core.http.peers",
    "isthmus_stack.ports": "isthmus_stack.core.http.ports",
    "isthmus_stack.process": "isthmus_stack.core.process",
    "isthmus_stack.seals": "isthmus_stack.core.home.seals",
    "isthmus_stack.serving.lines": "isthmus_stack.serving.log_lines",
    "isthmus_stack.state": "isthmus_stack.core.state",
    "isthmus_stack.texts": "isthmus_stack.cli.texts",
    "isthmus_stack.tunnel": "isthmus_stack.core.http.tunnel",
    "isthmus_stack.verbs": "isthmus_stack.cli.verbs",
    "isthmus_stack.wsgi": "isthmus_stack.core.http.answers",
    "isthmus_stack.wsgi_server": "isthmus_stack.core.http.wsgi_server",
}


def module_of_today(written: str) -> str:
    """Return the present name of a module that a record names."""
    package = __name__.partition(".")[0]
    if written.startswith(f"{FORMER_PACKAGE}."):
        written = f"{package}{written.removeprefix(FORMER_PACKAGE)}"
    return FORMER_MODULES.get(written, written)
