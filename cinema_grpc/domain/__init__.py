"""The rules of a cinema, as pure functions and plain objects: no clock, randomness, waiting, input or output."""
