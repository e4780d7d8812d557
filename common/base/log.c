/* A record is put together in memory and leaves in one write under the stream's lock, flushed: the line of a process that is
 * killed next is already out. Text form: a message cannot make a second line, its control characters are written as escapes.
 */
#include "common/base/log.h"

#include <stdarg.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

enum { MESSAGE_BYTES = 4096, LINE_BYTES = 6 * MESSAGE_BYTES + 512 };

static const char *const level_names[] = {
    [NR_LOG_ERROR] = "error",
    [NR_LOG_WARN] = "warn",
    [NR_LOG_INFO] = "info",
    [NR_LOG_DEBUG] = "debug",
};

int nr_log_level_of(const char *name)
{
    for (size_t i = 0; i < nr_countof(level_names); i++)
        if (strcmp(name, level_names[i]) == 0)
            return (int)i;
    return -1;
}

static void add_visible(struct nr_buf *b, const char *s)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '\n')
            nr_buf_adds(b, "\\n");
        else if (c < ' ' || c == 0x7F)
            nr_buf_printf(b, "\\x%02x", c);
        else if (c == 0xC2 && (s[1] & 0xE0) == 0x80) /* U+0080..U+009F, as UTF-8 */
            nr_buf_printf(b, "\\xc2\\x%02x", (unsigned char)*++s);
        else
            nr_buf_addc(b, *s);
    }
}

static void text_line(struct nr_buf *b, const char *when, const char *level, const char *component,
                      const char *message)
{
    nr_buf_printf(b, "%s %-5s %-8s ", when, level, component);
    add_visible(b, message);
}

static void json_line(struct nr_buf *b, const char *when, const char *level, const char *component,
                      const char *message)
{
    nr_buf_printf(b, "{\"time\":\"%s\",\"level\":\"%s\",\"component\":", when, level);
    nr_buf_json(b, nr_str_of(component));
    nr_buf_adds(b, ",\"msg\":");
    nr_buf_json(b, nr_str_of(message));
    nr_buf_addc(b, '}');
}

void nr_log_write(struct nr_log *l, enum nr_log_level level, const char *component, const char *fmt,
                  ...)
{
    char message[MESSAGE_BYTES], when[25];
    struct nr_buf line;
    va_list ap;

    va_start(ap, fmt);
    int n = vsnprintf(message, sizeof(message), fmt, ap);
    va_end(ap);
    if (n >= (int)sizeof(message))
        memcpy(message + sizeof(message) - 4, "...", 4);
    nr_wall_text(nr_wall_ms(), when);
    nr_buf_init(&line, LINE_BYTES);
    (l->json ? json_line : text_line)(&line, when, level_names[level], component, message);
    nr_buf_addc(&line, '\n');
    if (!line.failed) {
        flockfile(l->out);
        (void)fwrite_unlocked(line.p, 1, line.n, l->out);
        (void)fflush_unlocked(l->out);
        funlockfile(l->out);
    }
    nr_buf_fini(&line);
}
