"""`cinema` as a client: the commands that call a server, as anyone else does.

They use the package cinema_client, and nothing of the server but small modules without dependencies. The modules of
commands import what calls or draws only when a command runs, so that `cinema --help` and completion are fast.
"""
