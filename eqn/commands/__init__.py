"""The commands of `eqn`, a file for each stage. A command parses, calls the library, and prints."""
