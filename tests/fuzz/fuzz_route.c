/* Paths of requests: first byte the method, the rest the path. What is found names a row that answers this method; no part that
 * passes the rule for names holds a slash, a NUL or a dot segment; what is not found is a 404, or a 405 that names methods. */
#include "tests/fuzz/fuzz.h"

#include "gateway/internal.h"

static void check_name(struct nr_str name)
{
    if (name.p == NULL || entity_name_check(name, NULL) != 0)
        return;
    nr_check(name.n > 0 && name.n <= 256);
    nr_check(memchr(name.p, '/', name.n) == NULL && memchr(name.p, '\0', name.n) == NULL);
    nr_check(name.p[0] != '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct nr_str part[PART_COUNT];
    struct path path;
    struct nr_buf methods;
    int status = 0;

    if (size < 1)
        return 0;
    enum nr_http_method method = (enum nr_http_method)(data[0] % (NR_HTTP_OTHER + 1));
    char *room = nr_alloc(size);
    if (route_split((struct nr_str){(const char *)data + 1, size - 1}, room, &path) == 0) {
        nr_buf_init(&methods, 64);
        const struct route *r = route_find(method, &path, part, &status, &methods);

        if (r) {
            nr_check(r->method == method);
            check_name(part[PART_NAMESPACE]);
            check_name(part[PART_PACKAGE]);
            check_name(part[PART_NAME]);
            check_name(part[PART_ACCOUNT]);
        } else {
            nr_check(status == (methods.n ? 405 : 404) && !methods.failed);
        }
        nr_buf_fini(&methods);
    }
    free(room);
    return 0;
}
