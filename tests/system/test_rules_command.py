"""`tocsin rules` as a person types it, without a daemon and on what one has left."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from actors.storage.writer import StoreWriter
from protocol.messages import BatchKey, JudgedEvent
from tests.actors.sigma.site import correlation, rule
from tests.actors.sigma.test_workbench import MORNING_NS, StateDir, line, parsed
from tests.daemon_process import ROOT
from tests.system.test_commands import tocsin

GOOD = rule(
    "failed", "{words: ['Failed password'], root: {user: root}, condition: words and root}", more="tags: [attack.t1110]\n"
)
BAD = rule("bad", "{s: {'user|re': '(?=x)'}, condition: s}")


class Site:
    """A configuration with a folder of rules."""

    def __init__(self, folder: Path, *documents: str) -> None:
        self.state = StateDir(folder, *documents)
        self.config = folder / "tocsin.toml"
        self.config.write_text(f'state_dir = "{self.state.path}"\n[rules]\nown = false\npaths = ["{self.state.rules}"]\n')

    def rules(self, verb: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return tocsin("rules", verb, "--config", str(self.config), *arguments, **environment)  # type: ignore[arg-type]


def test_rules_are_checked_and_each_refused_one_has_its_place(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    assert site.rules("check").stdout == "1 rules and 0 correlations load, 0 are refused.\n"
    assert tocsin("check", "--config", str(site.config)).returncode == 0
    bad = site.state.rules / "bad.yml"
    bad.write_text(BAD)
    checked = site.rules("check")
    assert checked.returncode == 1 and "load, 1 are refused." in checked.stdout
    assert checked.stderr.startswith(f"{bad}:4: ")
    whole = tocsin("check", "--config", str(site.config))
    assert whole.returncode == 78 and whole.stderr.startswith(f"tocsin: {bad}:4: ")
    assert site.rules("check", str(site.state.rules / "site.yml")).returncode == 0
    missing = site.rules("check", str(tmp_path / "none"))
    assert missing.returncode == 2 and missing.stderr == f"tocsin: {tmp_path}/none: No such file or directory\n"


def test_a_rule_that_is_switched_off_and_not_there_is_a_fault(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    site.config.write_text(site.config.read_text() + 'disabled = ["typing_error"]\n')
    checked = tocsin("check", "--config", str(site.config))
    assert checked.returncode == 78 and "there is no rule typing_error" in checked.stderr
    switched = tocsin("check", "--config", str(site.config), TOCSIN_RULES__ENABLED="false")
    assert switched.returncode == 0


def test_the_list_is_for_people_and_for_machines(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    site.state.take(line(0, 0, "root"))
    site.state.leave()
    assert re.search(r"failed +low +linux, sshd +1  Title of failed\n", site.rules("list").stdout)
    (entry,) = json.loads(site.rules("list", "--json").stdout)["rules"]
    assert entry["matched"] == 1 and entry["last_matched"] == "2026-05-13T08:00:00.000Z" and entry["state"] == "in force"
    assert "switched off" in site.rules("list", TOCSIN_RULES__DISABLED='["failed"]').stdout


def test_a_line_is_tried_on_a_rule_in_force_a_file_and_a_folder(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    matched = site.rules("test", "failed", line(0, 0, "root"))
    assert matched.returncode == 0 and matched.stdout.startswith("failed matches: low, Title of failed\n")
    other = site.rules("test", "failed", line(0, 0))
    assert other.returncode == 1 and re.search(r"fails +user = 'root'", other.stdout)
    elsewhere = site.rules("test", str(site.state.rules / "site.yml"), line(0, 0, "root").replace("sshd", "cron"))
    assert elsewhere.returncode == 1 and "it is meant for linux, sshd; the event is linux, cron" in elsewhere.stdout
    (site.state.rules / "more.yml").write_text(rule("more", "{s: {tty: x}, condition: s}"))
    both = site.rules("test", str(site.state.rules), line(0, 0, "root"), line(0, 1))
    assert both.stdout.count("failed matches") == 1 and "None of 2 rules matches." in both.stdout
    lacking = site.rules("test", "more", line(0, 0))
    assert re.search(r"no field +tty = 'x'\n +the event has .*message", lacking.stdout)
    for name in ("none", str(tmp_path / "none.yml")):
        unknown = site.rules("test", name, line(0, 0))
        assert unknown.returncode == 2 and re.match(r"tocsin: .*there is no ", unknown.stderr)


def test_lines_of_standard_input_are_fed_to_a_correlation_in_order(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD, correlation("force", "failed", "{gte: 3}"))
    fed = subprocess.run(
        [sys.executable, "-m", "daemon.cli", "rules", "test", "--config", str(site.config), "force", "-"],
        cwd=ROOT,
        input="\n".join(line(0, second, "root") for second in range(3)),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert fed.returncode == 0 and fed.stdout.count("force does not fire; it looks for event_count gte 3 of:") == 2
    assert "force fires: high, Title of force" in fed.stdout and "group  src_ip = 192.0.2.7" in fed.stdout


def test_what_is_refused_in_a_file_is_told_when_it_is_tried(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    mixed = tmp_path / "mixed.yml"
    mixed.write_text(f"{BAD}---\n{GOOD}")
    tried = site.rules("test", str(mixed), line(0, 0, "root"))
    assert tried.returncode == 0 and tried.stderr.startswith(f"{mixed}:4: ") and "failed matches" in tried.stdout
    mixed.write_text(BAD)
    refused = site.rules("test", str(mixed), line(0, 0, "root"))
    assert refused.returncode == 2 and refused.stderr.startswith(f"tocsin: {mixed}:4: ")


def test_a_store_that_is_not_there_is_no_empty_one(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    for arguments in (("why", "failed", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), ("backtest", "failed")):
        asked = site.rules(*arguments)
        assert asked.returncode == 2 and "store cannot be read" in asked.stderr


def test_why_and_backtest_read_what_is_stored(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD, correlation("force", "failed", "{gte: 3}"))
    events = site.state.take(*(line(0, second, "root") for second in range(4)), line(0, 5))
    assert site.rules("why", "failed", events[0].id).returncode == 0
    other = site.rules("why", "failed", events[4].id)
    assert other.returncode == 1 and "failed does not match." in other.stdout
    assert "force looks for event_count gte 3 of:" in site.rules("why", "force", events[0].id).stdout
    unknown = site.rules("why", "failed", "01ARZ3NDEKTSV4RRFFQ69G5FAV")
    assert unknown.returncode == 2 and "no event is stored" in unknown.stderr
    ran = site.rules("backtest", "force", "--since", "2026-05-13", "--until", "2026-05-14T00:00:00Z")
    assert ran.returncode == 0
    assert (
        "5 events from 2026-05-13T00:00:00.000Z" in ran.stdout
        and "force: 1 matches (20.000% of the events), 1 alerts" in ran.stdout
    )
    assert "failed, which is referred to: 4 matches (80.000% of the events), 0 alerts" in ran.stdout
    none = site.rules("backtest", "force", "--since", "2026-05-14", "--until", "2026-05-15")
    assert none.stdout.startswith("0 events")
    wrong = site.rules("backtest", "force", "--since", "yesterday")
    assert wrong.returncode == 2 and "12h or 7d" in wrong.stderr


def test_coverage_and_never(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD, rule("more", "{s: {tty: x}, condition: s}"))
    output = tmp_path / "layer.json"
    assert site.rules("coverage", "--output", str(output)).returncode == 0
    assert json.loads(output.read_text()) == json.loads(site.rules("coverage").stdout)
    assert json.loads(output.read_text())["techniques"][0]["techniqueID"] == "T1110"
    unwritable = site.rules("coverage", "--output", str(tmp_path / "none" / "layer.json"))
    assert unwritable.returncode == 2 and "No such file" in unwritable.stderr
    assert site.rules("never").returncode == 2
    site.state.take(line(0, 0))
    site.state.leave()
    assert "1 events came; nothing can be said before 1,000." in site.rules("never").stdout
    for event in parsed(*(line(second // 60, second % 60) for second in range(1, 1001))):
        site.state.engine.take(event)
    site.state.leave()
    assert "no event of linux, sshd has the field tty:\n  more\n" in site.rules("never").stdout


def test_no_text_of_a_rule_or_a_log_reaches_the_terminal_as_it_is(tmp_path: Path) -> None:
    evil = GOOD.replace("title: Title of failed", 'title: "\\e[2J\\u009b1m\\nall is well"')
    site = Site(tmp_path, evil)
    (event,) = parsed(line(0, 0, "root"))
    event.message += "\x1b]0;owned\x07\n\x9b2J"
    writer = StoreWriter(site.state.path / "store")
    writer.commit(BatchKey("syslog", 1, 0, 1, 1), [JudgedEvent(event, 0.0, 1.0, None)], [], MORNING_NS)
    writer.close()
    shown = [site.rules("list"), site.rules("list", "--json"), site.rules("why", "failed", event.id)]
    shown += [site.rules("backtest", "failed", "--since", "2026-05-13"), site.rules("test", "failed", line(0, 0, "root"))]
    for each in shown:
        assert each.stdout and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", each.stdout), each.stdout
        assert not any(text.startswith("all is well") for text in each.stdout.splitlines())


def test_a_cache_of_the_daemon_is_used_where_it_is_current(tmp_path: Path) -> None:
    site = Site(tmp_path, GOOD)
    program = "import sys; from daemon.cli import main; main(sys.argv[1:]); print('sigma.rule' in sys.modules)"

    def reads_rules() -> bool:
        command = [sys.executable, "-c", program, "rules", "list", "--config", str(site.config)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True)
        return done.stdout.splitlines()[-1] == "True"

    assert not reads_rules()
    os.utime(site.state.rules / "site.yml", ns=(1, 1))
    assert reads_rules()


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("12h", 43_200), ("7d", 604_800), ("2w", 1_209_600)])
def test_spans_of_time(text: str, seconds: int) -> None:
    from daemon.commands.rules import read_moment

    assert read_moment(text, MORNING_NS) == MORNING_NS - seconds * 1_000_000_000
