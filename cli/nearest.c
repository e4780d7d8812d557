/* What somebody may have meant: the nearest candidate by letters changed, added, left out or swapped. */
#include "cli/cli.h"

#define LETTERS_MAX 32

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

static unsigned distance(const char *a, const char *b)
{
    unsigned row[3][LETTERS_MAX + 1];
    size_t n = strlen(a), m = strlen(b);

    if (n > LETTERS_MAX || m > LETTERS_MAX)
        return LETTERS_MAX;
    for (unsigned k = 0; k <= m; k++)
        row[0][k] = k;
    for (unsigned i = 1; i <= n; i++) {
        unsigned *here = row[i % 3], *up = row[(i + 2) % 3], *above = row[(i + 1) % 3];

        here[0] = i;
        for (unsigned k = 1; k <= m; k++) {
            here[k] = least(up[k] + 1, here[k - 1] + 1, up[k - 1] + (a[i - 1] != b[k - 1]));
            if (i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1] &&
                above[k - 2] + 1 < here[k])
                here[k] = above[k - 2] + 1;
        }
    }
    return row[n % 3][m];
}

void cli_nearest_try(struct cli_nearest *n, const char *candidate)
{
    size_t letters = strlen(n->word);
    unsigned near = letters < 4 ? 1 : letters < 8 ? 2 : 3, d = distance(n->word, candidate);

    /* "pub" may mean "publish" */
    if (letters >= 2 && strncmp(n->word, candidate, letters) == 0)
        d = 1;
    if (d <= near && (n->best == NULL || d < n->distance)) {
        n->best = candidate;
        n->distance = d;
    }
}
