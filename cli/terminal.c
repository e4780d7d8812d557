/* What the output is, and how wide a text is there.
 *
 * Widths are told by a table of our own, for wcwidth() knows nothing in the locale "C", where many a service and container runs.
 */
#include "cli/terminal.h"

#include <langinfo.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "common/base/mem.h"

#define COLUMNS_DEFAULT 80
#define COLUMNS_MIN 20
#define SECRET_MAX_BYTES (1 << 20)

static bool set_in(const char *name)
{
    const char *value = getenv(name);

    return value && value[0];
}

static unsigned columns_of(int fd, unsigned *ret_rows)
{
    struct winsize size = {0};
    const char *text = getenv("COLUMNS");
    int64_t told = 0;

    if (ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        size.ws_col = text && nr_str_to_i64(nr_str_of(text), 1, 10000, &told) ? (unsigned short)told
                                                                              : COLUMNS_DEFAULT;
    if (ret_rows)
        *ret_rows = size.ws_row ? size.ws_row : 24;
    return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

void terminal_find(struct terminal *t)
{
    const char *kind = getenv("TERM");
    bool dumb = kind && strcmp(kind, "dumb") == 0;

    *t = (struct terminal){
        .in = isatty(STDIN_FILENO), .out = isatty(STDOUT_FILENO), .err = isatty(STDERR_FILENO)};
    t->colour = t->out && !dumb && !set_in("NO_COLOR");
    t->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    t->columns = t->out ? columns_of(STDOUT_FILENO, NULL) : 0;
}

unsigned terminal_rows(struct terminal *t)
{
    unsigned rows = 0;

    if (t->out)
        t->columns = columns_of(STDOUT_FILENO, &rows);
    return rows;
}

/* ---- what is typed and not shown ----------------------------------------------------------------------------------------- */

/* Signals end the reading, so that the terminal shows again what is typed; they come only while it waits, so none is missed. */
static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP};

struct hidden {
    struct termios terminal;
    struct sigaction action[nr_countof(ends)];
    sigset_t mask;
};

static void on_signal(int number)
{
    (void)number;
}

static void hide(struct hidden *before)
{
    const struct sigaction wake = {.sa_handler = on_signal};
    struct termios quiet;
    sigset_t held;

    (void)sigemptyset(&held);
    for (size_t i = 0; i < nr_countof(ends); i++) {
        (void)sigaddset(&held, ends[i]);
        (void)sigaction(ends[i], &wake, &before->action[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &held, &before->mask);
    (void)tcgetattr(STDIN_FILENO, &before->terminal);
    quiet = before->terminal;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
}

static void show(const struct hidden *before)
{
    (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &before->terminal);
    for (size_t i = 0; i < nr_countof(ends); i++)
        (void)sigaction(ends[i], &before->action[i], NULL);
    (void)sigprocmask(SIG_SETMASK, &before->mask, NULL);
    (void)fputc('\n', stderr);
}

/* One byte of the standard input. `mask`: of the signals that end the wait for it; NULL: none does. */
static bool read_byte(const sigset_t *mask, char *ret)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};

    return (mask == NULL || ppoll(&in, 1, NULL, mask) == 1) && read(STDIN_FILENO, ret, 1) == 1;
}

/* Byte by byte: what comes behind the line is another reader's. */
static char *read_line(const sigset_t *mask)
{
    struct nr_buf line;
    char c = '\0', *text;
    bool more;

    nr_buf_init(&line, SECRET_MAX_BYTES);
    while ((more = read_byte(mask, &c)) && c != '\n' && !line.failed)
        nr_buf_addc(&line, c);
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    bool good = (more || mask == NULL) && line.n > 0 && !line.failed;

    text = good ? nr_strndup(line.p, line.n) : NULL;
    nr_str_wipe(nr_buf_str(&line));
    nr_buf_fini(&line);
    return text;
}

char *terminal_secret(const struct terminal *t, const char *what)
{
    struct hidden before;
    char *line;

    if (!t->in)
        return read_line(NULL);
    hide(&before);
    (void)fprintf(stderr, "%s: ", what); /* then only: who is asked may type at once */
    line = read_line(&before.mask);
    show(&before);
    return line;
}

const char *term_begin(const struct terminal *t, enum term_colour c)
{
    static const char *const sequences[COLOURS] = {
        [PLAIN] = "",        [BOLD] = "\033[1m",     [DIM] = "\033[2m",
        [RED] = "\033[31m",  [GREEN] = "\033[32m",   [YELLOW] = "\033[33m",
        [BLUE] = "\033[34m", [MAGENTA] = "\033[35m", [CYAN] = "\033[36m",
    };

    return t->colour ? sequences[c] : "";
}

const char *term_end(const struct terminal *t)
{
    return t->colour ? "\033[0m" : "";
}

/* ---- characters -------------------------------------------------------------------------------------------------------- */

struct range {
    uint32_t first, last;
    unsigned columns;
};

static const struct range ranges[] = {
    {0x0300, 0x036F, 0},   {0x0483, 0x0489, 0},   {0x0591, 0x05BD, 0},   {0x0610, 0x061A, 0},
    {0x064B, 0x065F, 0},   {0x1100, 0x115F, 2},   {0x1AB0, 0x1AFF, 0},   {0x1DC0, 0x1DFF, 0},
    {0x200B, 0x200F, 0},   {0x202A, 0x202E, 0},   {0x2060, 0x2064, 0},   {0x20D0, 0x20FF, 0},
    {0x2E80, 0x303E, 2},   {0x3041, 0xA4CF, 2},   {0xA960, 0xA97F, 2},   {0xAC00, 0xD7A3, 2},
    {0xF900, 0xFAFF, 2},   {0xFE00, 0xFE0F, 0},   {0xFE20, 0xFE2F, 0},   {0xFE30, 0xFE6F, 2},
    {0xFF00, 0xFF60, 2},   {0xFFE0, 0xFFE6, 2},   {0x1F300, 0x1F64F, 2}, {0x1F680, 0x1F6FF, 2},
    {0x1F900, 0x1F9FF, 2}, {0x20000, 0x3FFFD, 2}, {0xE0100, 0xE01EF, 0},
};

static unsigned columns_of_character(uint32_t character)
{
    for (size_t i = 0; i < nr_countof(ranges) && ranges[i].first <= character; i++)
        if (character <= ranges[i].last)
            return ranges[i].columns;
    return 1;
}

/* The character at the front of *s, which moves behind it; bytes that are no UTF-8 are one each. */
static uint32_t take_character(struct nr_str *s, size_t *ret_n)
{
    size_t n = nr_utf8_len(s->p, s->p + s->n);
    uint32_t character = (unsigned char)s->p[0];

    if (n > 1) {
        character &= 0xFFu >> (n + 1);
        for (size_t i = 1; i < n; i++)
            character = character << 6 | ((unsigned char)s->p[i] & 0x3F);
    }
    *ret_n = n;
    s->p += n ? n : 1;
    s->n -= n ? n : 1;
    return character;
}

unsigned text_columns(struct nr_str s)
{
    unsigned columns = 0;
    size_t n;

    while (s.n > 0)
        columns += columns_of_character(take_character(&s, &n));
    return columns;
}

unsigned text_add_cut(const struct terminal *t, struct nr_str s, unsigned columns,
                      struct nr_buf *out)
{
    unsigned used = 0, whole = text_columns(s);
    const char *from = s.p;
    size_t n;

    if (whole <= columns) {
        nr_buf_add(out, s.p, s.n);
        return whole;
    }
    if (columns == 0)
        return 0;
    while (s.n > 0) {
        struct nr_str before = s;
        unsigned next = columns_of_character(take_character(&s, &n));

        if (used + next > columns - 1) {
            s = before;
            break;
        }
        used += next;
    }
    nr_buf_add(out, from, (size_t)(s.p - from));
    nr_buf_adds(out, t->utf8 ? "\342\200\246" : "~"); /* … */
    return used + 1;
}

void text_add_clean(struct nr_str s, struct nr_buf *out)
{
    size_t n;

    while (s.n > 0) {
        const char *from = s.p;
        uint32_t character = take_character(&s, &n);
        bool control = character < 0x20 || (character >= 0x7F && character < 0xA0) ||
                       (character >= 0x202A && character <= 0x202E);

        if (character == '\n' || character == '\t' || character == '\r')
            nr_buf_addc(out, ' ');
        else if (n == 0 || control)
            nr_buf_addc(out, '?');
        else
            nr_buf_add(out, from, n);
    }
}

void text_add_bar(const struct terminal *t, double part, double whole, unsigned width,
                  struct nr_buf *out)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉", "█"};
    double share = whole > 0 ? part / whole : 0;
    unsigned filled = (unsigned)((share < 0 ? 0 : share > 1 ? 1 : share) * width * 8 + 0.5), at = 0;

    for (; at < filled / 8; at++)
        nr_buf_adds(out, t->utf8 ? eighths[8] : "#");
    if (filled % 8 && t->utf8) {
        nr_buf_adds(out, eighths[filled % 8]);
        at++;
    }
    for (; at < width; at++)
        nr_buf_addc(out, ' ');
}

void text_print_wrapped(FILE *out, const struct terminal *t, unsigned indent, unsigned at,
                        const char *text)
{
    unsigned limit = t->columns ? t->columns : UINT32_MAX, column = at;
    struct nr_str rest = nr_str_of(text), word;
    bool begins = true; /* a line: no blank in front of the word */

    if (limit < indent + 16) /* too narrow for columns: under each other */
        indent = 4;
    while (nr_str_split(&rest, ' ', &word)) {
        unsigned wide = text_columns(word);

        if (!begins && column + 1 + wide > limit) {
            (void)fprintf(out, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!begins) {
            (void)fputc(' ', out);
            column++;
        }
        (void)fwrite(word.p, 1, word.n, out);
        column += wide;
        begins = false;
    }
    (void)fputc('\n', out);
}

void text_print_row(FILE *out, const struct terminal *t, unsigned at, unsigned indent,
                    const char *head, const char *text)
{
    unsigned wide = at + text_columns(nr_str_of(head));
    bool narrow = t->columns && t->columns < indent + 16;

    (void)fputs(head, out);
    if (wide + 1 > indent || narrow) {
        indent = narrow ? 4 : indent;
        (void)fputc('\n', out);
        wide = 0;
    }
    (void)fprintf(out, "%*s", (int)(indent - wide), "");
    text_print_wrapped(out, t, indent, indent, text);
}
