/* The Version Controller's part for LATEST: the version text "major.minor.patch" of the code that runs. Pure; any thread.
 */
#ifndef NR_FNMANAGER_VERSION_H
#define NR_FNMANAGER_VERSION_H

#include <stdbool.h>

#define VERSION_TEXT_BYTES 64
#define VERSION_FIRST "0.0.1"

/* Three decimal numbers below 2^31 with dots between, no leading zeros. */
bool version_valid(const char *text);
/* The same version with its last number one higher; `text` must be valid. */
void version_bump(const char *text, char out[VERSION_TEXT_BYTES]);

#endif
