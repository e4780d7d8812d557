/* Documents that several tests read.
 */
#ifndef NR_TESTS_UNIT_SCALER_POLICY_DOCUMENTS_H
#define NR_TESTS_UNIT_SCALER_POLICY_DOCUMENTS_H

/* Every part of the language but stems, nodes and metrics of others. */
#define DOCUMENT_WHOLE                                                                                                              \
    "{\n"                                                                                                                           \
    "  \"policy\": \"telemetry-burst\",\n"                                                                                          \
    "  \"target\": { \"account\": \"acme\", \"function\": \"parse-telemetry\", \"version\": \"PUBLISHED\" },\n"                     \
    "  \"mode\": \"enforce\",\n"                                                                                                    \
    "  \"evaluate_every\": \"2s\",\n"                                                                                               \
    "  \"bounds\": { \"min\": 0, \"max\": 40, \"min_warm\": 1 },\n"                                                                 \
    "  \"rules\": [\n"                                                                                                              \
    "    { \"id\": \"busy\",\n"                                                                                                     \
    "      \"when\": { \"metric\": \"inflight_per_instance\", \"aggregate\": \"avg\", \"window\": \"60s\" },\n"                     \
    "      \"do\":   { \"action\": \"track\", \"target\": 0.7, \"tolerance\": 0.1 } },\n"                                           \
    "\n"                                                                                                                            \
    "    { \"id\": \"burst\", \"priority\": 10,\n"                                                                                  \
    "      \"when\": { \"metric\": \"inflight_per_instance\", \"aggregate\": \"avg\", \"window\": \"6s\",\n"                        \
    "                \"op\": \">=\", \"value\": 1.4 },\n"                                                                           \
    "      \"do\":   { \"action\": \"add\", \"percent\": 100, \"at_least\": 2 },\n"                                                 \
    "      \"block_down_for\": \"60s\" },\n"                                                                                        \
    "\n"                                                                                                                            \
    "    { \"id\": \"lag\",\n"                                                                                                      \
    "      \"when\": { \"metric\": \"trigger_lag\", \"labels\": { \"topic\": \"plant.raw\" },\n"                                    \
    "                \"aggregate\": \"max\", \"window\": \"10s\", \"op\": \">\", \"value\": 500 },\n"                               \
    "      \"do\":   { \"action\": \"track\", \"target\": 100 } },\n"                                                               \
    "\n"                                                                                                                            \
    "    { \"id\": \"slow-and-hot\",\n"                                                                                             \
    "      \"when\": { \"all\": [\n"                                                                                                \
    "        { \"metric\": \"duration_ms\", \"aggregate\": \"p99\", \"window\": \"30s\", \"op\": \">\", \"value\": 250 },\n"        \
    "        { \"metric\": \"cpu_percent\", \"aggregate\": \"avg\", \"window\": \"30s\", \"op\": \">\", \"value\": 80 } ],\n"       \
    "        \"for\": \"10s\" },\n"                                                                                                 \
    "      \"do\":   { \"action\": \"add\", \"count\": 2 }, \"cooldown\": \"30s\" },\n"                                             \
    "\n"                                                                                                                            \
    "    { \"id\": \"quiet\",\n"                                                                                                    \
    "      \"when\": { \"metric\": \"invocations\", \"aggregate\": \"sum\", \"window\": \"10m\", \"op\": \"<\", \"value\": 1 },\n"  \
    "      \"do\":   { \"action\": \"set\", \"count\": 0 } },\n"                                                                    \
    "\n"                                                                                                                            \
    "    { \"id\": \"errors\", \"priority\": 20,\n"                                                                                 \
    "      \"when\": { \"metric\": \"error_ratio\", \"aggregate\": \"avg\", \"window\": \"1m\", \"op\": \">\", \"value\": 0.5 },\n" \
    "      \"do\":   { \"action\": \"freeze\" }, \"notify\": [\"ops\"] }\n"                                                         \
    "  ],\n"                                                                                                                        \
    "  \"schedule\": [\n"                                                                                                           \
    "    { \"cron\": \"0 6 * * 1-5\", \"timezone\": \"Europe/Berlin\", \"for\": \"12h\", \"min_warm\": 4 }\n"                       \
    "  ],\n"                                                                                                                        \
    "  \"predict\": {\n"                                                                                                            \
    "    \"enabled\": true, \"metric\": \"arrivals\", \"model\": \"auto\",\n"                                                       \
    "    \"history\": \"14d\", \"seasons\": [\"1h\", \"24h\", \"7d\"],\n"                                                           \
    "    \"horizon\": \"auto\", \"quantile\": 0.9, \"min_confidence\": 0.6,\n"                                                      \
    "    \"may\": [\"prewarm\", \"raise_min\"], \"max_extra\": 6\n"                                                                 \
    "  },\n"                                                                                                                        \
    "  \"limits\": {\n"                                                                                                             \
    "    \"up\":   { \"max_count\": 8, \"max_percent\": 200, \"per\": \"10s\", \"stabilize\": \"0s\" },\n"                          \
    "    \"down\": { \"max_percent\": 50, \"per\": \"60s\", \"stabilize\": \"5m\" }\n"                                              \
    "  },\n"                                                                                                                        \
    "  \"missing_metrics\": { \"after\": \"30s\", \"do\": \"hold\" }\n"                                                             \
    "}\n"

#endif
