/* Blocks: records one behind the other (kind, time, length, text; little-endian), compressed as a whole. A block is written when it is
 * five seconds old (a minute, when nothing but the node has told anything) or a quarter of a megabyte long, so what a crash loses is five seconds. More than 4 MB in a second is not kept: the gap is.
 */
#include "scaler/journal.h"

#include <archive.h>
#include <archive_entry.h>
#include <endian.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

enum {
    HEAD_BYTES = 13,
    BLOCK_BYTES = 256 << 10,
    BLOCK_MS = 5000,
    QUIET_MS = 60000,
    SECOND_MAX_BYTES = 4 << 20
};
enum { BLOCK_MAX_BYTES = 8 << 20, PACKED_MARGIN = 4096 };

struct journal {
    struct store *store;
    struct nr_buf block;
    int64_t t0_ms, t1_ms;
    bool key, gap;
    bool busy; /* the block has more than samples of nodes */
    int64_t second;
    size_t second_bytes;
    char *packed;
    size_t packed_room;
    struct journal_stats stats;
};

struct journal *journal_make(struct store *s)
{
    struct journal *j = nr_alloc(sizeof(*j));

    j->store = s;
    nr_buf_init(&j->block, BLOCK_MAX_BYTES);
    return j;
}

void journal_free(struct journal *j)
{
    if (j == NULL)
        return;
    nr_buf_fini(&j->block);
    free(j->packed);
    free(j);
}

struct journal_stats journal_stats(const struct journal *j)
{
    return j->stats;
}

/* ---- writing ------------------------------------------------------------------------------------------------ */

/* *ret (lent by j) is what the block is when it is compressed. */
static bool pack(struct journal *j, struct nr_str *ret)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    size_t room = j->block.n + j->block.n / 16 + PACKED_MARGIN, used = 0;

    if (room > j->packed_room) {
        free(j->packed);
        j->packed = nr_try_alloc(room);
        j->packed_room = j->packed ? room : 0;
    }
    bool good =
        a && e && j->packed && archive_write_add_filter_gzip(a) == ARCHIVE_OK &&
        archive_write_set_options(a, "gzip:compression-level=1,gzip:!timestamp") == ARCHIVE_OK &&
        archive_write_set_format_raw(a) == ARCHIVE_OK &&
        archive_write_open_memory(a, j->packed, j->packed_room, &used) == ARCHIVE_OK;

    if (good) {
        archive_entry_set_filetype(e, AE_IFREG);
        good = archive_write_header(a, e) == ARCHIVE_OK &&
               archive_write_data(a, j->block.p, j->block.n) == (la_ssize_t)j->block.n &&
               archive_write_close(a) == ARCHIVE_OK;
    }
    archive_entry_free(e);
    (void)archive_write_free(a);
    *ret = (struct nr_str){j->packed, used};
    return good;
}

static void write_block(struct journal *j)
{
    struct nr_str packed;

    if (j->block.n == 0)
        return;
    if (!j->block.failed && pack(j, &packed)) {
        store_post(j->store,
                   "INSERT INTO journal(t0, t1, key, bytes, block) VALUES(?1, ?2, ?3, ?4, ?5)",
                   "iiiib", j->t0_ms, j->t1_ms, (int64_t)j->key, (int64_t)packed.n, packed);
        j->stats.blocks++;
        j->stats.bytes += packed.n;
    } else {
        j->gap = true;
    }
    nr_buf_reset(&j->block, BLOCK_BYTES * 2);
    j->block.failed = false;
    j->key = j->busy = false;
}

static void append(struct journal *j, enum journal_kind kind, int64_t t_ms, struct nr_str text)
{
    unsigned char head[HEAD_BYTES] = {(unsigned char)kind};
    uint64_t t = htole64((uint64_t)t_ms);
    uint32_t n = htole32((uint32_t)text.n);

    memcpy(head + 1, &t, sizeof(t));
    memcpy(head + 9, &n, sizeof(n));
    if (j->block.n == 0)
        j->t0_ms = t_ms;
    j->t1_ms = t_ms;
    nr_buf_add(&j->block, head, sizeof(head));
    nr_buf_add(&j->block, text.p, text.n);
    j->stats.records++;
}

void journal_add(struct journal *j, enum journal_kind kind, int64_t t_ms, struct nr_str text)
{
    if (t_ms / 1000 != j->second) {
        j->second = t_ms / 1000;
        j->second_bytes = 0;
    }
    j->second_bytes += HEAD_BYTES + text.n;
    if (j->second_bytes > SECOND_MAX_BYTES) {
        j->stats.gaps += !j->gap;
        j->gap = true;
        return;
    }
    if (j->block.n + HEAD_BYTES + text.n > BLOCK_BYTES)
        write_block(j);
    if (j->gap)
        append(j, JOURNAL_GAP, t_ms, (struct nr_str){"", 0});
    j->gap = false;
    j->busy = j->busy || kind != JOURNAL_SAMPLE ||
              memmem(text.p, text.n, "\"function\"", sizeof("\"function\"") - 1) != NULL;
    append(j, kind, t_ms, text);
}

void journal_flush(struct journal *j, int64_t t_ms, bool now)
{
    if (now || t_ms - j->t0_ms >= (j->busy ? BLOCK_MS : QUIET_MS) || t_ms < j->t0_ms)
        write_block(j);
}

void journal_key(struct journal *j, int64_t t_ms)
{
    write_block(j);
    j->t0_ms = t_ms;
    j->key = true;
}

void journal_trim(struct journal *j, int64_t now_ms, int64_t age_s, int64_t max_bytes)
{
    if (age_s > 0)
        store_post(j->store, "DELETE FROM journal WHERE t1 < ?1", "i", now_ms - age_s * 1000);
    if (max_bytes > 0)
        store_post(j->store,
                   "DELETE FROM journal WHERE seq <= (SELECT MAX(seq) FROM (SELECT seq, "
                   "SUM(bytes) OVER (ORDER BY seq DESC) AS total FROM journal) WHERE total > ?1)",
                   "i", max_bytes);
}

/* ---- reading ------------------------------------------------------------------------------------------------ */

static int take_time(void *arg, sqlite3_stmt *st)
{
    int64_t *t = arg;

    *t = sqlite3_column_int64(st, 0);
    return 0;
}

int journal_find_key(sqlite3 *db, int64_t since_ms, int64_t *ret_ms)
{
    int64_t t = INT64_MIN;
    int r =
        store_rows(db, take_time, &t,
                   "SELECT t0 FROM journal WHERE key = 1 AND t0 <= ?1 ORDER BY seq DESC LIMIT 1",
                   "i", since_ms);

    if (r == 0 && t == INT64_MIN)
        r = store_rows(db, take_time, &t,
                       "SELECT t0 FROM journal WHERE key = 1 AND t0 > ?1 ORDER BY t0 LIMIT 1", "i",
                       since_ms);
    if (r == 0 && t == INT64_MIN)
        return NR_ENOENT;
    if (r == 0)
        *ret_ms = t;
    return r;
}

struct walk {
    int64_t from_ms, upto_ms;
    int (*record)(void *arg, const struct journal_record *r);
    void *arg;
    struct nr_buf text;
};

static int unpack(struct nr_str packed, struct nr_buf *out)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    la_ssize_t n = 0;
    char *room;

    nr_buf_reset(out, BLOCK_BYTES * 2);
    bool good = a && archive_read_support_filter_gzip(a) == ARCHIVE_OK &&
                archive_read_support_format_raw(a) == ARCHIVE_OK &&
                archive_read_open_memory(a, packed.p, packed.n) == ARCHIVE_OK &&
                archive_read_next_header(a, &e) == ARCHIVE_OK;

    while (good && (room = nr_buf_room(out, BLOCK_BYTES)) != NULL &&
           (n = archive_read_data(a, room, BLOCK_BYTES)) > 0)
        nr_buf_took(out, (size_t)n);
    (void)archive_read_free(a);
    return good && n == 0 && !out->failed ? 0 : NR_ECORRUPT;
}

static int walk_records(struct walk *w, struct nr_str left)
{
    int r = 0;

    while (left.n > 0 && r == 0) {
        struct journal_record rec;
        uint64_t t;
        uint32_t n;

        if (left.n < HEAD_BYTES)
            return NR_ECORRUPT;
        rec.kind = (enum journal_kind)(unsigned char)left.p[0];
        memcpy(&t, left.p + 1, sizeof(t));
        memcpy(&n, left.p + 9, sizeof(n));
        rec.t_ms = (int64_t)le64toh(t);
        n = le32toh(n);
        if (left.n - HEAD_BYTES < n)
            return NR_ECORRUPT;
        rec.text = (struct nr_str){left.p + HEAD_BYTES, n};
        if (rec.t_ms >= w->from_ms && rec.t_ms <= w->upto_ms)
            r = w->record(w->arg, &rec);
        left = (struct nr_str){left.p + HEAD_BYTES + n, left.n - HEAD_BYTES - n};
    }
    return r;
}

static int walk_block(void *arg, sqlite3_stmt *st)
{
    struct walk *w = arg;
    int r = unpack(nr_db_column(st, 0), &w->text);

    return r < 0 ? r : walk_records(w, nr_buf_str(&w->text));
}

int journal_each(sqlite3 *db, int64_t from_ms, int64_t upto_ms,
                 int (*record)(void *arg, const struct journal_record *r), void *arg)
{
    struct walk w = {.from_ms = from_ms, .upto_ms = upto_ms, .record = record, .arg = arg};

    nr_buf_init(&w.text, BLOCK_MAX_BYTES * 2);
    int r = store_rows(db, walk_block, &w,
                       "SELECT block FROM journal WHERE t1 >= ?1 AND t0 <= ?2 ORDER BY seq", "ii",
                       from_ms, upto_ms);

    nr_buf_fini(&w.text);
    return r;
}
