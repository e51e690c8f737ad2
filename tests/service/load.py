"""Requests to a router for some seconds, one after the other in each of several threads, on a node of a test.

Arguments: SECONDS (at most) THREADS ROUTER PRODUCER (URLs) MODEL VOCABULARY TOKENS AFTER (so many seconds after the
producer was away and is back, the load ends; 0: whatever becomes of it)
Each answer is compared with the producer's own, asked for afterwards. stdout: JSON:
  answered, wrong (answers that are not the producer's own), failed (requests without an answer)
  late        failed requests that were begun after the producer was healthy again
  back        seconds from its health to the first right answer; null where it was never away
  seconds     of each answer, sorted
"""

# mypy: ignore-errors
import json
import random
import sys
import threading
import time
import urllib.request

seconds, threads, router, producer, model, vocabulary, tokens, after = sys.argv[1:9]
end = time.monotonic() + float(seconds)
done = []  # (begun, ended, prompt, text or None)
health = []  # (moment, healthy)
ended = threading.Event()


def post(url, prompt):
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


def load(number):
    chance = random.Random(f"{time.time_ns()} {number}")
    while time.monotonic() < end and not ended.is_set():
        prompt = chance.choices(range(int(vocabulary) // 8, int(vocabulary) // 2), k=int(tokens))
        begun = time.monotonic()
        try:
            text = post(router, prompt)
        except OSError:
            text = None
            time.sleep(0.1)
        done.append((begun, time.monotonic(), prompt, text))


def watch():
    while time.monotonic() < end and not ended.is_set():
        try:
            with urllib.request.urlopen(f"{producer}/health", timeout=1) as told:
                health.append((time.monotonic(), told.status == 200))
        except OSError:
            health.append((time.monotonic(), False))
        away = [moment for moment, healthy in health if not healthy]
        if float(after) and away and time.monotonic() > max(away) + float(after):
            ended.set()
        time.sleep(0.05)


running = [threading.Thread(target=load, args=(number,)) for number in range(int(threads))]
running.append(threading.Thread(target=watch))
for one in running:
    one.start()
for one in running:
    one.join()
away = [moment for moment, healthy in health if not healthy]
again = next((moment for moment, healthy in health if healthy and moment > max(away)), None) if away else None
answered = [one for one in done if one[3] is not None]
right = [one for one in answered if post(producer, one[2]) == one[3]]
first = min((ended for begun, ended, _, _ in right if again and begun >= again), default=None)
sys.stdout.write(
    json.dumps(
        {
            "answered": len(answered),
            "wrong": len(answered) - len(right),
            "failed": len(done) - len(answered),
            "late": sum(
                1 for begun, _, _, text in done if text is None and again and first and begun > first
            ),
            "back": round(first - again, 2) if again and first else None,
            "seconds": sorted(round(ended - begun, 3) for begun, ended, _, _ in answered),
        }
    )
)
