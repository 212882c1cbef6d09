import threading

from local.console.feed import Feed, Message


def note(name: str) -> Message:
    return Message("note", "phone", name)


def test_messages_are_numbered_in_order() -> None:
    feed = Feed()
    assert feed.latest == 0
    for name in ("a", "b", "c"):
        feed.publish(note(name))
    assert feed.latest == 3
    assert [(number, message.name) for number, message in feed.after(1)] == [(2, "b"), (3, "c")]
    assert feed.after(3) == []


def test_only_the_newest_thousand_are_kept() -> None:
    feed = Feed()
    for _ in range(1001):
        feed.publish(note("a"))
    assert [number for number, _ in feed.after(0)] == list(range(2, 1002))


def test_who_waits_gets_the_next_message() -> None:
    feed = Feed()
    got: list[str] = []
    waiting = threading.Thread(
        target=lambda: got.extend(message.name for _, message in feed.after(0, wait=30))
    )
    waiting.start()
    feed.publish(note("a"))
    waiting.join(timeout=30)
    assert got == ["a"]


def test_nobody_waits_for_a_feed_that_is_closed() -> None:
    feed = Feed()
    waiting = threading.Thread(target=lambda: feed.after(0, wait=600))
    waiting.start()
    feed.close()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert feed.closed
