"""The kernel: writes the program that mixes N words with a key of four.

`python3 kernel.py N` prints the program as JSON. The memory holds the key, then the N words, then room for the
N results. This file is what the iterations change.
"""

import json
import sys

KEYS = 4


def build(n):
    """The program for n words: a list of bundles."""
    program = []
    for i in range(n):
        program += item(n, i)
    return program


def item(n, i):
    """The operations for one word, in the order of the formula, one a bundle."""
    return [
        [["load", "k", i % KEYS]],
        [["load", "x", KEYS + i]],
        [["xor", "v", "x", "k"]],
        [["mul", "v", "v", 0x9E3779B1]],
        [["shr", "t", "v", 15]],
        [["xor", "v", "v", "t"]],
        [["mul", "v", "v", 0x85EBCA77]],
        [["shr", "t", "v", 13]],
        [["xor", "v", "v", "t"]],
        [["store", KEYS + n + i, "v"]],
    ]


if __name__ == "__main__":
    print(json.dumps(build(int(sys.argv[1]))))
