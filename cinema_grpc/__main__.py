"""Lets `python -m cinema_grpc` do what `cinema` does."""

from cinema_grpc.cli import main

if __name__ == "__main__":
    main(prog_name="cinema")
