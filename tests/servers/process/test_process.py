"""A server is started and ended through its guardian, and in every case no process of it is left on the machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from pytest_precgate.engines.server import ServerCommand
from pytest_precgate.errors import EngineStartError, EngineStopError, PreflightError
from pytest_precgate.servers.process import guardian, output, supervised
from pytest_precgate.servers.process.supervised import Process, start
from tests.engines.marked import STAND_IN, Marked, answers_200, eventually, free_port, marked, words


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Marked]:
    with marked(tmp_path) as made:
        yield made


def guardians(process: Process) -> tuple[psutil.Process, psutil.Process]:
    """The outer and the inner one."""
    inner = psutil.Process(process.pid).parent()
    assert inner is not None
    outer = inner.parent()
    assert outer is not None
    return outer, inner


def ready(process: Process, port: int) -> bool:
    return eventually(lambda: answers_200(port) or not process.is_alive()) and process.is_alive()


def patched_guardian(here: Marked, patch: str) -> Path:
    """The guardian with some lines run before its main."""
    path = here.directory / "guardian.py"
    path.write_text(
        "import importlib.util, os, pathlib\n"
        f"spec = importlib.util.spec_from_file_location('guardian', {guardian.__file__!r})\n"
        "guardian = importlib.util.module_from_spec(spec)\n"
        f"spec.loader.exec_module(guardian)\n{patch}\nguardian.main()\n"
    )
    return path


@pytest.mark.parametrize("behave", ["serves", "leaves-workers", "ignores-sigterm", "respawns"])
def test_a_stop_leaves_nothing(here: Marked, behave: str) -> None:
    """Workers in sessions of their own, that outlive the server, ignore SIGTERM or come back: all end."""
    port = free_port()
    process = here.stand_in(behave, "--workers", "3", port=port)
    assert ready(process, port)
    assert process.listens_on(port)

    def sessions() -> set[int]:
        return {os.getsid(server.pid) for server in here.servers()}

    # A worker begins its session after it was forked, which the open port does not wait for.
    assert eventually(lambda: len(sessions()) >= 4)
    assert process.pid in sessions()
    process.stop()
    assert here.running() == []
    assert process.survivors() == ()
    assert not process.is_alive()
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_stop_leaves_nothing_of_a_server_that_is_frozen(here: Marked) -> None:
    """SIGSTOP to it and its workers: they hear no SIGTERM, and are ended all the same."""
    port = free_port()
    process = here.stand_in("serves", "--workers", "3", port=port)
    assert ready(process, port)
    for server in here.servers():
        server.suspend()
    process.stop()
    assert here.running() == []
    assert process.survivors() == ()


GROUPS_ONLY = """
kill = os.kill
os.kill = lambda pid, number: kill(pid, number) if pid < 0 or number == 15 else None
"""


def test_a_chain_of_processes_that_fork_and_exit_is_caught(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its group: no listing shows the one that lives. A pipe that each holds open tells when the last is gone."""
    lifeline = here.directory / "lifeline"
    os.mkfifo(lifeline)
    reader = os.open(lifeline, os.O_RDONLY | os.O_NONBLOCK)
    stand_in = (
        sys.executable,
        "-S",
        str(STAND_IN),
        "--behave",
        "forks-on",
        "--workers",
        "2",
        "--port",
        str(free_port()),
    )
    monkeypatch.setattr(supervised, "GUARDIAN", patched_guardian(here, GROUPS_ONLY))
    process = here.start("sh", "-c", 'exec 9> lifeline; exec "$@"', "sh", *stand_in)
    assert eventually(lambda: "Loading" in process.log_text())
    with pytest.raises(BlockingIOError):  # open at the other end, and nothing written
        os.read(reader, 1)
    process.stop()
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_a_server_that_drains_a_stream_for_ever_is_ended(here: Marked) -> None:
    """The stop timeout bounds how long open streams are waited for."""
    port = free_port()
    process = here.stand_in("drains", port=port, stop_timeout_s=0.5)
    assert ready(process, port)
    body = json.dumps({"model": "org/model", "prompt": [1], "max_tokens": 1, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"POST /v1/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(64).startswith(b"HTTP/1.1 200")
        process.stop()
    assert here.running() == []
    assert process.exit_text().startswith("was killed by SIGKILL")


def test_a_server_that_ends_by_itself_takes_what_it_left_behind_along(here: Marked) -> None:
    """Without a request: the guardian ends the workers of a dead server, and itself."""
    process = here.stand_in("fails", "--load-s", "0", stop_timeout_s=0.2)
    assert eventually(lambda: here.running() == [])
    assert not process.is_alive()
    assert process.exit_text() == "ended with exit code 1"
    process.stop()


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os; os.abort()", "was killed by SIGABRT"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL, as the kernel does when memory runs out"),
        ("import os; os.kill(os.getpid(), 40)", "was killed by signal 40"),
    ],
)
def test_how_a_server_ended_is_told(here: Marked, code: str, text: str) -> None:
    """An exit code, a signal by its name, and what else sends it."""
    process = here.start(sys.executable, "-c", code)
    assert eventually(lambda: not process.is_alive())
    assert process.exit_text() == text
    process.stop()


def test_a_stop_may_be_repeated_and_a_running_server_says_so(here: Marked) -> None:
    """The second stop does nothing."""
    process = here.start("sleep", "600")
    assert process.is_alive()
    assert process.exit_text() == "still runs"
    process.stop()
    process.stop()
    assert process.exit_text() == "was killed by SIGTERM"


def test_a_server_gets_a_clean_start(here: Marked) -> None:
    """Own session, no terminal, three descriptors, every signal as it is by default, the directory and variables asked
    for; both outputs in the log."""
    code = """
import json, os, signal, sys
descriptors = sorted(os.listdir("/proc/self/fd"))[:-1]  # the last one is this listing's own
ignored = [int(number) for number in signal.valid_signals() if signal.getsignal(number) == signal.SIG_IGN]
blocked = [int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, [])]
print(json.dumps({
    "own session": os.getsid(0) == os.getpid(), "descriptors": descriptors, "stdin": os.readlink("/proc/self/fd/0"),
    "ignored": sorted(ignored), "blocked": blocked, "directory": os.getcwd(), "variable": os.environ["OWN"],
}))
sys.stderr.write("and this")
"""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    with socket.socket() as open_here:
        open_here.set_inheritable(True)
        process = here.start(sys.executable, "-S", "-c", code, variables={"OWN": "value"})
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
    assert eventually(lambda: not process.is_alive())
    process.stop()
    first, second = process.log_text().splitlines()
    assert json.loads(first) == {
        "own session": True,
        "descriptors": ["0", "1", "2"],
        "stdin": "/dev/null",
        "ignored": [signal.SIGPIPE, signal.SIGXFSZ],  # by every Python, for itself
        "blocked": [],
        "directory": str(here.directory),
        "variable": "value",
    }
    assert second == "and this"


FLOOD = """
import os, sys
sys.stdout.write("the beginning\\n"); sys.stdout.flush()
block = b"x" * 99 + b"\\n"
for _ in range(300):
    os.write(1, block * 10_000)
sys.stderr.write("the end\\n")
"""


def test_the_output_of_a_server_that_writes_without_end_is_capped(here: Marked) -> None:
    """300 MB in a process of its own: beginning and end are kept, the middle is counted; no memory grows with it."""
    before = psutil.Process().memory_info().rss
    process = here.start(sys.executable, "-S", "-c", FLOOD)
    most = 0
    while process.is_alive():
        most = max([most, *(memory(guard) for guard in psutil.Process().children(recursive=True))])
        assert process.log_size() <= CAP + 2 * output.TAIL_BYTES  # while the end is put behind the beginning
    assert process.exit_text() == "ended with exit code 0"
    assert process.log_text().startswith("the beginning\nxxx")
    assert process.tail(1) == "the end"
    process.stop()
    assert parts(here) == [here.log]
    assert here.log.stat().st_size <= CAP
    text = process.log_text()
    assert text.endswith("x\nthe end\n")
    [notice] = [line for line in text.splitlines() if line.startswith("[precgate: ")]
    left_out = int(notice.split()[1])
    written = len("the beginning\n") + 300 * 1_000_000 + len("the end\n")
    assert left_out == written - (len(text) - len(f"\n{notice}\n"))
    assert psutil.Process().memory_info().rss - before < 4 * CAP
    assert most < 8 * CAP


CAP = output.HEAD_BYTES + 2 * output.TAIL_BYTES + 100


def memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def parts(here: Marked) -> list[Path]:
    return sorted(here.log.parent.glob(f"{here.log.name}*"))


def test_a_log_that_is_not_full_is_one_file_as_it_was_written(here: Marked) -> None:
    """Nothing is left out, and nothing is added."""
    process = here.start(sys.executable, "-c", "print('one'); import os; os.write(2, b'two')")
    assert eventually(lambda: not process.is_alive())
    process.stop()
    assert here.log.read_bytes() == b"one\ntwo"
    assert parts(here) == [here.log]


def test_what_a_server_prints_of_its_secrets_is_not_quoted(here: Marked) -> None:
    """Values of its own variables, and of those of the environment that are called like a secret."""
    here.environ["OUR_TOKEN"] = "hf_hunter2hunter2"
    code = "import os; print(os.environ['OUR_TOKEN'], os.environ['OWN'], os.environ['SMALL'])"
    process = here.start(sys.executable, "-c", code, variables={"OWN": "sk-hunter2hunter2", "SMALL": "1"})
    assert eventually(lambda: not process.is_alive())
    process.stop()
    assert process.log_text() == "$OUR_TOKEN $OWN 1\n"
    assert process.tail(1) == "$OUR_TOKEN $OWN 1"


def test_a_log_is_begun_anew_and_its_tail_is_its_last_lines(here: Marked) -> None:
    """What a progress bar overwrote counts as lines; broken bytes are no reason to fail."""
    here.log.write_text("of an earlier start")
    process = here.start("printf", r"one\ntwo\n10%%\r20%%\r\377\n")
    assert eventually(lambda: not process.is_alive())
    process.stop()
    assert process.tail(3) == "10%\n20%\n\\xff"
    assert process.log_text().startswith("one\ntwo")
    assert process.log_size() == len(b"one\ntwo\n10%\r20%\r\xff\n")


def test_files_are_written_before_the_start(here: Marked) -> None:
    """The server finds them, in directories that did not exist."""
    config = here.directory / "new" / "config.yaml"
    process = start(ServerCommand(("cat", str(config)), files={config: "a: 1\n"}), here.log, here.environ, 1.0)
    assert eventually(lambda: not process.is_alive())
    process.stop()
    assert process.log_text() == "a: 1\n"


def test_twenty_five_starts_and_stops_leave_no_descriptor_and_no_process(here: Marked) -> None:
    """Counted in this process and on the machine."""
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208  # pathlib would open one of its own
    for _ in range(25):
        process = here.start("sleep", "600")
        assert process.is_alive()
        process.stop()
    assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert here.running() == []
    assert not [child for child in psutil.Process().children() if here.mark in " ".join(words(child))]


def test_what_cannot_be_started_is_refused_by_name(here: Marked) -> None:
    """No such program on PATH or at its path, no execute permission, no such directory, no file where one is needed."""
    plain = here.directory / "plain"
    plain.write_text("echo")
    with pytest.raises(PreflightError, match=r"no-such-server: no such program on PATH \(/nowhere\)"):
        here.start("no-such-server", variables={"PATH": "/nowhere"})
    with pytest.raises(PreflightError, match=r"./no-such-server: no such program; looked for .*/no-such-server"):
        here.start("./no-such-server")
    with pytest.raises(PreflightError, match=r"./plain: not executable: .*/plain; chmod \+x"):
        here.start("./plain")
    with pytest.raises(PreflightError, match=r"the directory to start it in does not exist: .*plain"):
        start(ServerCommand(("sleep", "1"), cwd=plain), here.log, here.environ, 1.0)
    with pytest.raises(PreflightError, match=r"plain/config.yaml: a file of the server's start cannot be written"):
        start(ServerCommand(("sleep", "1"), files={plain / "config.yaml": ""}), here.log, here.environ, 1.0)
    with pytest.raises(PreflightError, match=r"plain/engine.log: a file of the server's start cannot be written"):
        start(ServerCommand(("sleep", "1")), plain / "engine.log", here.environ, 1.0)


def test_what_the_kernel_refuses_to_run_is_an_error_with_its_words(here: Marked) -> None:
    """A script without a first line, a variable that cannot be one."""
    script = here.directory / "server"
    script.write_text("echo hello")
    script.chmod(0o755)
    with pytest.raises(EngineStartError, match=r"./server: it cannot be run: .*Exec format error.*; its output: "):
        here.start("./server")
    with pytest.raises(EngineStartError, match="sleep: it cannot be run: illegal environment variable name"):
        here.start("sleep", "600", variables={"A=B": "c"})


def test_a_guardian_that_does_not_come_up_is_an_error_with_its_words(
    here: Marked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its traceback stands in the log and in the message."""
    broken = here.directory / "guardian.py"
    broken.write_text("raise RuntimeError('no prctl here')")
    monkeypatch.setattr(supervised, "GUARDIAN", broken)
    with pytest.raises(EngineStartError, match=r"(?s)sleep: its guardian did not come up.*RuntimeError: no prctl here"):
        here.start("sleep", "600")


def test_servers_are_started_on_linux_only(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Elsewhere there is nothing to keep the promise with."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(PreflightError, match=r'started on Linux only, and this is darwin; .*engine = "endpoint"'):
        here.start("sleep", "600")


def test_another_program_on_the_port_is_not_taken_for_the_server(here: Marked) -> None:
    """The listening process must be the server or below it."""
    process = here.start("sleep", "600")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert not process.listens_on(other.getsockname()[1])
    process.stop()
    assert not process.listens_on(1)


@pytest.mark.parametrize("which", [0, 1])
def test_a_killed_guardian_is_made_up_for_by_the_other(here: Marked, which: int) -> None:
    """Outer or inner: the server ends, with workers that would have outlived it, and that is told."""
    port = free_port()
    process = here.stand_in("leaves-workers", port=port, stop_timeout_s=0.2)
    assert ready(process, port)
    guardians(process)[which].kill()
    assert eventually(lambda: here.running() == [])
    assert eventually(lambda: not process.is_alive())  # what has ended is told by a guardian
    assert process.exit_text() == ("ended with exit code 0", "was ended because its guardian was killed")[which]
    process.stop()


def test_both_guardians_killed_takes_the_server_along_and_vouches_for_nothing(here: Marked) -> None:
    """The kernel ends the server with its guardian; what else is left is unknown, and the stop says so."""
    process = here.start("sleep", "600")
    both = guardians(process)
    for one in both:
        one.suspend()
    for one in both:
        one.kill()
    assert eventually(lambda: here.running() == [])
    with pytest.raises(EngineStopError, match="sleep: both its guardians were killed"):
        process.stop()


@pytest.mark.parametrize("which", [0, 1])
def test_a_guardian_that_hangs_does_not_hang_the_stop(
    here: Marked, monkeypatch: pytest.MonkeyPatch, which: int
) -> None:
    """It is killed after a while, and the other one cleans up."""
    monkeypatch.setattr(supervised, "_GUARDIAN_S", 0.5)
    process = here.stand_in("leaves-workers", stop_timeout_s=0.2)
    guardians(process)[which].suspend()
    process.stop()
    assert here.running() == []


def test_a_guardian_that_cannot_be_started_is_an_error(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the user may have no more processes."""
    monkeypatch.setattr(sys, "executable", str(here.directory / "no-python"))
    with pytest.raises(EngineStartError, match=r"sleep: its guardian cannot be started: .*No such file"):
        here.start("sleep", "600")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_guardian_is_deaf_to_the_terminal(here: Marked, number: signal.Signals) -> None:
    """Ctrl-C and a closed terminal are pytest's to act on."""
    process = here.start("sleep", "600")
    for one in guardians(process):
        one.send_signal(number)
    process.stop()
    assert process.exit_text() == "was killed by SIGTERM"


def test_sigterm_to_a_guardian_stops_the_server(here: Marked) -> None:
    """Ending every running process ends the server as well."""
    process = here.stand_in("leaves-workers", stop_timeout_s=0.2)
    guardians(process)[0].terminate()
    assert eventually(lambda: here.running() == [])
    process.stop()


@pytest.mark.parametrize("ends", ["told", "by itself"])
def test_what_a_server_leaves_behind_is_told_to_end_and_has_little_time(
    here: Marked, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    """A launcher that dies passes nothing on, and its tasks on other machines end only if they are told. What does not
    listen is not waited for as long as a server is."""
    monkeypatch.setattr(supervised, "GUARDIAN", patched_guardian(here, "guardian._LAST_GRACE_S = 0.3"))
    polite = "trap 'echo ended as told; exit' TERM; echo up; while :; do sleep 0.1; done"
    deaf = "trap '' TERM; echo up; while :; do sleep 0.1; done"
    launcher = 'sh -c "$1" & sh -c "$2" & sleep 600'
    process = here.start("sh", "-c", launcher, "sh", polite, deaf, stop_timeout_s=3600.0)
    assert eventually(lambda: process.log_text().count("up") == 2)
    if ends == "by itself":
        os.kill(process.pid, signal.SIGKILL)
        assert eventually(lambda: here.running() == [])
    process.stop()
    assert here.running() == []
    assert "ended as told" in process.log_text()


SPARES = """
kill, guardian._KILL_S = os.kill, 0.2
def spare(pid, number):
    words = pathlib.Path(f"/proc/{abs(pid)}/cmdline")
    if not (words.exists() and b"600600" in words.read_bytes()):
        kill(pid, number)
os.kill = spare
"""


def test_a_process_that_cannot_be_ended_is_named(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one in the kernel's hands or another user's: pid, state and command line, and no endless wait."""
    monkeypatch.setattr(supervised, "GUARDIAN", patched_guardian(here, SPARES))
    process = here.start("sh", "-c", "setsid sleep 600600 & sleep 600", stop_timeout_s=0.1)
    assert eventually(lambda: len(here.servers()) == 3)
    with pytest.raises(
        EngineStopError, match=r"sh: told to stop, .* still there: pid (\d+) \(sleeping\): sleep 600600"
    ):
        process.stop()
    (left,) = here.running()
    assert process.survivors() == (f"pid {left.pid} (sleeping): sleep 600600",)
    left.kill()
    assert eventually(lambda: process.survivors() == ())
    process.stop()


REPORTS_ONE = """
kill_everybody = guardian.Guard.kill_everybody
guardian.Guard.kill_everybody = lambda *words: kill_everybody(*words) or [2 ** 22]
"""


def test_a_stop_trusts_the_guardian_that_something_is_left(here: Marked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is gone, or another process by now, when it is looked at."""
    monkeypatch.setattr(supervised, "GUARDIAN", patched_guardian(here, REPORTS_ONE))
    process = here.start("sleep", "600")
    with pytest.raises(EngineStopError, match="still there: processes that were gone when they were looked at"):
        process.stop()
    process.stop()


def test_a_process_is_found_under_any_name(here: Marked) -> None:
    """Its name stands between the numbers that are read, and may look like them."""
    odd = here.directory / "a) S 1 (b"
    odd.symlink_to("/bin/sleep")
    process = here.start("sh", "-c", "trap '' TERM; (setsid './a) S 1 (b' 600 &) ; sleep 600; sleep 600")
    assert eventually(lambda: len(here.servers()) >= 3)
    process.stop()
    assert here.running() == []


def test_a_server_started_from_a_thread_outlives_it(here: Marked) -> None:
    """It is pytest that is minded, not the thread that happened to start the server."""
    made: list[Process] = []
    starter = threading.Thread(target=lambda: made.append(here.start("sleep", "600")))
    starter.start()
    starter.join()
    (process,) = made
    outer, _ = guardians(process)
    # Twice it looks for its parent, and is seen asleep again.
    looked = outer.num_ctx_switches().voluntary + 2
    assert eventually(lambda: outer.num_ctx_switches().voluntary >= looked)
    assert process.is_alive()
    process.stop()
