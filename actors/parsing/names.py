"""What programs call the time, the level and the message of a structured record, its host, program, users and addresses. Data.

One table for JSON, logfmt, CEF, LEEF, OTLP and events of Windows, for the parser and for the rules. Names are compared without
regard to case and to `_`, `-`, `.` and blanks, so that `log.level`, `logLevel` and `log_level` are one; a nested name is
written with its parents before it. Of several names of one role the first in the table is believed.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

from protocol.records import EntityType

Role = Literal["message", "level", "time", "host", "app", "procid"]
Target = Literal[
    "src_ip", "dst_ip", "src_port", "dst_port", "user", "cs-method", "cs-uri", "sc-status", "cs-user-agent", "cs-host",
    "cs-referer", "query", "record_type",
]  # fmt: skip

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
        "devname hostname computer computername winlogcomputername hosthostname dvchost sourcehost nodename agenthostname "
        "machinename"
    ),
    "app": (
        "syslogidentifier appname applicationname application servicename service program programname sourcename "
        "providername logname"
    ),
    "procid": "pid processid syslogpid",
}
# The fields of the taxonomy: which of several could be the source address, the clearest first. What is said of them is true of
# nested names too, by their last parts: `requestMetadata.callerIp` is a `callerIp`.
_TARGETS: dict[Target, str] = {
    "src_ip": (
        "srcip sourceip src cip clientip clientaddress clientaddr rip remoteip remoteaddr remoteaddress clienthost rhost "
        "sourceaddress sourceipaddress ipaddress netpeerip peerip realip xrealip originip userip callerip calleripaddress "
        "callingstationid framedipaddress originaddress client remote peer fromip addr ip ips sourceips qip requestip "
        "downstreamremoteaddress xforwardedfor"
    ),
    "dst_ip": "dstip dst destip destinationip dest destinationaddress lip",
    "src_port": "srcport spt sport sourceport clientport ipport",
    "dst_port": "dstport dpt dport destport destinationport",
    "user": (
        "user username uname targetusername acct suser duser account accountname accountid ruser principalname login loginname "
        "logname saslusername remoteuser authuser clientusername enduserid unifiadmin authenticationid subjectusername usrname "
        "usr srcuser dstuser sourceusername destinationusername requestuser loggedinuser csusername downstreamusername "
        "useridentityusername userusername userid authenticationinfoprincipalemail principalemail userprincipalname "
        "actoralternateid callerusername clientaccount mappedaccount useremail identityname authdisplayname auid"
    ),
    "cs-method": "csmethod method requestmethod httpmethod httprequestmethod verb",
    "cs-uri": (
        "csuri url uri requesturi requestpath pathandquery httptarget httpurl urlfull urloriginal httprequestrequesturl "
        "csuristem request xenvoyoriginpath path"
    ),
    "sc-status": (
        "scstatus status downstreamstatus httpstatuscode httpresponsestatuscode statuscode responsecode code responsestatuscode"
    ),
    "cs-user-agent": "csuseragent useragent httpuseragent useragentoriginal requestuseragent cs(useragent)",
    "cs-host": "cshost vhost requesthost httphost servername virtualhost",
    "cs-referer": "csreferer referer referrer httpreferer requestreferer cs(referer)",
    "query": "query qh qname dnsquestionname queryname",
    "record_type": "recordtype qt qtype qtypename querytype dnsquestiontype",
}
_KINDS_OF_TARGETS: dict[Target, EntityType] = {"src_ip": "ipv4", "dst_ip": "ipv4", "user": "user"}
_OWN_ADDRESSES = "hostip deviceipaddress nasipaddress laddr serverip localip localaddress managementip"
_ENTITIES: dict[EntityType, str] = {
    "ipv4": _OWN_ADDRESSES,
    "url": "url uri requesturi httpurl urlfull requesturl urloriginal csuristem",
    "domain": (
        "domain query qname dnsquestionname sni servername urldomain dnsrrname tlssni requesthost vhost httphost httphostname "
        "headershost"
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
        "failurereason sub"
    ).split()
)

_RANKS: dict[str, tuple[Role, int]] = {
    name: (role, rank) for role, names in _ROLES.items() for rank, name in enumerate(names.split())
}
_KINDS: dict[str, EntityType] = {
    name: kind for target, kind in _KINDS_OF_TARGETS.items() for name in _TARGETS[target].split()
} | {name: kind for kind, names in _ENTITIES.items() for name in names.split()}
_RANKS_OF_TARGETS: dict[str, tuple[Target, int]] = {
    name: (target, rank) for target, names in _TARGETS.items() for rank, name in enumerate(names.split())
}
_OWN = frozenset(_OWN_ADDRESSES.split())
_NESTED: frozenset[Target] = frozenset(("src_ip", "dst_ip", "src_port", "dst_port", "user"))  # known by their last parts too
_PENALTY = 1_000  # for each part of a name that is left out
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
def target_of(name: str) -> tuple[Target, int] | None:
    """Return the field of the taxonomy that a field stands for, and how clearly its name says so (0: the clearest), or None."""
    parts = name.split(".")
    for left_out in range(len(parts)):
        short = plain(".".join(parts[left_out:]))
        if short in _OWN:
            return None
        found = _RANKS_OF_TARGETS.get(short)
        if found is not None and (left_out == 0 or found[0] in _NESTED):
            return found[0], found[1] + left_out * _PENALTY
    return None


@lru_cache(maxsize=8_192)
def is_text(name: str) -> bool:
    """Tell whether a field says in words what went wrong."""
    return plain(name) in _TEXTS


@lru_cache(maxsize=8_192)
def is_plain(name: str) -> bool:
    """Tell whether the name of a field says neither what kind of entity it holds nor that it is a text."""
    return kind_of(name) is None and not is_text(name)


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
