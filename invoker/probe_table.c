/* The table that the probe fills: lines of text, told to the log and as JSON. */
#include "invoker/probe_table.h"

#include <stdarg.h>
#include <stdio.h>

void probe_found(struct probe *p, const char *name, bool yes, const char *fmt, ...)
{
    struct capability *c =
        &p->table[p->count < CAPABILITIES_MAX ? p->count++ : CAPABILITIES_MAX - 1];
    va_list ap;

    *c = (struct capability){.yes = yes};
    (void)snprintf(c->name, sizeof(c->name), "%s", name);
    va_start(ap, fmt);
    (void)vsnprintf(c->value, sizeof(c->value), fmt, ap);
    va_end(ap);
}

void probe_next(struct probe *p, const char *fmt, ...)
{
    struct capability *c = &p->table[p->count - 1];
    va_list ap;

    if (c->yes)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(c->next, sizeof(c->next), fmt, ap);
    va_end(ap);
}

void probe_tell(const struct probe *p, struct nr_log *log)
{
    for (unsigned i = 0; i < p->count; i++) {
        const struct capability *c = &p->table[i];

        nr_log(log, c->yes ? NR_LOG_INFO : NR_LOG_WARN, "invoker", "capability=\"%s\" %s: %s%s%s%s",
               c->name, c->yes ? "yes" : "no", c->value, c->next[0] ? " (" : "", c->next,
               c->next[0] ? ")" : "");
    }
    nr_log(log, NR_LOG_INFO, "invoker", "the probe took %lld ms", (long long)p->probe_ms);
}

void probe_capabilities(const struct probe *p, struct nr_buf *out)
{
    nr_buf_addc(out, '[');
    for (unsigned i = 0; i < p->count; i++) {
        const struct capability *c = &p->table[i];

        nr_buf_adds(out, i ? ",{\"name\":" : "{\"name\":");
        nr_buf_json(out, nr_str_of(c->name));
        nr_buf_adds(out, c->yes ? ",\"yes\":true,\"value\":" : ",\"yes\":false,\"value\":");
        nr_buf_json(out, nr_str_of(c->value));
        if (c->next[0]) {
            nr_buf_adds(out, ",\"next\":");
            nr_buf_json(out, nr_str_of(c->next));
        }
        nr_buf_addc(out, '}');
    }
    nr_buf_addc(out, ']');
}

void probe_status(const struct probe *p, struct nr_buf *out)
{
    nr_buf_adds(out, "\"capabilities\":");
    probe_capabilities(p, out);
    nr_buf_printf(out, ",\"probe_ms\":%lld", (long long)p->probe_ms);
}
