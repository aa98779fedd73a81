"""The rules of a cinema, as pure functions and plain objects: no clock, no chance, no waiting, no input or output."""
