#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""An ordinary Python job with a working set of MB megabytes (default 200).

    pyjob.py [MB]

Half of the memory is byte blocks that threads fill and hash, a quarter an array
of numbers that are sorted in part and merged, a quarter a dictionary of
strings. Everything stays alive to the end and is visited again in a second
pass, so a cache smaller than MB has to fetch it again. Knows nothing of
splitkernel. Progress goes to stderr, one sha256 of the results to stdout; it
depends on MB alone.
"""

import array
import hashlib
import heapq
import sys
import threading
import time

BLOCK = 1 << 20
THREADS = 4
DICT_BYTES_EACH = 420       # measured: key, value and slot of one entry
START = time.monotonic()


def progress(text):
    """One line to stderr with the time so far."""
    print(f"[{time.monotonic() - START:7.2f} s] {text}", file=sys.stderr, flush=True)


def in_threads(work, items):
    """work(index) for each index below ITEMS, spread over threads; the results."""
    results = [None] * items

    def run(first):
        for i in range(first, items, THREADS):
            results[i] = work(i)

    threads = [threading.Thread(target=run, args=(first,)) for first in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def make_block(i):
    """One block of bytes, different for each I, cheap to make."""
    seed = hashlib.sha256(b"block %d" % i).digest() * 128    # one page
    return bytearray(b"".join(page.to_bytes(4, "little") + seed[4:]
                              for page in range(BLOCK // len(seed))))


def digest_block(block):
    """What the block holds; the hash releases the interpreter lock."""
    return hashlib.blake2b(block, digest_size=16).digest()


def change_block(block):
    """Writes one byte of each page, then hashes the block."""
    for offset in range(8, len(block), 4096):
        block[offset] ^= 0x5A
    return digest_block(block)


def make_numbers(i, count):
    """COUNT pseudo-random numbers as an array; a quarter of it is sorted."""
    data = hashlib.shake_128(b"numbers %d" % i).digest(count * 8)
    numbers = array.array("Q", data)
    numbers[:count // 4] = array.array("Q", sorted(numbers[:count // 4]))
    return numbers


def make_dict(entries):
    """Strings by strings."""
    return {f"key-{i * 2654435761 % 4294967296:010d}": f"value {i} ".ljust(280, "x")
            for i in range(entries)}


def main():
    """The job."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    if megabytes < 8:
        sys.exit("pyjob.py: at least 8 MB")
    result = hashlib.sha256()
    progress(f"{megabytes} MB, {THREADS} threads")

    blocks = in_threads(make_block, megabytes // 2)
    progress(f"{len(blocks)} blocks filled")
    arrays = in_threads(lambda i: make_numbers(i, BLOCK // 8), megabytes // 4)
    progress(f"{len(arrays)} arrays sorted")
    strings = make_dict((megabytes // 4 << 20) // DICT_BYTES_EACH)
    progress(f"{len(strings)} strings stored")

    for digest in in_threads(lambda i: change_block(blocks[i]), len(blocks)):
        result.update(digest)
    progress("blocks changed and hashed")
    runs = [numbers[:len(numbers) // 4:16] for numbers in arrays]
    for i, number in enumerate(heapq.merge(*runs)):
        if i % 16 == 0:
            result.update(number.to_bytes(8, "little"))
    progress("arrays merged")
    for key in sorted(strings)[::4]:
        result.update(strings[key].encode())
    progress("strings sorted and read")
    for digest in in_threads(lambda i: digest_block(blocks[i]), len(blocks)):
        result.update(digest)
    for numbers in arrays:
        result.update(numbers)
    progress("second pass done")
    print(result.hexdigest())


if __name__ == "__main__":
    main()
