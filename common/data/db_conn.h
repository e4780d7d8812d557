/* One connection to a database, with its prepared statements, and what is done once before the threads start: create, check,
 * migrate. Inside common/data only. One thread at a time per connection.
 */
#ifndef NR_COMMON_DATA_DB_CONN_H
#define NR_COMMON_DATA_DB_CONN_H

#include "common/data/db.h"

/* A prepared statement and the literal it was made from; in the chain `used` from hand-out to the end of the job. */
struct nr_db_statement {
    const char *literal;
    sqlite3_stmt *s;
    struct nr_db_statement *next, *next_used;
};

enum { NR_DB_CHAINS = 32 };

struct nr_db_conn {
    sqlite3 *db;
    struct nr_db_statement *chains[NR_DB_CHAINS]; /* by address of the literal */
    struct nr_db_statement *used;
    unsigned wal_pages; /* in the log after the last commit of this connection */
};

enum nr_db_role { NR_DB_WRITER, NR_DB_READER };

/* Opens the file (which must exist) and sets what holds for a connection. NR_ECORRUPT, NR_EIO with a sentence. */
int nr_db_conn_open(struct nr_db_conn *c, const char *path, uint32_t busy_timeout_ms,
                    enum nr_db_role role, struct nr_err *err);
/* Zeroed is fine. */
void nr_db_conn_close(struct nr_db_conn *c);
/* Makes c the connection whose statements nr_db_prepare() finds on this thread. */
void nr_db_conn_enter(struct nr_db_conn *c);
/* That connection, or NULL on any other thread. */
const struct nr_db_conn *nr_db_conn_here(void);
/* At the end of a job: no statement may hold a snapshot or a lock any longer. */
void nr_db_conn_reset(struct nr_db_conn *c);
/* Prepares (once), steps to the end and resets. Returns the sqlite result. */
int nr_db_conn_do(struct nr_db_conn *c, const char *literal);
/* First column of the first row, or -1. */
int64_t nr_db_conn_number(struct nr_db_conn *c, const char *literal);

/* Fills err from the connection's last error, with the file's name in front. Returns the NR_E*. */
int nr_db_conn_fail(struct nr_db_conn *c, const char *path, const char *what, struct nr_err *err);

/* Creates the file when it is not there, checks and migrates it; c (made) is the writer's connection. */
int nr_db_prepare_file(struct nr_db_conn *c, const struct nr_db_config *config, struct nr_err *err);

#endif
