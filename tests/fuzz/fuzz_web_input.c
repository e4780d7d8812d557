/* Requests of web actions: first byte how the function wants them, a line of query, header lines, an empty line, the body. What the
 * function is given is one JSON object; only the platform names `__ow_` parameters, each once; what is final is not given. What is
 * refused has a 4xx and a sentence. */
#include "tests/fuzz/fuzz.h"

#include "common/base/json_walk.h"
#include "gateway/web_input.h"

static const char *const platforms[] = {"__ow_body", "__ow_headers", "__ow_method",
                                        "__ow_path", "__ow_query",   "__ow_user"};

static void check_object(struct nr_str object, bool raw)
{
    unsigned seen[nr_countof(platforms)] = {0};
    struct nr_json_walk walk;
    struct nr_json_member m;

    nr_check(nr_json_scan(object) == NR_JSON_OBJECT);
    nr_json_walk_begin(&walk, object);
    while (nr_json_walk_next(&walk, &m)) {
        char *name = nr_alloc(m.key.n + 1);
        bool known = false;

        name[nr_json_decode(m.key, name)] = '\0';
        for (size_t i = 0; i < nr_countof(platforms); i++)
            if (strcmp(name, platforms[i]) == 0) {
                known = true;
                nr_check(++seen[i] == 1);
            }
        nr_check(known || strncmp(name, "__ow_", 5) != 0);
        nr_check(raw || strcmp(name, "final") != 0);
        free(name);
    }
    nr_check(seen[1] == 1 && seen[2] == 1 && seen[3] == 1);
}

/* Takes header lines up to an empty one; names come lower-cased from the server. */
static void take_headers(struct nr_str *rest, struct nr_http_req *r)
{
    struct nr_str line, name;

    while (nr_str_split(rest, '\n', &line) && line.n > 0)
        if (r->header_count < NR_HTTP_HEADERS_MAX && nr_str_split(&line, ':', &name) && line.p)
            r->headers[r->header_count++] = (struct nr_http_header){name, line};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char final_name[] = "final", *finals[] = {final_name, NULL};
    static const struct web_parameter more[] = {{NR_STR("id"), NR_STR("a \"b\"")}};
    struct nr_str rest = {(const char *)data + 1, size ? size - 1 : 0};
    struct nr_http_req *r = nr_alloc(sizeof(*r));
    struct nr_err err = {0};
    struct nr_buf out;

    if (size > 0) {
        r->method = (enum nr_http_method)(data[0] & 7);
        (void)nr_str_split(&rest, '\n', &r->query);
        take_headers(&rest, r);
        r->body = rest;
        const struct web_input in = {
            .http = r,
            .path = NR_STR("/x"),
            .user = data[0] & 8 ? NR_STR("guest") : (struct nr_str){NULL, 0},
            .raw = data[0] & 16,
            .final_names = data[0] & 32 ? finals : NULL,
            .more = more,
            .more_count = data[0] & 64 ? 1 : 0,
            .hide_authorization = data[0] & 128,
        };
        nr_buf_init(&out, WEB_INPUT_MAX_BYTES);
        int status = web_input_write(&in, &out, &err);

        if (status == 0)
            check_object(nr_buf_str(&out), in.raw || !in.final_names);
        else
            nr_check(status >= 400 && status < 500 && err.text[0] != '\0');
        nr_buf_fini(&out);
    }
    free(r);
    return 0;
}
