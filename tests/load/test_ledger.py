"""What became of each message of a session."""

from __future__ import annotations

from pipeline.load.ledger import Faults, Ledger, Sent, marker


def ledger(count: int, *, echo: bool = True) -> Ledger:
    made = Ledger("s7", echo=echo)
    for number in range(1, count + 1):
        made.sent(Sent(number, float(number), f"m{number}"))
    return made


def test_answers_in_order_are_no_fault() -> None:
    book = ledger(3)
    for number in range(1, 4):
        message = book.ended(f"m{number}", f"{marker('s7', number)} word", None)
        assert message is not None
        assert message.number == number

    assert (book.close(), book.answered, book.faults) == (0, 3, Faults())


def test_a_message_without_an_end_is_lost_unless_the_history_has_its_answer() -> None:
    book = ledger(3)
    book.ended("m1", "[s7.1]", None)

    assert book.close(in_history=1) == 1
    assert book.faults == Faults()


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


def test_a_plain_client_sees_by_the_echo_whose_answer_it_got() -> None:
    book = ledger(2)
    book.ended(None, "[s8.1] word", None)
    book.ended(None, "[s7.1] word", None)

    assert book.faults == Faults(crossed=1, misordered=1)


def test_without_an_echo_only_the_protocol_tells() -> None:
    book = ledger(2, echo=False)
    book.ended(None, "[s8.1] word", None)
    book.ended(None, "How do you do?", None)

    assert book.faults == Faults()


def test_errors_are_counted_by_code_and_end_their_message() -> None:
    book = ledger(2)
    book.ended("m2", None, "busy")
    book.ended("m1", "[s7.1]", None)

    assert (dict(book.errors), book.faults) == ({"busy": 1}, Faults())
