"""Tests that the kernel's results follow the formula, for several sizes and seeds."""

import unittest

from tests import machine


class Results(unittest.TestCase):
    def check(self, n, seed):
        self.assertEqual(machine.run(n, seed)[0], machine.reference(n, seed))

    def test_one_word(self):
        self.check(1, seed=1)

    def test_fewer_words_than_keys(self):
        self.check(3, seed=2)

    def test_odd_number_of_words(self):
        self.check(29, seed=3)

    def test_benchmark_size(self):
        for seed in (4, 5, 6):
            with self.subTest(seed=seed):
                self.check(64, seed)


if __name__ == "__main__":
    unittest.main()
