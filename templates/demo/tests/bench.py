"""Print the cycles that the kernel takes for 64 words: `python3 -m tests.bench`."""

from tests import machine

if __name__ == "__main__":
    print("CYCLES:", machine.run(64, seed=64)[1])
