"""Each claim of SECURITY.md names the tests that hold it, and each of these tests exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ATTACKS = "tests/behaviours/attacks/test_attacks.py"
BROWSER = "tests/behaviours/browser"

#: Claims of the threat model and of the promises, in the words of SECURITY.md, and their tests.
CLAIMS: dict[str, tuple[str, ...]] = {
    # The threat model.
    "read another session": (
        "tests/web/test_http.py::test_an_unknown_token_is_refused",
        "tests/behaviours/test_load.py::test_fifty_clients_get_every_answer_once_and_in_order",
    ),
    "use more than the share of one address": (
        "tests/web/test_limits.py::test_too_many_new_sessions_of_an_address_are_refused_with_retry_after",
        "tests/web/test_budgets.py::test_too_many_reads_of_an_address_are_refused",
        "tests/web/test_edge.py::test_one_address_cannot_take_the_places_of_all_others",
        "tests/web/test_strangers.py::test_guesses_from_the_networks_of_one_customer_count_together",
    ),
    "stop the service for others": (
        f"{ATTACKS}::test_many_messages_of_one_session",
        f"{ATTACKS}::test_other_ways_of_one_client_cost_the_others_nothing",
    ),
    "make the service fetch an address of their choice": (
        "tests/behaviours/test_fuzz.py"
        "::test_no_client_makes_the_service_fetch_an_address_or_give_a_token_away",
    ),
    "open a socket or change anything": (
        "tests/web/test_strangers.py::test_a_page_of_another_name_gets_nothing_however_it_points_here",
        "tests/web/test_strangers.py::test_a_foreign_page_changes_nothing",
        "tests/behaviours/test_browser_origins.py::test_a_foreign_page_gets_no_socket_and_cannot_read_answers",
    ),
    "use a cookie": (
        "tests/web/test_stages.py::test_only_the_admin_replays_a_dead_letter_and_no_cookie_makes_one",
        "tests/behaviours/test_fuzz.py::test_no_input_raises_and_no_secret_gets_out",
    ),
    "until `SESSION_TTL`": ("tests/web/test_http.py::test_an_expired_session_is_refused",),
    "access another session": (
        "tests/agents/test_agents.py"
        "::test_a_stop_ends_no_answer_of_another_session_whose_turn_has_the_same_id",
        "tests/behaviours/test_load.py::test_fifty_clients_get_every_answer_once_and_in_order",
    ),
    "each action is logged": ("tests/web/test_strangers.py::test_what_an_admin_does_is_in_the_log",),
    "read tokens, which are masked": (
        "tests/web/test_stages.py::test_what_people_wrote_is_shown_to_the_admin_alone",
        "tests/behaviours/test_fuzz.py::test_no_input_raises_and_no_secret_gets_out",
    ),
    "use another Redis user": (
        "tests/deploy/test_redis_users.py::test_a_part_may_not_do_the_work_of_another",
    ),
    "the last `CONTEXT_MESSAGES` messages": (
        "tests/behaviours/test_trip.py::test_each_answer_has_seen_the_answers_before_it",
    ),
    "run anything in the page": (
        f"{BROWSER}/test_chat_safety.py::test_what_a_person_or_a_model_says_is_never_markup",
        f"{BROWSER}/test_chat_safety.py::test_the_policy_stops_what_would_slip_through",
    ),
    "see session tokens": (
        "tests/behaviours/test_fuzz.py"
        "::test_no_client_makes_the_service_fetch_an_address_or_give_a_token_away",
    ),
    "have its error text shown to users": (
        "tests/behaviours/test_failing_model.py::test_words_of_the_model_server_reach_no_user",
        "tests/agents/test_agents.py::test_the_servers_words_are_in_the_log",
    ),
    "without messages": (
        "tests/behaviours/test_stage_page.py::test_what_people_wrote_is_text_to_the_admin_and_nothing_to_others",
    ),
    "reach the embedded Redis": (
        "tests/parley/local/test_embedded_redis.py::test_only_its_owner_reaches_it_and_no_port_is_open",
        "tests/parley/local/test_embedded_redis.py::test_a_folder_that_others_could_enter_is_closed_to_them",
    ),
    "run any other command": ("tests/deploy/test_redis_users.py::test_nobody_gets_in_without_a_password",),
    "use the rights of the others": (
        "tests/deploy/test_redis_users.py::test_a_part_may_not_do_the_work_of_another",
    ),
    # Rights in Redis.
    "only the commands and keys that it uses": (
        "tests/deploy/test_redis_users.py::test_no_user_may_do_more_than_its_part_needs",
        "tests/deploy/test_redis_users.py::test_the_service_does_all_its_work_with_users_of_least_rights",
    ),
    # The promises.
    "No socket receives another session's messages": (
        "tests/behaviours/test_load.py::test_fifty_clients_get_every_answer_once_and_in_order",
    ),
    "no message is lost or answered twice": (
        "tests/behaviours/faults/test_faults.py::test_each_part_in_turn_is_killed",
        "tests/behaviours/faults/test_faults.py::test_redis_is_killed",
        "tests/behaviours/attacks/test_cut_off.py::test_each_message_has_one_answer_and_no_error_besides",
        "tests/pipeline/chat/test_bounds.py::test_a_right_withdrawn_for_a_while_leaves_nothing_half_done",
    ),
    "floods the service": (
        f"{ATTACKS}::test_one_message_sent_again_and_again",
        f"{ATTACKS}::test_many_sessions_of_one_address",
        "tests/web/test_budgets.py::test_a_flood_leaves_one_line_in_the_log_and_a_figure",
    ),
    "large or slow frames": (
        "tests/web/test_edge.py::test_unfinished_messages_of_all_sockets_stay_within_their_budget",
        "tests/web/test_edge.py::test_a_message_that_does_not_end_closes_the_socket",
    ),
    "opens silent connections": (
        "tests/web/test_edge.py::test_a_crowd_of_silent_connections_makes_way_for_a_client",
        "tests/web/test_edge.py::test_a_connection_that_sends_no_whole_request_is_closed",
    ),
    "fills a session": (
        f"{ATTACKS}::test_a_session_as_long_as_it_may_be_read_by_those_who_hang_up",
        "tests/web/test_budgets.py::test_thirty_reads_of_a_long_session_that_hang_up_cost_two",
    ),
    "keep a p99 below two seconds": (f"{ATTACKS}::test_many_messages_of_one_session",),
    "Memory stays within the bounds": (f"{ATTACKS}::test_many_messages_of_one_session",),
    "masked in logs, metrics, pages and on the terminal": (
        "tests/behaviours/test_fuzz.py::test_no_input_raises_and_no_secret_gets_out",
        "tests/pipeline/test_masking.py::test_a_secret_of_the_settings_is_masked_in_every_spelling",
        "tests/parley/cli/test_secret_addresses.py::test_no_part_prints_a_password_of_an_address",
    ),
    "Error texts of the model server are not shown": (
        "tests/behaviours/test_failing_model.py::test_words_of_the_model_server_reach_no_user",
    ),
    "neither its token nor its messages remain in Redis": (
        "tests/web/test_ending.py::test_an_ended_session_leaves_nothing_behind",
        "tests/web/test_ending.py::test_no_key_holds_the_token_or_the_texts_of_an_ended_session",
    ),
    "answer only this machine, trusted networks": (
        "tests/web/test_strangers.py::test_private_pages_are_closed_to_strangers_alone",
        "tests/web/test_strangers.py::test_private_pages_are_closed_below_a_path_too",
    ),
    "An answer cannot run a script, freeze the page or make it blank": (
        f"{BROWSER}/test_chat_safety.py::test_a_message_that_cannot_be_drawn_is_shown_as_plain_text",
        f"{BROWSER}/test_chat_safety.py::test_what_a_person_or_a_model_says_is_never_markup",
    ),
    # Not promised, but said.
    "becomes a dead letter": (
        "tests/behaviours/test_poison.py"
        "::test_a_message_that_kills_infer_is_an_error_to_its_user_and_the_others_are_answered",
        "tests/behaviours/attacks/test_poison_attack.py"
        "::test_a_prompt_that_kills_infer_costs_the_others_a_moment",
        "tests/pipeline/worker/test_containment.py"
        "::test_a_handler_without_end_ends_its_process_and_a_busy_one_does_not",
    ),
}


def words_of(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def section(title: str) -> str:
    """Return one section of SECURITY.md."""
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    return re.split(r"\n##+ ", text.split(f"# {title}\n", 1)[1])[0]


def test_each_claim_is_made() -> None:
    text = words_of((ROOT / "SECURITY.md").read_text("utf-8"))
    assert [claim for claim in CLAIMS if claim not in text] == []


@pytest.mark.parametrize("title", ["Threat model", "Promises"])
def test_each_row_and_each_promise_has_a_test(title: str) -> None:
    rows = re.findall(r"^\| (?!who |--).*", section(title), re.MULTILINE)
    promises = re.findall(r"^- (?:.|\n(?!-))*", section(title), re.MULTILINE)
    found = [words_of(each) for each in (*rows, *promises)]
    assert len(found) >= 6
    assert [each for each in found if not any(claim in each for claim in CLAIMS)] == []


def test_each_named_test_exists() -> None:
    missing = []
    for named in sorted({named for tests in CLAIMS.values() for named in tests}):
        path, _, name = named.partition("::")
        if f"def {name}(" not in (ROOT / path).read_text("utf-8"):
            missing.append(named)
    assert missing == []
