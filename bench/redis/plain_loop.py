"""The stage workload with python3-redis, one command at a time.

Usage: plain_loop.py SOCKET|PORT BATCH. Prints wall seconds and processor seconds of the loop.
"""

import sys
import time

import redis

place, batch = sys.argv[1], int(sys.argv[2])
if place.isdigit():
    client = redis.Redis(host="127.0.0.1", port=int(place), decode_responses=True)
else:
    client = redis.Redis(unix_socket_path=place, decode_responses=True)
client.ping()

wall, cpu = time.perf_counter(), time.process_time()
while True:
    found = client.xreadgroup("stage", "python", {"bench:in": ">"}, count=batch)
    if not found:
        break
    for entry_id, fields in found[0][1]:
        if client.set("bench:seen:" + fields["id"], entry_id, nx=True, px=3600000):
            client.xadd("bench:out", fields)
        client.xack("bench:in", "stage", entry_id)
print(time.perf_counter() - wall, time.process_time() - cpu)
