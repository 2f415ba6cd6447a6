"""A ledger that two runs use at the same time, or whose last line a killed run did not finish."""

import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.ledger import Ledger, LedgerRow
from dataengine_lib.chat.paid_requests import PaidRequest
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import Reply
from dataengine_lib.core.files import read_jsonl

PRICE = Price(input=0, output=1_000_000)  # a dollar a token of a reply
RUN = """
import asyncio, sys
from pathlib import Path
from dataengine_lib.chat.budget import Budget
from dataengine_lib.chat.ledger import Ledger
from dataengine_lib.chat.paid_requests import PaidRequest, PaidRequests
from dataengine_lib.chat.prices import Price
from dataengine_lib.chat.reply import Reply
from dataengine_lib.chat.settings import ChatSettings

async def send(request, limit, may_retry):
    await asyncio.sleep(0.05)
    return Reply("A", prompt_tokens=1, completion_tokens=4)

price = Price(input=0, output=1_000_000)
print("ready", flush=True)
sys.stdin.readline()
with Ledger(Path(sys.argv[1]), price.of, waits=True) as ledger:
    requests = [PaidRequest(key=f"k{n}", prompt="?", subject=n) for n in map(int, sys.argv[2].split(","))]
    requests = [request for request in requests if request.key not in ledger.paid]
    settings = ChatSettings(max_output_tokens=10, concurrency=4)
    paid = PaidRequests(Budget(50, price, "", ledger), settings, send, lambda request: {"asked": "m"})
    asyncio.run(paid.ask_all(requests, lambda request, reply: None, lambda request, failure: None))
print(len(requests), bool(paid.budget.stopped))
"""


def test_two_runs_on_one_ledger_pay_for_no_reply_twice_and_keep_one_budget(tmp_path: Path) -> None:
    file = tmp_path / "l.jsonl"
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(file), ",".join(map(str, keys))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for keys in (range(8), range(4, 20))
    ]
    for run in runs:
        assert run.stdout and run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin
        run.stdin.write("\n")
        run.stdin.flush()
    output = [run.communicate()[0].split() for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    # The second one asks what the first one has not; at 44 dollars less than ten are left, the most of one more.
    assert output in ([["8", "False"], ["12", "True"]], [["4", "True"], ["16", "True"]])
    keys = Counter(row["key"] for row in read_jsonl(file) if row.get("text"))
    assert len(keys) == 11 and set(keys.values()) == {1}
    with Ledger(file) as ledger:
        assert (ledger.spent_usd, ledger.reserved_usd) == (44, 0)


def test_a_last_line_that_was_cut_counts_no_money_less(tmp_path: Path) -> None:
    file, cut = tmp_path / "l.jsonl", tmp_path / "cut.jsonl"
    spent = [(0, 0.0)]  # the file's size behind each row, and the money that counts by then
    requests = [PaidRequest(key=f"k{n}", prompt="?", subject=None) for n in range(3)]
    with Ledger(file, PRICE.of) as ledger:
        budget = Budget(None, PRICE, "", ledger)

        def note() -> None:
            spent.append((file.stat().st_size, ledger.spent_usd))

        for request in requests:
            budget.reserve(request, 10)
            note()
        ledger.add(LedgerRow.of("k0", Reply("A", prompt_tokens=1, completion_tokens=4)))
        note()
        budget.lose(requests[1])
        note()
        budget.release(requests[2])
        note()
    assert [usd for _, usd in spent] == [0, 10, 20, 30, 24, 24, 14]
    content = file.read_bytes()
    for (begin, before), (end, after) in pairwise(spent):
        # without its newline a row is whole, without its brace it counts as not written
        for size, usd in (
            (begin + 1, before),
            ((begin + end) // 2, before),
            (end - 2, before),
            (end - 1, after),
        ):
            cut.write_bytes(content[:size])
            with Ledger(cut) as known:
                assert known.spent_usd == usd
                known.reserve("k9", 1)
            with Ledger(cut) as known:
                assert known.spent_usd == usd + 1


def test_a_request_sent_once_more_leaves_the_killed_one_at_its_worst(tmp_path: Path) -> None:
    request = PaidRequest(key="k", prompt="?", subject=None)
    with Ledger(tmp_path / "l.jsonl", PRICE.of) as ledger:
        Budget(None, PRICE, "", ledger).reserve(request, 20)  # and then the run was killed
    with Ledger(tmp_path / "l.jsonl", PRICE.of) as ledger:
        Budget(None, PRICE, "", ledger).reserve(request, 10)
        ledger.add(LedgerRow.of("k", Reply("A", prompt_tokens=1, completion_tokens=4)))
        assert (ledger.cost_usd, ledger.reserved_usd) == (4, 20)
    with Ledger(tmp_path / "l.jsonl") as known:
        assert known.spent_usd == 24
