"""Requests to a router for some seconds, one after the other in each of several threads, on a node of a test.

Arguments: SECONDS and ANSWERS (at most; 0 answers: no limit) THREADS ROUTER (URL) PRODUCERS (URLs with commas) MODEL
VOCABULARY TOKENS AFTER (so many seconds after the first producer was away and is back, the load ends; -N: N
seconds after its end; 0: whatever becomes of it)
Each answer is compared with the last producer's own, asked for afterwards. stdout: JSON:
  answered, wrong (answers that are not the producer's own), failed (requests without an answer)
  last_failed seconds from the first producer's end to the beginning of the last failed request; null without both
  reasons     of failed requests: the same seconds, how long each took, why
  late        failed requests that were begun after its first right answer when it was back
  back        seconds from its health to that answer; null where it was never away or is not back
  seconds     of each answer, sorted
/run/load.json keeps the prompts and the answers. `load.py URL MODEL` asks an engine for them again: how many it answers
with the same text.
"""

# mypy: ignore-errors
import json
import random
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError

KEPT = "/run/load.json"


def post(url, model, prompt):
    body = {
        "model": model,
        "prompt": prompt,
        "max_tokens": 24,
        "temperature": 0,
        "seed": 0,
        "ignore_eos": True,
    }
    request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=60) as told:
        return json.load(told)["choices"][0]["text"]


def same(url, model, kept):
    """Which of the kept prompts an engine answers with the kept text."""
    with ThreadPoolExecutor(4) as several:
        return [
            text == own
            for (_, text), own in zip(
                kept, several.map(lambda one: post(url, model, one[0]), kept), strict=True
            )
        ]


class Load:
    """The requests, and the first producer's health meanwhile."""

    def __init__(self, seconds, answers, router, producer, model, vocabulary, tokens, after):
        self.router, self.producer, self.model = router, producer, model
        self.among, self.tokens, self.after = range(vocabulary // 8, vocabulary // 2), tokens, after
        self.end, self.answers = time.monotonic() + seconds, answers
        self.done = []  # (begun, ended, prompt, text or None, why there is none)
        self.health = []  # (moment, healthy)
        self.over = threading.Event()

    def ask(self, number):
        chance = random.Random(f"{time.time_ns()} {number}")
        while time.monotonic() < self.end and not self.over.is_set():
            prompt = chance.choices(self.among, k=self.tokens)
            begun = time.monotonic()
            text, why = None, ""
            try:
                text = post(self.router, self.model, prompt)
            except OSError as error:
                why = f"{error} {error.read(200)}" if isinstance(error, HTTPError) else repr(error)
            self.done.append((begun, time.monotonic(), prompt, text, why))
            if text is None:
                time.sleep(0.1)
            if self.answers and len(self.done) >= self.answers:
                self.over.set()

    def watch(self):
        while time.monotonic() < self.end and not self.over.is_set():
            try:
                with urllib.request.urlopen(f"{self.producer}/health", timeout=1) as told:
                    self.health.append((time.monotonic(), told.status == 200))
            except OSError:
                self.health.append((time.monotonic(), False))
            away = [moment for moment, healthy in self.health if not healthy]
            if (
                away
                and self.after
                and time.monotonic() > (max(away) if self.after > 0 else away[0]) + abs(self.after)
            ):
                self.over.set()
            time.sleep(0.05)

    def run(self, threads):
        running = [threading.Thread(target=self.ask, args=(number,)) for number in range(threads)]
        running.append(threading.Thread(target=self.watch))
        for one in running:
            one.start()
        for one in running:
            one.join()


def main(seconds, answers, threads, router, producers, model, vocabulary, tokens, after):
    first, own = producers.split(",")[0], producers.split(",")[-1]
    load = Load(
        float(seconds), int(answers), router, first, model, int(vocabulary), int(tokens), float(after)
    )
    load.run(int(threads))
    away = [moment for moment, healthy in load.health if not healthy]
    last = away[-1] if away else float("inf")
    again = next((moment for moment, healthy in load.health if healthy and moment > last), float("inf"))
    answered = [one for one in load.done if one[3] is not None]
    lost = [one for one in load.done if one[3] is None]
    failed = [begun for begun, *_ in lost]
    kept = [(prompt, text) for _, _, prompt, text, _ in answered]
    with open(KEPT, "w", encoding="utf-8") as file:
        json.dump(kept, file)
    right = [one for one, is_same in zip(answered, same(own, model, kept), strict=True) if is_same]
    first_right = min((ended for begun, ended, *_ in right if begun >= again), default=float("inf"))
    return {
        "answered": len(answered),
        "wrong": len(answered) - len(right),
        "failed": len(failed),
        "last_failed": round(max(failed) - away[0], 2) if failed and away else None,
        "reasons": [
            (round(begun - away[0], 2), round(ended - begun, 2), why)
            for begun, ended, _, _, why in lost
            if away
        ][-9:],
        "late": sum(begun > first_right for begun in failed),
        "back": round(first_right - again, 2) if first_right < float("inf") else None,
        "seconds": sorted(round(ended - begun, 3) for begun, ended, *_ in answered),
    }


def again(url, model):
    with open(KEPT, encoding="utf-8") as file:
        kept = json.load(file)
    return {"asked": len(kept), "same": sum(same(url, model, kept))}


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.stdout.write(json.dumps(again(*words) if len(words) == 2 else main(*words)))
