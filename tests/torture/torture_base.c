/* Fails the n-th allocation whose size the outside world chooses, for every n, once alone and once with all that follow, over a
 * workload of buffers, arenas, maps, JSON and files. Each step may say NR_ENOMEM or "no room"; none may give a wrong answer, crash
 * or (under a sanitizer) leak. The round ends with the first n that the workload does not reach.
 */
#include <unistd.h>

#include "common/base/arena.h"
#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/json.h"
#include "common/base/map.h"
#include "common/base/mem.h"

enum { KEYS = 200, ROUNDS_MAX = 10000 };

/* Every step returns whether it could do all of its work; what it did must be right in any case. */

static bool use_buf(void)
{
    struct nr_buf b;
    size_t n = 0;

    nr_buf_init(&b, 1 << 16);
    for (int i = 0; i < 300; i++) {
        size_t before = b.n;

        nr_buf_printf(&b, "%d ", i);
        nr_buf_json(&b, NR_STR("a \"quoted\"\n\xFF text"));
        nr_check(b.failed || b.n > before);
    }
    nr_buf_printf(&b, "%3000d", 7);
    bool failed = b.failed;
    nr_auto_free char *text = nr_buf_detach(&b, &n);

    nr_check(!failed || text == NULL);
    nr_check(text == NULL || (n > 9000 && strlen(text) == n && text[n - 1] == '7'));
    nr_buf_fini(&b);
    return text != NULL;
}

static bool use_arena(void)
{
    struct nr_arena a;
    bool all = true;

    nr_arena_init(&a, 1 << 18);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < 40; i++) {
            unsigned char *p = nr_arena_get(&a, i * 97);
            struct nr_str s = nr_arena_printf(&a, "piece %zu", i);

            if (p)
                memset(p, (int)i, i * 97);
            nr_check(s.p == NULL || nr_str_starts(s, "piece "));
            all = all && p && s.p;
        }
        nr_arena_reset(&a);
    }
    nr_arena_fini(&a);
    return all;
}

struct entry {
    struct nr_map_node node;
    char name[16];
};

/* A map never loses an entry; only its table stays small. */
static bool use_map(void)
{
    struct entry *entries = nr_alloc(KEYS * sizeof(*entries));
    struct nr_map m;

    nr_map_init(&m);
    for (int i = 0; i < KEYS; i++) {
        int n = snprintf(entries[i].name, sizeof(entries[i].name), "key %d", i);

        entries[i].node.key = (struct nr_str){entries[i].name, (size_t)n};
        nr_check(nr_map_put(&m, &entries[i].node) == NULL);
    }
    for (int i = 0; i < KEYS; i++)
        nr_check(nr_map_get(&m, entries[i].node.key) == &entries[i].node);
    for (int i = 0; i < KEYS; i++)
        nr_check(nr_map_del(&m, entries[i].node.key) == &entries[i].node);
    bool grown = m.size >= KEYS;

    nr_map_fini(&m);
    free(entries);
    return grown;
}

static bool use_json(void)
{
    static const char source[] =
        "{\"readings\":[1,2.5,-3e10,null,true,\"\\u20ac\"],\"meta\":{\"board\":\"b1\",\"list\":[[],[{}]]}}";
    static const char expected[] =
        "{\"readings\":[1,2.5,-30000000000.0,null,true,\"\xE2\x82\xAC\"],"
        "\"meta\":{\"board\":\"b1\",\"list\":[[],[{}]]}}";
    struct nr_err err = {0};
    nr_auto_json json_t *j = nr_json_parse(nr_str_of(source), &err);
    size_t n = 0;

    nr_check(j != NULL);
    nr_auto_free char *text = nr_json_text(j, &n);

    nr_check(text == NULL || (n == sizeof(expected) - 1 && strcmp(text, expected) == 0));
    return text != NULL;
}

static bool use_file(const char *dir)
{
    char path[128];
    struct nr_err err = {0};
    nr_auto_free char *bytes = NULL;
    size_t n = 0;

    (void)snprintf(path, sizeof(path), "%s/f", dir);
    nr_check(nr_file_write(dir, "f", NR_STR("content"), 0600, &err) == 0);
    int r = nr_file_read(path, 100, &bytes, &n, &err);

    nr_check(r == NR_ENOMEM ? bytes == NULL : r == 0 && n == 7 && strcmp(bytes, "content") == 0);
    return r == 0;
}

static bool workload(const char *dir)
{
    bool buf = use_buf(), arena = use_arena(), map = use_map(), json = use_json(),
         file = use_file(dir);

    return buf && arena && map && json && file;
}

/* Returns the number of places where an allocation was made to fail. */
static long torture(const char *dir, long times)
{
    for (long n = 1; n < ROUNDS_MAX; n++) {
        nr_mem_fail_at(n, times);
        bool all = workload(dir);
        bool reached = nr_mem_tries() >= n;

        nr_mem_fail_at(0, 0);
        nr_check(all || reached); /* a map that could not grow tries again, so both may hold */
        if (!reached)
            return n - 1;
    }
    nr_check(!"the workload has no end");
    return 0;
}

int main(void)
{
    char dir[] = "/tmp/narae-torture-XXXXXX";

    nr_check(mkdtemp(dir) != NULL);
    nr_check(workload(dir));
    long once = torture(dir, 1), on = torture(dir, -1);

    nr_check(nr_dir_remove(dir, NULL) == 0);
    (void)printf("%ld allocations failed alone, %ld with all that follow\n", once, on);
    return once > 20 && on > 20 ? 0 : 1;
}
