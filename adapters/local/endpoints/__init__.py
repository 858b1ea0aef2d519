"""The endpoints of this machine: the port, and the processes behind one (router, balancer, model
servers).
"""
