/* The table of all beginnings of one word against all beginnings of the other, of which three rows are enough: a cell is the least of a
 * byte changed (diagonal), left out (above), added (left), or two swapped (two up, two to the left).
 */
#include "common/base/edits.h"

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;

    return ab < c ? ab : c;
}

unsigned nr_edits(struct nr_str a, struct nr_str b)
{
    unsigned row[3][NR_EDITS_MAX_BYTES + 1];

    if (a.n > NR_EDITS_MAX_BYTES || b.n > NR_EDITS_MAX_BYTES)
        return NR_EDITS_FAR;
    for (unsigned k = 0; k <= b.n; k++)
        row[0][k] = k;
    for (unsigned i = 1; i <= a.n; i++) {
        unsigned *here = row[i % 3], *up = row[(i + 2) % 3], *above = row[(i + 1) % 3];

        here[0] = i;
        for (unsigned k = 1; k <= b.n; k++) {
            here[k] = least(up[k] + 1, here[k - 1] + 1, up[k - 1] + (a.p[i - 1] != b.p[k - 1]));
            if (i > 1 && k > 1 && a.p[i - 1] == b.p[k - 2] && a.p[i - 2] == b.p[k - 1] &&
                above[k - 2] + 1 < here[k])
                here[k] = above[k - 2] + 1;
        }
    }
    return row[a.n % 3][b.n];
}
