"""A cache that adapts to its limit: the naive size, its peak and some headroom, makes it slower.

256 tiles of 1 MiB, 1,200 draws; the cache holds as many tiles as fit into 0.6 of the memory limit, a miss builds the tile anew.
At 448 MB and above every tile is built once; below, the misses climb: 301 at 384 MB, 403 at 320, 846 at 128.
"""
import collections
import hashlib

TILES, DRAWS, TILE_BYTES, SHARE = 256, 1200, 1 << 20, 0.6
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def limit_mb():
    for path in LIMITS:
        try:
            with open(path) as f:
                return int(f.read()) >> 20
        except (OSError, ValueError):
            continue
    return 1024


def main(args):
    room = int(SHARE * limit_mb())
    cache = collections.OrderedDict()
    misses, checksum, s = 0, 0, 1
    for _ in range(DRAWS):
        s = (1103515245 * s + 12345) & 0x7FFFFFFF
        tile = int(TILES * s / 0x7FFFFFFF)
        if tile in cache:
            cache.move_to_end(tile)
        else:
            misses += 1
            while len(cache) >= room:
                cache.popitem(last=False)
            cache[tile] = hashlib.shake_128(tile.to_bytes(2, "little")).digest(TILE_BYTES)
        checksum = (checksum * 31 + cache[tile][tile]) & 0xFFFFFFFF
    return {"misses": misses, "room": room, "checksum": checksum}
