/* Reads a trace: `owner,app,function,trigger,480,481,...`, a row a function, a count of calls a minute.
 *
 * Which columns are minutes is told by the header: those at its end that are numbers, each one more than the one before. Where the header names them otherwise
 * (`minute_1`), by the first row: all columns after the last that is no number. A file without a header is read too. Empty is 0; a count may be
 * written as 3.0. What is no count, a row of another width, too much of anything: refused with the line.
 */
#include "scaler/forecast/bench/bench.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

struct reader {
    FILE *from;
    char *line; /* made by getline */
    size_t room;
    uint64_t number;       /* of the line */
    size_t columns, named; /* fields of a row, and those before the minutes */
    size_t space;          /* functions there is room for */
    bool comma_last;       /* each line ends with one comma more */
};

static struct nr_str trimmed(struct nr_str s)
{
    while (s.n > 0 && strchr(" \t\r\n\"", s.p[0]) != NULL)
        s.p++, s.n--;
    while (s.n > 0 && strchr(" \t\r\n\"", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

/* The next field; false: there is none. Commas within double quotes belong to the field. */
static bool next_field(struct nr_str *rest, struct nr_str *ret)
{
    if (rest->p == NULL)
        return false;
    bool quoted = false;
    size_t i = 0;
    for (; i < rest->n && (quoted || rest->p[i] != ','); i++)
        quoted ^= rest->p[i] == '"';
    *ret = trimmed((struct nr_str){rest->p, i});
    *rest = i < rest->n ? (struct nr_str){rest->p + i + 1, rest->n - i - 1} : (struct nr_str){0};
    return true;
}

static struct nr_str without_last_comma(struct nr_str line)
{
    struct nr_str end = trimmed(line);
    if (end.n > 0 && end.p[end.n - 1] == ',')
        return (struct nr_str){line.p, (size_t)(end.p + end.n - 1 - line.p)};
    return line;
}

/* A count; false: it is none. */
static bool count_of(struct nr_str s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) {
        v = v * 10 + (uint64_t)(s.p[i] - '0');
        if (v > 1000000000000ULL)
            return false;
    }
    if (i == 0 && s.n > 0)
        return false;
    if (i < s.n && s.p[i] == '.')
        for (i++; i < s.n && s.p[i] == '0';)
            i++;
    *ret = v;
    return i == s.n;
}

/* The next line with something in it. 1: there is one, 0: the end. */
static int next_line(struct reader *r, struct nr_str *ret, struct nr_err *err)
{
    for (;;) {
        ssize_t n = getline(&r->line, &r->room, r->from);
        if (n < 0 && ferror(r->from))
            return nr_err_set(err, NR_EINVAL, "the trace cannot be read");
        if (n < 0)
            return 0;
        r->number++;
        if (n > TRACE_LINE_BYTES_MAX)
            return nr_err_set(err, NR_EINVAL, "line %llu has %zd bytes; at most %d are read",
                              (unsigned long long)r->number, n, TRACE_LINE_BYTES_MAX);
        *ret = (struct nr_str){r->line, (size_t)n};
        if (memchr(r->line, '\0', (size_t)n) != NULL)
            return nr_err_set(err, NR_EINVAL, "line %llu holds a zero byte: this is no text",
                              (unsigned long long)r->number);
        if (trimmed(*ret).n > 0)
            return 1;
    }
}

/* Fields of a line, and how many stand before the last run of numbers; `counted`: of numbers each one more than the one before. */
static size_t fields_of(struct nr_str line, bool counted, size_t *ret_named, uint64_t *ret_first)
{
    struct nr_str field;
    size_t n = 0;
    uint64_t v = 0, before = 0;
    *ret_named = 0;
    while (next_field(&line, &field)) {
        bool number = count_of(field, &v) && (!counted || field.n > 0);
        n++;
        if (!number)
            *ret_named = n;
        else if (counted && n > 1 && *ret_named < n - 1 && v != before + 1)
            *ret_named = n - 1;
        if (number && *ret_named == n - 1)
            *ret_first = v;
        before = v;
    }
    return n;
}

/* What the first line says of the columns; what it leaves open, the first row will. Returns whether it is a row already. */
static bool columns_of(struct reader *r, struct nr_str first, struct trace *t)
{
    uint64_t value = 0;
    size_t numbers, whole = first.n;
    first = without_last_comma(first);
    r->comma_last = first.n < whole;
    r->columns = fields_of(first, true, &r->named, &t->first_minute);
    fields_of(first, false, &numbers, &value);
    if (numbers == r->named && r->named < r->columns)
        return false;
    t->first_minute = 0;
    r->named = SIZE_MAX;
    return numbers < r->columns;
}

static int room_for_row(struct reader *r, struct trace *t, struct nr_err *err)
{
    if (t->functions >= TRACE_FUNCTIONS_MAX || (t->functions + 1) * t->minutes > TRACE_COUNTS_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "line %llu: at most %d functions and %llu counts are read",
                          (unsigned long long)r->number, TRACE_FUNCTIONS_MAX, TRACE_COUNTS_MAX);
    if (t->functions < r->space)
        return 0;
    size_t space = r->space == 0 ? 256 : r->space * 2;
    uint32_t *calls = nr_try_realloc(t->calls, space * t->minutes * sizeof *calls);
    if (calls == NULL)
        return nr_err_set(err, NR_EINVAL, "no memory for %zu functions of %zu minutes", space,
                          t->minutes);
    t->calls = calls;
    r->space = space;
    return 0;
}

static int read_row(struct reader *r, struct nr_str line, struct trace *t, struct nr_err *err)
{
    struct nr_str field;
    size_t n = 0;
    int rc = room_for_row(r, t, err);
    if (rc < 0)
        return rc;
    uint32_t *to = t->calls + t->functions * t->minutes;
    if (r->comma_last)
        line = without_last_comma(line);
    for (; next_field(&line, &field); n++) {
        uint64_t v = 0;
        if (n < r->named || n >= r->columns)
            continue;
        if (!count_of(field, &v))
            return nr_err_set(err, NR_EINVAL, "line %llu, column %zu: \"%.*s\" is no count",
                              (unsigned long long)r->number, n + 1,
                              (int)(field.n > 40 ? 40 : field.n), field.p);
        to[n - r->named] = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    }
    if (n != r->columns)
        return nr_err_set(err, NR_EINVAL, "line %llu has %zu columns, the first line has %zu",
                          (unsigned long long)r->number, n, r->columns);
    t->functions++;
    return 0;
}

static int first_row(struct reader *r, struct nr_str line, struct trace *t, struct nr_err *err)
{
    uint64_t value;
    if (r->named == SIZE_MAX)
        fields_of(r->comma_last ? without_last_comma(line) : line, false, &r->named, &value);
    t->minutes = r->columns > r->named ? r->columns - r->named : 0;
    if (t->minutes == 0 || t->minutes > TRACE_MINUTES_MAX)
        return nr_err_set(err, NR_EINVAL,
                          "%zu of %zu columns are minutes with counts; 1 to %d are read",
                          t->minutes, r->columns, TRACE_MINUTES_MAX);
    return 0;
}

static int read_all(struct reader *r, struct trace *t, struct nr_err *err)
{
    struct nr_str line;
    int rc = next_line(r, &line, err);
    if (rc <= 0)
        return rc < 0 ? rc : nr_err_set(err, NR_EINVAL, "the trace is empty");
    if (!columns_of(r, line, t))
        rc = next_line(r, &line, err);
    if (rc == 0)
        return nr_err_set(err, NR_EINVAL, "the trace has a header and no functions");
    if (rc > 0)
        rc = first_row(r, line, t, err);
    while (rc >= 0) {
        rc = read_row(r, line, t, err);
        if (rc >= 0)
            rc = next_line(r, &line, err);
        if (rc == 0)
            return 0;
    }
    return rc;
}

int trace_read(FILE *from, struct trace *ret, struct nr_err *err)
{
    struct reader r = {.from = from};
    struct trace t = {0};
    int rc = read_all(&r, &t, err);
    free(r.line);
    if (rc < 0)
        trace_fini(&t);
    else
        *ret = t;
    return rc;
}

void trace_fini(struct trace *t)
{
    free(t->calls);
    *t = (struct trace){0};
}
