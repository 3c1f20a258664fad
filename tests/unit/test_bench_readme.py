"""The figures in the README are those that are on record."""

from tests.bench.readme import BEGIN, END, README, rendered


def test_the_readme_has_the_figures_on_record() -> None:
    """Between the markers stands what the kept reports say, and nothing else."""
    text = README.read_text("utf-8")
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.partition(BEGIN)[2].partition(END)[0] == rendered()
