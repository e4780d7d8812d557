/* Deploys of own images over an invoker that answers as it is told: what is asked of it, with which credentials, and what its refusals become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/image.h"
#include "tests/unit/fnmanager/rig.h"

#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST2 "sha256:1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The host and the registry as one. */
struct host {
    struct rig rig; /* first: it is the argument of the port */
    const char *digest, *local;
    int code; /* of a refusal of the registry; 0: it gives */
    bool away;
    int full; /* pulls that find no space */
    int asks, pulls, removals;
    char here[4][256]; /* pins that are on the host */
    char auth[512];    /* of the last question */
};

static char *place_of(struct host *h, const char *pin)
{
    for (size_t i = 0; i < nr_countof(h->here); i++)
        if (strcmp(h->here[i], pin) == 0)
            return h->here[i];
    return NULL;
}

static int find(struct host *h, struct image_call *c)
{
    bool local = h->local && strcmp(h->local, c->reference) == 0;

    if (h->away)
        return nr_err_set(&c->err, NR_EUNAVAIL, "Engine GET /secret/path: gone");
    if (!local && place_of(h, c->reference) == NULL)
        return nr_err_set(&c->err, NR_ENOENT, "not here");
    c->found =
        local ? json_pack("{s:[s], s:[]}", "RepoTags", h->local, "RepoDigests") : json_object();
    (void)snprintf(c->id, sizeof(c->id), "sha256:0a");
    c->bytes = 1000;
    c->fits = c->has_command = true;
    return 0;
}

static int ask(struct host *h, struct image_call *c)
{
    h->asks++;
    (void)snprintf(h->auth, sizeof(h->auth), "%s", c->auth ? c->auth : "");
    (void)snprintf(c->digest, sizeof(c->digest), "%s", h->digest);
    return h->code ? nr_err_set(&c->err, h->code, "The image '%s' is refused.", c->reference) : 0;
}

static int pull(struct host *h, struct image_call *c)
{
    const struct image_progress half = {2, 1, 500, 1000};
    char *place = place_of(h, "");

    h->pulls++;
    c->progress(c, &half);
    if (h->full > 0) {
        h->full--;
        return nr_err_set(&c->err, NR_ENOSPC, "no space left");
    }
    assert_non_null(place);
    (void)snprintf(place, sizeof(h->here[0]), "%s", c->reference);
    return 0;
}

static int remove_one(struct host *h, struct image_call *c)
{
    char *place = place_of(h, c->reference);

    assert_non_null(place);
    place[0] = '\0';
    h->removals++;
    return 0;
}

static void on_image(void *arg, struct image_call *c)
{
    static int (*const run[IMAGE_OPS])(struct host * h, struct image_call * c) = {
        [IMAGE_FIND] = find, [IMAGE_ASK] = ask, [IMAGE_PULL] = pull, [IMAGE_REMOVE] = remove_one};

    (void)run[c->op](arg, c);
    c->done(c);
}

static struct host *begin(void)
{
    struct host *h = nr_alloc(sizeof(*h));

    h->digest = DIGEST;
    rig_begin(&h->rig);
    rig_close(&h->rig);
    h->rig.config.image = on_image;
    h->rig.config.registries = "r.example,r.example:5000";
    rig_open(&h->rig);
    return h;
}

static void end(struct host *h)
{
    char key[128];

    (void)snprintf(key, sizeof(key), "%s.secret.key", h->rig.dir);
    rig_end(&h->rig);
    (void)unlink(key);
    free(h);
}

static char *deploy(struct host *h, const char *name, const char *image, int status)
{
    char body[512];

    (void)snprintf(body, sizeof(body), "{\"exec\":{\"kind\":\"blackbox\",\"image\":\"%s\"}}",
                   image);
    return rig_put(&h->rig, name, body, true, status);
}

static void expect(char *body, const char *part)
{
    if (strstr(body, part) == NULL)
        fail_msg("no %s in %s", part, body);
    free(body);
}

static void a_deploy_is_pinned_and_pulled_once(void **state)
{
    struct host *h = begin();

    expect(deploy(h, "f", "r.example/a:1", 200),
           "{\"key\":\"narae.image\",\"value\":\"r.example/a@" DIGEST "\"}");
    expect(deploy(h, "g", "r.example/a:1", 200), DIGEST);
    assert_int_equal(h->asks, 2); /* each deploy is let have it anew */
    assert_int_equal(h->pulls, 1);
    h->digest = DIGEST2;
    expect(rig_put(&h->rig, "f", "{\"limits\":{\"memory\":128}}", true, 200), DIGEST);
    assert_int_equal(h->asks, 2);
    expect(deploy(h, "f", "r.example/a:1", 200), DIGEST2);
    assert_int_equal(h->pulls, 2);
    struct rig_reply reply = rig_call(&h->rig, h->rig.guest, FN_RESOLVE, NULL, "f", NULL, false);

    assert_string_equal(reply.fn->image, "r.example/a@" DIGEST2);
    assert_true(reply.fn->relay);
    rig_reply_fini(&reply);
    end(h);
}

static void a_local_image_asks_nobody(void **state)
{
    struct host *h = begin();

    h->local = "mine:1";
    expect(deploy(h, "f", "mine:1", 200), "{\"key\":\"narae.image\",\"value\":\"sha256:0a\"}");
    assert_int_equal(h->asks + h->pulls, 0);
    end(h);
}

static void refusals_leave_everything_as_it_was(void **state)
{
    static const int codes[][2] = {{NR_EINVAL, 400},
                                   {NR_EFORBIDDEN, 403},
                                   {NR_EUNAVAIL, 503},
                                   {NR_ETOOBIG, 413},
                                   {NR_EQUOTA, 429}};
    struct host *h = begin();

    free(deploy(h, "f", "r.example/a:1", 200));
    for (size_t i = 0; i < nr_countof(codes); i++) {
        h->code = codes[i][0];
        expect(deploy(h, "f", "r.example/b:1", codes[i][1]), "'r.example/b:1' is refused");
        expect(deploy(h, "g", "r.example/b:1", codes[i][1]), "is refused");
    }
    h->code = 0;
    expect(deploy(h, "f", "elsewhere.example/a", 403), "--registries");
    expect(deploy(h, "f", "python", 403), "'docker.io'");
    h->away = true;
    char *text = deploy(h, "f", "r.example/b:1", 503);

    assert_null(strstr(text, "/secret/path"));
    free(text);
    h->away = false;
    struct rig_reply reply = rig_call(&h->rig, h->rig.guest, FN_ACTION_GET, NULL, "f", NULL, false);

    assert_non_null(strstr(reply.body, "r.example/a@" DIGEST));
    rig_reply_fini(&reply);
    reply = rig_call(&h->rig, h->rig.guest, FN_ACTION_GET, NULL, "g", NULL, false);
    assert_int_equal(reply.status, 404);
    rig_reply_fini(&reply);
    assert_int_equal(h->pulls, 1);
    end(h);
}

static void a_full_disk_is_swept_and_tried_again(void **state)
{
    struct host *h = begin();

    free(deploy(h, "old", "r.example/old:1", 200));
    struct rig_reply reply =
        rig_call(&h->rig, h->rig.guest, FN_ACTION_DELETE, NULL, "old", NULL, false);

    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    free(deploy(h, "kept", "r.example/kept:1", 200));
    h->full = 1;
    h->digest = DIGEST2;
    expect(deploy(h, "f", "r.example/f:1", 200), DIGEST2);
    assert_int_equal(h->removals, 1);
    assert_non_null(place_of(h, "r.example/kept@" DIGEST));
    assert_null(place_of(h, "r.example/old@" DIGEST));
    h->full = 1; /* nothing is left to sweep */
    expect(deploy(h, "g", "r.example/g:1", 507), "no space left");
    assert_int_equal(h->removals, 1);
    end(h);
}

/* What the registry is shown, as the Engine would send it. */
static json_t *shown(const struct host *h)
{
    char text[512];
    unsigned char out[512];
    size_t n = strlen(h->auth);

    memcpy(text, h->auth, n + 1);
    for (char *p = text; *p; p++)
        *p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
    ssize_t k = nr_base64_decode((struct nr_str){text, n}, out);

    assert_true(k > 0);
    return nr_json_parse((struct nr_str){(char *)out, (size_t)k}, NULL);
}

static struct rig_reply registry(struct host *h, struct account *who, enum fn_op op,
                                 const char *host, const char *body)
{
    struct fn_call call = {
        .op = op, .account = who, .item = nr_str_of(host), .body = nr_str_of(body ? body : "")};

    return rig_run(&h->rig, &call);
}

static void credentials_are_one_accounts_for_one_host(void **state)
{
    struct host *h = begin();
    struct rig_reply reply = registry(h, h->rig.guest, FN_REGISTRY_PUT, "R.example",
                                      "{\"username\":\"u\",\"password\":\"p?>~\\u00e9\"}");

    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, "{\"host\":\"r.example\",\"username\":\"u\"}");
    rig_reply_fini(&reply);
    rig_close(&h->rig); /* they survive a restart */
    rig_open(&h->rig);
    free(deploy(h, "f", "r.example/a:1", 200));
    nr_auto_json json_t *auth = shown(h);

    assert_string_equal(nr_json_string(auth, "username"), "u");
    assert_string_equal(nr_json_string(auth, "password"), "p?>~\xc3\xa9");
    assert_string_equal(nr_json_string(auth, "serveraddress"), "r.example");
    free(deploy(h, "f", "r.example:5000/a:1", 200)); /* another host */
    assert_string_equal(h->auth, "");
    reply = rig_call(&h->rig, h->rig.admin, FN_ACTION_PUT, NULL, "f",
                     "{\"exec\":{\"kind\":\"blackbox\",\"image\":\"r.example/a:1\"}}", true);
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    assert_string_equal(h->auth, ""); /* another account */
    char *given = NULL;

    fnmanager_registry_auth(h->rig.m, "guest", "r.example/a@" DIGEST, &given); /* as a start asks */
    assert_non_null(given);
    free(given);
    reply = registry(h, h->rig.admin, FN_REGISTRY_DELETE, "r.example", NULL);
    assert_int_equal(reply.status, 404);
    rig_reply_fini(&reply);
    reply = registry(h, h->rig.guest, FN_REGISTRY_DELETE, "r.example", NULL);
    assert_int_equal(reply.status, 200);
    rig_reply_fini(&reply);
    free(deploy(h, "f", "r.example/a:1", 200));
    assert_string_equal(h->auth, "");
    end(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deploy_is_pinned_and_pulled_once),
        cmocka_unit_test(a_local_image_asks_nobody),
        cmocka_unit_test(refusals_leave_everything_as_it_was),
        cmocka_unit_test(a_full_disk_is_swept_and_tried_again),
        cmocka_unit_test(credentials_are_one_accounts_for_one_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
