"""The figures in the README, and the plan that rests on them, are those that are on record."""

import pytest

from tests.bench.readme import README, rendered


@pytest.mark.parametrize("part", ["figures", "plan"])
def test_the_readme_has_the_figures_on_record(part: str) -> None:
    """Between the markers stands what the kept reports say, and nothing else."""
    text = README.read_text("utf-8")
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->\n"
    assert text.count(begin) == text.count(end) == 1
    assert text.partition(begin)[2].partition(end)[0] == rendered()[part]
