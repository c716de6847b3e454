"""Thoughts, in fields and in tags."""

from __future__ import annotations

from tests.support.wire_cases.case import STOP, Case, delta, document, letters, stream, thinks
from tests.support.wire_server import DONE, chunk

THOUGHTS = [
    *(
        thinks(f"{opening} in one piece", chunk(content=f"{opening}Hm, so.{closing}Hello"))
        for opening, closing in (
            ("<think>", "</think>"),
            ("<thinking>", "</thinking>"),
            ("<Think>\n", "\n</THINK>\n\n"),
            ("[THINK]", "[/THINK]"),
            ("<reflection>", "</reflection>"),
            ("<mm:think>", "</mm:think>"),
            ("<longcat_think>", "</longcat_think>"),
            ("<|think|>", "<|/think|>"),
            ("<unused94>thought\n", "<unused95>"),
            ("<|inner_prefix|>", "<|inner_suffix|>"),
            ("<|channel>thought\n", "<channel|>"),
        )
    ),
    *(
        thinks(f"{opening} letter by letter", *letters(f"{opening}Hm, so.{closing}Hello"))
        for opening, closing in (
            ("<think>", "</think>"),
            ("<thinking>", "</thinking>"),
            ("[THINK]", "[/THINK]"),
            ("<seed:think>", "</seed:think>"),
            ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
            ("<unused94>thought\n", "<unused95>"),
            ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
            (
                "<|start|>assistant<|channel|>analysis<|message|>",
                "<|end|><|start|>assistant<|channel|>final<|message|>",
            ),
            ("analysis", "assistantfinal"),
            ("", "</think>\n"),
            ("", "[/THINK]"),
            ("\n\n<think>\n\n", "\n\n</think>\n\n"),
        )
    ),
    thinks("an answer in tags of its own", *letters("<think>Hm, so.</think>\n<answer>\nHello\n</answer>")),
    thinks("a response in tags of its own", *letters("<think>Hm, so.</think><response>Hello</response>")),
    thinks("two thoughts", *letters("<think>Hm,</think><think> so.</think>Hello"), thoughts="Hm,so."),
    thinks(
        "a folded element", *letters('<details type="reasoning">Hm, so.</details>Hello'), thoughts=">Hm, so."
    ),
    *(
        thinks(f"in the field {next(iter(fields))}: {fields}", delta(**fields), chunk(content="Hello"))
        for fields in (
            {"reasoning_text": "Hm, so."},
            {"thought": "Hm, so."},
            {"thinking_content": "Hm, so."},
            {"reasoningContent": "Hm, so."},
            {"reasoning": {"text": "Hm, so."}},
            {"thinking": {"content": "Hm, so."}},
            {"cot": "Hm, so."},
            {"content": None, "reasoning_content": "Hm, so."},
            {"content": "", "reasoning": "Hm, so.", "reasoning_content": "Hm, so."},
            {
                "reasoning_details": [
                    {"type": "reasoning.encrypted", "data": "eHg="},
                    {"type": "reasoning.text", "text": "Hm, so.", "signature": "x"},
                ]
            },
            {"reasoning_details": {"content": [{"text": "Hm, "}, {"text": "so."}]}},
            {"provider_specific_fields": {"reasoning_content": "Hm, so."}},
            {"content": "Hm, so.", "extra_content": {"google": {"thought": True}}},
            {"content": "Hm, so.", "thought": True},
            {"content": "Hm, so.", "channel": "analysis"},
            {"content": "Hm, so.", "phase": "think"},
            {"content": [{"type": "reasoning", "text": "Hm, so."}]},
            {"content": [{"type": "text", "text": "Hm, so.", "thought": True}]},
            {
                "content": [
                    {"type": "thinking", "thinking": "Hm, so."},
                    {"type": "redacted_thinking", "data": "x"},
                ]
            },
        )
    ),
    thinks(
        "no thought in signatures and settings",
        delta(reasoning_content="Hm, so."),
        delta(reasoning_signature="abc", thinking_signature="x"),
        delta(
            content="Hello",
            reasoning_effort="high",
            reasoning_opaque="zz",
            stop_reason="end",
            reasoning_tokens=4,
        ),
    ),
    thinks(
        "thoughts between pieces of the answer",
        delta(reasoning="Hm, "),
        chunk(content="Hel"),
        delta(reasoning="so."),
        chunk(content="lo"),
    ),
    Case("a document", (document({"reasoning": "Hm, so.", "content": "Hello you"}),), thoughts="Hm, so."),
    Case(
        "a document with tags",
        (document({"content": "<thinking>Hm, so.</thinking>\nHello you"}),),
        thoughts="Hm, so.",
    ),
    Case(
        "a document with the closing tag",
        (document({"content": "Hm, so.\n</think>\n\nHello you"}),),
        thoughts="Hm, so.",
    ),
    stream(
        "no thought at all",
        *letters("analysis of a <thin> line")[:9],
        chunk(content="is"),
        STOP,
        text="analysis is",
    ),
    stream("a letter that may begin a tag", *letters("<3 [x] <think"), STOP, text="<3 [x] <think"),
    stream(
        "a word that begins like a header",
        *letters("analysisB is"),
        STOP,
        text="analysisB is",
        thoughts="B is",
    ),
    thinks("a thought and text in one delta", delta(reasoning_content="Hm, so.", content="Hello")),
    *(
        stream(
            f"no thought in {fields}", delta(content="Hello", **fields), delta(content=" you", **fields), DONE
        )
        for fields in ({"reasoning": None, "reasoning_content": None}, {"reasoning_content": ""})
    ),
    *(
        stream(f"an empty thought: {thought!r}", *letters(f"{thought}Hello you"), DONE)
        for thought in ("<think></think>", "<think>\n\n</think>\n\n", "</think>\n")
    ),
    thinks(
        "a commentary of gpt-oss",
        *letters(
            "<|channel|>analysis<|message|>Hm, <|end|><|start|>assistant<|channel|>commentary<|message|>so.<|end|>"
            "<|start|>assistant<|channel|>final<|message|>Hello<|return|>"
        ),
    ),
    thinks("a tag after blanks, in capitals", *letters("  <THINK>Hm, so.</THINK>Hello")),
    thinks("a tag with a prefix", *letters("<ant:thinking>Hm, so.</ant:thinking>Hello")),
    thinks("a field, then a tag", delta(reasoning="Hm, "), *letters("<think>so.</think>Hello")),
    thinks("a tag, then an answer in tags", *letters("Hm, so.\n</think>\n\n<answer>Hello</answer>")),
    thinks(
        "tags in escapes",
        b'data: {"choices":[{"delta":{"content":"\\u003cthink\\u003eHm, so.\\u003c/think\\u003eHello"}}]}\n\n',
    ),
    thinks(
        "an emoji in a thought, a byte at a time",
        *(bytes([byte]) for byte in chunk(content="<think>Hm 🎉 so.</think>Hello")),
        thoughts="Hm 🎉 so.",
    ),
    *(
        stream(
            f"a thought without an end, and the reason {reason}",
            chunk(content="<think>Hm, so."),
            chunk(reason),
            text="",
            thoughts="Hm, so.",
            code="model_bad_response",
            words=words,
        )
        for reason, words in (("length", "MAX_NEW_TOKENS"), ("stop", "empty answer"))
    ),
    *(
        stream(f"an answer about tags: {text}", *letters(text), STOP, text=text)
        for text in ("Use `</think>` here", "Write <think>x</think> so", "Between <think> and </think>.")
    ),
]
