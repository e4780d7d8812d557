/* Components as texts: a body's are made whole, stored ones are read back. */
#include "fnmanager/functions/sequence.h"

#include "common/base/json.h"
#include "common/base/mem.h"
#include "ports/target.h"

#define TEXT_MAX_BYTES 65536

static int read_all(const json_t *components, const char *account, struct sequence *s,
                    struct nr_err *err)
{
    size_t i;
    json_t *e;

    s->step = nr_alloc(json_array_size(components) * sizeof(*s->step));
    json_array_foreach(components, i, e) {
        const struct nr_str text = {json_string_value(e), json_string_length(e)};
        int r = function_target_read(text, account, &s->step[i], err);
        if (r < 0)
            return r;
        s->count = i + 1;
    }
    return 0;
}

int sequence_read(const json_t *components, const char *account, struct sequence *ret,
                  struct nr_err *err)
{
    *ret = (struct sequence){0};
    if (json_array_size(components) == 0)
        return nr_err_set(err, NR_EINVAL, "No component specified for the sequence.");
    if (json_array_size(components) > SEQUENCE_MAX)
        return nr_err_set(err, NR_EINVAL, "Too many actions in the sequence.");
    return read_all(components, account, ret, err);
}

int sequence_load(const char *text, struct sequence *ret, struct nr_err *err)
{
    nr_auto_json json_t *components = *text != '\0' ? nr_json_parse(nr_str_of(text), NULL) : NULL;

    *ret = (struct sequence){0};
    if (*text == '\0')
        return 0;
    if (sequence_read(components, "_", ret, NULL) < 0)
        return nr_err_set(err, NR_ECORRUPT, "Resource is corrupted and cannot be read.");
    return 0;
}

void sequence_fini(struct sequence *s)
{
    for (size_t i = 0; i < s->count; i++)
        function_target_fini(&s->step[i]);
    free(s->step);
    *s = (struct sequence){0};
}

char *sequence_text(const struct sequence *s)
{
    struct nr_buf out, one;
    char *text;

    nr_buf_init(&out, TEXT_MAX_BYTES);
    nr_buf_init(&one, TEXT_MAX_BYTES);
    nr_buf_addc(&out, '[');
    for (size_t i = 0; i < s->count; i++) {
        nr_buf_reset(&one, TEXT_MAX_BYTES);
        function_target_write(&s->step[i], &one);
        nr_buf_adds(&out, i > 0 ? "," : "");
        nr_buf_json(&out, nr_buf_str(&one));
    }
    nr_buf_addc(&out, ']');
    text = nr_buf_detach(&out, NULL);
    nr_buf_fini(&out);
    nr_buf_fini(&one);
    return text;
}

json_t *sequence_movable(const char *text, struct nr_str account)
{
    json_t *out = json_array();
    struct sequence s;

    if (sequence_load(text, &s, NULL) < 0)
        s.count = 0;
    for (size_t i = 0; i < s.count; i++) {
        struct nr_buf one;

        if (nr_str_eqz(account, s.step[i].account))
            memcpy(s.step[i].account, "_", 2); /* a name has one character at least */
        nr_buf_init(&one, TEXT_MAX_BYTES);
        function_target_write(&s.step[i], &one);
        (void)json_array_append_new(out, json_stringn(one.p, one.n));
        nr_buf_fini(&one);
    }
    sequence_fini(&s);
    return out;
}
