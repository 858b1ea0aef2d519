"""The endpoints of this machine: the port, and the processes behind one endpoint.

They are a supervisor with its router and balancers, its watcher, and the model servers.
"""
