"""Deletes accounts in batches of 100: what one would otherwise write for the job. CSV in, CSV of results out."""

import argparse
import asyncio
import csv
import itertools
import random

import aiohttp
import uvloop
from aiolimiter import AsyncLimiter

BATCH = 100
ATTEMPTS = 5
TRANSIENT = {30006, 60007, 60008, 60011, 70169, 70500}


def batches(path):
    with open(path, newline="") as file:
        ids = (row["UserID"] for row in csv.DictReader(file))
        yield from iter(lambda: list(itertools.islice(ids, BATCH)), [])


async def delete(session, limiter, url, batch):
    """Returns (id, code, info) of each account."""
    body = {"DeleteItem": [{"UserID": user_id} for user_id in batch]}
    for attempt in range(ATTEMPTS):
        params = {"random": random.getrandbits(32)}
        try:
            async with limiter, session.post(url, params=params, json=body) as response:
                response.raise_for_status()
                answer = await response.json(content_type=None)
            if answer["ErrorCode"] == 0:
                return [(item["UserID"], item["ResultCode"], item["ResultInfo"]) for item in answer["ResultItem"]]
            if answer["ErrorCode"] not in TRANSIENT:
                return [(user_id, answer["ErrorCode"], answer["ErrorInfo"]) for user_id in batch]
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            answer = {"ErrorCode": -1, "ErrorInfo": repr(error)}
        await asyncio.sleep(random.random() * 0.5 * 2**attempt)
    return [(user_id, answer["ErrorCode"], answer["ErrorInfo"]) for user_id in batch]


async def worker(session, limiter, url, work, results):
    # All workers take from one generator: one loop, so no two at once.
    for batch in work:
        results.writerows(await delete(session, limiter, url, batch))


async def main(args):
    url = f"{args.endpoint}/v4/im_open_login_svc/account_delete"
    credentials = {
        "sdkappid": "1400000001",
        "identifier": "administrator",
        "usersig": args.usersig,
        "contenttype": "json",
    }
    query = "&".join(f"{key}={value}" for key, value in credentials.items())
    limiter = AsyncLimiter(args.rate, 1)
    connector = aiohttp.TCPConnector(limit=args.width)
    timeout = aiohttp.ClientTimeout(total=5)
    work = batches(args.input)
    with open(args.output, "w", newline="") as file:
        results = csv.writer(file)
        results.writerow(["UserID", "code", "reason"])
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            workers = [worker(session, limiter, f"{url}?{query}", work, results) for _ in range(args.width)]
            await asyncio.gather(*workers)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("input")
    parser.add_argument("output")
    parser.add_argument("--usersig", default="x" * 160)
    parser.add_argument("--rate", type=float, default=65536)
    parser.add_argument("--width", type=int, default=64)
    uvloop.run(main(parser.parse_args()))
