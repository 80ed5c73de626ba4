"""`action` and `outcome` of an event, from the words of each service. Pure.

One automaton (Aho, Corasick 1975) finds the words of all classes at once. A word of refusal makes the outcome a
`failure`, whatever else is said, so that no name that an attacker chooses turns a failure into a success; a word of
success makes it a `success` if it is about a login. Words of identity make the action a `login`, those of mail a `deliver`;
whatever else is refused is an `access`.
Misses: services that say neither in words of theirs. Finds too much: text that quotes such words. Only the first
`MAX_SCANNED` characters are looked at. Cost: one pass over them, about 1 us for 100 characters.
"""

from __future__ import annotations

import re

import ahocorasick

MAX_SCANNED = 1024

_LOGIN, _MAIL, _FAILURE, _SUCCESS = 1, 2, 4, 8

# Each word has to begin where a word begins; where it ends is free, so that `fail` is `failed` and `failure` too.
_WORDS = {
    _LOGIN: (
        "login|log in|logon|logged in|logged on|log on|signin|sign in|sign-in|authenticat|authori|unauthori|auth failed|"
        "auth failure|authfail|loginfail|auth fail|auth:|auth error|auth attempt|auth rejected|password|passwd|passcode|"
        "credential|sasl|registration|2fa|otp |mfa|rcon|invalid user|illegal user|unknown user|no such user|"
        "invalid account|unknown account|nonexistent user|for user|access denied for|user not found|could not find user|"
        "session opened|user name|challenge sent|bind dn|permission denied|access token|no matching peer|acl error|"
        "device does not match|badlogin|invalid token|token invalid|two-factor|publickey|keyboard-interactive|user \"|"
        "user '|auth: [|wrongpass|handshake initiation|find user|apop secret|logon failure|wrong password|"
        "no matching endpoint|request 'register'|err=49|smtp authentication"
    ),
    _MAIL: (
        "relay|recipient|mailbox|rcpt|noqueue|helo|sender address|user unknown|smtp|spam|deliver|command pipelining|"
        "dnsbl|blacklist|virus"
    ),
    _FAILURE: (
        "fail|invalid|denied|denial|denying|deny|reject|refuse|incorrect|wrong|bad password|bad login|bad rcon|bad user|"
        "bad auth|badlogin|bad protocol|bad credentials|bad request|bad client|illegal|nonexistent|non-existent|"
        "not found|not exist|no such|no account|no entry|no registration|mismatch|unauthori|unauthenticated|forbidden|"
        "not allowed|not permitted|not authorized|not authenticated|not supposed to|not match|not valid|not registered|"
        "not known|not support|disallowed|blocked|violation|attack|unable to auth|couldn't auth|could not auth|"
        "cannot auth|could not find user|could not retrieve user|could not be authenticated|exceeded|unknown user|"
        "unknown account|unknown recipient|user unknown|unknown peer|script unknown|unknown client|unknown source|"
        "no matching|doesn't match|isn't valid|too many|too long|too often|brute|lost connection after|non-smtp|"
        "unsuccessful|dropped variable|erroneous|malformed|suspicious|ignoring function|error importing function|"
        "unrouteable|ban |banned|locked out|no identification string|authentication error|auth error|unsafe|intrusion|"
        "violates|maximum auth|excessive|doesn't exist|improper|did not issue|hacking|auth=0/|blacklist|time limit|"
        "count limit|ratelimit|rate limit|rate-limit|limiting requests|limiting connections|delaying request|"
        "can't find user|cannot find user|can't find apop|login disabled|did not return|lost input channel|"
        "unknown algorithm|login error|logon error|signin error|authfail|loginfail|might not have worked|"
        "could not read protocol version|pregreet|bad zone|notauth|port scan|portscan|error from|error reading auth|"
        "> unknown|password is required|terminal is required|no tty present|not in sudoers|no valid sudoers|may not run|"
        "err=49|permfail|tempfail|tls error|unwrap error|could not determine|preauth failed"
    ),
    _SUCCESS: (
        "accepted|success|succeeded|logged in|logged on|session opened|authenticated|signed in|login ok|ok login|granted"
    ),
}  # fmt: skip
# What a proxy says of a server behind it; its clients are not to blame.
_BACKENDS = re.compile(
    r"(?<![\w/.-])(?:upstream|backend|remote server|dial tcp|econnrefused|bad gateway|gateway timeout)(?![\w/-])"
)
_BACKEND_SIGNS = ("upstream", "backend", "remote server", "dial tcp", "econnrefused", "gateway")
_ITSELF = "check pass; user unknown"  # PAM asks itself
_NOBODY_TRIED = "no auth attempts"  # a connection ended before anybody tried: what failed was no login
_AUTOMATON = ahocorasick.Automaton()
for _class, _words in _WORDS.items():
    for _word in _words.split("|"):
        _AUTOMATON.add_word(_word, (len(_word) - 1, _class | _AUTOMATON.get(_word, (0, 0))[1]))
_AUTOMATON.make_automaton()


def outcome_of(message: str) -> tuple[str, str]:
    """Return action (`login`, `deliver`, `access`) and outcome (`failure`, `success`) of a message, "" where it says none."""
    text = message[:MAX_SCANNED].lower().replace("_", " ")
    found = 0
    for end, (length, classes) in _AUTOMATON.iter(text):
        start = end - length
        if classes & ~found and (start == 0 or not text[start - 1].isalpha() or message[start : start + 1].isupper()):
            found |= classes
    if _ITSELF in text:
        return "", ""
    if _NOBODY_TRIED in text:
        found &= ~_LOGIN
    if not found & (_LOGIN | _MAIL) and any(sign in text for sign in _BACKEND_SIGNS) and _BACKENDS.search(text):
        return "", ""
    if found & _FAILURE:
        outcome = "failure"
    elif found & _SUCCESS and found & _LOGIN:
        outcome = "success"
    else:
        return "", ""
    return "login" if found & _LOGIN else "deliver" if found & _MAIL else "access", outcome
