"""Which dotted words are names of machines or domains, and which are files, classes and versions."""

from __future__ import annotations

# Generic top-level domains in common use; a name under any other is not taken for a domain.
_GENERIC = """
com net org edu gov mil int info biz name pro mobi arpa aero coop museum jobs travel tel cat asia post io dev app
cloud online site website space tech store shop xyz top club live life news blog today world global agency email
network systems solutions services support security digital media design studio group company center zone expert guru
host hosting press win bid loan trade date review stream download racing party science work click link icu vip buzz
monster rest bar fun run codes tools software technology academy education university school health care clinic money
finance financial bank insurance capital fund exchange market trading business consulting management partners ventures
page wiki ninja rocks social chat photo photos pictures video games game bet casino poker kim wang men gdn ltd llc inc
london berlin paris nyc tokyo amsterdam onion
"""

# Country codes (ISO 3166-1 alpha-2, as delegated, with eu, su and uk).
_COUNTRY = """
ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf
cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gd ge gf gg
gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in iq ir is it je jm jo jp ke kg kh ki km kn kp
kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz na nc
ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg sh si
sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va vc ve vg
vi vn vu wf ws ye yt za zm zw
"""

_PUBLIC = frozenset((_GENERIC + _COUNTRY).split())
_PRIVATE_WORDS = """
local lan internal localdomain intranet corp home localhost
"""
_PRIVATE = frozenset(_PRIVATE_WORDS.split())
# Country codes and others that are file extensions, words or method names as well; two labels under them prove nothing.
_AMBIGUOUS_WORDS = """
sh py pl so md rs cc ps mk am pm st ai id is it in at to do no by be me my us as la name post info run zone link app
date host work page tools read win bar data get download stream
"""
_AMBIGUOUS = frozenset(_AMBIGUOUS_WORDS.split())
_CODE_ROOTS_WORDS = """
com org net edu gov io java javax sun android androidx kotlin scala jdk dfs de uk
"""
_CODE_ROOTS = frozenset(_CODE_ROOTS_WORDS.split())


def kind_of_name(name: str) -> str:
    """Return `domain` or `host` for a dotted name in lower case, "" if it is neither."""
    labels = name.split(".")
    last = labels[-1]
    if len(labels) < 2 or len(name) > 253:
        return ""
    if not all(0 < len(label) <= 63 and label[0] != "-" and label[-1] != "-" for label in labels):
        return ""
    if last in _PRIVATE:
        return "host"
    if last not in _PUBLIC or "_" in labels[-2]:
        return ""
    if labels[0] in _CODE_ROOTS and len(labels) > 2 and last not in ("com", "net", "org"):
        return ""  # a Java package, written backwards
    if last in _AMBIGUOUS and len(labels) == 2:
        return ""
    return "" if all(label.isdecimal() for label in labels[:-1]) else "domain"
