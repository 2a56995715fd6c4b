"""Run the kernel as a separate process and simulate the program it writes.

The kernel's code never runs in the process that checks it: it can only pass a program.
"""

import json
import random
import subprocess
import sys

import simulator

KEYS = 4


def program(n):
    """Return the program that kernel.py writes for n words."""
    run = subprocess.run([sys.executable, "kernel.py", str(n)], capture_output=True, text=True, timeout=60)
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


def inputs(n, seed):
    """Return a key and n words; the same seed gives the same ones."""
    numbers = random.Random(seed)
    return [numbers.getrandbits(32) for _ in range(KEYS + n)]


def run(n, seed):
    """Simulate the kernel on seeded input; return the results and the number of cycles."""
    memory, cycles = simulator.run(program(n), inputs(n, seed) + [0] * n)
    return memory[KEYS + n :], cycles


def reference(n, seed):
    """Return the results of the formula."""
    memory = inputs(n, seed)
    key, words = memory[:KEYS], memory[KEYS:]
    return [mix(word ^ key[i % KEYS]) for i, word in enumerate(words)]


def mix(v):
    """Scramble a 32-bit number."""
    v = v * 0x9E3779B1 & 0xFFFFFFFF
    v ^= v >> 15
    v = v * 0x85EBCA77 & 0xFFFFFFFF
    return v ^ v >> 13
