"""What programs call the time, the level and the message of a structured record, its host, program, users and addresses. Data.

One table for JSON, logfmt, CEF, LEEF, OTLP and events of Windows. Names are compared without regard to case and to `_`, `-`,
`.` and blanks, so that `log.level`, `logLevel` and `log_level` are one; a nested name is written with its parents before it.
Of several names of one role the first in the table is believed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

from protocol.records import EntityType

Role = Literal["message", "level", "time", "host", "app", "procid"]

ROLES: tuple[Role, ...] = get_args(Role)

_ROLES: dict[Role, str] = {
    "message": (
        "msg message shortmessage @m rendermessage renderedmessage @message log event logmessage text textpayload "
        "jsonpayloadmessage eventmessage eventoriginal alertsignature fullmessage @mt body description"
    ),
    "level": (
        "level severity lvl loglevel levelname severitytext logseverity logsyslogseverityname @l leveldisplayname "
        "severitylevel s priority levelno severitynumber alertseverity sev pri"
    ),
    "time": (
        "ts time timestamp @timestamp datetime eventtime timecreated systemtime @t asctime rt requestreceivedtimestamp starttime "
        "startutc t sourcerealtimestamp realtimetimestamp timegenerated timegeneratedutc utctime eventtimestamp logtime "
        "logtimestamp devtime published creationtime activitydatetime createddatetime timemillis instant "
        "receivetimestamp date epoch loggedat createdat eventdate"
    ),
    "host": (
        "hostname computer computername winlogcomputername hosthostname devname dvchost sourcehost nodename agenthostname "
        "machinename"
    ),
    "app": (
        "syslogidentifier appname applicationname application servicename service program programname sourcename "
        "providername logname"
    ),
    "procid": "pid processid syslogpid",
}
_ENTITIES: dict[EntityType, str] = {
    "user": (
        "user username userid login loginname account accountname acct ruser suser duser srcuser dstuser remoteuser authuser "
        "principalname clientusername targetusername subjectusername userusername enduserid usr usrname saslusername "
        "sourceusername destinationusername unifiadmin requestuser useridentityusername protopayloadauthenticationinfo"
        "principalemail callerusername useremail actoralternateid userprincipalname identityname auid loggedinuser "
        "authenticationinfoprincipalemail authdisplayname csusername downstreamusername"
    ),
    "ipv4": (
        "srcip sourceip clientip dstip destip destinationip ip remoteip remoteaddr remoteaddress peerip ipaddress "
        "clientaddress addr netpeerip sourceaddress sourceipaddress xforwardedfor realip xrealip cip laddr src dst "
        "destinationaddress callerip calleripaddress callingstationid rip lip hostip deviceipaddress nasipaddress framedipaddress"
    ),
    "url": "url uri requesturi httpurl urlfull requesturl urloriginal csuristem",
    "domain": (
        "domain query qname dnsquestionname sni servername urldomain dnsrrname tlssni requesthost vhost httphost headershost"
    ),
    "host": "rhost remotehost desthost destinationhost workstation workstationname",
    "email": "email mail fromemail toemail",
    "hash": "md5 sha1 sha256 hash filehash imphash filehashsha256 filehashmd5 filehashsha1",
    "file": "file filename filepath path targetfilename",
    "process": "exe comm image process processname processexecutable parentimage",
}

# What says in words what went wrong, beside the message: addresses are looked for in it.
_TEXTS = frozenset(
    (
        "error err errmessage errormessage errmsg errormsg exceptionmessage exception reason cause detail details "
        "failurereason"
    ).split()
)

_RANKS: dict[str, tuple[Role, int]] = {
    name: (role, rank) for role, names in _ROLES.items() for rank, name in enumerate(names.split())
}
_KINDS: dict[str, EntityType] = {name: kind for kind, names in _ENTITIES.items() for name in names.split()}
_DELETED = str.maketrans("", "", "_-. ")
_MAX_NAME = 96  # characters; a longer one is nobody's


@lru_cache(maxsize=8_192)
def plain(name: str) -> str:
    """Return a name as the tables have it."""
    return name[: _MAX_NAME + 1].lower().translate(_DELETED)


@lru_cache(maxsize=8_192)
def role_of(name: str) -> tuple[Role, int] | None:
    """Return the role of a field and its rank among the names of that role (0: the first), or None."""
    return _RANKS.get(plain(name))


@lru_cache(maxsize=8_192)
def is_text(name: str) -> bool:
    """Tell whether a field says in words what went wrong."""
    return plain(name) in _TEXTS


@lru_cache(maxsize=8_192)
def kind_of(name: str) -> EntityType | None:
    """Return what kind of entity a field holds by its name, or None if its name does not say.

    The journal's own fields, such as `_COMM`, are of the writer of a message, not of what it speaks of.
    """
    if name.startswith("_") and name.isupper():
        return None
    if name == "UID":
        return "user"  # of audit records that were interpreted; in small letters it is a number, or a connection
    return _KINDS.get(plain(name))
