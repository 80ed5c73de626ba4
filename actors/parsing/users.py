"""Names of users in messages: after the phrases of login, session and privilege programs, and in pairs.

Finds who tried, who became and who was changed. A phrase is looked for only where its cheap sign is in the message.
Misses: names in sentences of one's own making. Every pattern is linear: no unbounded repeat before the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_NAME = r"[\"'`<(\[]?([^\s\"'`<>()\[\],;:=|/]{1,64})"
_SPACED_NAME = r"([^\s\"'<>][^\r\n\"'<>]{0,64}?)"  # may hold spaces

# (sign, pattern); group 1 (and 2) is a name.
_PHRASES = tuple(
    (sign, re.compile(pattern))
    for sign, pattern in (
        (" from ", rf"(?:Failed|Accepted|Postponed|Partial) \S{{1,64}} for (?:i\w+ user )?{_SPACED_NAME} from "),
        ("or user ", rf"(?:failure|failed|denied|password) for user {_SPACED_NAME} from "),
        ("nvalid user", r"[Ii]nvalid user (\S[^\r\n]{0,64}?)(?= from | \d|$)"),
        ("llegal user", r"[Ii]llegal user (\S{1,64})"),
        ("exceeded for", rf"exceeded for (?:(?:invalid|illegal) user )?{_NAME}"),
        ("denied: ", rf"user denied: {_NAME}"),
        (" by ", r" by ([\w.@$-]{1,64})\(uid="),
        (" : ", r"^ *([\w.@$-]{1,64}) : (?:TTY|PWD|USER|\d+ incorrect|user NOT|command not)"),
        ("(to ", r"\(to ([\w.@$-]{1,64})\) ([\w.@$-]{1,64}) on "),
        ("su", r"(?:Successful|FAILED) su for ([\w.@$-]{1,64}) by ([\w.@$-]{1,64})"),
        ("su", r"su: (?:BAD SU )?([\w.@$-]{1,64}) to ([\w.@$-]{1,64}) on "),
        ("BAD SU", r"BAD SU ([\w.@$-]{1,64}) to ([\w.@$-]{1,64}) on "),
        (") ", r"^\(([\w.@$-]{1,64})\) (?:CMD|LIST|BEGIN|END|RELOAD|REPLACE|MAIL|ORPHAN|AUTH|INFO)"),
        ("name=", r"^(?:new|changed|delete) user: name=([\w.@$-]{1,64})"),
        ("password", rf"[Pp]assword (?:\w{{1,16}} ){{0,2}}for (?:user )?{_NAME}"),
        ("ogin", rf"\b[Ll]og[io]n(?: (?:failed|failure|attempt|denied))?(?:,| for| as| by) (?:user(?:name)? )?{_NAME}"),
        ("LOGIN", rf"LOGIN (?:FAILED )?(?:for|FOR|ON \S+ BY|BY) {_NAME}"),
        ("ROOT LOGIN", r"(ROOT) LOGIN"),
        ("ccount", rf"[Aa]ccount[ :=]+[\"']{_NAME}"),
        ("uthentication ", rf"[Aa]uthentication (?:failed|failure|attempt|request|error) for (?:user )?{_NAME}"),
        ("USER ", rf"\bUSER {_NAME}(?:: | \()"),
        (": ", r"^([\w.@$-]{1,64}): (?:The value for|Executing command|Error executing command)"),
        ("failed to log", r"([\w.@$+-]{1,64}) [\da-fA-F.:]{3,39} failed to log ?in"),
        (' "', r"[\d.:a-fA-F]{3,39} - ([\w.@$+-]{1,64}) \"(?:GET|POST|HEAD|PUT)"),
        ("ogin:", r"\b[Ll]ogin: ?\"?([\w.@$+-]{1,64})"),
        ("not found", r"(?:^|\] )([\w.@$+-]{1,64}) (?:was )?not found in "),
        ("auth could not identify", r"password for \[([\w.@$-]{1,64})\]"),
        ("to group", rf"add {_NAME}'? to "),
    )
)  # fmt: skip

# What may stand around the word "user" so that a name follows it: `for user x`, `username: x`, `user x logged`.
_AFTER_USER = re.compile(
    rf"ser(?:(?P<as_name> ?[Nn]ame(?: that has been provided)?(?: was|[:=])? *:? *)|(?P<plain>[ :]+)){_NAME}"
    rf"(?P<sure>[\"'](?=[ @,.:)]|$)"
    r"| (?:\(\d{1,10}\)|from|logged|login|failed|not|authenticated|accessing|does|doesn|has|by|authentication)(?!\w))?"
)
_LEADS_WORDS = """
for of by from to with unknown invalid nonexistent authenticating delete new add denied local existing
"""
_LEADS = frozenset(_LEADS_WORDS.split())

_PAIR = re.compile(
    r"(?<![\w.-])(?:user|ruser|acct|username|user_name|userid|user_id|login|loginname|logname|account|suser|duser|USER|ACCT|UID|AUID|"
    r"auth_user|set_id|uid|remote_user|src_user|dst_user|dstuser|srcuser|TargetUserName|SubjectUserName|usr|authentication_id|sasl_username|logged_in_user)"
    r"=[\"']?(?:<)?([^\s\"',;<>()\[\]|]{1,64})"
)

_NOT_NAMES_WORDS = """
unknown none null nil unset anonymous-user - ? n/a from is was by for not and or the a an in on at to has had with
name id ids authentication authorization agent account input login logon session sessions level space mode group
groups failed found given logging sha1 password invalid ip global list username 2fa attempt attempts using via port
tty pts interface data info information does doesn that this request process unit manager service domain error
connection no can cannot could should would will are be been who which user users when if of root@ logged undefined db invalid
"""
_NOT_NAMES = frozenset(_NOT_NAMES_WORDS.split())


def find_users(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place and the spelling of every user that is named in a message."""
    for sign, phrase in _PHRASES:
        if sign in text:
            for found in phrase.finditer(text):
                for group in range(1, (phrase.groups or 0) + 1):
                    name = found[group].strip("\"'`<>()[]{}.,:;").rstrip()
                    if is_user_name(name):
                        yield found.start(group), name
    if "ser" in text or "USER" in text:
        yield from _after_user(text)
    if "=" in text:
        for found in _PAIR.finditer(text):
            name = found[1].rstrip(".:")
            if is_user_name(name):
                yield found.start(1), name


def _after_user(text: str) -> Iterator[tuple[int, str]]:
    """Yield the names after the word `user`, where what stands around it says that a name follows."""
    place = text.find("ser")
    while place > 0:
        found = _AFTER_USER.match(text, place) if text[place - 1] in "uU" else None
        if found:
            lead = text[max(0, place - 24) : place - 1].split()
            alone = place == 1 or not text[place - 2].isalnum()
            sure = found["as_name"] or found["sure"] or (found["plain"] and lead and lead[-1].lower() in _LEADS)
            name = found[3].rstrip(".")
            if alone and sure and is_user_name(name):
                yield found.start(3), name
        place = text.find("ser", place + 3)


def is_user_name(name: str) -> bool:
    """Say whether a word can be the name of a user; numbers of users are not names."""
    if name.lower() in _NOT_NAMES or "*" in name or "<" in name:
        return False
    return any(map(str.isalpha, name))
