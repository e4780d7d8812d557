/* A gateway without a network: the server's calls and the neighbours' ports are scripted here, and a request is made from texts.
 * What the gateway answers is kept in struct answer. The loop, the work threads and the rule for names are real.
 */
#ifndef NR_TESTS_UNIT_GATEWAY_FAKES_H
#define NR_TESTS_UNIT_GATEWAY_FAKES_H

#include "gateway/internal.h"

#define GOOD_KEY "me:secret"
/* base64 of GOOD_KEY */
#define GOOD_HEADER "Basic bWU6c2VjcmV0"

struct answer {
    int count; /* how often it was replied */
    int status;
    char *head, *body; /* made; NUL behind */
    int parts;         /* how many; the body is what they hold together */
};

struct fakes {
    struct nr_loop loop;
    struct nr_log log;
    struct gateway *gateway;
    struct answer answer;
    const struct nr_http_hooks *hooks;
    void *user;
    unsigned scopes; /* of the good key */
    size_t waits;    /* bytes that the client has not taken, as told after every part */
    struct nr_buf parts;
    char lines[512]; /* the headers of the request under way */

    /* the function manager */
    struct fn_call *call; /* the last one, not answered yet */
    int posts;

    /* the controller */
    bool answers_at_once;    /* from inside controller_invoke() */
    int fires;               /* calls of controller_fire() */
    char fire_headers[2048]; /* of the last one */
    struct activation *held; /* invoked, not answered yet */
    int invokes;
    struct activation_query *query; /* the last one, not answered yet */
    struct scale_call *scale;       /* asked of the scaler, not answered yet */
    int refuse_code;                /* the answer is this refusal */
    struct log_follower *follower;  /* of logs; NULL: none */
    struct function *function;      /* that controller_find() finds (lent); NULL: none */
    char found[256];                /* what it was asked for: "account package name version" */
    enum outcome_status outcome;    /* of what is answered */
};

struct fakes *fakes_open(void);
void fakes_close(struct fakes *f);

/* One request, up to on_head; `headers` are lines "name: value\n". The answer of an earlier one is forgotten. */
struct gateway_request *ask_head(struct fakes *f, enum nr_http_method method, const char *target,
                                 const char *headers, int64_t content_length);
/* The body is there: on_request, when it was not answered before. */
void ask_body(struct fakes *f, struct gateway_request *q, struct nr_str body);
/* on_head and on_request in one; the body is JSON unless headers say otherwise. */
struct gateway_request *ask(struct fakes *f, enum nr_http_method method, const char *target,
                            const char *headers, const char *body);
/* The same with the good key, and the request ended: what is left is the answer. */
const struct answer *asked(struct fakes *f, enum nr_http_method method, const char *target,
                           const char *body);
/* on_end; frees the request. */
void request_over(struct fakes *f, struct gateway_request *q);
/* Answers what is held. */
void answer_call(struct fakes *f, int status, const char *body);
void answer_activation(struct fakes *f, int status, const char *body);
void answer_query(struct fakes *f, int code, const char *body);
/* code 0: done; else a refusal whose reply is the body. */
void answer_scale(struct fakes *f, int code, const char *body);

#endif
