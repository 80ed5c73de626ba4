"""Variables that anyone can see: numbers, addresses, identifiers, paths. They are `<*>` before templates are learned.

A token (between white space) is masked inside: `totalCalories=130159` is `totalCalories=<*>`, `core.9369` is `<*>`.
A word is a variable when it has three digits or more, or is a number, hexadecimal, an address, a URL or a path; `ssh2` and
`HTTP/1.1` are not. So is what stands in quotes unless it tells a state, a statement of SQL, flags (`true`) where there are
several, the port of a switch and the name of a package or class. Tokens repeat, so each is masked once and remembered in a
bounded cache.

Log text is hostile: what is looked at of a message and of a token is bounded, and with it the cost (a token without the
digits that a word needs costs the square of its length) and the memory of caches and templates.
"""

from __future__ import annotations

import re

VARIABLE = "<*>"
_MAX_CACHE = 65_536
_MAX_TOKEN = 128  # characters of a token; the rest of a longer one is not looked at
_MAX_MESSAGE = 2_048  # characters of a message; a template, of which there may be many, is never longer

_VARIABLES = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^\s\"'<>]+"  # URL
    r"|(?<![\w.*)])(?:[A-Za-z]:)?[/\\](?=[\w.~@%+-])[^\s\"'<>,;()\[\]{}=]*"  # path
    r"|(?<![\w.-])(?![\w.-]{1,64}\.(?:java|kt|scala|py|go|cc?|cpp|hh?|hpp|rb|js|ts|rs|cs|php|swift):)"  # a place in a source
    r"[A-Za-z][\w-]{0,62}(?:\.[\w-]{1,63}){1,8}:\d{1,5}(?![\w.])"  # host and port
    r"|0[xX][0-9A-Fa-f]+"
    r"|(?<![\w/])[A-Za-z]{2,24}\d{1,3}(?:/\d{1,4}){1,4}(?![\w/])"  # a port of a switch
    r"|(?<![\w.@/$-])(?![\w.]{1,128}\.[A-Z_]{2,64}(?!\w))"  # but for constants
    r"[a-z][a-z0-9_]{0,31}(?:\.[A-Za-z_$][\w$]{0,63}){2,12}(?:/[\w.$]{1,128})?(?![\w./$-])"  # package, class
    r"|(?<![\w.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){3,31}(?![\w:])"  # IPv6, MAC, fingerprint
    r"|(?<![A-Za-z0-9_])[-+]?\d++(?:[.,:/-]\d++)*+(?:(?:[KMGTkmg]i?[Bb]?|B|[kmunµ]?s|min|[kMG]Hz|%)(?![A-Za-z0-9_])|(?![A-Za-z_]))"
    r"|[A-Za-z0-9_](?:(?:[^\W\d]|[.-])*\d){3}[\w.-]*"  # word with three digits or more
)
# Words that tell a state or a change of one.
_STATE_WORDS = """
begin begins began end ends ended start starts started starting stop stops stopped stopping pause paused resume
resumed run running idle open opened opening close closed closing connect connected connecting disconnect disconnected
up down on off true false yes no enable enabled disable disabled success succeeded successful successfully fail failed
failure failing initialize initialized initialization finalize finalized finalization load loaded unload unloaded
mount mounted unmounted register registered unregistered create created delete deleted add added remove removed accept
accepted reject rejected allow allowed deny denied grant granted refuse refused login logout enter entered entering
leave left leaving online offline active inactive available unavailable valid invalid lock locked unlock unlocked
attach attached detach detached install installed uninstalled suspend suspended shutdown reboot boot complete
completed incomplete passed ready busy healthy unhealthy established acquired released spawn spawned spawning destroy destroyed
destroying terminate terminated terminating kill killed killing launch launched launching migrate migrated migrating resize
resized rebuild rebuilt rebooted rebooting restart restarted restarting deploy deployed evict evicted drain drained join
joined expire expired renew renewed revoke revoked upgrade upgraded upgrading download downloaded downloading upload uploaded
uploading commit committed abort aborted restore restored import imported export exported flush flushed rotate rotated publish
published subscribe subscribed unsubscribed schedule scheduled send sent sending receive received receiving read write written
permit permitted block blocked drop dropped standby master backup primary secondary leader follower candidate
"""
STATES = frozenset(_STATE_WORDS.split())
_CALENDAR_WORDS = """
Mon Tue Wed Thu Fri Sat Sun Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec
"""
_CALENDAR = frozenset(_CALENDAR_WORDS.split())
_NEIGHBOURS = re.compile(r"<\*>(?:[.:,/@_-]?<\*>)+")
_ASIDE = re.compile(r" \([\d.,]{1,16} ?(?:[KMGT]i?)?(?:B|bytes?)\)")  # the same size again, where it is large
# What stands in quotes is a value, but for a request and for a message that is quoted itself (klog).
_STATE = rf"(?i:{'|'.join(sorted(_STATE_WORDS.split()))})"
_QUOTED = re.compile(rf'(?<=[\s=:(\[{{,])"(?![A-Z]{{3,8}} /|{_STATE}")[^"\r\n]{{0,256}}"')
_SIZED = re.compile(r"(?<![\w.])\d+(?:[.,]\d+)* (?:[KMGTP]i?)?B\b")  # its unit is part of a size
_SQL = re.compile(
    r"(?<=: )(?:SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|BEGIN|START|COMMIT|ROLLBACK|SAVEPOINT|RELEASE|SET|SHOW|CREATE|ALTER|DROP"
    r"|TRUNCATE|GRANT|REVOKE|COPY|CALL|DO|LOCK|VACUUM|ANALYZE|EXPLAIN|PREPARE|EXECUTE|DEALLOCATE|DECLARE|FETCH|DISCARD|USE)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_APOSTROPHES = re.compile(rf"(?<=[\s=:(\[{{,])'(?!{_STATE}')[^'\r\n]{{1,128}}'(?=[\s.,;)\]}}]|$)")
_LIST = re.compile(r'\[(?:"<\*>"(?:, ?)?)+\]')
_FLAG = re.compile(r"(?<=[\w)])( ?[=:] {0,2})(?:true|false)\b")
_UNDER_A_UNIT = re.compile(r"<(\d+) (sec|ms|s)\b")


class Masking:
    """Masks messages token by token."""

    def __init__(self) -> None:
        self._cache: dict[str, str] = {}

    def tokens(self, message: str, most: int) -> tuple[str, ...]:
        """Return the first `most` tokens of a message with their variables masked."""
        if "<" in message:
            message = _UNDER_A_UNIT.sub(r"<\1\2", message)
        if "B)" in message or "bytes)" in message:
            message = _ASIDE.sub("", message)
        if '"' in message:
            message = _LIST.sub("[<*>]", _QUOTED.sub('"<*>"', message))
        if "statement: " in message or "execute " in message or "uery: " in message:
            message = _SQL.sub("<*>", message)
        if "'" in message:
            message = _APOSTROPHES.sub("'<*>'", message)
        if ("true" in message or "false" in message) and len(_FLAG.findall(message)) > 1:
            message = _FLAG.sub(r"\1<*>", message)  # a dump of many states, not a change of one
        if "B" in message:
            message = _SIZED.sub("<*>", message)
        if len(message) > _MAX_MESSAGE:
            message = message[:_MAX_MESSAGE].rpartition(" ")[0] or message[:_MAX_MESSAGE]
        words = message.split(None, most)[:most]
        if len(message) > _MAX_TOKEN:
            words = [word[:_MAX_TOKEN] for word in words]
        cache = self._cache
        try:
            return tuple([cache[word] for word in words])
        except KeyError:
            return tuple([cache.get(word) or self._mask(word) for word in words])

    def _mask(self, word: str) -> str:
        masked = VARIABLE
        if word not in _CALENDAR:
            masked = _NEIGHBOURS.sub(VARIABLE, _VARIABLES.sub(VARIABLE, word))
        if len(self._cache) >= _MAX_CACHE:
            self._cache.clear()
        self._cache[word] = masked
        return masked
