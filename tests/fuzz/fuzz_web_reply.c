/* Results of web actions: first byte the extension and whether it is an error, then the result. Whatever it is, the head consists of
 * whole lines without control characters that name nothing of the server's, the type has none either, and the status can be sent. */
#include "tests/fuzz/fuzz.h"

#include "gateway/web_reply.h"

static void check_text(struct nr_str s)
{
    for (size_t i = 0; i < s.n; i++)
        nr_check(((unsigned char)s.p[i] >= ' ' || s.p[i] == '\t') && s.p[i] != 127);
}

static void check_line(struct nr_str line)
{
    static const char *const others[] = {"content-length", "transfer-encoding", "connection",
                                         "content-type", "x-request-id"};
    struct nr_str name;

    nr_check(line.n > 0 && line.p[line.n - 1] == '\r');
    line.n--;
    check_text(line);
    nr_check(nr_str_split(&line, ':', &name) && line.n > 0 && line.p[0] == ' ' && name.n > 0);
    nr_check(memchr(name.p, ' ', name.n) == NULL);
    for (size_t i = 0; i < nr_countof(others); i++)
        nr_check(!nr_str_ieqz(name, others[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct web_reply r;
    struct nr_str head, line;

    if (size < 1)
        return 0;
    web_reply_write((enum web_extension)((data[0] & 127) % WEB_EXTENSIONS),
                    (struct nr_str){(const char *)data + 1, size - 1}, data[0] & 128, &r);
    nr_check(r.status >= 200 && r.status <= 999);
    nr_check(r.refusal == NULL || r.status == 400 || r.status == 404);
    if (r.refusal == NULL) {
        head = nr_buf_str(&r.head);
        nr_check(head.n == 0 || head.p[head.n - 1] == '\n');
        while (head.n > 0 && nr_str_split(&head, '\n', &line))
            check_line(line);
        check_text(nr_buf_str(&r.type));
        nr_check(r.body.n == 0 || r.type.n > 0);
        nr_check(!r.head.failed && !r.body.failed && !r.type.failed);
    }
    web_reply_fini(&r);
    return 0;
}
