/* What somebody may have meant: the nearest candidate by letters changed, added, left out or swapped. */
#include "cli/cli.h"
#include "common/base/edits.h"

void cli_nearest_try(struct cli_nearest *n, const char *candidate)
{
    size_t letters = strlen(n->word);
    unsigned near = letters < 4 ? 1 : letters < 8 ? 2 : 3;
    unsigned d = nr_edits(nr_str_of(n->word), nr_str_of(candidate));

    /* "pub" may mean "publish" */
    if (letters >= 2 && strncmp(n->word, candidate, letters) == 0)
        d = 1;
    if (d <= near && (n->best == NULL || d < n->distance)) {
        n->best = candidate;
        n->distance = d;
    }
}
