/* PUT: parse and judge the body -> read what is there -> merge (still nothing is written) -> store the code -> commit the row.
 * The slow part, the code, is done before the row is touched: callers see the old version or the new one, and a refused or broken
 * upload leaves neither row nor file. When somebody else changed the row meanwhile the merge is done again on what he left; the
 * stored code stays.
 */
#include "fnmanager/functions/action.h"

#include "common/base/clock.h"
#include "fnmanager/functions/body.h"
#include "fnmanager/storage/code.h"
#include "fnmanager/functions/entity.h"
#include "fnmanager/accounts/grants_api.h"
#include "fnmanager/images/image_annotation.h"
#include "fnmanager/images/images.h"
#include "fnmanager/functions/kinds.h"
#include "fnmanager/functions/functions_api.h"
#include "fnmanager/functions/lifecycle_controller.h"
#include "fnmanager/functions/merge.h"
#include "fnmanager/registry/metadata_names.h"
#include "fnmanager/functions/place.h"
#include "fnmanager/sealed.h"
#include "fnmanager/functions/sequence_check.h"
#include "fnmanager/functions/settings.h"
#include "fnmanager/storage/sweeper.h"

/* Several threads may change one action at the same time; each conflict is somebody else's success. */
#define MERGE_TRIES 100

/* May a function of this name be written here? Not through a binding. */
static int check_place(struct fnmanager *m, struct fn_call *call)
{
    struct nr_err why = {0};

    if (call->package.n != 0)
        return place_check_own(m, call);
    if (name_missing_key(m->db, handler_key(call), NAME_OF_FUNCTION, &why) == NR_ENOENT)
        return 0;
    return nr_err_set(&call->err, why.code, "%s", why.text);
}

/* One PUT on its way. */
struct put {
    struct action_body body;
    enum lifecycle_move move; /* MOVE_UPDATE; MOVE_COMMIT: the end of an update window */
    struct fn_row old, row;
    bool exists;
    struct code_upload code;
    char *pin; /* made: of the body's own image; NULL: it names none */
};

static bool names_own_image(const struct fnmanager *m, const struct action_body *b)
{
    return b->has_exec && strcmp(b->kind, KIND_BLACKBOX) == 0 && !kinds_image_is_native(b->image) &&
           images_are_possible(m);
}

/* The pin of the new image, or of the one that stays. */
static int set_pin(struct put *p, struct nr_err *err)
{
    nr_auto_free char *old = p->exists && !p->body.has_exec
                                 ? image_pin_of(nr_str_of(p->old.annotations))
                                 : nr_strdup(p->pin ? p->pin : "");

    return image_pin_set(&p->row.annotations, old, err);
}

/* What the image is for ever, before anything is stored. Registries are waited for, so not on every thread. */
static int pin_image(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    int r;

    if (!names_own_image(m, &p->body))
        return 0;
    if (!call->patient)
        return HANDLER_LATER;
    r = images_pin(m, call->account->name, p->body.image, &p->pin, &call->err);
    if (r == 0)
        r = handler_key_is_good(m, call); /* the registry took its time */
    return r == 0 ? set_pin(p, &call->err) : r;
}

/* Reads what is there and merges the body into it; p->row is what would be stored. */
static int read_and_merge(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    int r;

    fn_row_fini(&p->old);
    fn_row_fini(&p->row);
    r = metadata_load(m->db, handler_key(call), &p->old);
    p->exists = r == 0;
    if (r < 0 && r != NR_ENOENT)
        return handler_refuse(call, r);
    if (p->exists && !call->overwrite && p->move == MOVE_UPDATE)
        return handler_refuse(call, NR_EEXIST);
    if (!p->exists && p->move == MOVE_COMMIT)
        return handler_refuse(call, NR_ENOENT);
    if (p->exists && !p->body.has_exec &&
        (r = kinds_judge(m->config.kinds, p->old.kind, &call->err)) < 0)
        return r;
    r = action_merge(&p->body, p->exists ? &p->old : NULL, p->move, &p->row, &call->err);
    if (r == 0)
        r = set_pin(p, &call->err);
    if (r == 0)
        r = settings_check(p->row.annotations, m->config.node, &call->err);
    return r == 0 ? grants_check(m, nr_str_of(call->account->name), p->row.annotations, &call->err)
                  : r;
}

/* Old uploads wait on disk for calls that may still need them; when the disk is full they go at once. */
static int store_code(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    struct nr_err why = {0};
    int r = 0;

    if (!p->body.has_exec || !p->body.has_code)
        return 0;
    for (int i = 0; i < 2; i++) {
        why = (struct nr_err){0};
        r = code_store(&m->storage, handler_key(call), p->body.code, p->body.extension,
                       fnmanager_next_revision(m), &p->code, &why);
        if (r != NR_ENOSPC || sweep_garbage(&m->storage, m->db, 0) == 0)
            break;
    }
    if (r == NR_EINVAL || r == NR_ETOOBIG || r == NR_ENOMEM)
        return nr_err_set(&call->err, r, "%s", why.text);
    if (r < 0)
        nr_log(m->config.log, NR_LOG_ERROR, "fnmanager",
               "the code of an action cannot be stored: %s", why.text);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* After trouble with the disk nobody knows whether the row will be there after a restart: then the file stays, and the sweeper judges. */
static void discard_code(struct fnmanager *m, const struct put *p, int r)
{
    if (p->code.number != 0 && r != NR_EIO && r != NR_ECORRUPT)
        storage_remove(&m->storage, p->code.folder);
}

/* From the second try on only one is at it: else one of many could lose every time. */
static void begin_try(struct fnmanager *m, int i)
{
    if (i == 1)
        pthread_mutex_lock(&m->retrying);
}

static void end_tries(struct fnmanager *m, int i)
{
    if (i >= 1)
        pthread_mutex_unlock(&m->retrying);
}

static int commit_row(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    int i = 0, r = NR_ECONFLICT;

    for (; i < MERGE_TRIES; i++) {
        begin_try(m, i);
        if (i > 0 && (r = read_and_merge(m, call, p)) < 0)
            break;
        if (p->body.has_exec)
            code_into_row(&p->code, &p->row);
        p->row.revision = fnmanager_next_revision(m);
        p->row.updated_ms = nr_wall_ms();
        r = metadata_commit(m->db, handler_key(call), &p->row, p->exists ? p->old.revision : 0,
                            handler_actor(call), &call->err);
        if (r != NR_ECONFLICT && (r != NR_EEXIST || !call->overwrite))
            break;
    }
    end_tries(m, i);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* New components are looked through with no other sequence on its way, so that no two close a circle together. */
static int commit(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    int r;

    if (p->body.components == NULL)
        return commit_row(m, call, p);
    pthread_mutex_lock(&m->composing);
    r = sequence_check(m, handler_key(call), p->body.components, &call->err);
    if (r == 0)
        r = commit_row(m, call, p);
    pthread_mutex_unlock(&m->composing);
    return r;
}

/* A compiler is waited for as a registry is: not on every thread. */
static int later(const struct fnmanager *m, const struct fn_call *call, const struct put *p)
{
    bool waits = p->body.has_exec && p->body.has_code && !call->patient;

    return waits && compile_is_needed(m, p->body.kind) ? HANDLER_LATER : 0;
}

/* What the new code needs to run is made before the function changes. */
static int compile_code(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    nr_auto_free char *path = storage_path(&m->storage, p->code.folder, p->code.file);
    const struct compile_source s = {handler_key(call).account,
                                     p->row.kind,
                                     p->row.main,
                                     p->code.file,
                                     path,
                                     p->code.bytes,
                                     p->code.sha256};

    if (p->code.number == 0 || !compile_is_needed(m, p->row.kind))
        return 0;
    int r = compile_source(m, call->account, &s, &call->reply, &call->err);

    call->whole = r < 0 && call->reply.n > 0;
    return r == 0 ? handler_key_is_good(m, call) : r;
}

static int put_parsed(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    int r;

    if ((r = read_and_merge(m, call, p)) < 0 || (r = pin_image(m, call, p)) != 0 ||
        (r = later(m, call, p)) != 0 || (r = store_code(m, call, p)) < 0)
        return r;
    if ((r = code_check_sha256(&p->code, call->sha256, &call->err)) < 0 ||
        (r = compile_code(m, call, p)) < 0 || (r = commit(m, call, p)) < 0)
        discard_code(m, p, r);
    return r;
}

/* The object of its exec stays open. */
static int write_open(struct fnmanager *m, struct fn_call *call, struct fn_key key,
                      const struct fn_row *row, const struct nr_str *code, bool with_code)
{
    int r = 0;

    nr_buf_init(&call->reply, ACTION_REPLY_MAX_BYTES);
    with_code &= row->has_code;
    entity_write_head(key, row, with_code, &call->reply);
    if (with_code && code != NULL)
        nr_buf_json(&call->reply, *code);
    else if (with_code)
        r = code_write_json(&m->storage, row, &call->reply, &call->err);
    return r;
}

static int write_action(struct fnmanager *m, struct fn_call *call, const struct fn_row *row,
                        const struct nr_str *code, bool with_code)
{
    int r = write_open(m, call, handler_key(call), row, code, with_code);

    entity_write_tail(&call->reply);
    return r;
}

/* With the code when it can be read: a damaged file is no reason not to change or delete the action. */
static void write_readable(struct fnmanager *m, struct fn_call *call, const struct fn_row *row,
                           const struct nr_str *code)
{
    if (write_action(m, call, row, code, true) == 0)
        return;
    nr_buf_fini(&call->reply);
    call->err = (struct nr_err){0};
    (void)write_action(m, call, row, NULL, false);
}

/* Secret parameters are sealed before anything is merged or stored; those of a sequence mean nothing. */
static int seal(struct fnmanager *m, struct fn_call *call, struct put *p)
{
    if (p->body.components != NULL)
        return 0;
    return sealed_take_call(m, call, p->body.parameters);
}

static int put(struct fnmanager *m, struct fn_call *call, struct put *p, uint64_t *ret_old)
{
    struct body_ranges ranges = {m->config.memory_max_mb, call->account->concurrent_invocations,
                                 nr_str_of(call->account->name)};
    struct nr_str body = call->body.n != 0 || p->move == MOVE_UPDATE ? call->body : NR_STR("{}");
    int r;

    if ((r = check_place(m, call)) == 0 &&
        (r = action_body_parse(body, m->config.kinds, &ranges, &p->body, &call->err)) == 0 &&
        (r = seal(m, call, p)) == 0 &&
        (r = p->move == MOVE_COMMIT ? settings_memory_step(p->body.limits.memory_mb, &call->err)
                                    : 0) == 0 &&
        (r = put_parsed(m, call, p)) == 0)
        *ret_old = p->exists ? p->old.revision : 0;
    return r;
}

static void put_fini(struct put *p)
{
    fn_row_fini(&p->old);
    fn_row_fini(&p->row);
    action_body_fini(&p->body);
    free(p->pin);
}

int action_put(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct put p = {.body = {.image = "", .main = ""}, .move = MOVE_UPDATE};
    int r = put(m, call, &p, ret_old);

    if (r == 0)
        write_readable(m, call, &p.row, p.body.has_exec ? &p.body.code : NULL);
    put_fini(&p);
    return r;
}

int action_commit(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct put p = {.body = {.image = "", .main = ""}, .move = MOVE_COMMIT};
    int r = put(m, call, &p, ret_old);

    put_fini(&p);
    return r == 0 ? functions_answer(m, call, 0) : r;
}

/* As it is called by these names: with what packages bind, and the binding that leads to it. */
static int write_found(struct fnmanager *m, struct fn_call *call, const struct place *p,
                       struct fn_row *row)
{
    bool sequence = strcmp(row->kind, KIND_SEQUENCE) == 0;
    char *all = sequence ? nr_strdup(row->parameters) : place_parameters(p, row->parameters);
    int r;

    if (all == NULL)
        return nr_err_set(&call->err, NR_ENOMEM, "There is no memory to show the action.");
    free(row->parameters);
    row->parameters = all;
    r = write_open(m, call, p->key, row, NULL, call->with_code);
    if (place_is_bound(p) && !call->with_code) {
        nr_buf_adds(&call->reply, "},\"binding\":");
        package_write_reference(p->asked.space, p->asked.package, &call->reply);
        nr_buf_addc(&call->reply, '}');
    } else {
        entity_write_tail(&call->reply);
    }
    return r;
}

int action_get(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct fn_row row = {0};
    struct place place;
    int r = place_find(m, place_names_of(call), &place, &call->err);

    *ret_old = 0;
    if (r == 0 && (r = metadata_load(m->db, place.key, &row)) == NR_ENOENT)
        r = name_missing_key(m->db, place.key, NAME_OF_FUNCTION, &call->err);
    if (r == 0)
        r = write_found(m, call, &place, &row);
    fn_row_fini(&row);
    place_fini(&place);
    return r < 0 ? handler_refuse(call, r) : 0;
}

/* LATEST, all versions and aliases in one commit. */
static int delete_loaded(struct fnmanager *m, struct fn_call *call, const struct fn_row *row)
{
    struct move_order o = {.key = handler_key(call),
                           .number = FN_EVERY_VERSION,
                           .move = MOVE_DELETE,
                           .expected = row->revision,
                           .actor = handler_actor(call)};
    struct moved_list moved = {0};
    int r;

    /* First, for the file may go any moment after the row. */
    write_readable(m, call, row, NULL);
    r = lifecycle_carry(m, &o, false, &moved, &call->err);
    free(moved.item);
    return r;
}

int action_delete(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    int i = 0, r = NR_ECONFLICT;

    if (call->package.n != 0 && (r = place_check_own(m, call)) < 0)
        return r;
    for (r = NR_ECONFLICT; i < MERGE_TRIES && r == NR_ECONFLICT && call->err.code == 0; i++) {
        struct fn_row row = {0};
        begin_try(m, i);
        nr_buf_fini(&call->reply);
        if ((r = metadata_load(m->db, handler_key(call), &row)) == 0)
            r = delete_loaded(m, call, &row);
        else if (r == NR_ENOENT)
            r = name_missing(m, call, NAME_OF_FUNCTION);
        *ret_old = r == 0 ? HANDLER_MANY : 0;
        fn_row_fini(&row);
    }
    end_tries(m, i - 1);
    return r < 0 ? handler_refuse(call, r) : 0;
}

int action_list(struct fnmanager *m, struct fn_call *call, uint64_t *ret_old)
{
    struct place place;
    int r = place_find(m, place_names_of(call), &place, &call->err);
    struct fn_list q = handler_list(call, ACTION_REPLY_MAX_BYTES);

    *ret_old = 0;
    q.key = place.key;
    if (r == 0)
        r = metadata_list(m->db, &q);
    place_fini(&place);
    return r < 0 ? handler_refuse(call, r) : 0;
}
