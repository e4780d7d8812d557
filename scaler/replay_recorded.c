/* The decisions that were recorded in the time of a replay, and the last one before it: what the one model follows, and what the replay is compared with. They
 * come in the order in which they were taken. Where the clock was set back their times go down: up to there is one stretch, and the next begins.
 */
#include "common/base/json.h"
#include "common/base/mem.h"
#include "scaler/replay_state.h"

static int add_outcome(void *arg, sqlite3_stmt *st)
{
    struct replay *r = arg;
    nr_auto_json json_t *j = nr_json_parse(nr_db_column(st, 1), NULL);

    if (r->recorded_count == RECORDED_MAX || j == NULL)
        return replay_given_up(r);
    if (r->recorded_count == r->recorded_room) {
        r->recorded_room = r->recorded_room ? r->recorded_room * 2 : 256;
        struct outcome *more = nr_try_realloc(r->recorded, r->recorded_room * sizeof(*more));

        if (more == NULL)
            return NR_ENOMEM;
        r->recorded = more;
    }
    const json_t *maximum = json_object_get(j, "maximum"), *to = json_object_get(j, "to");

    (void)json_object_del(j, "by");
    (void)json_object_del(j, "took_us");
    (void)json_object_del(j, "sequence");
    r->recorded[r->recorded_count++] = (struct outcome){
        .t_ms = sqlite3_column_int64(st, 0),
        .to = json_is_integer(to) ? json_integer_value(to) : -1,
        .maximum = json_is_integer(maximum) ? json_integer_value(maximum) : -1,
        .on_demand = !json_is_false(json_object_get(j, "on_demand")),
        .decision =
            strcmp(nr_json_string(j, "kind") ? nr_json_string(j, "kind") : "", "decision") == 0,
        .hash = replay_hash(j)};
    return replay_given_up(r);
}

int replay_recorded(struct replay *r, sqlite3 *db)
{
    if (r->name == NULL)
        return 0;
    int e = store_rows(
        db, add_outcome, r,
        "SELECT t, record FROM decisions WHERE name = ?1 AND t < ?2 ORDER BY t DESC, id DESC LIMIT 1",
        "ti", nr_str_of(r->name), r->since_ms);

    return e < 0
               ? e
               : store_rows(
                     db, add_outcome, r,
                     "SELECT t, record FROM decisions WHERE name = ?1 AND t BETWEEN ?2 AND ?3 ORDER BY id",
                     "tii", nr_str_of(r->name), r->since_ms, r->upto_ms);
}

size_t replay_stretch_end(const struct replay *r, size_t at)
{
    while (at + 1 < r->recorded_count && r->recorded[at + 1].t_ms >= r->recorded[at].t_ms)
        at++;
    return at < r->recorded_count ? at + 1 : at;
}

/* One without a decision has none of these. */
void replay_next_stretch(struct replay *r, int64_t t_ms)
{
    size_t next = r->recorded_end;

    if (next >= r->recorded_count || r->recorded[next].t_ms < t_ms)
        return;
    r->recorded_at = r->compared_at = next;
    r->recorded_end = replay_stretch_end(r, next);
}
