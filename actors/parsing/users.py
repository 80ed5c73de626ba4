"""Names of users in messages: after the phrases of login, session and privilege programs, and in pairs.

Finds who tried, who became and who was changed. A phrase is looked for only where its cheap sign is in the message.
Misses: names in sentences of one's own making. Every pattern is linear: no unbounded repeat before the name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

import ahocorasick

_NAME = r"[\"'`<(\[]?(?!N/A\b)([^\s\"'`<>()\[\],;:=|/]{1,64})"
_ADDRESS = r"[\da-zA-Z.:%_-]{2,64}"
_CHOSEN_NAME = r"(\S[^\r\n]{0,255})"  # by whoever tries, ` from 192.0.2.1` in it included: it reaches to the last `from`
_SPACED_NAME = r"([^\s\"'<>][^\r\n\"'<>]{0,64}?)"  # may hold spaces

# (signs, pattern); group 1 (and 2) is a name. A pattern is tried where one of its signs, which `|` parts, is in the text.
_PHRASES = tuple(
    (sign, re.compile(pattern))
    for sign, pattern in (
        (
            "Failed |Postponed |Partial ",
            rf"(?:Failed|Postponed|Partial) \S{{1,64}} for (?:i\w+ user )?{_CHOSEN_NAME} from {_ADDRESS}(?: port|$)",
        ),
        ("Accepted ", rf"Accepted \S{{1,64}} for {_SPACED_NAME} from "),
        ("or user ", rf"(?:failure|failed|denied|password) for user {_SPACED_NAME} from "),
        (
            "nvalid user",
            rf"[Ii]nvalid user (?!name\b)(?:{_CHOSEN_NAME}(?= from {_ADDRESS}(?: port \d{{1,5}}(?: ssh2)?(?: \[preauth\])?)?$)"
            r"|(\S[^\r\n]{0,64}?)(?= from | [\da-fA-F]{1,4}[.:]|$))",
        ),
        ("llegal user", r"[Ii]llegal user (\S{1,64})"),
        ('" :', r'"(?:e?mail|user|username|user_name|login|account)" : "([^"\r\n]{1,128})"'),
        ('":', r'"(?:e?mail|user|username|user_name|login|account)": ?"([^"\r\n]{1,128})"'),
        ("] FAIL |] OK ", r"^(?:\[pid \d{1,10}\] )?\[([^\]\s]{1,64})\] (?:FAIL|OK) [A-Z]{3,16}"),
        (" - ", r"^([\w.@$+-]{1,64}) - (?:\d{1,3}(?:\.\d{1,3}){3}|[\da-f]{1,4}:[\da-f:]{2,39})(?![\w.])"),
        ("ccount ", r"\b[Aa]ccount ([\w.@$+-]{1,64}) (?:logged|locked|unlocked|disabled|enabled)\b"),
        (",", r",\d{1,3}(?:\.\d{1,3}){3}:\d{1,5},\d{1,3}(?:\.\d{1,3}){3}:\d{1,5},([\w.@$+-]{1,64}),"),
        ("og in", r"\b[Ll]og in for ([\w.@$+-]{1,64}) from "),
        ("User ", r"(?:^| )User ([\w.@$+\\-]{1,64}) - Client_ip "),
        ("sip:", r"<?sips?:([\w.+-]{1,64})@[^<>]{1,255}>?'? failed for '"),
        ("] Peer", r"\[([\w.@$+-]{1,64})\] Peer Connection Initiated"),
        ("Login ", r"^(?:\(\d{1,10}\) )?Login (?:OK|incorrect)[^\[\]]{0,255}: \[([^\]\s/]{1,128})(?=[\]/])"),
        ("badlogin: ", r"badlogin: \S{0,255} ?\[[^\]]{2,45}\] \S{1,32} (\S{1,128})"),
        (
            "vchkpw-",
            r"(?:user not found|password fail(?: \([^()]{0,64}\))?|login success|null password given) "
            r"([\w.+-]{1,64}@[\w.-]{1,255}):",
        ),
        ("': '", r"'(?:user|username|login|account)': '([^'\r\n]{1,128})'"),
        (" for '", r"(?:[Aa]uth|[Ll]ogin|[Pp]assword)[\w ]{0,40} for '([^'\r\n]{1,128})'"),
        (
            "success for |succeeded for |successful for |ok for ",
            r"[Ll]og[io]n (?:success|succeeded|successful|ok) for ([\w.@+$-]{1,128})",
        ),
        ("(-1)>|)>", r"<\d{1,6}:([^<>()]{1,64})\(-?\d{1,10}\)>"),  # Murmur
        (
            "PREAUTH|_NOT_FOUND|ISSUE|LOCKED_OUT",  # Kerberos
            r"[A-Z_]{5,32}: (?:authtime [^,]{1,64}, etypes \{[^}]{0,255}\}, )?(\S{1,128}) for \S",
        ),
        ("BIND dn=", r'BIND dn="(?:uid|cn)=([^,"]{1,128})'),
        ("/1|/2|/3|/4|/5|/6|/7|/8|/9", r"^([\w.@-]{1,64})/\d{1,3}(?:\.\d{1,3}){3}:\d{1,5} "),  # OpenVPN
        ("rsync ", r"rsync (?:to|on|allowed access on module) \S{1,255} from ([\w.-]{1,64})@"),
        ("main[|worker[|sec-mod[", r"^(?:main|worker|sec-mod)\[([^\]\s]{1,128})\]"),  # ocserv
        ("logged ", r"(?:^|[;:,] )([\w.@$+-]{1,64}) (?:has )?logged (?:in|on|out) (?:from|to|as|on|via|with)\b"),
        ("u'", r"[(, ]u'([^'\r\n]{1,64})'"),
        ("USER:[", r"(?:DATABASE |^)USER:\[\d{1,4}\] ?[\"']([^\"'\r\n]{1,128})[\"']"),
        ("Account Name:", r"Account Name:\s{1,8}([^\s$-][^\s$]{0,63})(?:\s|$)"),
        ("in security realm", r"User ([\w.@$+-]{1,64}) in security realm"),
        ("failed for ", r"[Ll]og[io]n (?:attempt )?failed for ([\w.@$+-]{1,64})"),
        ("failed: ", r"[Ll]og[io]n failed: [\"']?([\w.@$+-]{1,64})[\"']? \("),
        ("for peer ", r"failed for peer ([\w.@$+-]{1,64})$"),
        ("for hosts ", r"no EAP key found for hosts '[^']{0,128}' - '([^'\s]{1,128})'"),
        ("<", r"^<([\w.+-]{1,64}@[\w.-]{1,64})> (?:starting|successful|end|update|move) "),
        ("RCPT <", r"rejected RCPT <([^<>\s]{1,128})>"),
        ("using ", r"\b[Ll]og ?in using \"([^\"\r\n]{1,128})\""),
        ("ogin |og in ", r"\b[Ll]og ?in (?:for |of |as )?([\w.+$-]{1,64})@(?=[\d\[])"),
        ("exceeded for", rf"exceeded for (?:(?:invalid|illegal) user )?{_NAME}"),
        ("denied: ", rf"user denied: {_NAME}"),
        (" by ", r" by ([\w.@$-]{1,64})\(uid="),
        (" : ", r"^ *(?:[\w.-]{1,64}\\)?([\w.@$-]{1,64}) : (?:TTY|PWD|USER|TSID|[\w(][\w ',()-]{2,80} ;)"),
        ("(to ", r"\(to ([\w.@$-]{1,64})\) ([\w.@$-]{1,64}) on "),
        (" su for ", r"(?:Successful|FAILED) su for ([\w.@$-]{1,64}) by ([\w.@$-]{1,64})"),
        ("su: ", r"su: (?:BAD SU )?([\w.@$-]{1,64}) to ([\w.@$-]{1,64}) on "),
        ("BAD SU", r"BAD SU ([\w.@$-]{1,64}) to ([\w.@$-]{1,64}) on "),
        (") ", r"^\(([\w.@$-]{1,64})\) (?:CMD|LIST|BEGIN|END|RELOAD|REPLACE|MAIL|ORPHAN|AUTH|INFO)"),
        ("name=", r"^(?:new|changed|delete) user: name=([\w.@$-]{1,64})"),
        ("password", rf"[Pp]assword (?:\w{{1,16}} ){{0,2}}for (?:user )?{_NAME}"),
        (
            "ogin",
            r"\b[Ll]og[io]n(?: (?:failed|failure|attempt|denied))?(?:,(?! [\w-]{1,64}:)| for| as| by) "
            rf"(?:user(?:name)? )?{_NAME}",
        ),
        ("LOGIN", rf"LOGIN (?:FAILED )?(?:for|FOR|ON \S+ BY|BY) {_NAME}"),
        ("ROOT LOGIN", r"(ROOT) LOGIN"),
        ("ccount", rf"[Aa]ccount[ :=]+[\"']{_NAME}"),
        ("ation ", rf"[Aa]uth(?:entication|orization) (?:failed|failure|attempt|request|error) for (?:user )?{_NAME}"),
        ("USER ", rf"\bUSER {_NAME}(?:: | \()"),
        (
            ": The value for|: Executing|: Error exec",
            r"^([\w.@$-]{1,64}): (?:The value for|Executing command|Error executing command)",
        ),
        ("failed to log", r"([\w.@$+-]{1,64}) [\da-fA-F.:]{3,39} failed to log ?in"),
        (' "', r"[\d.:a-fA-F]{3,39} - ([\w.@$+-]{1,64}) \"(?:GET|POST|HEAD|PUT)"),
        ("ogin:", r"\b[Ll]ogin: ?\"?([\w.@$+-]{1,64})"),
        ("not found", r"(?:^|\] | : )([\w.@$+-]{1,64}) (?:was )?not found in "),
        ("auth could not identify", r"password for \[([\w.@$-]{1,64})\]"),
        ("to group", rf"add {_NAME}'? to "),
    )
)  # fmt: skip

# Signs of phrases in which any word is a name, `data` and numbers too.
_SURE = frozenset(("sip:", "or user ", "USER ", "or peer ", "for hosts "))
_SIGNS = ahocorasick.Automaton()  # finds all signs in one pass: the places of their phrases in the table
for _place, (_signs, _) in enumerate(_PHRASES):
    for _sign in _signs.split("|"):
        _SIGNS.add_word(_sign, (*_SIGNS.get(_sign, ()), _place))
_SIGNS.make_automaton()

# What may stand around the word "user" so that a name follows it: `for user x`, `username: x`, `user x logged`.
_AFTER_USER = re.compile(
    r"ser(?:(?P<as_name> ?[Nn]ame(?: that has been provided| input| entered| provided)?(?: was|[:=])? *:? *)"
    rf"|(?P<plain>[ :]+)){_NAME}"
    rf"(?P<sure>[\"'](?=[ @,.:)]|$)"
    r"| (?:\(\d{1,10}\)|from|logged|login|failed|successfully|attempted|connected|not|authenticated|accessing|does|doesn|has|by"
    r"|authentication)(?!\w))?"
)
# What stands behind the word, where its form alone says that it is a name: `user [CORP]\\[ann]`, `[user: ann]`, `Users: ann,`,
# `user = ann`, `user ann: authentication failure`.
_USER_FORMS = re.compile(
    r"sers? ?(?:\[[^\]\r\n]{0,64}\]\\)?\[(?P<bracketed>[^\]\s]{1,128})\]"
    r"|ser(?:[Nn]ame)?[:=] ?(?P<closed>[^\]\s]{1,128})\]"
    r"|ser <(?P<angled>[^<>\s]{1,128})>"
    r"|sers: (?P<listed>[^\s,;]{1,128})[,;]"
    r"|ser(?: ?[Nn]ame)? = (?P<equal>[^\s,;:<>\[\]\"']{1,128})"
    r"|ser:? (?P<colon>[\w.@$+-]{1,64}): "
    r"(?:[Aa]uthentication|password|log[io]n|no such|unknown|not found|invalid|account|access|denied|user)"
)
_LEADS_WORDS = """
for of by from to with unknown invalid nonexistent authenticating delete new add denied local existing
"""
_FORM_SIGNS = frozenset("s [:=nN<")
_LEADS = frozenset(_LEADS_WORDS.split())

_PAIR = re.compile(
    r"(?<![\w.-])(?:user|ruser|acct|username|user_name|userid|user_id|login|loginname|logname|uname|account|suser|duser|USER|ACCT|UID|AUID|"
    r"auth_user|set_id|uid|remote_user|src_user|dst_user|dstuser|srcuser|TargetUserName|SubjectUserName|usr|authentication_id|sasl_username|logged_in_user)"
    r"=[\"']?(?:<)?(?!N/A\b)([^\s\"',;<>()\[\]|]{1,64})"
)

_MAX_DOMAIN = 64
_AT_ADDRESS = re.compile(r"(?<=.)@(?:\d{1,3}(?:\.\d{1,3}){3}|\[[\da-fA-F:.]{2,45}\])$")
_NOT_NAMES_WORDS = """
unknown none null nil unset client anonymous-user - ? n/a from is was by for not and or the a an in on at to has had with
name id ids authentication authorization agent account input login logon session sessions level space mode group
groups failed found given logging sha1 password invalid ip global list username 2fa attempt attempts using via port
tty pts interface data info information does doesn that this request process unit manager service domain error
connection no can cannot could should would will are be been who which user users when if of root@ logged undefined db invalid
illegal
"""
_NOT_NAMES = frozenset(_NOT_NAMES_WORDS.split())
_NOBODY = frozenset(("unknown", "none", "null", "nil", "unset", "undefined", "-", "--", "?", "n/a", "illegal", "invalid", "*"))


def find_users(text: str) -> Iterator[tuple[int, str]]:
    """Yield the place and the spelling of every user that is named in a message."""
    for place in {place for _, places in _SIGNS.iter(text) for place in places}:
        signs, phrase = _PHRASES[place]
        for found in phrase.finditer(text) if phrase.pattern[0] != "^" else filter(None, (phrase.match(text),)):
            for group in range(1, phrase.groups + 1):
                name = without_domain((found[group] or "").strip("\"'`<>()[]{}.,:;").rstrip())
                if is_user_name(name) or (name and signs in _SURE and name.lower() not in _NOBODY):
                    yield found.start(group), name
    if "ser" in text or "USER" in text:
        yield from _after_user(text)
    if "=" in text:
        for found in _PAIR.finditer(text):
            name = without_domain(found[1].rstrip(".:"))
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
            name = without_domain(found[3].rstrip("."))
            quoted = bool(name) and (found["sure"] or "")[:1] in ("'", '"') and name.lower() not in _NOBODY
            if alone and sure and (is_user_name(name) or quoted):
                yield found.start(3), name
        if text[place - 1] in "uU" and _may_be_form(text, place + 3) and (form := _USER_FORMS.match(text, place)):
            kind = form.lastgroup or ""
            name = without_domain(form[kind].strip("<>\"'"))
            sure = kind in ("bracketed", "angled") and name and name.lower() not in _NOBODY
            if (kind != "closed" or text[place - 2 : place - 1] == "[") and (sure or is_user_name(name)):
                yield form.start(kind), name
        place = text.find("ser", place + 3)


def _may_be_form(text: str, end: int) -> bool:
    """Tell whether one of the forms may follow the word that ends there: mostly a name follows, and none does."""
    sign = text[end : end + 1]
    return sign in _FORM_SIGNS and (sign != " " or not text[end + 1 : end + 2].isalnum() or ": " in text[end + 2 : end + 72])


@lru_cache(maxsize=16_384)
def without_domain(name: str) -> str:
    """Return a name without the domain before it or the address behind it: `CORP\\ann` and `ann@192.0.2.1` are `ann`."""
    if "@" in name:
        name = _AT_ADDRESS.sub("", name)
    domain, backslash, rest = name.rpartition("\\")
    return rest if backslash and domain and rest and len(domain) <= _MAX_DOMAIN and " " not in domain else name


@lru_cache(maxsize=16_384)
def is_user_name(name: str) -> bool:
    """Say whether a word can be the name of a user; numbers of users are not names."""
    if name.lower() in _NOT_NAMES or "*" in name or "<" in name:
        return False
    return any(map(str.isalpha, name))
