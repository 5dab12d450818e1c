"""CSV traces, as people and their programs write them."""

import pytest

from testbed.errors import TestbedError
from testbed.links.csv_trace import read_csv_trace


@pytest.fixture
def rows(tmp_path):
    """Return a function that reads the rows of a trace with the given content."""

    def read(content):
        path = tmp_path / "trace.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return [(row.time, row.values) for row in read_csv_trace(path, "up.trace")]

    return read


PLAIN = "time (s),rate (mbit)\n0,5\n1.5,2.5\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.encode("utf-8-sig"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", " , "),
        PLAIN + "\n \n",
        "# the train to Bergen\n" + PLAIN,
        '"time (s)","rate (mbit)"\r\n"0","5"\r\n"1.5","2.5"\r\n',
        '"time (s)"; "rate (mbit)"\n0;5\n1.5;2.5\n',
        PLAIN.replace("time (s),rate (mbit)", "Time (S),Rate (Mbit)"),
        PLAIN.replace("time (s),rate (mbit)", "time [s],rate(mbit)"),
        "time (ms),rate (kbit)\n0.00e+00,5.00e+03\n1.50e+03,2500.\n",
        "time,rate\n0,5mbit\n1500ms,2.5 mbit\n",
    ],
)
def test_one_table_written_in_many_ways(rows, content):
    assert rows(content) == [(0.0, {"rate": 5e6}), (1.5, {"rate": 2.5e6})]


def test_small_numbers_have_exponents(rows):
    assert rows("time (s),delay (ms),loss (%)\n0.1,3.0,5e-05\n") == [
        (0.1, {"delay": 0.003, "loss": 5e-7})
    ]


def test_a_rate_of_0_is_a_dead_time(rows):
    found = rows("time (s),rate (mbit)\n0,5\n1,0\n2,0.0\n3,5\n")
    assert [values["rate"] for _, values in found] == [5e6, 0, 0, 5e6]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time,rate\n0,1mbit\n0s,2mbit\n", "line 3: time 0s is not later than the row above"),
        ("time,rate\n0,1mbit\n\n1s,1mbit\n", "line 3: the line is empty; remove it"),
        ("", "it has no rows; write at least one below the column names"),
        ("time,rate\n", "it has no rows; write at least one below the column names"),
        ("time (s),rate (mbit)\n0,fast\n", "line 2.rate: 'fastmbit' is not a rate"),
        ("time (s),rate (mbit)\nnan,1\n", "line 2: 'nans' is not a time"),
        ("time (s),rate (mbit)\n0,-1\n", "line 2.rate: '-1mbit' is not a rate"),
        ("time (s),rate (mbit)\n0\n", "line 2: 1 value in 2 columns"),
        ("time (s),rate (mbit)\n0,\n", "line 2: the rate is empty; write it in each row"),
        ('time (s),rate (mbit)\n"0,1\n', "line 2: it is not a row of CSV: unexpected end of data"),
        (
            "time (s),rate (mbit)\n0,0,5,2\n",
            "line 2: 4 values in 2 columns; write numbers with a point, not a decimal comma",
        ),
        (
            "time (s);rate (mbit)\n0;5,2\n",
            "line 2.rate: '5,2mbit' is not a rate; write a number and one of bit, kbit, mbit, "
            "gbit, e.g. 10mbit; write a point, not a decimal comma",
        ),
        ("time,speed\n", "line 1: column 2 is unknown; there are time, rate, delay and loss"),
        (
            "time (s),rate (Mbps)\n",
            "line 1: column 2: 'mbps' is not a unit of rate; choose from bit, kbit, mbit, gbit",
        ),
        ("rate\n", "line 1: the columns must be time and some of the others"),
        (
            "time (s),rate (mbit)\n1574951000,0.05\n",
            "line 2: '1574951000s' is not a time; it must be 0us to 1000000s; times count from "
            "0 s, so take the first row's time off all rows",
        ),
    ],
)
def test_a_bad_trace_is_refused_with_file_and_line(rows, text, said):
    with pytest.raises(TestbedError) as caught:
        rows(text)
    assert str(caught.value).startswith("up.trace: ")
    assert "trace.csv" in str(caught.value)
    assert said in str(caught.value)
