/* One function that behaves in every way the contract's cases ask for; started once per call (-DONCE), in a loop
 * (-DLOOP), or serving its slot itself (-DDIRECT) or all slots in turn (-DTURNS), or a WebAssembly module (-DWASM -DONCE), which has
 * neither processes nor signals. Values come with compact JSON, so that they need no parser here.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#ifndef WASM
#include <signal.h>
#include <sys/wait.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef TURNS
#define DIRECT
#define SERVE narae_serve_in_turn
#else
#define SERVE narae_serve
#endif
#ifdef DIRECT
#include "narae.h"
#endif

static int count;
static char *result;
static size_t result_length;

static void answer(const char *text, size_t length)
{
    free(result);
    result = malloc(length + 1);
    memcpy(result, text, length);
    result[length] = 0;
    result_length = length;
}

static void answer_text(const char *text)
{
    answer(text, strlen(text));
}

/* The member's text without quotes, "" when it is not there. */
static const char *member(const char *value, const char *name, char *to, size_t size)
{
    char key[64];
    snprintf(key, sizeof key, "\"%s\":", name);
    const char *p = strstr(value, key);
    to[0] = 0;
    if (!p)
        return to;
    p += strlen(key);
    p += *p == '"';
    size_t n = strcspn(p, "\",}");
    if (n < size) {
        memcpy(to, p, n);
        to[n] = 0;
    }
    return to;
}

static void put_env(const char *value)
{
    char text[4096] = "{", name[64];
    size_t n = 1;
    const char *p = strchr(strstr(value, "\"names\":"), '[');
    while ((p = strchr(p, '"'))) {
        size_t length = strcspn(++p, "\"");
        snprintf(name, sizeof name, "%.*s", (int)length, p);
        const char *found = getenv(name);
        n += (size_t)snprintf(text + n, sizeof text - n, "%s\"%s\":\"%s\"", n > 1 ? "," : "", name,
                              found ? found : "");
        p += length + 1;
    }
    snprintf(text + n, sizeof text - n, "}");
    answer_text(text);
}

static void big(size_t bytes)
{
    char *text = malloc(bytes + 16);
    size_t n = (size_t)snprintf(text, 16, "{\"x\":\"");
    memset(text + n, 'a', bytes);
    memcpy(text + n + bytes, "\"}", 3);
    answer(text, n + bytes + 2);
    free(text);
}

static void eat_memory(void)
{
    for (;;) {
        char *p = malloc(8 << 20);
        if (p)
            memset(p, 1, 8 << 20);
        __asm__ volatile("" : : "r"(p) : "memory"); /* else a compiler may see that nobody looks */
    }
}

#ifdef WASM
/* What tells this instance from all others. */
static int self(void)
{
    static int id;
    if (id == 0)
        (void)getentropy(&id, sizeof id);
    return id;
}

static void crash(void)
{
    __builtin_trap();
}
#else
static int self(void)
{
    return (int)getpid();
}

static void crash(void)
{
    kill(getpid(), 9);
}
#endif

static void write_bytes(void)
{
    fwrite("a\0b\xff\xfe", 1, 5, stdout);
    fwrite("c\n", 1, 2, stdout);
    for (int i = 0; i < 200000; i++)
        putchar('y');
    putchar('\n');
    for (int i = 0; i < 40000; i++)
        fwrite("z\xc3\xa9", 1, 3, stdout);
    putchar('\n');
    answer_text("{}");
}

static void snooze(const char *tag, long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    char text[128];
    printf("begin %s\n", tag);
    fflush(stdout); /* a call that is killed in its sleep shall have said so */
    nanosleep(&t, NULL);
    printf("end %s\n", tag);
    snprintf(text, sizeof text, "{\"tag\":\"%s\"}", tag);
    answer_text(text);
}

/* 0: result is set; else the call failed. */
static int act(const char *value)
{
    char what[32], tag[64], number[32], text[128];
    count++;
    member(value, "do", what, sizeof what);
    member(value, "tag", tag, sizeof tag);
    snprintf(text, sizeof text, "{\"tag\":\"%s\"}", tag);
    if (strcmp(what, "log") == 0) {
        long lines = strtol(member(value, "lines", number, sizeof number), NULL, 10);
        for (long n = 0; n < lines; n++) {
            printf("out %s %ld\n", tag, n);
            fflush(stdout);
            fprintf(stderr, "err %s %ld\n", tag, n);
        }
        answer_text(text);
    } else if (strcmp(what, "error") == 0) {
        answer_text("{\"error\":\"bad luck\",\"more\":1}");
    } else if (strcmp(what, "scalar") == 0) {
        answer_text("3");
    } else if (strcmp(what, "throw") == 0) {
        return 1;
    } else if (strcmp(what, "exit") == 0) {
        crash();
    } else if (strcmp(what, "env") == 0) {
        put_env(value);
    } else if (strcmp(what, "flood") == 0) {
        long lines = strtol(member(value, "lines", number, sizeof number), NULL, 10);
        char line[100];
        memset(line, 'x', 99);
        line[99] = 0;
        while (lines-- > 0)
            puts(line);
        answer_text("{\"done\":true}");
    } else if (strcmp(what, "bytes") == 0) {
        write_bytes();
    } else if (strcmp(what, "big") == 0) {
        big(strtoul(member(value, "bytes", number, sizeof number), NULL, 10));
    } else if (strcmp(what, "memory") == 0) {
        eat_memory();
    } else if (strcmp(what, "count") == 0) {
        snprintf(text, sizeof text, "{\"count\":%d,\"pid\":%d}", count, self());
        answer_text(text);
#ifndef WASM
    } else if (strcmp(what, "fork") == 0) {
        pid_t child = fork(); /* it goes on like its parent, and must not answer */
        if (child > 0)
            waitpid(child, NULL, 0);
        answer_text(child > 0 ? "{\"parent\":true}" : "{\"parent\":false}");
#endif
    } else if (strcmp(what, "sleep") == 0) {
        snooze(tag, strtol(member(value, "ms", number, sizeof number), NULL, 10));
    } else {
        answer_text(value);
    }
    return 0;
}

#ifdef DIRECT
static int serve(struct narae_call *call, void *context)
{
    (void)context;
    char *value = strndup(call->value, call->length);
    char id[64];
    if (narae_meta(call, "activation_id", id, sizeof id))
        setenv("__OW_ACTIVATION_ID", id, 1);
    if (narae_meta(call, "deadline", id, sizeof id))
        setenv("__OW_DEADLINE", id, 1);
    int failed = act(value);
    free(value);
    return failed ? narae_fail(call, "boom \"quoted\"") : narae_reply(call, result, result_length);
}

int main(void)
{
    puts("loaded");
    if (getenv("DIE"))
        return 9;
    return SERVE(serve, NULL);
}
#endif

#ifdef LOOP
/* The value of a request line; its siblings become variables, as a launcher has to do. */
static char *value_of(char *line)
{
    static const char *const names[][2] = {
        {"activation_id", "__OW_ACTIVATION_ID"},
        {"deadline", "__OW_DEADLINE"},
    };
    char text[128];
    char *value = strstr(line, "\"value\":");
    *value = 0;
    for (size_t i = 0; i < 2; i++) {
        char *p = strstr(line, names[i][0]);
        sscanf(p + strlen(names[i][0]), "\": \"%120[^\"]", text);
        setenv(names[i][1], text, 1);
    }
    value += 8;
    value[strcspn(value, "\n")] = 0;
    value[strlen(value) - 1] = 0;
    return value;
}

int main(void)
{
    char *line = NULL;
    size_t size = 0;
    puts("loaded");
    fflush(stdout);
    if (getenv("DIE"))
        return 9;
    while (getline(&line, &size, stdin) > 0) {
        if (act(value_of(line)))
            return 3;
        fflush(stdout);
        if (dprintf(3, "%s\n", result) < 0)
            return 4;
    }
    return 0;
}
#endif

#ifdef ONCE
int main(int argc, char **argv)
{
    char *value = NULL;
    size_t size = 0;
    if (argc > 1)
        value = argv[1];
    else if (getdelim(&value, &size, 0, stdin) < 0)
        return 5;
    if (act(value))
        return 3;
    puts(result);
    return 0;
}
#endif
