/* Files in a data folder that say what `narae restore` did or does there, so that naraed and the command agree on their names. Both are written durably
 * before the first file changes its place.
 */
#ifndef NR_COMMON_DATA_FOLDER_MARKS_H
#define NR_COMMON_DATA_FOLDER_MARKS_H

/* A restore is changing files, or was ended in the middle of it: naraed does not start; the next restore puts back what was there. */
#define NR_MARK_RESTORING "restoring"
/* Since the last start the folder got another history: the next start adopts no container, and takes the mark away. */
#define NR_MARK_RESTORED "restored"

#endif
