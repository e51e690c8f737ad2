"""Drains a node of a service: what runs ends, results and logs are copied to the scripts bucket, the engine is stopped.

A node runs it with the standard library of Python 3.9, by the units of drain.py, in the variables of /etc/nixl-efa/env.
Argument:
  watch   waits until the node ends soon, by EC2's word or with its Capacity Block, and starts the unit of `drain` then
  drain   drains, as /run/nixl-efa/drain.json says (why; limit: seconds for what runs, which a later one can shorten),
          and writes /run/nixl-efa/drained.json: at, why, saved (where to); at its end left (what still ran here at the
          limit), problems
  ask     prints the end of the Capacity Block as EC2 knows it; or why it can't be asked, with exit code 1
/etc/nixl-efa/drain.json is written by `nixl-efa serve`: instance, engines (URLs of those that a drain waits for), own
(that of the node's own), router (URL), has_router, busy (a pattern: while the sum of such lines of /metrics is not 0,
something runs), limit (most seconds for what runs), every (seconds between looks for EC2's words) and block (id, end,
lead: seconds before its end at which EC2 begins to terminate; null: none).
"""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = os.environ.get("NIXL_EFA_ROOT", "")
METADATA = os.environ.get("NIXL_EFA_METADATA", "http://169.254.169.254/latest")
ENGINE, ROUTER, PD_ROUTER = (f"nixl-efa-{one}.service" for one in ("engine", "router", "pd-router"))
BOOT, WATCH, DRAIN = (f"nixl-efa-{one}.service" for one in ("service", "watch", "drain"))
# Of logs, as bash reads them. journalctl fails for a pattern that fits no unit.
UNITS = {"engine": ENGINE, "router": "nixl-efa-{,pd-}router", "watch": WATCH, "drain": DRAIN}
RESULTS, PREFIX = "/opt/nixl-efa/results", "nixl-efa-drain"
ASKED, DONE = "/run/nixl-efa/drain.json", "/run/nixl-efa/drained.json"
# Both in memory, because the disk may be full. Where nobody could write what is asked for: what is there is saved.
UNREAD = {"why": f"{ASKED} can't be read", "limit": 0}
# A drain begins so long before EC2 terminates: with a Capacity Block, when EC2 sends its warning (40 minutes before the
# end, 10 before it begins to terminate: EC2 user guide, capacity-blocks-monitor).
BEFORE = timedelta(minutes=10)
# EC2 warns so long before a Spot interruption (spot-instance-termination-notices); it counts where a clock is slow.
SPOT = timedelta(minutes=2)
# How long it is tried to ask EC2 whether a block was extended, before it counts as not extended.
ASKING = timedelta(minutes=1)
# So many looks in a row, a second apart, must find nothing: a request that the router has taken is counted by no engine
# while the router lets one make tokens of it.
LOOKS, LOOK_SECONDS = 3, 1.0
LOG_LINES, LOG_SECONDS = 500_000, 120
# Events that end what runs (EC2 user guide, monitoring-instances-status-check_sched).
ENDING_EVENTS = ("instance-stop", "instance-retirement", "instance-reboot", "system-reboot")
# A proxy of the environment is for others than the nodes.
_DIRECTLY = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def say(text: str) -> None:
    """A line for the journal."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)  # noqa: UP017  (new in Python 3.11)


def read(path: str) -> Any:
    """A JSON document; None where there is none."""
    try:
        with open(f"{ROOT}{path}", encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return None


def write(path: str, document: Any) -> None:
    """A JSON document, whole or not there."""
    os.makedirs(os.path.dirname(f"{ROOT}{path}"), exist_ok=True)
    with open(f"{ROOT}{path}.new", "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.replace(f"{ROOT}{path}.new", f"{ROOT}{path}")


def run(*command: str, seconds: float = 60) -> tuple[str, str]:
    """What a command prints, and why it failed: the last line of its errors (all: in the journal), else empty."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", check=False, timeout=seconds
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    said = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    if not done.returncode or len(said) == 1:
        return done.stdout, said[0] if done.returncode else ""
    say(done.stderr.strip())
    return done.stdout, f"{said[-1]} (the last of {len(said)} lines in the journal)"


def moment(text: str) -> datetime:
    """A time as EC2 writes it: "2026-12-01T11:30:00.000Z", or "21 Jan 2019 09:00:43 GMT"."""
    if "T" not in text.partition(" ")[0]:
        return parsedate_to_datetime(text).astimezone(timezone.utc)  # noqa: UP017
    found = re.sub(r"\.\d+", "", text).replace("Z", "+00:00")
    return datetime.fromisoformat(found).astimezone(timezone.utc)  # noqa: UP017


# When the node ends


def metadata(path: str) -> str:
    """What the instance's metadata says there; empty where it says nothing."""
    try:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
        asked = urllib.request.Request(f"{METADATA}/api/token", method="PUT", headers=headers)
        with _DIRECTLY.open(asked, timeout=2) as answer:
            token = answer.read().decode()
        request = urllib.request.Request(
            f"{METADATA}/meta-data/{path}", headers={"X-aws-ec2-metadata-token": token}
        )
        with _DIRECTLY.open(request, timeout=2) as answer:
            return str(answer.read().decode())
    except (OSError, ValueError):
        return ""


def endings(spot: str, events: str, at: datetime) -> list[tuple[datetime, str]]:
    """When EC2 says that the instance ends, and why: from spot/instance-action and events/maintenance/scheduled.

    An event whose time has come is not known: whoever has started the service since knows of it.
    """
    found = []
    try:
        told = json.loads(spot or "{}")
        if told.get("action"):
            found.append(
                (min(moment(told["time"]), at + SPOT), f"EC2 takes the instance back ({told['action']})")
            )
        for one in json.loads(events or "[]"):
            begins = moment(one["NotBefore"])
            if one["Code"] in ENDING_EVENTS and one.get("State", "active") == "active" and begins > at:
                found.append((begins, f"EC2 has scheduled {one['Code']}"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        say(f"The instance's metadata can't be read: {error}")
    return found


def block_end(region: str, block: str) -> tuple[datetime | None, str]:
    """The end of a Capacity Block as EC2 knows it, or why it can't be asked."""
    query = ["--capacity-reservation-ids", block, "--query", "CapacityReservations[0].EndDate"]
    limits = ["--cli-connect-timeout", "5", "--cli-read-timeout", "10"]
    told, error = run(
        *("aws", "--region", region, "--output", "text", *limits),
        *("ec2", "describe-capacity-reservations", *query),
        seconds=40,
    )
    try:
        return (None, error) if error else (moment(told.strip()), "")
    except (ValueError, TypeError):  # TypeError: Python 3.9, of what is no time
        return None, f"EC2 names no end of {block}: {told.strip()[:100]}"


class Block:
    """The node's Capacity Block: its end as it is known, which EC2 is asked for again before it counts."""

    def __init__(self, told: dict[str, Any], region: str) -> None:
        self.id: str = told["id"]
        self._region = region
        self._end = moment(told["end"])
        self._lead = timedelta(seconds=told["lead"])
        self._is_over = False
        self._asked_again = self._end

    def ending(self, at: datetime) -> tuple[datetime, str] | None:
        """When EC2 begins to terminate and why, if that is soon; EC2 is asked then, and only then."""
        due, is_after = self._end - self._lead - BEFORE, at >= self._end
        if self._is_over or at < (self._asked_again if is_after else due):
            return None
        end, error = block_end(self._region, self.id)
        if end is None and (is_after or at < due + ASKING):
            say(f"EC2 can't be asked whether {self.id} was extended: {error}")
            self._asked_again = at + ASKING
            return None
        if end is not None and end > self._end:
            say(f"{self.id} was extended: it ends at {end:%Y-%m-%d %H:%M} UTC.")
            self._end = self._asked_again = end
            return None
        if is_after:
            # Its instances are gone by then, so this one is of another reservation.
            say(f"{self.id} ended at {self._end:%Y-%m-%d %H:%M} UTC, and this node runs: it is not in it.")
            self._is_over = True
            return None
        unsure = f"; whether it was extended is not known: {error}" if end is None else ""
        return self._end - self._lead, f"{self.id} ends at {self._end:%Y-%m-%d %H:%M} UTC{unsure}"


def limit(left: float, most: float) -> float:
    """Seconds for what runs, of those that are left: the other half is for the copy."""
    return max(0.0, min(most, left / 2))


def watch(config: dict[str, Any], environ: dict[str, str]) -> None:
    """Waits for endings, and drains. One that comes meanwhile may leave less time: a drain that runs reads it, too."""
    own = metadata("instance-id")
    block = Block(config["block"], environ["AWS_REGION"]) if config["block"] else None
    if block is not None and own not in ("", config["instance"]):
        say(f"{block.id} is not watched: it is the Capacity Block of {config['instance']}, not of {own}.")
        block = None
    told = ""
    while True:
        at, drains = now(), bool(told) and is_active(DRAIN)
        found = endings(metadata("spot/instance-action"), metadata("events/maintenance/scheduled"), at)
        soon = [one for one in found if one[0] - at <= BEFORE]
        if not soon and not drains and block is not None and (ending := block.ending(at)):
            soon = [ending]
        if soon and not (drains and min(soon)[1] == told):
            ends, told = min(soon)
            say(f"{told}: draining")
            left = (ends - at).total_seconds()
            try:
                write(ASKED, {"why": told, "limit": limit(left, config["limit"])})
            except OSError as error:
                say(f"{ASKED} can't be written: {error}")
                # That of an earlier drain does not count.
                with suppress(OSError):
                    os.unlink(f"{ROOT}{ASKED}")
            # The end of the engine ends this program, too. If something else has ended the drain: again.
            run("systemctl", "start", "--no-block", DRAIN)
        time.sleep(config["every"])


# The drain


def running(url: str, pattern: str) -> float | None:
    """What an engine still does, as the sum of its lines of this pattern; None where no engine answers.

    One that is there and does not answer in time, or without such lines (an error of its metrics), is busy.
    """
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
    try:
        connection.connect()
    except OSError:
        return None
    try:
        connection.request("GET", "/metrics")
        lines = connection.getresponse().read().decode("utf-8", "replace").splitlines()
        found = [float(one.rpartition(" ")[2]) for one in lines if re.match(pattern, one)]
        return sum(found) if found else 1.0
    except ConnectionError:
        return None
    except (OSError, http.client.HTTPException, ValueError):
        return 1.0
    finally:
        connection.close()


def is_active(unit: str) -> bool:
    """Whether systemd runs it."""
    return run("systemctl", "is-active", unit)[0].strip() not in ("inactive", "failed", "unknown", "")


def refuse(config: dict[str, Any]) -> None:
    """No new request comes to this node. The router, told to end, closes its port, answers what it has, and ends."""
    if config["has_router"]:
        run("systemctl", "kill", "--signal=TERM", ROUTER)
        return
    try:
        url = f"{config['router']}/remove_worker?url={quote(config['own'], safe='')}"
        _DIRECTLY.open(urllib.request.Request(url, b""), timeout=5).close()
    except (OSError, ValueError, http.client.HTTPException) as error:
        say(f"The router does not take this engine off its list: {error}. It has ended, or ends too.")


def wait(config: dict[str, Any], asked: dict[str, Any]) -> str:
    """Until nothing runs; what does on this node at the limit, empty when nothing does.

    Engines are asked side by side: each that is gone takes until the timeout. A limit that is set meanwhile can only
    shorten it: the node may end before the one that somebody has set.
    """
    end, idle = time.monotonic() + asked["limit"], 0

    def busy_one(url: str) -> str:
        return url if running(url, config["busy"]) else ""

    while True:
        with ThreadPoolExecutor(len(config["engines"])) as pool:
            busy = list(filter(None, pool.map(busy_one, config["engines"])))
        if (newest := read(ASKED)) and newest != asked:
            asked, end = newest, min(end, time.monotonic() + newest["limit"])
            say(f"Asked again, for {asked['limit']:.0f} s at most: {asked['why']}")
        if config["has_router"] and is_active(ROUTER):
            busy.append(config["router"])
        idle = 0 if busy else idle + 1
        if idle == LOOKS:
            return ""
        if time.monotonic() >= end:
            return ", ".join(one for one in busy if one in (config["own"], config["router"]))
        time.sleep(LOOK_SECONDS)


def has_results() -> bool:
    """Whether anything is in the folder of results, or it can't be read, which the copy then tells."""
    try:
        return bool(os.listdir(f"{ROOT}{RESULTS}"))
    except OSError as error:
        return not isinstance(error, FileNotFoundError)


def results(place: str) -> list[str]:
    """The command that copies the folder of results."""
    return ["aws", "s3", "sync", "--only-show-errors", f"{ROOT}{RESULTS}", f"{place}/results"]


def copy_logs(place: str) -> list[str]:
    """Copies the units' journals, side by side; what could not be. Nothing is put on the disk, which may be full."""

    def copy(name: str) -> str:
        journal = f"journalctl --no-pager --quiet --output=short-iso --lines={LOG_LINES} --unit={UNITS[name]}"
        script = (
            f"set -o pipefail; {journal} | gzip -c | aws s3 cp --only-show-errors - {place}/{name}.log.gz"
        )
        _, error = run("bash", "-c", script, seconds=LOG_SECONDS)
        return f"{place}/{name}.log.gz: {error}" if error else ""

    with ThreadPoolExecutor(len(UNITS)) as pool:
        return [one for one in pool.map(copy, UNITS) if one]


def stop(unit: str) -> str:
    """Ends a unit for good; why it does not end, empty where there is none. What it still does is lost."""
    if unit in (ROUTER, PD_ROUTER) and is_active(unit):
        # The first one has been told to end before; both would wait for their requests.
        run("systemctl", "stop", "--no-block", unit)
        run("systemctl", "kill", "--signal=KILL", unit)
    error = run("systemctl", "stop", unit, seconds=120)[1]
    return "" if error.endswith(f"{unit} not loaded.") else error


def drain(config: dict[str, Any], asked: dict[str, Any], environ: dict[str, str]) -> None:
    """All of it. No problem of one step keeps the next from being done."""
    at = f"{now():%Y%m%dT%H%M%SZ}"
    place = f"s3://{environ['PAIR_SCRIPTS_BUCKET']}/{PREFIX}/{environ['PAIR_ENVIRONMENT']}/{environ['PAIR_NODE']}/{at}"
    say(f"Draining, for {asked['limit']:.0f} s at most: {asked['why']}")
    told = {"at": at, "why": asked["why"], "saved": place}
    with suppress(OSError):
        write(DONE, told)
    refuse(config)
    # What is there already is copied meanwhile: two minutes are short.
    early = None
    if has_results():
        with suppress(OSError):  # no AWS CLI: told below
            early = subprocess.Popen(results(place), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    left = wait(config, asked)
    say(f"Copying; ended with requests at {left}" if left else "Copying; no request is left")
    if config["has_router"]:
        stop(ROUTER)
        stop(PD_ROUTER)  # it ends with that one, but nothing has waited for it
    # Before the rest of the results, which may take longer than the node has.
    problems = copy_logs(place)
    if early is not None:
        early.wait()
    if has_results():
        _, why = run(*results(place), seconds=24 * 3600)
        problems += [f"{RESULTS}: {why}"] if why else []
    with suppress(FileNotFoundError):  # only where the router is
        os.unlink(f"{ROOT}/run/nixl-efa/proven.json")
    run("systemctl", "disable", "--now", BOOT)
    if why := stop(ENGINE):
        problems.append(f"{ENGINE} does not end: {why}")
    # It ends with the engine, but where no engine was started yet it would ask for the next drain.
    stop(WATCH)
    for one in problems:
        say(one)
    say(f"Drained: {place}")
    write(DONE, {**told, "left": left, "problems": problems})


def main(action: str) -> int:
    """Its exit code."""
    config, environ = read("/etc/nixl-efa/drain.json"), dict(os.environ)
    if action == "watch":
        watch(config, environ)
    elif action == "ask" and not config["block"]:
        say("no Capacity Block")
    elif action == "ask":
        end, error = block_end(environ["AWS_REGION"], config["block"]["id"])
        say(error if end is None else f"{end:%Y-%m-%dT%H:%M:%SZ}")
        return int(end is None)
    else:
        drain(config, read(ASKED) or UNREAD, environ)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
