/* What the databases of this release hold: the names of their tables, and the digests (SHA-256 of the text that sqlite keeps) of those parts of a
 * schema that run by themselves: triggers and indexes with a condition. By it a restore tells a registry of Narae's from one that somebody
 * wrote. Whoever adds a step that makes one of these adds a row; tests/unit/fnmanager/test_known.c and tests/integration/test_backup.py fail else, and
 * name the row that is missing.
 */
#include "cli/backup/known.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/data/digest.h"

/* Ends with NULL. */
static const struct {
    const char *database;
    const char *const *tables;
} databases[] = {
    {"scaling.db", (const char *const[]){"policies", "versions", "states", "decisions", "journal",
                                         "forecasts", "channels", NULL}},
    {"calls.db", (const char *const[]){"calls", NULL}},
    {"meta.db",
     (const char *const[]){"counters",      "accounts",    "keys",     "packages", "functions",
                           "versions",      "aliases",     "triggers", "rules",    "routes",
                           "scaling_rules", "preenv_runs", "audit",    "garbage",  "grants",
                           "usage",         "registries",  "images",   "apis",     NULL}},
};

static const struct {
    const char *name, *sha256;
} texts[] = {
    {"calls_open", "55d59fdb7d6abbac3cb641a7e27c53d672a37b8aadf70ca6eb4a8b0c4864baf0"},
    {"versions_by_deadline", "a80b59a36b3d0f51475ff06a4650252a5e7401a9f103c3737ef9783036cee52b"},
    {"versions_retired", "12bb0216b9344b192d8fb0ee1beb09708596826122c1f623bcbd737fc1f4c2af"},
    {"versions_published", "0e17d7e59c03e1fb3eec3853fc59066a3350331400deb8cc1a45fbfed1d6da9b"},
    {"versions_of_images", "dc8ef1bd53db716766950f74fabc71c132d6801884efa0125f5f91bff30681a1"},
    {"preenv_unfinished", "3cc74fa34b7eca654767723df5961cb7d856a86555f8862cc296da3da2bf1924"},
    {"packages_by_binding", "741b90f6ba2de2b989c94f13268e9a803d043a3ad49b41a74ba9b70f71db986e"},
    {"latest_made", "945ebb1c739b700d0179d11f0b21ad6a78047702e0956d49a44113b937726f84"},
    {"latest_changed", "e8ae81d7d537bfc3acbbfdff7f377f227ba7e660ab0bb640d409772e648eeecb"},
    {"preenv_gone", "38d82ab121b9c10fbe17417f44a8963b4f5da9f0d013d358169491a2f4163289"},
    {"usage_function_new", "269a39925fd12d935b0c5c19132cbcf6a2872ad06654ed494a96d8edcaa4f4cd"},
    {"usage_function_gone", "dc73f26bf9084dcd821cd62948407de09c0eca26c8f20a2c33b29b955b3707b9"},
    {"usage_version_new", "828584c81be55e46772026505a6c7108fd848307987eabe05df83539fb05abaa"},
    {"usage_version_gone", "3c3decf0ef32a8c3666659ec3ae4849006859ea7ac7d25e73b0a0eb7d22faff5"},
    {"usage_version_changed", "5b8876a8ba6b761dcf7117ebac2b27470d5ce3d9059945fed8ba0b9918db68c0"},
    {"registries_gone", "1ce74f03da3577bb17bfb25173ffb11817d02c718b24d03061cc27d6c99d3a33"},
    {"entities_gone", "4e7b90e0aa9b4e584218f043f17778e8204c3099539776e12a259fcd595434f9"},
    {"garbage_new", "df51e17ae8b9bb2d862257d787dfb579074e6a3ff53e3ab84f96dccc3f35e79f"},
    {"garbage_sized", "284af59e21ef30faf2a797ffd5d6b2af757e47b7b64399cc9720921ad2606825"},
    {"garbage_gone", "cba38c0f731a5d2b0ad37c42fe64f2443eeb3034a4bdabedb7ddb0fafe43ad7a"},
    {"garbage_of_version", "a86e00c656bedca1a5cc364b7ec8ea64129a5aa2b15ce973b73c6cd0456e93a8"},
    {"garbage_of_change", "00fc8b0b7725ef04e7ebcc8a92a9975d23d0ca1d252606c028242050fc0bdd2f"},
};

bool backup_table_is_known(const char *database, const char *table)
{
    for (size_t i = 0; i < nr_countof(databases); i++)
        for (size_t k = 0; strcmp(databases[i].database, database) == 0 && databases[i].tables[k];
             k++)
            if (strcmp(databases[i].tables[k], table) == 0)
                return true;
    return false;
}

/* ---- texts ------------------------------------------------------------------------------------------------------------- */

static bool text_is_known(const char *name, const char *sql)
{
    unsigned char sum[NR_SHA256_BYTES];
    char hex[2 * sizeof(sum) + 1];

    nr_sha256(nr_str_of(sql), sum);
    nr_hex(sum, sizeof(sum), hex);
    for (size_t i = 0; i < nr_countof(texts); i++)
        if (strcmp(texts[i].name, name) == 0 && strcmp(texts[i].sha256, hex) == 0)
            return true;
    return false;
}

/* Does the word that ends before `at` make a key? What else stands before a parenthesis is an expression: CHECK, DEFAULT, AS. */
static bool makes_a_key(const char *sql, const char *at)
{
    static const char *const words[] = {"KEY", "UNIQUE"};

    while (at > sql && at[-1] == ' ')
        at--;
    for (size_t i = 0; i < nr_countof(words); i++) {
        size_t n = strlen(words[i]);

        if ((size_t)(at - sql) > n && memcmp(at - n, words[i], n) == 0 &&
            strchr(" ,", at[-(ptrdiff_t)n - 1]))
            return true;
    }
    return false;
}

/* Columns with constant defaults, and keys: nothing in it is computed. */
static bool table_is_plain(const char *sql)
{
    const char *at = strchr(sql, '(');

    if (strncmp(sql, "CREATE TABLE ", 13) != 0 || at == NULL || strstr(sql, "--") ||
        strstr(sql, "/*"))
        return false;
    while ((at = strchr(at + 1, '(')) != NULL)
        if (!makes_a_key(sql, at))
            return false;
    return true;
}

/* Of columns by their names, without a condition. */
static bool index_is_plain(const char *sql)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_ ,";
    const char *at = sql + strspn(sql, letters);
    bool starts =
        strncmp(sql, "CREATE INDEX ", 13) == 0 || strncmp(sql, "CREATE UNIQUE INDEX ", 20) == 0;

    if (!starts || *at != '(')
        return false;
    at++;
    at += strspn(at, letters);
    return at[0] == ')' && at[1] == '\0';
}

bool backup_schema_is_known(const char *type, const char *name, const char *sql)
{
    if (sql == NULL) /* the index of a key */
        return strcmp(type, "index") == 0;
    if (strcmp(type, "table") == 0)
        return table_is_plain(sql);
    if (strcmp(type, "index") == 0 && index_is_plain(sql))
        return true;
    return (strcmp(type, "index") == 0 || strcmp(type, "trigger") == 0) && text_is_known(name, sql);
}
