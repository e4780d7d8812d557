/* One job of an Engine worker per call. Calls that make the Engine talk to a registry go to the workers for pulls, the others rank below
 * starts. A pull's answer is read as it comes: who asked is told how far it is, and one that is too large is broken off, which makes the
 * Engine give up too.
 */
#include "invoker/images.h"

#include <pthread.h>
#include <string.h>

#include "common/base/json.h"
#include "common/base/map.h"
#include "common/base/mem.h"
#include "invoker/internal.h"
#include "invoker/platform.h"

enum { PATH_MAX_BYTES = 1024, ASK_MS = 30000, PULL_MS = 1800000, SILENCE_S = 120 };
enum { COMMANDS_MAX = 512 };

static const struct nr_str no_body = {NULL, 0};

/* The Engine's {"message": ...}, or "". */
static void refused(const struct image_call *c, const struct engine_reply *reply,
                    struct nr_err *err)
{
    nr_auto_json json_t *o = nr_json_parse(nr_buf_str(&reply->body), NULL);
    const char *words = o ? nr_json_string(o, "message") : NULL;

    (void)image_refusal(c->reference, words ? words : "", err);
}

/* ---- on this host ------------------------------------------------------------------------------------------- */

static void take_found(struct image_call *c, json_t *o)
{
    const json_t *config = json_object_get(o, "Config");
    const struct image_platform platform = image_platform_of(o);
    const char *id = nr_json_string(o, "Id");

    (void)snprintf(c->id, sizeof(c->id), "%s", id ? id : "");
    image_platform_write(&platform, c->platform, sizeof(c->platform));
    c->fits = image_platform_fits(platform_here(), &platform);
    c->bytes = json_integer_value(json_object_get(o, "Size"));
    c->has_command = json_array_size(json_object_get(config, "Entrypoint")) +
                         json_array_size(json_object_get(config, "Cmd")) >
                     0;
    c->has_volumes = json_object_size(json_object_get(config, "Volumes")) > 0;
    c->found = json_incref(o);
}

static int find(struct engine_worker *w, struct image_call *c)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};

    (void)snprintf(path, sizeof(path), "/images/%s/json", c->reference);
    int r = engine_call(w, "GET", path, no_body, ENGINE_ASK_MS, &reply, &c->err);
    nr_auto_json json_t *o = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;

    nr_buf_fini(&reply.body);
    if (r == 0 && reply.status == 200 && o != NULL)
        take_found(c, o);
    else if (r == 0)
        r = nr_err_set(&c->err, reply.status == 404 ? NR_ENOENT : NR_EPROTO,
                       "The image '%.128s' is not on this host.", c->reference);
    return r;
}

static int list(struct engine_worker *w, struct image_call *c)
{
    struct engine_reply reply = {0};
    int r = engine_want(w, "GET", "/images/json", no_body, ENGINE_ASK_MS, &reply, &c->err);

    c->found = r == 0 ? nr_json_parse(nr_buf_str(&reply.body), &c->err) : NULL;
    nr_buf_fini(&reply.body);
    return r == 0 && c->found == NULL ? NR_EPROTO : r;
}

static int remove_one(struct engine_worker *w, struct image_call *c)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};

    (void)snprintf(path, sizeof(path), "/images/%s", c->reference);
    int r = engine_call(w, "DELETE", path, no_body, ENGINE_START_MS, &reply, &c->err);

    nr_buf_fini(&reply.body);
    if (r < 0 || reply.status == 200 || reply.status == 404)
        return r;
    return nr_err_set(&c->err, reply.status == 409 ? NR_EBUSY : NR_EIO,
                      reply.status == 409 ? "The image '%.128s' is used by a container."
                                          : "The image '%.128s' cannot be removed.",
                      c->reference);
}

/* ---- registries --------------------------------------------------------------------------------------------- */

/* What became of an errand that has no answer, as a sentence for clients. */
static void no_answer(struct image_call *c, int r)
{
    static const struct {
        int code;
        const char *words;
    } of_registry[] = {{NR_ETIMEOUT, "timeout"}, {NR_ECANCELED, "canceled"}};

    c->err = (struct nr_err){0};
    for (size_t i = 0; i < nr_countof(of_registry); i++)
        if (of_registry[i].code == r)
            (void)image_refusal(c->reference, of_registry[i].words, &c->err);
    (void)nr_err_set(&c->err, NR_EUNAVAIL, "The Docker Engine of this host does not answer.");
}

/* What its registry tells of it: (*ret made) or NULL with c->err. */
static json_t *ask_registry(struct engine_worker *w, struct image_call *c)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};

    (void)snprintf(path, sizeof(path), "/distribution/%s/json", c->reference);
    const struct engine_errand x = {
        .method = "GET", .path = path, .auth = c->auth, .timeout_ms = ASK_MS};
    int r = engine_errand(w, &x, &reply, &c->err);
    json_t *o = r == 0 && reply.status == 200 ? nr_json_parse(nr_buf_str(&reply.body), NULL) : NULL;

    if (r < 0)
        no_answer(c, r);
    else if (o == NULL)
        refused(c, &reply, &c->err);
    nr_buf_fini(&reply.body);
    return o;
}

static int ask(struct engine_worker *w, struct image_call *c)
{
    nr_auto_json json_t *o = ask_registry(w, c);
    const char *digest = o ? nr_json_string(json_object_get(o, "Descriptor"), "digest") : NULL;

    if (digest && strlen(digest) < sizeof(c->digest)) {
        (void)snprintf(c->digest, sizeof(c->digest), "%s", digest);
        (void)image_platforms_check(platform_here(), json_object_get(o, "Platforms"), c->reference,
                                    &c->err);
    } else if (o) {
        (void)image_refusal(c->reference, "", &c->err);
    }
    return c->err.code;
}

/* One pull under way. */
struct pulling {
    struct image_call *c;
    struct pull_text *text;
};

static bool on_bytes(void *arg, struct nr_str bytes)
{
    struct pulling *p = arg;
    bool go_on = pull_text_add(p->text, bytes);
    struct image_progress now = pull_text_progress(p->text);

    if (p->c->progress)
        p->c->progress(p->c, &now);
    return go_on;
}

/* "repository@digest", for a pull by anything else would be of whatever the tag means by then. Old functions have a tag. */
static int pull_path(const char *reference, unsigned variant, char out[static PATH_MAX_BYTES],
                     struct nr_err *err)
{
    const char *at = strchr(reference, '@'), *slash = strrchr(reference, '/');
    const char *colon = strchr(slash ? slash : reference, ':');
    size_t n = at ? (size_t)(at - reference) : strlen(reference);
    char repository[3 * PATH_MAX_BYTES / 2 + 1];
    size_t k = nr_pct_encode((struct nr_str){reference, n}, repository);
    const char *tag = at ? at + 1 : colon ? "" : "latest";
    char platform[IMAGE_PLATFORM_BYTES] = "";

    if (variant > 0)
        (void)snprintf(platform, sizeof(platform), "&platform=linux/%s/v%u",
                       platform_here()->architecture, variant);
    int bytes = snprintf(out, PATH_MAX_BYTES, "/images/create?fromImage=%.*s%s%s%s", (int)k,
                         repository, *tag ? "&tag=" : "", tag, platform);

    return bytes > 0 && bytes < PATH_MAX_BYTES
               ? 0
               : nr_err_set(err, NR_EINVAL, "The image reference is too long.");
}

static int pull_variant(struct engine_worker *w, struct image_call *c, unsigned variant)
{
    char path[PATH_MAX_BYTES];
    struct engine_reply reply = {0};
    struct pulling p = {c, pull_text_make(c->max_bytes)};
    const struct engine_errand x = {.method = "POST",
                                    .path = path,
                                    .auth = c->auth,
                                    .timeout_ms = PULL_MS,
                                    .silence_max_s = SILENCE_S,
                                    .on_bytes = on_bytes,
                                    .arg = &p};
    struct nr_err why = {0};
    int r = pull_path(c->reference, variant, path, &c->err);

    if (r == 0)
        r = engine_errand(w, &x, &reply, &why);
    nr_buf_fini(&reply.body);
    (void)pull_text_add(p.text, NR_STR("\n"));
    if (c->err.code == 0 && pull_text_error(p.text, c->reference, &c->err) == 0) {
        if (r < 0)
            no_answer(c, r);
        else if (reply.status != 200)
            (void)image_refusal(c->reference, reply.status == 404 ? "not found" : "", &c->err);
    }
    pull_text_free(p.text);
    return c->err.code;
}

/* The Engine takes what every processor of this architecture runs. Where the list has none it is asked what it has: one more question, but of
 * such images alone. */
static int pull(struct engine_worker *w, struct image_call *c)
{
    int r = pull_variant(w, c, 0);

    if (r != NR_EINVAL)
        return r;
    struct image_call question = {.reference = c->reference, .auth = c->auth};
    nr_auto_json json_t *o = ask_registry(w, &question);
    unsigned variant =
        o ? image_platforms_variant(platform_here(), json_object_get(o, "Platforms")) : 0;

    if (variant == 0)
        return r;
    c->err = (struct nr_err){0};
    return pull_variant(w, c, variant);
}

/* ---- the port ----------------------------------------------------------------------------------------------- */

static const struct {
    int (*run)(struct engine_worker *w, struct image_call *c);
    enum engine_rank rank;
} operations[IMAGE_OPS] = {
    [IMAGE_FIND] = {find, RANK_PREWARM},        [IMAGE_ASK] = {ask, RANK_PULL},
    [IMAGE_PULL] = {pull, RANK_PULL},           [IMAGE_LIST] = {list, RANK_PREWARM},
    [IMAGE_REMOVE] = {remove_one, RANK_REMOVE},
};

int images_do(struct engine_worker *w, struct image_call *c)
{
    if (c->op != IMAGE_LIST && !images_safe_in_path(c->reference))
        return nr_err_set(&c->err, NR_EINVAL, "The image reference '%.128s' is not valid.",
                          c->reference);
    return operations[c->op].run(w, c);
}

/* Made by invoker_image(); the call may be gone once its `done` has come, this not yet. */
struct image_job {
    struct engine_job job;
    struct image_call *call;
};

static void work(struct engine_worker *w, struct engine_job *job)
{
    struct image_call *c = nr_container_of(job, struct image_job, job)->call;
    int r = images_do(w, c);

    if (r < 0)
        (void)nr_err_set(&c->err, r, "%s", nr_err_text(r));
    c->done(c);
}

static void done(struct engine_job *job)
{
    free(nr_container_of(job, struct image_job, job));
}

void invoker_image(struct invoker *v, struct image_call *c)
{
    struct image_job *j = nr_alloc(sizeof(*j));

    *j = (struct image_job){.job = {.rank = operations[c->op].rank, .work = work, .done = done},
                            .call = c};
    engine_submit(v->engine, &j->job);
}

/* ---- commands ----------------------------------------------------------------------------------------------- */

/* Of one image, which never changes: its reference has its digest. */
struct command {
    struct nr_map_node node;
    char *image;
    char *text; /* JSON array */
};

struct image_commands {
    pthread_mutex_t lock;
    struct nr_map by_image;
    unsigned count;
};

struct image_commands *image_commands_make(void)
{
    struct image_commands *k = nr_alloc(sizeof(*k));

    nr_check(pthread_mutex_init(&k->lock, NULL) == 0);
    nr_map_init(&k->by_image);
    return k;
}

static void command_gone(struct nr_map_node *n, void *arg)
{
    struct command *c = nr_container_of(n, struct command, node);

    (void)arg;
    free(c->image);
    free(c->text);
    free(c);
}

static void forget_all(struct image_commands *k)
{
    (void)nr_map_drain(&k->by_image, NULL, command_gone, NULL);
    k->count = 0;
}

void image_commands_free(struct image_commands *k)
{
    if (k == NULL)
        return;
    forget_all(k);
    nr_map_fini(&k->by_image);
    (void)pthread_mutex_destroy(&k->lock);
    free(k);
}

static bool is_for_ever(const char *image)
{
    return strstr(image, "@sha256:") != NULL || strncmp(image, "sha256:", 7) == 0;
}

static json_t *recall(struct image_commands *k, const char *image)
{
    (void)pthread_mutex_lock(&k->lock);
    struct nr_map_node *n = nr_map_get(&k->by_image, nr_str_of(image));
    json_t *found =
        n ? nr_json_parse(nr_str_of(nr_container_of(n, struct command, node)->text), NULL) : NULL;

    (void)pthread_mutex_unlock(&k->lock);
    return found;
}

static void keep(struct image_commands *k, const char *image, const json_t *command)
{
    (void)pthread_mutex_lock(&k->lock);
    if (k->count == COMMANDS_MAX)
        forget_all(k);
    if (nr_map_get(&k->by_image, nr_str_of(image)) == NULL) {
        struct command *c = nr_alloc(sizeof(*c));

        c->image = nr_strdup(image);
        c->text = nr_json_text(command, NULL);
        c->node.key = nr_str_of(c->image);
        (void)nr_map_put(&k->by_image, &c->node);
        k->count++;
    }
    (void)pthread_mutex_unlock(&k->lock);
}

int image_command(struct image_commands *k, struct engine_worker *w, const char *image,
                  json_t **ret, struct nr_err *err)
{
    struct image_call c = {.op = IMAGE_FIND, .reference = image};
    json_t *command = recall(k, image);
    int r = command ? 0 : images_do(w, &c);
    const json_t *config = json_object_get(c.found, "Config");

    if (r == 0 && command == NULL) {
        command = json_array();
        (void)json_array_extend(command, json_object_get(config, "Entrypoint"));
        (void)json_array_extend(command, json_object_get(config, "Cmd"));
        if (json_array_size(command) == 0)
            r = nr_err_set(&c.err, NR_EPROTO, "image '%.128s' names no command", image);
        else if (c.has_volumes)
            r = nr_err_set(&c.err, NR_EFORBIDDEN, "image '%.128s' declares volumes", image);
        else if (!c.fits)
            r = nr_err_set(&c.err, NR_EFORBIDDEN, "image '%.128s' is for %s", image, c.platform);
        else if (is_for_ever(image))
            keep(k, image, command);
    }
    json_decref(c.found);
    if (r < 0)
        json_decref(command);
    else
        *ret = command;
    return r < 0 ? nr_err_set(err, r, "%s", c.err.text) : 0;
}
