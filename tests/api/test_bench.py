"""The bench, in its shortest form: it must work, how fast is not asked here."""

import asyncio
import json
import sys
from pathlib import Path

import pytest

from tests.bench.run import ALL


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("mariadb_server", "redis_server")  # they say so where the programs are missing
async def test_quick_run(tmp_path: Path) -> None:
    """A quick run measures every part without a failure, prints the tables and writes the figures."""
    file = tmp_path / "bench.json"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.bench", *ALL),
        *("--quick", "--peers", "Starlette", "--json", str(file)),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    printed = output.decode()
    assert process.returncode == 0, printed
    report = json.loads(file.read_text())
    assert report["failed"] == {}
    assert report.keys() > set(ALL)
    (told,) = (each["sign_ins"] for each in report["sign-ins"])
    assert told["errors"] == {}
    assert told["done"] == told["begun"] > 0
    figures = {figure["name"]: figure for figure in report["figures"]}
    frame = figures["confirm on the phone to frame in the browser, median"]
    assert frame["unit"] == "ms"
    assert frame["low"] == frame["median"] == frame["high"] > 0
    for name in figures:
        assert name in printed
    assert figures["refreshes"]["median"] > 0
    assert figures["statements per sign-in"]["median"] > 1
    (by_code,) = report["codes"]
    assert by_code["errors"] == {}
    assert by_code["done"] > 0
    (pushed,) = report["pushes"]
    assert pushed["errors"] == {}
    assert pushed["scans"]["max"] > 0
    assert {"SQLite read, store to driver", "MariaDB unit, store to driver"} < figures.keys()
    waiting = report["waiting"]
    assert waiting["missing"] == {}
    for row in waiting["comparison"]:
        assert row["name"] in printed
        assert row["servers"].keys() == {"Login Hub", "Starlette"}, row["name"]
    lost = next(row for row in waiting["comparison"] if row["name"] == "events and sockets lost")
    assert {figure["high"] for figure in lost["servers"].values()} == {0}
    assert [size["lost"] for size in report["curve"]] == [0, 0]
    soak = report["soak"]
    assert soak["churn"]["gone"] == soak["churn"]["refused"] == 0
    assert soak["churn"]["turned"] > 0
    assert soak["sign_ins"]["errors"] == {}
