"""What the scripts of bench/ make of given numbers: the comparison's verdicts, the report, the plot."""

import pathlib
import random
import sys
import tempfile
import unittest
import xml.dom.minidom

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import compare  # noqa: E402
import report  # noqa: E402
from measurements import Measurements  # noqa: E402


class Compare(unittest.TestCase):
    def rounds_of(self, factor, spread, seed=1, count=10):
        chance = random.Random(seed)
        return [factor * chance.uniform(1 - spread, 1 + spread) for _ in range(count)]

    def test_twelve_per_cent_slower_with_little_noise_is_slower(self):
        self.assertEqual(compare.verdict(self.rounds_of(1.14, 0.03), 10), "slower")

    def test_the_same_with_much_noise_is_hardly_ever_slower(self):
        # A series alone may err in one of forty; two of them decide.
        verdicts = [compare.verdict(self.rounds_of(1.0, 0.4, seed), 10) for seed in range(100)]
        self.assertLessEqual(verdicts.count("slower"), 3)

    def test_a_suspect_that_is_as_fast_in_the_second_series_is_cleared(self):
        first, second = self.rounds_of(1.2, 0.05), self.rounds_of(1.0, 0.05, count=20)
        self.assertTrue(compare.is_slower(first, 10))
        self.assertFalse(compare.is_confirmed(first, second, 10))

    def test_a_suspect_that_is_slower_again_is_confirmed_though_the_second_series_has_noise(self):
        first, second = self.rounds_of(1.4, 0.2), [0.9, 1.0, 1.3, 1.3, 1.4, 1.4, 1.4, 1.5, 1.5, 1.6]
        self.assertFalse(compare.is_slower(second[:5], 10))
        self.assertTrue(compare.is_confirmed(first, second, 10))

    def test_five_per_cent_slower_is_below_the_limit(self):
        self.assertEqual(compare.verdict(self.rounds_of(1.05, 0.02), 10), "")

    def test_slower_by_less_than_the_noise_is_not_slower(self):
        self.assertEqual(compare.verdict([0.6, 0.8, 0.9, 1.2, 1.3, 1.4, 1.2, 0.7, 1.3, 1.2], 10), "")

    def test_half_the_time_is_faster(self):
        self.assertEqual(compare.verdict(self.rounds_of(0.5, 0.1), 10), "faster")

    def test_few_rounds_have_the_whole_range_as_interval(self):
        self.assertEqual(compare.interval([1.3, 0.9, 1.1]), (0.9, 1.3))

    def test_the_interval_of_ten_rounds_leaves_out_one_at_each_end(self):
        self.assertEqual(compare.interval(list(range(10))), (1, 8))


class Names(unittest.TestCase):
    def test_items_of_google_benchmark_become_nanoseconds(self):
        found = Measurements()
        found.add_benchmarks('{"benchmarks": [{"run_name": "commit/each/10/real_time", "name": "x",'
                             ' "items_per_second": 2e6}]}')
        self.assertEqual(found.values, {"parts/commit/each/10": [500.0]})

    def test_a_benchmark_that_failed_is_an_error(self):
        with self.assertRaisesRegex(RuntimeError, "x: no plugin"):
            Measurements().add_benchmarks(
                '{"benchmarks": [{"name": "x", "error_occurred": true, "error_message": "no plugin"}]}')


class Report(unittest.TestCase):
    ABOUT = {"machine": "2 cores", "revision": "abc", "date": "2026-01-01", "minutes": 1, "load": [0, 1, 4],
             "size": "quick"}

    def write(self, lines, redis=None):
        found = Measurements()
        for name, unit, value in lines:
            found.add(name, unit, value)
        with tempfile.TemporaryDirectory() as folder:
            report.write(self.ABOUT, found, redis, pathlib.Path(folder))
            svg = (pathlib.Path(folder) / "report.svg").read_text()
            return (pathlib.Path(folder) / "report.md").read_text(), svg

    STAGE = [(f"stage/{sync}/batch-{batch}/{peer}/{what}", "us/entry", 2.0)
             for sync in ("commit", "group") for batch in (1, 10, 100) for peer in ("pwrite", "store", "checked")
             for what in ("wall", "cpu")]

    def test_a_goal_that_is_met_says_so_and_another_by_how_much_not(self):
        text, _ = self.write(self.STAGE + [("program/check", "ms", 100.0), ("program/idle", "% of a core", 0.1)])
        self.assertIn("| ≤ 50 ms | 100 ms | 2.0 times the goal |", text)
        self.assertIn("| ≤ 1 % of a core | 0.10 % of a core | met |", text)

    def test_half_a_million_a_second_is_the_goal_of_a_core(self):
        text, _ = self.write(self.STAGE)
        self.assertIn("| ≥ 0.5 M entries/s | 0.50 M entries/s | met |", text)

    def test_only_what_is_between_the_marks_of_the_readme_is_replaced(self):
        found = Measurements()
        for name, unit, value in self.STAGE:
            found.add(name, unit, value)
        with tempfile.TemporaryDirectory() as folder:
            readme = pathlib.Path(folder) / "README.md"
            readme.write_text("before\n" + report.README_BEGIN + "old\n" + report.README_END + "after\n")
            for _ in range(2):
                report.update_readme(self.ABOUT, found, readme)
            lines = readme.read_text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("before", "after"))
        self.assertNotIn("old", lines)
        self.assertEqual(len([line for line in lines if line.startswith("| store |")]), 1)

    def test_the_plot_is_a_document_with_a_line_for_each_peer(self):
        _, svg = self.write(self.STAGE)
        self.assertEqual(len(xml.dom.minidom.parseString(svg).getElementsByTagName("polyline")), 6)


if __name__ == "__main__":
    unittest.main()
