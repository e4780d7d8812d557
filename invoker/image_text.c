/* What the Engine says of pulls and of registries.
 *
 * A pull answers with one JSON object a line: {"id":"<layer>","status":"Downloading","progressDetail":{"current":1,"total":2}}, or
 * {"error":...}. Layers are remembered by their ids, so bytes and layers can be added up; what one pull may make us remember is bounded.
 * Refusals are known by words, for the Engine has no codes for them. The sentence that a client gets is ours: the words of a registry, which
 * may be anybody's, go no further.
 */
#include <string.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "invoker/images.h"

/* What a layer may be told to have; all together still fit a number. */
#define LAYER_MAX_BYTES (INT64_C(1) << 50)

enum { REFERENCE_MAX_BYTES = 512 };
enum { LAYERS_MAX = 512, LAYER_ID_BYTES = 16, LINE_MAX_BYTES = 65536, WORDS_BYTES = 256 };

struct layer {
    char id[LAYER_ID_BYTES];
    int64_t bytes, bytes_total;
    bool done;
};

struct pull_text {
    struct layer layers[LAYERS_MAX];
    unsigned count;
    int64_t max_bytes;
    bool too_large, too_many, failed;
    char words[WORDS_BYTES];
    struct nr_buf line;
};

struct pull_text *pull_text_make(int64_t max_bytes)
{
    struct pull_text *t = nr_alloc(sizeof(*t));

    t->max_bytes = max_bytes;
    nr_buf_init(&t->line, LINE_MAX_BYTES);
    return t;
}

void pull_text_free(struct pull_text *t)
{
    if (t == NULL)
        return;
    nr_buf_fini(&t->line);
    free(t);
}

/* Only layers have bytes; the tag's line has an id too and none. */
static struct layer *layer_of(struct pull_text *t, const char *id)
{
    for (unsigned i = 0; i < t->count; i++)
        if (strcmp(t->layers[i].id, id) == 0)
            return &t->layers[i];
    if (strlen(id) >= LAYER_ID_BYTES)
        return NULL;
    if (t->count == LAYERS_MAX) {
        t->too_many = true;
        return NULL;
    }
    struct layer *l = &t->layers[t->count++];

    (void)snprintf(l->id, sizeof(l->id), "%s", id);
    return l;
}

static int64_t bytes_of(const json_t *detail, const char *key)
{
    int64_t n = json_integer_value(json_object_get(detail, key));

    return n < 0 ? 0 : n > LAYER_MAX_BYTES ? LAYER_MAX_BYTES : n;
}

static void take_status(struct pull_text *t, const char *id, const char *status,
                        const json_t *detail)
{
    static const char *const of_layers[] = {
        "Pulling fs layer",   "Waiting",           "Downloading",
        "Verifying Checksum", "Download complete", "Extracting",
        "Pull complete",      "Already exists",    "Retrying"};
    bool known = false;

    for (size_t i = 0; i < nr_countof(of_layers); i++)
        known = known || strncmp(status, of_layers[i], strlen(of_layers[i])) == 0;
    struct layer *l = known ? layer_of(t, id) : NULL;

    if (l == NULL)
        return;
    if (strcmp(status, "Downloading") == 0) {
        int64_t total = bytes_of(detail, "total");

        l->bytes = bytes_of(detail, "current");
        l->bytes_total = total > l->bytes ? total : l->bytes;
    }
    if (strcmp(status, "Download complete") == 0)
        l->bytes = l->bytes_total;
    l->done = strcmp(status, "Pull complete") == 0 || strcmp(status, "Already exists") == 0;
}

static void take_line(struct pull_text *t, struct nr_str line)
{
    nr_auto_json json_t *o = nr_json_parse(line, NULL);
    const char *error = o ? nr_json_string(o, "error") : NULL;
    const char *id = o ? nr_json_string(o, "id") : NULL;
    const char *status = o ? nr_json_string(o, "status") : NULL;

    if (error == NULL && o) /* of a refusal before the pull began */
        error = nr_json_string(o, "message");
    if (error && !t->failed) {
        t->failed = true;
        (void)snprintf(t->words, sizeof(t->words), "%s", error);
    }
    if (id && status)
        take_status(t, id, status, json_object_get(o, "progressDetail"));
    t->too_large = t->too_large || pull_text_progress(t).bytes_total > t->max_bytes;
}

bool pull_text_add(struct pull_text *t, struct nr_str piece)
{
    const char *end;

    while ((end = memchr(piece.p, '\n', piece.n)) != NULL) {
        size_t n = (size_t)(end - piece.p);

        nr_buf_add(&t->line, piece.p, n);
        if (!t->line.failed && t->line.n > 0)
            take_line(t, nr_buf_str(&t->line));
        nr_buf_reset(&t->line, LINE_MAX_BYTES);
        t->line.failed = false;
        piece = (struct nr_str){end + 1, piece.n - n - 1};
    }
    nr_buf_add(&t->line, piece.p, piece.n);
    return !t->too_large && !t->too_many;
}

struct image_progress pull_text_progress(const struct pull_text *t)
{
    struct image_progress p = {.layers = t->count};

    for (unsigned i = 0; i < t->count; i++) {
        p.layers_done += t->layers[i].done;
        p.bytes += t->layers[i].bytes;
        p.bytes_total += t->layers[i].bytes_total;
    }
    return p;
}

int pull_text_error(const struct pull_text *t, const char *reference, struct nr_err *err)
{
    if (t->too_large)
        return nr_err_set(
            err, NR_ETOOBIG,
            "The image '%.128s' is larger than allowed: its layers are more than %lld MB.",
            reference, (long long)(t->max_bytes >> 20));
    if (t->too_many)
        return nr_err_set(err, NR_ETOOBIG, "The image '%.128s' has more than %d layers.", reference,
                          LAYERS_MAX);
    return t->failed ? image_refusal(reference, t->words, err) : 0;
}

/* ---- refusals ----------------------------------------------------------------------------------------------- */

/* The first line that has the words counts. */
static const struct refusal {
    const char *words;
    int code;
    const char *text; /* behind "The image '...' " */
} refusals[] = {
    {"no space left", NR_ENOSPC, "does not fit: there is no space left on this host."},
    {"toomanyrequests", NR_EQUOTA, "cannot be had now: its registry has had too many requests."},
    {"no matching manifest", NR_EINVAL, "is not made for this host's platform."},
    {"no basic auth credentials", NR_EFORBIDDEN,
     "cannot be had: its registry asks for credentials (narae registry set HOST)."},
    {"incorrect username or password", NR_EFORBIDDEN,
     "cannot be had: its registry refuses the credentials of this account."},
    {"unauthorized", NR_EFORBIDDEN,
     "cannot be had: its registry does not let this account have it; are the credentials right?"},
    {"authentication required", NR_EFORBIDDEN,
     "cannot be had: its registry does not let this account have it; are the credentials right?"},
    {"access to the resource is denied", NR_EFORBIDDEN,
     "cannot be had: there is none of this name, or its registry does not let this account have it."},
    {"denied", NR_EFORBIDDEN, "cannot be had: its registry does not let this account have it."},
    {"manifest unknown", NR_EINVAL, "does not exist: its registry has none of this name and tag."},
    {"name unknown", NR_EINVAL, "does not exist: its registry has none of this name."},
    {"not found", NR_EINVAL, "does not exist: its registry has none of this name and tag."},
    {"no such host", NR_EUNAVAIL, "cannot be had: its registry's name does not resolve."},
    {"server misbehaving", NR_EUNAVAIL, "cannot be had: its registry's name does not resolve."},
    {"connection refused", NR_EUNAVAIL, "cannot be had: its registry is not there."},
    {"HTTP response to HTTPS client", NR_EUNAVAIL,
     "cannot be had: its registry does not speak TLS."},
    {"x509", NR_EUNAVAIL, "cannot be had: its registry's certificate is not trusted."},
    {"timeout", NR_EUNAVAIL, "cannot be had: its registry does not answer in time."},
    {"deadline exceeded", NR_EUNAVAIL, "cannot be had: its registry does not answer in time."},
    {"unreachable", NR_EUNAVAIL, "cannot be had: its registry cannot be reached."},
    {"dial tcp", NR_EUNAVAIL, "cannot be had: its registry cannot be reached."},
    {"EOF", NR_EUNAVAIL, "cannot be had: its registry broke off."},
    {"connection reset", NR_EUNAVAIL, "cannot be had: its registry broke off."},
    {"canceled", NR_ECANCELED, "was not pulled: the platform is stopping."},
    {"digest", NR_EPROTO, "cannot be had: what its registry sent is damaged."},
    {"", NR_EPROTO, "cannot be had: its registry's answer makes no sense."},
};

int image_refusal(const char *reference, const char *words, struct nr_err *err)
{
    const struct refusal *r = refusals;

    while (strcasestr(words, r->words) == NULL)
        r++;
    return nr_err_set(err, r->code, "The image '%.128s' %s", reference, r->text);
}

bool images_safe_in_path(const char *reference)
{
    static const char good[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/@-";

    return reference[0] != '\0' && reference[strspn(reference, good)] == '\0' &&
           strstr(reference, "..") == NULL && strlen(reference) < REFERENCE_MAX_BYTES;
}
