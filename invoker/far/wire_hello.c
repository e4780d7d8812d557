/* HELLO: what an invoker tells of itself, as bytes and back. The reader makes every text, and judges names, for they end up in paths, logs and
 * metrics; the token is wiped with the rest.
 */
#include "common/base/json_walk.h"
#include "invoker/far/wire_form.h"

enum { TEXT_MAX_BYTES = 256, CAPABILITIES_MAX_BYTES = 16 << 10 };

struct hello {
    int64_t protocol, oldest;
    struct nr_str name, token, session, installation, version, arch, engine, capabilities;
    int64_t cores, memory_max_mb, gpus;
    bool takes_images;
};

#define AT(member) offsetof(struct hello, member)
static const struct wire_field fields[] = {
    {"protocol", WIRE_I64, AT(protocol), 1, INT32_MAX},
    {"oldest", WIRE_I64, AT(oldest), 1, INT32_MAX},
    {"name", WIRE_TEXT, AT(name), 0, WIRE_NAME_MAX_BYTES},
    {"token", WIRE_TEXT, AT(token), 0, WIRE_TOKEN_MAX_BYTES},
    {"session", WIRE_TEXT, AT(session), 0, WIRE_SESSION_BYTES},
    {"installation", WIRE_TEXT, AT(installation), 0, TEXT_MAX_BYTES},
    {"version", WIRE_TEXT, AT(version), 0, TEXT_MAX_BYTES},
    {"arch", WIRE_TEXT, AT(arch), 0, TEXT_MAX_BYTES},
    {"engine", WIRE_TEXT, AT(engine), 0, TEXT_MAX_BYTES},
    {"capabilities", WIRE_TEXT, AT(capabilities), 0, CAPABILITIES_MAX_BYTES},
    {"cores", WIRE_I64, AT(cores), 1, 1 << 20},
    {"memory_max_mb", WIRE_I64, AT(memory_max_mb), 0, INT32_MAX},
    {"gpus", WIRE_I64, AT(gpus), 0, 1 << 16},
    {"takes_images", WIRE_BOOL, AT(takes_images), 0, 0},
};
#undef AT
static WIRE_FORM(form, fields);

/* ---- writing ---- */

static void write_list(const char *before, char *const *list, struct nr_buf *out)
{
    nr_buf_adds(out, before);
    for (size_t i = 0; list && list[i]; i++) {
        if (i > 0)
            nr_buf_addc(out, ',');
        nr_buf_json(out, nr_str_of(list[i]));
    }
    nr_buf_addc(out, ']');
}

void wire_hello_write(const struct far_hello *h, int oldest, struct nr_buf *out)
{
    size_t table = h->capabilities ? strlen(h->capabilities) : 0;
    const struct hello flat = {
        .protocol = h->protocol,
        .oldest = oldest,
        .name = nr_str_of(h->name),
        .token = nr_str_of(h->token),
        .session = nr_str_of(h->session),
        .installation = nr_str_of(h->installation),
        .version = nr_str_of(h->version),
        .arch = nr_str_of(h->arch),
        .engine = nr_str_of(h->engine),
        .capabilities = {h->capabilities, table <= CAPABILITIES_MAX_BYTES ? table : 0},
        .cores = h->cores,
        .memory_max_mb = h->memory_max_mb,
        .gpus = h->gpus,
        .takes_images = h->takes_images,
    };

    wire_write(&form, &flat, out);
    if (!out->failed)
        out->n--; /* its brace: more members follow */
    write_list(",\"kinds\":[", h->kinds, out);
    write_list(",\"images\":[", h->images, out);
    nr_buf_adds(out, ",\"tags\":{");
    for (size_t i = 0; i < h->tag_count; i++) {
        if (i > 0)
            nr_buf_addc(out, ',');
        nr_buf_json(out, nr_str_of(h->tags[i].key));
        nr_buf_addc(out, ':');
        nr_buf_json(out, nr_str_of(h->tags[i].value));
    }
    nr_buf_adds(out, "}}");
}

/* ---- reading ---- */

static int bad(struct nr_err *err, const char *what)
{
    return nr_err_set(err, NR_EPROTO, "HELLO: %s", what);
}

/* Printable ASCII without quotes and backslashes: these stand in logs, labels and documents. */
static bool is_plain(struct nr_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
            return false;
    }
    return true;
}

static bool is_of(struct nr_str s, struct nr_str letters)
{
    for (size_t i = 0; i < s.n; i++) {
        if (memchr(letters.p, s.p[i], letters.n) == NULL)
            return false;
    }
    return s.n > 0;
}

static int judge(const struct hello *h, struct nr_err *err)
{
    if (!is_of(h->name, NR_STR("abcdefghijklmnopqrstuvwxyz0123456789-")))
        return bad(err, "a name is 1 to 63 of the characters a-z, 0-9 and -");
    if (h->session.n != WIRE_SESSION_BYTES || !is_of(h->session, NR_STR("0123456789abcdef")))
        return bad(err, "a session is 32 hexadecimal digits");
    if (h->capabilities.n > 0 && nr_json_scan(h->capabilities) != NR_JSON_ARRAY)
        return bad(err, "capabilities are a JSON array");
    if (!is_plain(h->installation) || !is_plain(h->version) || !is_plain(h->arch))
        return bad(err, "installation, version and arch are printable words");
    return 0;
}

static int choose_protocol(const struct hello *h, int *ret, struct nr_err *err)
{
    int64_t most = h->protocol < WIRE_PROTOCOL ? h->protocol : WIRE_PROTOCOL;

    if (h->oldest > h->protocol || most < h->oldest || most < WIRE_PROTOCOL_OLDEST)
        return nr_err_set(err, NR_EPROTO,
                          "this controller speaks the protocols %d to %d, and the invoker %lld to "
                          "%lld: bring the older one up to date",
                          WIRE_PROTOCOL_OLDEST, WIRE_PROTOCOL, (long long)h->oldest,
                          (long long)h->protocol);
    *ret = (int)most;
    return 0;
}

static char *made(struct nr_str s)
{
    return nr_strndup(s.p ? s.p : "", s.n);
}

/* A list of plain texts. *ret (made) ends with NULL. */
static int read_list(struct nr_str json, size_t max, struct nr_arena *arena, char ***ret,
                     struct nr_err *err)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    struct nr_str text;
    size_t n = 0;

    if (json.n == 0)
        return 0;
    if (nr_json_kind_of(json) != NR_JSON_ARRAY)
        return bad(err, "kinds and images are lists");
    nr_json_walk_begin(&walk, json);
    while (nr_json_walk_next(&walk, &m)) {
        if (n == max)
            return bad(err, "more kinds or images than there may be");
        if (wire_read_text(m.value, TEXT_MAX_BYTES, arena, &text) < 0 || !is_plain(text))
            return bad(err, "a kind or an image is a printable word");
        (*ret)[n++] = made(text);
    }
    return 0;
}

static bool is_tag(struct nr_str s)
{
    return s.n > 0 && s.n <= WIRE_TAG_MAX_BYTES && is_plain(s) && !memchr(s.p, ',', s.n) &&
           !memchr(s.p, '=', s.n);
}

static int read_tags(struct nr_str json, struct nr_arena *arena, struct far_hello *h,
                     struct nr_err *err)
{
    struct nr_json_walk walk;
    struct nr_json_member m;
    struct nr_str value;

    if (json.n == 0)
        return 0;
    if (nr_json_kind_of(json) != NR_JSON_OBJECT)
        return bad(err, "tags are an object");
    nr_json_walk_begin(&walk, json);
    while (nr_json_walk_next(&walk, &m)) {
        if (h->tag_count == WIRE_TAGS_MAX)
            return bad(err, "more than 32 tags");
        if (!is_tag(m.key) || wire_read_text(m.value, WIRE_TAG_MAX_BYTES, arena, &value) < 0 ||
            !is_tag(value))
            return bad(err, "a tag's key and value are 1 to 63 printable characters without , = "
                            "and quotes");
        h->tags[h->tag_count++] = (struct far_tag){made(m.key), made(value)};
    }
    return 0;
}

static struct far_hello *make(const struct hello *flat, int protocol)
{
    struct far_hello *h = nr_alloc(sizeof(*h));

    *h = (struct far_hello){
        .protocol = protocol,
        .name = made(flat->name),
        .token = made(flat->token),
        .session = made(flat->session),
        .installation = made(flat->installation),
        .version = made(flat->version),
        .arch = made(flat->arch),
        .engine = made(flat->engine),
        .capabilities = made(flat->capabilities),
        .cores = flat->cores,
        .memory_max_mb = flat->memory_max_mb,
        .gpus = flat->gpus,
        .takes_images = flat->takes_images,
        .kinds = nr_alloc((WIRE_KINDS_MAX + 1) * sizeof(char *)),
        .images = nr_alloc((WIRE_IMAGES_MAX + 1) * sizeof(char *)),
        .tags = nr_alloc(WIRE_TAGS_MAX * sizeof(struct far_tag)),
    };
    return h;
}

/* The value of a member of an object that was scanned; n == 0: absent. */
static struct nr_str member(struct nr_str json, const char *key)
{
    struct nr_str value = {NULL, 0};

    (void)nr_json_scan_key(json, key, &value);
    return value;
}

static int read_rest(struct nr_str json, struct nr_arena *arena, struct far_hello *h,
                     struct nr_err *err)
{
    int r = read_list(member(json, "kinds"), WIRE_KINDS_MAX, arena, &h->kinds, err);

    if (r == 0)
        r = read_list(member(json, "images"), WIRE_IMAGES_MAX, arena, &h->images, err);
    return r == 0 ? read_tags(member(json, "tags"), arena, h, err) : r;
}

int wire_hello_read(struct nr_str json, struct far_hello **ret, struct nr_err *err)
{
    struct hello flat = {.oldest = 1};
    struct far_hello *h;
    struct nr_arena arena;
    int protocol = 0, r;

    nr_arena_init(&arena, WIRE_HELLO_MAX_BYTES);
    r = wire_read(&form, json, &arena, &flat, err);
    if (r == 0)
        r = choose_protocol(&flat, &protocol, err);
    if (r == 0)
        r = judge(&flat, err);
    if (r == 0) {
        h = make(&flat, protocol);
        r = read_rest(json, &arena, h, err);
        if (r == 0)
            *ret = h;
        else
            wire_hello_free(h);
    }
    nr_arena_fini(&arena);
    return r;
}

static void free_list(char **list)
{
    for (char **text = list; text && *text; text++)
        free(*text);
    free(list);
}

void wire_hello_fini(struct far_hello *h)
{
    nr_str_wipe(nr_str_of(h->token));
    char *const texts[] = {h->name,    h->token, h->session, h->installation,
                           h->version, h->arch,  h->engine,  h->capabilities};

    for (size_t i = 0; i < nr_countof(texts); i++)
        free(texts[i]);
    free_list(h->kinds);
    free_list(h->images);
    for (size_t i = 0; i < h->tag_count; i++) {
        free(h->tags[i].key);
        free(h->tags[i].value);
    }
    free(h->tags);
}

void wire_hello_free(struct far_hello *h)
{
    if (h)
        wire_hello_fini(h);
    free(h);
}
