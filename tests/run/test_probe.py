"""What a launch learns of its server before the load: which way it tells its tokens, and what its template adds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from pytest_precgate.analysis.curves.workload import Workload
from pytest_precgate.loadgen import Limits, Prompts, Target, run_point
from pytest_precgate.run.probe import Wire, probe
from tests.loadgen.servers import Behave, Exchange, standing_in
from tests.loadgen.streams import chunk, event, head, sized, token, usage

PROMPTS = Prompts(Workload(isl=4096, osl=1024), token_high=900, seed="salt/probe")
TEXT = replace(PROMPTS, detokenize=lambda ids: " ".join(map(str, ids)))
Tell = Callable[[int, int], Mapping[str, object]]


def stream(exchange: Exchange, per_event: int, tell: Tell) -> None:
    """An answer of ``per_event`` tokens an event; ``tell`` adds to each what it says of its tokens and all so far."""
    prompt, output = exchange.asked
    events, sent = [], 0
    while sent < output:
        number = min(per_event, output - sent)
        sent += number
        told = dict(tell(number, sent))
        events.append({**token(), **told, "choices": [{"text": " a", "index": 0, **told.pop("choice", {})}]})  # type: ignore[dict-item]
    for each in [*events, usage(prompt, output)]:
        exchange.send(b"" if each is not events[0] else head())
        exchange.send(chunk(event(each)))
    exchange.send(chunk(event("[DONE]")) + b"0\r\n\r\n")


def nothing(number: int, sent: int) -> Mapping[str, object]:  # noqa: ARG001
    return {}


def by_ids(number: int, sent: int) -> Mapping[str, object]:  # noqa: ARG001
    return {"choice": {"token_ids": [7] * number}}


def by_usage(number: int, sent: int) -> Mapping[str, object]:  # noqa: ARG001
    return {"usage": {"prompt_tokens": 64, "completion_tokens": sent}}


def by_timings(number: int, sent: int) -> Mapping[str, object]:  # noqa: ARG001
    return {"timings": {"predicted_n": sent}}


def by_logprobs(number: int, sent: int) -> Mapping[str, object]:  # noqa: ARG001
    return {"choice": {"logprobs": {"tokens": [" a"] * number, "token_logprobs": [-0.1] * number}}}


def heeding(ways: Mapping[str, Tell], per_event: int = 1, known: bool = False) -> Behave:
    """A server that tells in the ways it knows; unknown fields are ignored, or answered 400 where ``known``."""

    def behave(exchange: Exchange) -> None:
        options = exchange.body["stream_options"]
        assert isinstance(options, dict)
        asked = {*exchange.body, *options} - {"include_usage"}
        fields = {"return_token_ids", "continuous_usage_stats", "timings_per_token", "logprobs"} & asked
        if known and fields - {*ways}:
            exchange.send(sized(b'{"error":"extra fields not permitted"}', "400 Bad Request"))
            return
        stream(exchange, per_event, next((ways[field] for field in fields if field in ways), nothing))

    return behave


def found(behave: Behave, prompts: Prompts = PROMPTS) -> tuple[Wire, list[Exchange]]:
    with standing_in(behave) as server:
        return probe(Target(server.url, "m"), prompts, Limits(silence_s=20), run_point), server.heard


VLLM = {"return_token_ids": by_ids, "continuous_usage_stats": by_usage, "logprobs": by_logprobs}
TRTLLM = {"continuous_usage_stats": by_usage}


@pytest.mark.parametrize(
    ("behave", "telling"),
    [
        (heeding(VLLM), ("token_ids",)),
        (heeding(TRTLLM, known=True), ("usage",)),
        (heeding({"timings_per_token": by_timings}), ("timings",)),
        (heeding({"logprobs": by_logprobs}), ("logprobs",)),
        (heeding({}), ()),
    ],
    ids=["vllm", "trtllm", "llama-server", "logprobs", "none"],
)
def test_a_server_is_asked_in_the_way_it_heeds(behave: Behave, telling: tuple[str, ...]) -> None:
    """Fields that one engine ignores and another answers with 400 cost a short request each, outside the load."""
    wire, heard = found(behave)
    assert wire.telling == telling
    assert wire.told_one_in == (16 if telling else 1)
    assert len(heard) <= 8
    assert max(exchange.asked[1] for exchange in heard) <= 32


def test_where_tokens_share_events_every_request_asks() -> None:
    """A sample is enough only to see that each token goes on having an event of its own."""
    wire, _ = found(heeding(VLLM, per_event=4))
    assert wire == Wire(("token_ids",), 1)


def test_no_two_requests_of_a_probe_have_one_prompt() -> None:
    """They stay in the server's prefix cache, where nothing may find them."""
    _, heard = found(heeding({}))
    prompts = [str(exchange.body["prompt"]) for exchange in heard]
    assert len({*prompts}) == len(prompts) == 8


def test_a_template_is_what_a_word_has_beyond_its_token() -> None:
    """Counted by the server: the stand-in makes seven tokens of any text."""
    wire, _ = found(heeding(VLLM), TEXT)
    assert wire.template_tokens == 6
    assert found(heeding(VLLM))[0].template_tokens == 0


def test_a_server_that_is_silent_is_asked_once() -> None:
    """The point that follows names the cause; four ways of asking would take four times the limit."""

    def says_nothing(exchange: Exchange) -> None:
        exchange.server.ended.wait(30)

    with standing_in(says_nothing) as server:
        wire = probe(Target(server.url, "m"), PROMPTS, Limits(silence_s=0.3), run_point)
        assert (wire, len(server.heard)) == (Wire(), 1)


def test_a_server_that_fails_here_is_left_to_the_point() -> None:
    """The point names the cause, and no wire is made up."""
    assert found(lambda exchange: exchange.send(sized(b"", "503 Loading")), TEXT)[0] == Wire()
