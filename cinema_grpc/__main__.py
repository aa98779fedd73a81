"""Runs `cinema` as `python -m cinema_grpc`."""

from cinema_grpc.cli import main

if __name__ == "__main__":
    main(prog_name="cinema")
