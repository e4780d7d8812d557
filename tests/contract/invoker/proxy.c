/* One thread, poll(2), blocking writes: bytes of a test are few.
 */
#include "tests/contract/invoker/proxy.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/base/err.h"

static int unix_socket(const char *path, struct sockaddr_un *at)
{
    *at = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(at->sun_path, sizeof(at->sun_path), "%s", path);
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

static void drop(struct proxy *p, int i)
{
    (void)close(p->pair[i][0]);
    (void)close(p->pair[i][1]);
    memcpy(p->pair[i], p->pair[--p->pairs], sizeof(p->pair[i]));
}

static void turn(struct proxy *p, bool on)
{
    struct sockaddr_un at;

    if (p->listener >= 0)
        (void)close(p->listener);
    (void)unlink(p->path);
    p->listener = -1;
    while (!on && p->pairs > 0)
        drop(p, 0);
    if (!on)
        return;
    p->listener = unix_socket(p->path, &at);
    nr_check(bind(p->listener, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
             listen(p->listener, 16) == 0);
}

static void take(struct proxy *p)
{
    struct sockaddr_un at;
    int in = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC), out = unix_socket(p->to, &at);

    nr_check(in >= 0 && out >= 0 && p->pairs < PROXY_PAIRS);
    nr_check(connect(out, (const struct sockaddr *)&at, sizeof(at)) == 0);
    p->pair[p->pairs][0] = in;
    p->pair[p->pairs++][1] = out;
}

/* Bytes from one side to the other; false when one has gone. */
static bool relay(int from, int to)
{
    char bytes[65536];
    ssize_t n = read(from, bytes, sizeof(bytes));

    for (ssize_t at = 0; n > 0 && at < n;) {
        ssize_t sent = send(to, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);

        if (sent <= 0)
            return false;
        at += sent;
    }
    return n > 0;
}

static void *proxy_main(void *arg)
{
    struct proxy *p = arg;

    for (;;) {
        struct pollfd fds[2 + 2 * PROXY_PAIRS] = {{.fd = p->wake[0], .events = POLLIN},
                                                  {.fd = p->listener, .events = POLLIN}};
        int pairs = p->pairs;
        char word;

        for (int i = 0; i < 2 * pairs; i++)
            fds[2 + i] = (struct pollfd){.fd = p->pair[i / 2][i % 2], .events = POLLIN};
        nr_check(poll(fds, (nfds_t)(2 + 2 * pairs), -1) > 0);
        for (int i = pairs - 1; i >= 0; i--)
            for (int side = 0; side < 2; side++)
                if (fds[2 + 2 * i + side].revents &&
                    !relay(p->pair[i][side], p->pair[i][1 - side])) {
                    drop(p, i);
                    break;
                }
        if (fds[1].revents & POLLIN)
            take(p);
        if (fds[0].revents && read(p->wake[0], &word, 1) == 1) {
            turn(p, word == '1');
            nr_check(write(p->done[1], &word, 1) == 1);
            if (word == 'x')
                return NULL;
        }
    }
}

static void tell(struct proxy *p, char word)
{
    nr_check(write(p->wake[1], &word, 1) == 1 && read(p->done[0], &word, 1) == 1);
}

void proxy_open(struct proxy *p, const char *path, const char *to)
{
    *p = (struct proxy){.to = to, .listener = -1};
    (void)snprintf(p->path, sizeof(p->path), "%s", path);
    nr_check(pipe(p->wake) == 0 && pipe(p->done) == 0);
    turn(p, true);
    nr_check(pthread_create(&p->thread, NULL, proxy_main, p) == 0);
}

void proxy_switch(struct proxy *p, bool on)
{
    tell(p, on ? '1' : '0');
}

void proxy_close(struct proxy *p)
{
    tell(p, 'x');
    (void)pthread_join(p->thread, NULL);
    for (int i = 0; i < 2; i++) {
        (void)close(p->wake[i]);
        (void)close(p->done[i]);
    }
}
