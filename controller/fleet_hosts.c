/* Other hosts by name: who may join, and what happens when one has, or is lost.
 *
 *   name    is added by the administrator, with a token; over the unix socket also by joining, for who may dial it is trusted
 *   token   its hash only is kept; who has been given one must show it, however he dials
 *   gone    a name that was removed is refused until it is added again, over the unix socket too: its process may still dial
 *   twice   a name that is connected belongs to its session until the link is dead: a second process of that name is refused
 */
#include "controller/fleet.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/tags.h"

bool fleet_name_is_good(struct nr_str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!(name.p[i] >= 'a' && name.p[i] <= 'z') && !(name.p[i] >= '0' && name.p[i] <= '9') &&
            name.p[i] != '-')
            return false;
    /* "0" is the one of this process. */
    return name.n > 0 && name.n < INVOKER_NAME_BYTES && !nr_str_eqz(name, "0");
}

struct fleet_host *fleet_host_find(struct invokers *f, struct nr_str name)
{
    for (size_t i = 0; i < f->host_count; i++)
        if (nr_str_eqz(name, f->hosts[i]->name))
            return f->hosts[i];
    return NULL;
}

/* One that no host has; there are fewer than INVOKERS_MAX. */
static unsigned char free_slot(const struct invokers *f)
{
    bool used[INVOKERS_MAX] = {false};
    unsigned char slot = 0;

    for (size_t i = 0; i < f->host_count; i++)
        used[f->hosts[i]->slot] = true;
    while (used[slot])
        slot++;
    return slot;
}

struct fleet_host *fleet_host_make(struct invokers *f, struct nr_str name)
{
    if (f->host_count == INVOKERS_MAX)
        return NULL;
    struct fleet_host *h = nr_alloc(sizeof(*h));

    h->fleet = f;
    h->slot = free_slot(f);
    memcpy(h->name, name.p, name.n);
    h->id = placement_hash(name);
    h->added_ms = nr_wall_ms();
    nr_list_init(&h->debts);
    fleet_host_tag(h);
    f->hosts[f->host_count++] = h;
    return h;
}

void fleet_host_end(struct fleet_host *h)
{
    struct far *far = h->far;

    h->far = NULL; /* nothing is placed there any more */
    h->drain_asked = false;
    h->joined_ms = 0;
    if (far) {
        far_set_owner(far, NULL);
        far_end(far);
    }
}

void fleet_host_remove(struct fleet_host *h)
{
    struct invokers *f = h->fleet;

    for (size_t i = 0; i < f->host_count; i++)
        if (f->hosts[i] == h) {
            f->hosts[i] = f->hosts[--f->host_count];
            break;
        }
    fleet_host_end(h);
    fleet_drop_debts(h);
    tags_free(h->tags);
    free(h->given);
    free(h->told);
    free(h);
}

/* ---- names that were removed -------------------------------------------------------------------------------------- */

struct fleet_removed {
    struct nr_link link;
    char name[INVOKER_NAME_BYTES];
};

static struct fleet_removed *find_removed(const struct invokers *f, struct nr_str name)
{
    for (struct nr_link *l = f->removed.next; l != &f->removed; l = l->next) {
        struct fleet_removed *r = nr_container_of(l, struct fleet_removed, link);

        if (nr_str_eqz(name, r->name))
            return r;
    }
    return NULL;
}

bool fleet_is_removed(const struct invokers *f, struct nr_str name)
{
    return find_removed(f, name) != NULL;
}

void fleet_removed_drop(struct invokers *f, struct nr_str name)
{
    struct fleet_removed *r = find_removed(f, name);

    if (r == NULL)
        return;
    nr_list_del(&r->link);
    free(r);
    f->removed_count--;
}

void fleet_removed_drop_oldest(struct invokers *f)
{
    struct nr_link *l = nr_list_pop(&f->removed);

    if (l == NULL)
        return;
    free(nr_container_of(l, struct fleet_removed, link));
    f->removed_count--;
}

void fleet_removed_note(struct invokers *f, struct nr_str name)
{
    fleet_removed_drop(f, name);
    if (f->removed_count == FLEET_REMOVED_MAX)
        fleet_removed_drop_oldest(f);
    struct fleet_removed *r = nr_alloc(sizeof(*r));

    memcpy(r->name, name.p, name.n);
    nr_list_add(&f->removed, &r->link);
    f->removed_count++;
}

/* ---- tags --------------------------------------------------------------------------------------------------------- */

void fleet_host_tag(struct fleet_host *h)
{
    nr_auto_json json_t *all = h->told ? nr_json_parse(nr_str_of(h->told), NULL) : NULL;
    nr_auto_json json_t *given = h->given ? nr_json_parse(nr_str_of(h->given), NULL) : NULL;
    const char *key;
    json_t *value;
    size_t n = 0;

    if (all == NULL)
        all = json_object();
    (void)json_object_update(all, given);
    (void)json_object_set_new(all, "host", json_string(h->name));
    tags_free(h->tags);
    h->tags = nr_alloc((json_object_size(all) + 1) * sizeof(*h->tags));
    json_object_foreach(all, key, value) {
        nr_auto_json json_t *one = json_pack("{s:O}", key, value);
        char **tag = NULL;

        if (tags_read(one, "tags", &tag, NULL) < 0 || tag == NULL)
            continue; /* a text that is none */
        h->tags[n++] = tag[0];
        free(tag);
    }
    h->tags[n] = NULL;
}

/* Its own tags cannot say that it is another architecture, or has what it has not. */
static char *told_by(const struct far_hello *hello)
{
    nr_auto_json json_t *told = json_object();

    for (size_t i = 0; i < hello->tag_count; i++)
        (void)json_object_set_new(told, hello->tags[i].key, json_string(hello->tags[i].value));
    (void)json_object_set_new(told, "arch", json_string(hello->arch));
    (void)json_object_set_new(told, "gpu", json_boolean(hello->gpus > 0));
    return json_dumps(told, JSON_COMPACT | JSON_SORT_KEYS);
}

/* ---- joining ------------------------------------------------------------------------------------------------------ */

static bool is_known(const struct fleet_host *h, const struct far_hello *hello)
{
    unsigned char hash[NR_SHA256_BYTES];

    if (!h->has_token)
        return true;
    nr_sha256(nr_str_of(hello->token), hash);
    return nr_same_bytes(hash, h->token, sizeof(hash));
}

int fleet_admit(void *arg, const struct far_hello *hello, const char *address, struct nr_err *err)
{
    struct invokers *f = arg;
    const struct nr_str name = nr_str_of(hello->name);
    struct fleet_host *h = fleet_host_find(f, name);
    bool trusted = f->pin[0] == '\0'; /* by the uid that the socket tells */

    (void)address;
    if (f->closing || f->handed)
        return nr_err_set(err, NR_ESTOPPING, "the controller is stopping");
    if (!fleet_name_is_good(name))
        return nr_err_set(err, NR_EFORBIDDEN, "'%.63s' cannot be the name of an invoker",
                          hello->name);
    if (h == NULL && trusted && fleet_is_removed(f, name)) /* no guess: it is not counted as one */
        return nr_err_set(
            err, NR_ENOENT,
            "the invoker %s was removed: `narae invokers add %s` lets it join again, with a token",
            hello->name, hello->name);
    if (h == NULL ? !trusted : !is_known(h, hello) || (!trusted && !h->has_token))
        return nr_err_set(
            err, NR_EFORBIDDEN,
            "the token is not the one of an invoker %s: `narae invokers add %s` makes one",
            hello->name, hello->name);
    if (h || fleet_host_make(f, name))
        return 0;
    return nr_err_set(err, NR_EQUOTA, "there are %d invokers, more cannot be", INVOKERS_MAX);
}

/* told: given. On disk only what is new, and nothing but that: a change by the administrator may be on its way there. */
static void keep_told(struct fleet_host *h, char *told)
{
    bool new = h->told == NULL || told == NULL || strcmp(h->told, told) != 0;

    free(h->told);
    h->told = told;
    if (new)
        fleet_write_told(h);
}

void fleet_host_drained(void *host)
{
    struct fleet_host *h = host;
    struct fleet_write w = {.row = FLEET_DRAINED};

    h->drain_asked = false;
    if (h->far == NULL || !h->draining) /* its far side has ended, or it takes calls again */
        return;
    h->draining = false;
    nr_log(h->fleet->log, NR_LOG_INFO, "fleet",
           "invoker %s has no calls and no containers any more and stays cordoned", h->name);
    memcpy(w.name, h->name, sizeof(w.name));
    fleet_write(h->fleet, &w);
}

/* What was said of it holds on each link. */
static void keep_cordon(struct fleet_host *h)
{
    if (h->draining && !h->drain_asked) {
        h->drain_asked = true;
        far_drain(h->far, fleet_host_drained, h);
    } else if (!h->draining) {
        far_cordon(h->far, h->cordoned);
    }
}

void fleet_joined(void *arg, struct far *far)
{
    struct invokers *f = arg;
    const struct far_hello *hello = far_hello(far);
    struct fleet_host *h = fleet_host_find(f, nr_str_of(hello->name));

    if (h == NULL) { /* it was removed meanwhile */
        far_end(far);
        return;
    }
    h->far = far;
    far_set_owner(far, h);
    h->joined_ms = nr_wall_ms();
    h->fresh = true;
    keep_told(h, told_by(hello));
    fleet_host_tag(h);
    keep_cordon(h);
    fleet_tell_debts(h);
    nr_log(f->log, NR_LOG_INFO, "fleet", "invoker %s (%s, %lld cores, %lld MB) has joined%s",
           h->name, hello->arch, (long long)hello->cores, (long long)hello->memory_max_mb,
           h->draining   ? "; it is being drained"
           : h->cordoned ? "; it is cordoned"
                         : "");
    fleet_wish_again(f);
    fleet_retry(f);
}

void fleet_lost(void *arg, struct far *far)
{
    struct invokers *f = arg;
    struct fleet_host *h = far_owner(far);

    if (h == NULL)
        return;
    nr_log(f->log, NR_LOG_WARN, "fleet",
           "invoker %s is away: what had not started there is placed on others%s", h->name,
           h->draining ? "; it is drained when it is back" : "");
    fleet_release_debts(h);
    fleet_wish_again(f);
}

void fleet_reported(void *arg, struct far *far)
{
    (void)far;
    fleet_retry(arg);
}
