"""Write the program that mixes N words with a key of four words.

`python3 kernel.py N` prints the program as JSON. The memory holds the key, then the N words, then room for the
N results. The iterations change this file.
"""

import json
import sys

KEYS = 4


def build(n):
    """Return the program for n words: a list of bundles."""
    program = []
    for i in range(n):
        program += item(n, i)
    return program


def item(n, i):
    """Return the operations for one word in the order of the formula, one per bundle."""
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
