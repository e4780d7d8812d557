/* Calls that may not appear in our code; force-included by the build (-include). */
#ifndef NR_COMMON_BASE_BAN_H
#define NR_COMMON_BASE_BAN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat strncat sprintf vsprintf strtok atoi atol atoll gets localtime    \
    gmtime ctime asctime system tmpnam mktemp

#endif
