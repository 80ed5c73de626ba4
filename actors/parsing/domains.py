"""Which dotted words are names of machines or domains, and which are files, classes and versions."""

from __future__ import annotations

from functools import lru_cache

from publicsuffixlist import PublicSuffixList

_MAX_NAME = 253  # characters (RFC 1035, section 2.3.4, without the root)
_MAX_LABEL = 63
_PRIVATE = frozenset("local lan internal localdomain intranet corp home localhost".split())
_ONION = "onion"  # no public suffix, and a domain all the same (RFC 7686)

# Top-level domains that are file extensions, words or names of methods as well. Where the text does not say that it speaks of a
# domain, two labels under these prove nothing,
_AMBIGUOUS = frozenset(
    """
    ai am app as at bar be by cc date do download host id in info is it la link md me mk my name no page pl pm post ps py rs
    run sh so st stream to tools us win work zone
    """.split()
)
# and nothing does under these, which few names of machines have, and much code or many people.
_WORDS = frozenset(
    """
    abc aco actor ads amazon android apple archi art audio author auto band best bio black blue boo book bot box build
    builders buy cab cafe cal call cam camp car cards cars case cash cfa channel charity chrome circle city claims coffee
    college community compare computer construction contact cool country coupon coupons courses cpa credit dad dance data
    dating day deal dealer degree delivery delta diet direct directory discount dish docs doctor dog domains dot drive earth
    eat eco energy engineer engineering enterprises equipment estate events exposed express fail faith family fan fans farm
    farmers fast feedback fidelity film final fire fish fit fitness fly foo food ford forum foundation fox free frontier fyi
    gallo gap garden george gift gifts gives giving glass google got graphics gratis green guide hair help here hot hotel
    hotels house how ice immo industries ing ink institute insure international java joy kids kitchen land lat law lawyer
    lease legal like limited lincoln living loans locker man map marketing marriott meet meme memorial menu microsoft mint
    mobile moe mom mov movie new next norton now observer office one open oracle orange organic origins parts pay pet phone
    pics pid pin ping pink place play plumbing plus porn prime prod productions progressive promo properties property
    protection pub quest radio read red rehab reliance rent rentals repair report reviews rich rip rogers room safe safety
    sale sas save schmidt schwarz search seat secure seek select seven shell shoes show silk singles ski skin sky smart smile
    solar song spa sport spot star statebank stockholm storage study style supplies supply surf tab talk target tax team
    tickets tips tires total town toys training trust tube tunes unicom uno vacations vet vision viva vote voting voyage
    walter watch watches weather web webcam weber weir windows wine winners works wow wtf xbox you zero zip
    """.split()
)
# What names of properties, objects and settings begin with, and names of machines do not.
_PROPERTIES = frozenset(
    """
    app application args attr class config configuration context ctx cfg db default django doc document e element email env
    environment err error event events field fields form hibernate http https info item java javax js json kafka key kwargs log
    logger logging management message meta model module msg my name node object obj options org os package page param params
    path plugin process prop props properties property query quarkus redis req request res response result root row rule
    security self server service session settings spring state string system sys task template test this thread tomcat type
    user users util utils val value values var vars window worker
    """.split()
)
_CODE_ROOTS = frozenset("com org net edu gov io java javax sun android androidx kotlin scala jdk dfs de uk".split())
_COMMON = frozenset(("com", "net", "org"))

_SUFFIXES = PublicSuffixList(accept_unknown=False, only_icann=True)


@lru_cache(maxsize=16_384)
def kind_of_name(name: str, *, stated: bool = False) -> str:
    """Return `domain` or `host` for a dotted name in lower case, "" if it is neither.

    A domain lies below a public suffix (publicsuffix.org, its ICANN part). `stated`: where the name stands says already that it
    is one of a machine or a domain, as in a URL; so does a leading `www`.
    """
    labels = name.split(".")
    last = labels[-1]
    if len(labels) < 2 or len(name) > _MAX_NAME:
        return ""
    if not all(0 < len(label) <= _MAX_LABEL and label[0] != "-" and label[-1] != "-" for label in labels):
        return ""
    if last in _PRIVATE:
        return "host"
    if "_" in labels[-2] or all(label.isdecimal() for label in labels[:-1]):
        return ""
    if not stated and labels[0] != "www" and _may_be_code(labels):
        return ""
    return "domain" if last == _ONION or _SUFFIXES.privatesuffix(name) is not None else ""


def _may_be_code(labels: list[str]) -> bool:
    """Say whether a name may as well be one of a file, a package, which is written the other way round, or a method."""
    last = labels[-1]
    if labels[0] in _CODE_ROOTS and last not in _COMMON and (len(labels) > 2 or len(last) > 2):
        return True
    if labels[0] in _PROPERTIES and last not in _COMMON and (last in _AMBIGUOUS or last in _PROPERTIES or len(last) > 3):
        return True
    return last in _WORDS or (len(labels) == 2 and last in _AMBIGUOUS)
