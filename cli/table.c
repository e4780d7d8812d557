/* A table: every cell is written as a text, the widths are fitted, the lines are printed. */
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "common/base/json.h"
#include "common/base/mem.h"

#define GAP 2
#define FIRST_COLUMNS 3 /* stay when others are left out for one that is whole */
#define CELLS_MAX_BYTES (64u << 20)

const json_t *json_at(const json_t *j, const char *path)
{
    struct nr_str rest = nr_str_of(path), key;
    char name[64];

    while (j && nr_str_split(&rest, '.', &key)) {
        (void)snprintf(name, sizeof(name), "%.*s", (int)key.n, key.p);
        j = json_object_get(j, name);
    }
    return j;
}

/* ---- the text of a cell ---------------------------------------------------------------------------------------------- */

struct unit {
    double size;
    const char *name;
};

static void add_unit(double value, const struct unit *units, size_t n, struct nr_buf *out)
{
    while (n > 1 && value < units->size) {
        units++;
        n--;
    }
    double shown = value / units->size;

    nr_buf_printf(out, shown < 10 && units->size > 1 ? "%.1f%s" : "%.0f%s", shown, units->name);
}

static void add_bytes(double bytes, struct nr_buf *out)
{
    static const struct unit units[] = {
        {1 << 30, " GB"}, {1 << 20, " MB"}, {1 << 10, " KB"}, {1, " B"}};

    add_unit(bytes, units, nr_countof(units), out);
}

static void add_age(double ms, struct nr_buf *out)
{
    static const struct unit units[] = {{86400, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}};

    add_unit(ms / 1000, units, nr_countof(units), out);
}

static void add_time(int64_t ms, struct nr_buf *out)
{
    char text[CLI_TIME_BYTES];

    cli_time_text(ms, text);
    nr_buf_adds(out, text);
}

static void add_plain(const json_t *value, struct nr_buf *out)
{
    if (json_is_string(value)) {
        text_add_clean((struct nr_str){json_string_value(value), json_string_length(value)}, out);
    } else if (json_is_integer(value)) {
        nr_buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    } else if (json_is_real(value)) {
        nr_buf_printf(out, "%.4g", json_real_value(value));
    } else {
        nr_auto_free char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

        text_add_clean(nr_str_of(text ? text : "?"), out);
    }
}

static void add_members(const json_t *value, struct nr_buf *out)
{
    const char *key;
    json_t *one;
    size_t i, from = out->n;

    json_array_foreach((json_t *)(uintptr_t)value, i, one) {
        nr_buf_adds(out, i ? "," : "");
        add_plain(one, out);
    }
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        nr_buf_adds(out, out->n > from ? " " : "");
        text_add_clean(nr_str_of(key), out);
        if (json_is_object(one) && json_object_size(one) == 1) /* {"prod":{"version":2}} */
            one = json_object_iter_value(json_object_iter(one));
        nr_buf_addc(out, '=');
        add_plain(one, out);
    }
    if (out->n == from)
        nr_buf_addc(out, '-');
}

void cell_add(const json_t *value, enum cell_form form, struct nr_buf *out)
{
    bool number = json_is_number(value);

    if (form == CELL_LIMIT && (json_is_null(value) || json_number_value(value) < 0)) {
        nr_buf_adds(out, "none");
        return;
    }
    if (value == NULL || json_is_null(value) ||
        (json_is_string(value) && json_string_length(value) == 0)) {
        nr_buf_addc(out, '-');
        return;
    }
    switch (number ? form : form < CELL_LIST ? CELL_TEXT : form) {
    case CELL_MB: nr_buf_printf(out, "%.0f MB", json_number_value(value)); break;
    case CELL_MS:
        nr_buf_printf(out, json_is_real(value) ? "%.1f ms" : "%.0f ms", json_number_value(value));
        break;
    case CELL_BYTES: add_bytes(json_number_value(value), out); break;
    case CELL_TIME: add_time((int64_t)json_number_value(value), out); break;
    case CELL_AGE: add_age(json_number_value(value), out); break;
    case CELL_YES: nr_buf_adds(out, json_is_true(value) ? "yes" : "-"); break;
    case CELL_LIST:
    case CELL_OBJECT:
        if (json_is_array(value) || json_is_object(value)) {
            add_members(value, out);
            break;
        }
        /* fall through */
    default: add_plain(value, out);
    }
}

static void add_cell(const struct column *column, const json_t *row, struct nr_buf *out)
{
    size_t from = out->n;

    if (column->write)
        column->write(row, out);
    else
        cell_add(json_at(row, column->path), column->form, out);
    if (out->n == from)
        nr_buf_addc(out, '-');
}

/* ---- the widths -------------------------------------------------------------------------------------------------------- */

static unsigned least_of(const struct table_room *r, bool cuts_whole)
{
    return r->min && r->min < r->width && (cuts_whole || !r->whole) ? r->min : r->width;
}

static unsigned sum_of(const struct table_room *room, size_t count)
{
    unsigned sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += room[i].width + (i ? GAP : 0);
    return sum;
}

static unsigned least_sum(const struct table_room *room, size_t count, bool cuts_whole)
{
    unsigned sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += least_of(&room[i], cuts_whole) + (i ? GAP : 0);
    return sum;
}

/* The widest that can still be cut; count when there is none. */
static size_t widest(const struct table_room *room, size_t count, bool cuts_whole)
{
    size_t best = count;

    for (size_t i = 0; i < count; i++)
        if (room[i].width > least_of(&room[i], cuts_whole) &&
            (best == count || room[i].width > room[best].width))
            best = i;
    return best;
}

size_t table_fit(struct table_room *room, size_t count, unsigned limit)
{
    size_t shown = count, at;

    if (limit == 0)
        return count;
    while (shown > FIRST_COLUMNS && least_sum(room, shown, false) > limit)
        shown--;
    while (shown > 1 && least_sum(room, shown, true) > limit)
        shown--;
    for (int cuts_whole = 0; cuts_whole < 2; cuts_whole++)
        while (sum_of(room, shown) > limit && (at = widest(room, shown, cuts_whole)) < shown)
            room[at].width--;
    if (shown == 1 && room[0].width > limit)
        room[0].width = limit;
    return shown;
}

/* ---- printing ------------------------------------------------------------------------------------------------------------ */

struct grid {
    const struct column **column;
    struct table_room *room;
    size_t count, rows; /* columns; rows with the titles */
    struct nr_buf text; /* all cells, one behind the other */
    size_t *end;        /* of each cell in text */
};

static struct nr_str cell(const struct grid *g, size_t row, size_t i)
{
    size_t at = row * g->count + i, from = at ? g->end[at - 1] : 0;

    return (struct nr_str){g->text.p + from, g->end[at] - from};
}

static enum term_colour colour_of(const struct column *column, struct nr_str text, size_t row)
{
    static const struct {
        const char *word;
        enum term_colour colour;
    } colours[] = {
        {"LATEST", GREEN},
        {"PUBLISHED", CYAN},
        {"ACTIVE", GREEN},
        {"ready", GREEN},
        {"success", GREEN},
        {"present", GREEN},
        {"done", GREEN},
        {"yes", GREEN},
        {"BLOCKED", YELLOW},
        {"UPDATING", BLUE},
        {"SUSPENDED", YELLOW},
        {"pulling", BLUE},
        {"running", BLUE},
        {"added", GREEN},
        {"changed", YELLOW},
        {"removed", RED},
        {"RETIRED", RED},
        {"DELETING", RED},
        {"missing", RED},
        {"failed", RED},
        {"no", RED},
        {"cancelled", YELLOW},
        {"application error", YELLOW},
        {"developer error", RED},
        {"internal error", RED},
    };

    if (row == 0)
        return BOLD;
    for (size_t i = 0; column->form == CELL_STATE && i < nr_countof(colours); i++)
        if (nr_str_eqz(text, colours[i].word))
            return colours[i].colour;
    return PLAIN;
}

static void print_line(FILE *out, const struct terminal *t, const struct grid *g, size_t row,
                       size_t shown, struct nr_buf *line)
{
    nr_buf_reset(line, 1 << 16);
    for (size_t i = 0; i < shown; i++) {
        const struct column *column = g->column[i];
        bool right = column->form >= CELL_NUMBER && column->form <= CELL_BYTES;
        struct nr_str text = cell(g, row, i);
        unsigned wide = text_columns(text), room = g->room[i].width;
        unsigned pad = wide < room ? room - wide : 0;
        enum term_colour colour = colour_of(column, text, row);

        for (unsigned k = 0; right && k < pad; k++)
            nr_buf_addc(line, ' ');
        nr_buf_adds(line, colour ? term_begin(t, colour) : "");
        (void)text_add_cut(t, text, room, line);
        nr_buf_adds(line, colour ? term_end(t) : "");
        for (unsigned k = 0; i + 1 < shown && k < (right ? 0 : pad) + GAP; k++)
            nr_buf_addc(line, ' ');
    }
    (void)fwrite(line->p, 1, line->n, out);
    (void)fputc('\n', out);
}

static void fill(struct grid *g, const json_t *rows)
{
    for (size_t row = 0; row < g->rows; row++)
        for (size_t i = 0; i < g->count; i++) {
            if (row == 0)
                nr_buf_adds(&g->text, g->column[i]->title);
            else
                add_cell(g->column[i], json_array_get(rows, row - 1), &g->text);
            g->end[row * g->count + i] = g->text.n;
            unsigned wide = text_columns(cell(g, row, i));

            if (wide > g->room[i].width)
                g->room[i].width = wide;
        }
}

void table_print(FILE *out, const struct terminal *t, bool wide, const struct column *columns,
                 size_t count, const json_t *rows)
{
    nr_auto_free const struct column **column = nr_alloc(count * sizeof(*column));
    nr_auto_free struct table_room *room = nr_alloc(count * sizeof(*room));
    struct grid g = {.column = column, .room = room, .rows = json_array_size(rows) + 1};
    struct nr_buf line;

    for (size_t i = 0; i < count; i++)
        if (wide || !columns[i].wide) {
            g.room[g.count] = (struct table_room){.min = columns[i].min, .whole = columns[i].whole};
            g.column[g.count++] = &columns[i];
        }
    nr_auto_free size_t *ends = nr_try_alloc(g.rows * g.count * sizeof(*ends));

    g.end = ends;
    nr_buf_init(&g.text, CELLS_MAX_BYTES);
    nr_buf_init(&line, 1 << 20);
    if (ends)
        fill(&g, rows);
    if (ends == NULL || g.text.failed) {
        (void)fprintf(stderr, "narae: no memory for a table of %zu rows; -o json needs less\n",
                      g.rows);
    } else {
        size_t shown = table_fit(g.room, g.count, t->columns);

        for (size_t row = 0; row < g.rows; row++)
            print_line(out, t, &g, row, shown, &line);
    }
    nr_buf_fini(&line);
    nr_buf_fini(&g.text);
}

void fields_print(FILE *out, const struct terminal *t, bool wide, const struct column *columns,
                  size_t count, const json_t *object)
{
    unsigned title = 0;
    struct nr_buf line;

    for (size_t i = 0; i < count; i++)
        if (strlen(columns[i].title) > title)
            title = (unsigned)strlen(columns[i].title);
    nr_buf_init(&line, 1 << 20);
    for (size_t i = 0; i < count; i++) {
        struct nr_buf text;

        if ((columns[i].wide && !wide) ||
            (columns[i].write == NULL && json_at(object, columns[i].path) == NULL))
            continue;
        nr_buf_init(&text, 1 << 20);
        nr_buf_reset(&line, 1 << 16);
        add_cell(&columns[i], object, &text);
        enum term_colour colour = colour_of(&columns[i], nr_buf_str(&text), 1);
        nr_buf_printf(&line, "%s%-*s%s  %s", term_begin(t, DIM), (int)title, columns[i].title,
                      term_end(t), colour ? term_begin(t, colour) : "");
        (void)text_add_cut(t, nr_buf_str(&text),
                           t->columns > title + 4 ? t->columns - title - GAP
                           : t->columns           ? 4
                                                  : UINT32_MAX,
                           &line);
        nr_buf_adds(&line, colour ? term_end(t) : "");
        (void)fwrite(line.p, 1, line.n, out);
        (void)fputc('\n', out);
        nr_buf_fini(&text);
    }
    nr_buf_fini(&line);
}
