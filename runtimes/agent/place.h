/* Putting a function's code into its folder. Blocking: for a process of its own. */
#ifndef NARAE_AGENT_PLACE_H
#define NARAE_AGENT_PLACE_H

/* Unpacks the zip or tar.gz behind code_fd (lent) into folder. Returns an exit status: 0, or 1 with a sentence written
 * to note_fd. */
int place_archive(int code_fd, const char *folder, int note_fd);
/* Copies the single file behind code_fd into folder under this name, executable. As above. */
int place_file(int code_fd, const char *folder, const char *name, int note_fd);

#endif
