"""Where programs use `Scorer`: scripts without a guard, forks, daemons, event loops, services without standard streams."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from in_process import environment

from iqa_cli import Scorer

pytestmark = [pytest.mark.process, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

PHOTO = Path(__file__).parent / "photos" / "coffee.jpg"
BEGIN = """
import os, sys, threading, time
from iqa_cli import IqaError, Scorer
photo, model = sys.argv[1:]
"""


@pytest.fixture(scope="module")
def expected(model: Path) -> str:
    with Scorer(model) as scorer:
        return repr(scorer.score(PHOTO).score)


def run(tmp_path: Path, model: Path, script: str, **options: object) -> str:
    """What a script of a file of its own prints, and that nothing is on stderr."""
    (tmp_path / "script.py").write_text(BEGIN + script)
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "script.py", str(PHOTO), str(model)]
    done = subprocess.run(
        command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120, env=environment(), **options
    )
    assert done.stderr == ""
    assert done.returncode == 0
    return done.stdout


SCRIPTS = {
    "without a guard": """
from iqa_cli import *
scorer = Scorer(model)
print(repr(scorer.score(photo).score))
""",
    "without a guard, many": """
with Scorer(model, workers=3) as scorer:
    (record,) = {record.score for record in scorer.score_many([photo] * 20)}
print(repr(record))
""",
    "left in the middle": """
scorer = Scorer(model)
for record in scorer.score_many(photo for _ in iter(int, 1)):
    print(repr(record.score))
    sys.exit()
""",
    "in a running event loop": """
import asyncio
async def main():
    with Scorer(model) as scorer:
        apart = await asyncio.gather(*(asyncio.to_thread(scorer.score, photo) for _ in range(9)))
        assert {record.score for record in apart} == {scorer.score(photo).score}
        print(repr(scorer.score(photo).score))
asyncio.run(main())
""",
    "in a thread": """
scorer = Scorer(model)
thread = threading.Thread(target=lambda: print(repr(scorer.score(photo).score)))
thread.start()
thread.join()
""",
    "in a daemon of multiprocessing": """
import multiprocessing
def work(scorer):
    print(repr(scorer.score(photo).score), flush=True)
context = multiprocessing.get_context("fork")
process = context.Process(target=work, args=(Scorer(model),), daemon=True)
process.start()
process.join()
assert process.exitcode == 0
""",
    "after the folder has changed": """
os.chdir(os.path.dirname(model))
scorer = Scorer(os.path.basename(model))
os.chdir("/")
if not os.fork():
    print(repr(scorer.score(photo).score), flush=True)
    os._exit(0)
os.wait()
""",
    "in forks, and in the parent after them": """
scorer = Scorer(model)
scorer.score(photo)
def work():
    read, write = os.pipe()
    if not os.fork():
        os.write(write, repr(scorer.score(photo).score).encode())
        scorer.close()
        os._exit(0)
    return read
ends = [work() for _ in range(3)]
scores = {os.read(end, 99).decode() for end in ends}
for _ in ends:
    os.wait()
scores |= {repr(scorer.score(photo).score)}
print(*scores)
""",
    "in workers that are started afresh": """
import multiprocessing
if __name__ == "__main__":
    scorer = Scorer(model)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        (score,) = {record.score for record in pool.map(scorer.score, [photo] * 4)}
    print(repr(score))
""",
    "in a fork that ends as Python does": """
scorer = Scorer(model)
scorer.score(photo)
child = os.fork()
if not child:
    scorer.score(photo)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
workers = [decoder.process for decoder in scorer._pipeline.pool.living]
assert workers and all(worker.poll() is None for worker in workers), "the child has ended the parent's"
print(repr(scorer.score(photo).score))
""",
    "in a fork that drops it": """
scorer = Scorer(model)
scorer.score(photo)
workers = [decoder.process for decoder in scorer._pipeline.pool.living]
child = os.fork()
if not child:
    del scorer
    import gc
    gc.collect()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
assert all(worker.poll() is None for worker in workers)
print(repr(scorer.score(photo).score))
""",
    "in a fork while threads score": """
import contextlib
with contextlib.suppress(ImportError):
    import torch  # as in programs that have threads of its own, too
scorer = Scorer(model)
done = threading.Event()
def work():
    while not done.is_set():
        scorer.score(photo)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
time.sleep(0.3)
for _ in range(3):
    child = os.fork()
    if not child:
        scorer.score(photo)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
done.set()
for thread in threads:
    thread.join()
print(repr(scorer.score(photo).score))
""",
    "without standard streams": """
read, write = os.pipe()
if not os.fork():
    os.setsid()
    os.close(read)
    if os.fork():
        os._exit(0)
    os.dup2(write, 9)
    os.closerange(0, 3)
    try:
        with Scorer(model, workers=2) as scorer:
            (score,) = {record.score for record in scorer.score_many([photo, photo, open(photo, "rb").read()])}
        os.write(9, repr(score).encode())
    except BaseException as error:
        os.write(9, repr(error).encode())
    os._exit(0)
os.wait()
os.close(write)
print(os.read(read, 999).decode())
""",
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_it_scores_wherever_it_is_used(tmp_path: Path, model: Path, expected: str, script: str) -> None:
    assert run(tmp_path, model, script) == f"{expected}\n"


def test_records_of_the_process_before_a_fork_are_refused_in_it(tmp_path: Path, model: Path) -> None:
    script = """
scorer = Scorer(model)
records = scorer.score_many([photo] * 50)
next(records)
if not os.fork():
    try:
        next(records)
    except IqaError as error:
        print(error, flush=True)
    os._exit(0)
os.wait()
print(len(list(records)))
"""
    words = "these records are those of the process before the fork: call score_many again"
    assert run(tmp_path, model, script) == f"{words}\n49\n"


def test_no_process_is_left_when_a_program_ends(tmp_path: Path, model: Path) -> None:
    script = """
scorer = Scorer(model, workers=2)
list(scorer.score_many([photo] * 8))
print(*(decoder.process.pid for decoder in scorer._pipeline.pool.living))
"""
    numbers = run(tmp_path, model, script).split()
    assert numbers
    for number in numbers:
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)


def test_ctrl_c_in_a_call_leaves_the_scorer_usable(tmp_path: Path, model: Path, expected: str) -> None:
    script = """
import signal
scorer = Scorer(model, workers=1)
scorer.score(photo)
def interrupt(*_):
    raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
try:
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    while True:
        scorer.score(photo)
except KeyboardInterrupt:
    pass
print(repr(scorer.score(photo).score))
"""
    assert run(tmp_path, model, script) == f"{expected}\n"
