"""The ledger records the outcome of each message of a session."""

from __future__ import annotations

from parley.loadtest.faults import Faults, MessageMark, TokenFaults
from parley.loadtest.ledger import Ledger, Sent


def ledger(count: int, *, echo: bool = True) -> Ledger:
    made = Ledger("s7", echo=echo)
    for number in range(1, count + 1):
        made.sent(Sent(number, float(number), f"m{number}"))
    return made


def test_answers_in_order_are_no_fault() -> None:
    book = ledger(3)
    for number in range(1, 4):
        message = book.ended(f"m{number}", f"{MessageMark('s7', number)} word", None, f"a{number}")
        assert message is not None
        assert message.number == number

    assert (book.waiting, book.faults) == (0, Faults())
    assert book.answers == {1: "a1", 2: "a2", 3: "a3"}


def test_a_message_without_an_end_waits_unless_the_history_has_its_answer() -> None:
    book = ledger(3)
    book.ended("m1", "[s7.1]", None, "a1")

    assert [message.number for message in book.in_history({1: "a1", 3: "a3"})] == [3]
    assert (book.waiting, book.faults) == (1, Faults())


def test_a_second_answer_is_a_double() -> None:
    book = ledger(1)
    book.ended("m1", "[s7.1]", None)
    book.ended("m1", "[s7.1]", None)

    assert book.faults == Faults(doubled=1)


def test_an_answer_to_nobodys_message_is_crossed() -> None:
    book = ledger(1)
    book.ended("another", "[s8.1]", None)

    assert book.faults == Faults(crossed=1)


def test_an_answer_before_an_earlier_one_is_misordered() -> None:
    book = ledger(2)
    book.ended("m2", "[s7.2]", None)

    assert book.faults == Faults(misordered=1)


def test_an_answer_that_repeats_no_mark_is_unattributed() -> None:
    book = ledger(1)
    book.ended("m1", "How do you do?", None)

    assert book.faults == Faults(unattributed=1)


def test_an_answer_that_repeats_another_mark_is_crossed_or_misordered() -> None:
    book = ledger(2)
    book.ended("m1", "[s8.1]", None)
    book.ended("m2", "[s7.1]", None)

    assert book.faults == Faults(crossed=1, misordered=1)


def test_a_plain_client_sees_by_the_echo_whose_answer_it_got() -> None:
    book = ledger(3)
    book.ended(None, "[s8.1] word", None, "a1")
    book.ended(None, "[s7.2] word", None, "a2")
    book.ended(None, "[s7.2] word", None, "a3")

    assert book.faults == Faults(crossed=1, misordered=1, doubled=1)
    assert (book.answers, book.waiting) == ({2: "a2"}, 2)


def test_a_plain_answer_of_another_session_is_crossed_also_while_nothing_is_open() -> None:
    book = ledger(0)

    assert book.ended(None, "[s8.1] word", None, "a1") is None
    assert book.faults == Faults(crossed=1)


def test_a_plain_answer_told_twice_is_a_double_but_for_a_new_socket() -> None:
    book = ledger(2)
    book.ended(None, "[s7.1]", None, "a1")
    book.reconnected()
    book.ended(None, "[s7.1]", None, "a1")
    assert book.faults == Faults()

    book.ended(None, "[s7.1]", None, "a1")
    assert (book.waiting, book.faults) == (1, Faults(doubled=1))


def test_what_a_plain_client_found_in_the_history_may_come_once_more() -> None:
    book = ledger(1)
    book.reconnected()
    book.in_history({1: "a1"})
    book.ended(None, "[s7.1]", None, "a1")
    assert (book.waiting, book.faults) == (0, Faults())

    book.ended(None, "[s7.1]", None, "a1")
    assert book.faults == Faults(doubled=1)


def test_a_plain_error_ends_whichever_message_gets_no_answer() -> None:
    book = ledger(3)
    book.ended(None, None, "busy", "e1")
    book.ended(None, "[s7.1]", None, "a1")
    book.ended(None, "[s7.3]", None, "a3")

    assert (book.waiting, book.faults, dict(book.errors)) == (0, Faults(), {"busy": 1})


def test_without_an_echo_only_the_protocol_tells() -> None:
    book = ledger(2, echo=False)
    book.ended(None, "[s8.1] word", None)
    book.ended(None, "How do you do?", None)

    assert book.faults == Faults()


def test_errors_are_counted_by_code_and_end_their_message() -> None:
    book = ledger(2)
    book.ended("m2", None, "busy")
    book.ended("m1", "[s7.1]", None)

    assert (dict(book.errors), book.waiting, book.faults) == ({"busy": 1}, 0, Faults())


def test_an_error_may_be_told_again_to_a_new_socket_and_an_answer_may_not() -> None:
    book = ledger(2)
    book.ended("m1", "[s7.1]", None)
    book.ended("m2", None, "busy")
    book.reconnected()
    book.ended("m2", None, "busy")
    assert book.faults == Faults()

    book.ended("m1", "[s7.1]", None)
    assert book.faults == Faults(doubled=1)


def test_after_a_failed_resume_the_history_comes_once_more_and_not_twice() -> None:
    book = ledger(1)
    book.ended("m1", "[s7.1]", None)
    book.reconnected()
    book.resume_failed()
    book.ended("m1", "[s7.1]", None)
    assert (book.faults, dict(book.errors)) == (Faults(), {"resume_failed": 1})

    book.ended("m1", "[s7.1]", None)
    assert book.faults == Faults(doubled=1)


def test_tokens_that_add_up_are_no_fault() -> None:
    book = ledger(1)
    book.started("m1")
    book.token("m1", 0, "[s7.1]")
    book.token("m1", 1, " word")
    book.ended("m1", "[s7.1] word", None)

    assert (book.tokens, book.faults) == (TokenFaults(), Faults())


def test_tokens_of_an_answer_that_is_over_or_of_no_message_are_faults() -> None:
    book = ledger(1)
    book.ended("m1", "[s7.1]", None)
    book.token("m1", 0, "[s7.1]")
    book.token("another", 0, "word")

    assert book.tokens == TokenFaults(misordered=1, crossed=1)


def test_a_new_socket_is_told_the_answer_from_its_start() -> None:
    book = ledger(1)
    book.started("m1")
    book.token("m1", 0, "[s7.1]")
    book.token("m1", 1, " word")
    book.reconnected()
    book.started("m1")
    book.token("m1", 0, "[s7.1] word")
    book.ended("m1", "[s7.1] word", None)

    assert book.tokens == TokenFaults()


def test_answers_behind_a_message_that_never_gets_one_are_not_misordered_in_the_end() -> None:
    book = ledger(4)
    for number in (2, 4, 3):
        book.ended(f"m{number}", f"[s7.{number}]", None)
    assert book.faults == Faults(misordered=3)

    # Only 4 came before one that was answered later.
    assert (book.give_up(), book.faults) == (1, Faults(misordered=1))
